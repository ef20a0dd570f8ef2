// A part of a job being brought about on this node: its request, the whole job planned from it, the
// way to the other participants, and the engine with this node's tasks.
// Thread: one at a time; building takes long and is best not done on an event loop.
#pragma once

#include "control/planner.h"
#include "control/workload_engine.h"

enum { PART_ERROR_BYTES = 512 };

struct part_build {
	struct workload_request request; // a copy, on the heap
	struct heap heap;
	struct job *job;
	struct planned_job planned;
	uint64_t plan_hash;
	struct crossing_network network; // to the other participants
	struct engine *engine;           // NULL: not built
	char error[PART_ERROR_BYTES];
};

// Keep a copy of the request, in `b`, all zero.
void part_build_begin(struct part_build *b, const struct workload_request *request);

// Returns 0, or -errno with one line in b->error.
int part_build(struct part_build *b, const struct workload_engine_config *config);

void part_build_destroy(struct part_build *b); // half-built too
