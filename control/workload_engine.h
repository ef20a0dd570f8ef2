// The real workload: parts of jobs run by the engine on this process's node.
#pragma once

#include "control/background.h"
#include "control/network.h"
#include "control/workload.h"
#include "dataplane/node.h"

struct workload_engine_config {
	struct node *node;             // outlives the workload, as
	struct peers *peers;           // of other nodes; NULL: it has no links
	struct background *background; // for building, publishing and tearing down; its own now
	uint32_t worker_count;
	const int *worker_cpus;                   // of the node, each
	const int *worker_nodes;                  // NUMA nodes, each
	const struct weir_operator *const *kinds; // that jobs may have, NULL at the end
	bool lazy;                                // as of an engine
};

// Returns 0 or -ENOMEM, when what it was given is still the caller's.
int workload_engine_create(const struct workload_engine_config *config,
	struct workload **ret_workload);
