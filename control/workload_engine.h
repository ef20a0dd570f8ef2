// The real workload: parts of jobs run by the engine on this process's node.
#pragma once

#include "control/network.h"
#include "control/workload.h"
#include "dataplane/node.h"

struct workload_engine_config {
	struct node *node;       // runs; outlives the workload
	struct network *network; // to other nodes, the node's; NULL: it has no links
	uint32_t worker_count;
	const int *worker_cpus;  // of the node, each
	const int *worker_nodes; // NUMA nodes, each
	const struct weir_operator *const *kinds; // that jobs may have, NULL at the end
};

// Building, publishing and tearing down happen on a thread of its own, one after the other.
// Returns 0 or -errno.
int workload_engine_create(const struct workload_engine_config *config,
	struct workload **ret_workload);
