// Workers to PUs: workers that talk sit close, those that use a NIC near it, each on a core of its
// own while cores last. Grown from the NIC outwards, then swapped while that lowers the cost.
#pragma once

#include "numa/placement.h"

#include <stdbool.h>

struct seating_problem {
	const struct topology *topology;
	const uint64_t *traffic; // workers x workers, symmetric
	const uint64_t *nic;     // workers x node_count: traffic to NICs of that node
	unsigned workers;
	const unsigned *cpus; // NULL, or the PUs (indices, all different) that are to be used
	const bool *taken;    // of a PU: another job polls it; it counts as one with a worker
};

// Steps between two PUs that stand for the price of a message: 0 for one PU, then one core or L2,
// one L3, one node, another node by its distance.
uint64_t seating_distance(const struct topology *topology, size_t pu_a, size_t pu_b);

// Fill pu_of[worker] (indices into the topology's PUs).
// Returns 0 or -ENOMEM.
int seating_compute(const struct seating_problem *problem, size_t *pu_of);
