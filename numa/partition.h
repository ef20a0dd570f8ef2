// Tasks to workers: balanced load first, then as little traffic between workers as that allows.
// Heavy-edge clustering, the clusters to the least loaded worker, then local moves.
#pragma once

#include "numa/placement.h"

// What must not share a worker if it can be helped: `group[task]` is the node of the NIC it uses,
// TOPOLOGY_NONE for none.
struct partition_problem {
	const struct placement_graph *graph;
	const int *group;
	unsigned workers;
};

// Fill worker_of[task] and *ret_limit; workers are numbered by their first task. No worker is
// loaded above the limit: average (rounded up) plus the larger of the heaviest task and 1/16 of
// the average.
// Returns 0 or -ENOMEM.
int partition_compute(const struct partition_problem *problem, unsigned *worker_of,
	uint64_t *ret_limit);
