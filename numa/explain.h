// The reasons of a placement, in words, read off the finished placement, so that each is true of
// it.
#pragma once

#include "numa/placement.h"

#include <stdbool.h>

// What a placement rests on, beside the graph: sums that the reasons cite.
struct explain_problem {
	const struct topology *topology;
	const struct placement_graph *graph;
	const uint64_t *traffic; // workers x workers, symmetric
	const uint64_t *nic;     // workers x node_count: traffic to NICs of that node
	bool given;              // the caller chose the PUs
	const bool *taken;       // of a PU: another job polls it
};

void explain_workers(const struct explain_problem *problem, struct placement *placement);

// Returns 0 or -ENOMEM.
int explain_tasks(const struct explain_problem *problem, struct placement *placement);
