// Which worker runs which task, and which PU each worker gets (DESIGN.md section 11). A pure and
// deterministic function of the topology and a weighted graph, so that it is tested for machines
// that are not here; every decision records its reason.
#pragma once

#include "numa/topology.h"

#include <stddef.h>
#include <stdint.h>

enum { PLACEMENT_REASON_BYTES = 200 };

struct placement_task {
	const char *name;    // the caller's, for reasons and drawings
	uint32_t weight;     // its load; 0: negligible
	int nic;             // index into the topology's NICs, TOPOLOGY_NONE: uses none
	uint32_t nic_weight; // traffic to that NIC, in the units of edge weights
};

// Traffic between two tasks; direction does not matter here, several edges of a pair add up.
struct placement_edge {
	unsigned from, to;
	uint32_t weight;
};

struct placement_graph {
	const struct placement_task *tasks;
	const struct placement_edge *edges;
	size_t task_count, edge_count;
};

struct placement_request {
	const struct placement_graph *graph; // NULL: place only workers
	unsigned workers;                    // 0: as many as `cpus`, else placement_workers_default
	const unsigned *cpus; // NULL: chosen here; else worker i runs on the PU of OS index cpus[i]
	size_t cpu_count;
	const unsigned *taken; // OS indices of PUs that other jobs poll: avoided, unless in `cpus`
	size_t taken_count;
};

// What kind of place a worker got, best first.
enum placement_seat {
	PLACEMENT_CORE,         // a core of its own
	PLACEMENT_HOUSEKEEPING, // the core where kernel and agent run
	PLACEMENT_SIBLING,      // a hyper-thread of a core that another worker has
	PLACEMENT_SHARED,       // a PU that another worker has
};

struct placement_worker {
	unsigned pu;           // OS index, for pin_thread
	int node;              // OS index of the node for its memory (arena_create), -1: any
	size_t pu_index, core; // indices into the topology
	enum placement_seat seat;
	uint64_t load; // sum of its tasks' weights
	char reason[PLACEMENT_REASON_BYTES];
};

struct placement_assignment {
	unsigned worker;
	char reason[PLACEMENT_REASON_BYTES];
};

struct placement {
	struct placement_worker *workers;
	struct placement_assignment *tasks; // as the graph's
	size_t worker_count, task_count;
	uint64_t load_limit; // no worker is loaded above it (see partition.h)
	uint64_t traffic, traffic_local,
		traffic_node; // all; within a worker; within a node (of all)
};

// Place tasks on workers and workers on PUs.
// Owns: *ret_placement is the caller's, for placement_destroy; it copies nothing from the graph.
// Returns 0 or -errno; -EINVAL for a wrong request, which `error` (may be NULL) then explains.
int placement_compute(const struct topology *topology, const struct placement_request *request,
	struct placement *ret_placement, char *error, size_t error_bytes);

// NULL-safe and idempotent.
void placement_destroy(struct placement *placement);

// All cores but the housekeeping one, or all CPUs of the cgroup's quota but one, at least 1.
unsigned placement_workers_default(const struct topology *topology);
