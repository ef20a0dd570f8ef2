// Stages: the job's operators as they will run, each with its number of tasks, its way of getting
// input and its plan against exactly what arrives there. Fused ones share a chain.
#pragma once

#include "control/job.h"
#include "dataplane/job_plan.h"

#define STAGE_NONE UINT32_MAX

enum { STAGES_MAX = 2 * JOB_OPERATORS_MAX };

struct stage {
	uint32_t op;    // of the job
	uint32_t index; // operator_index of the plan; a partial one's is its own
	uint32_t from;  // stage it reads from, STAGE_NONE: a source
	uint32_t parallelism;
	uint32_t chain;    // index of the chain's first stage
	uint32_t position; // in the chain
	uint32_t next;     // the stage fused behind this one, STAGE_NONE: the last
	bool partial;      // runs on the parts, before the stage of the same operator
	struct weir_plan *plan;
	const struct weir_schema *input;    // as it arrives; NULL for a source
	const struct weir_schema *produced; // as the producer gives it
	// Where it does not share its producer's chain:
	enum plan_exchange exchange;
	const uint16_t *fields; // per field of `input`, its index in `produced`
	const uint16_t *keys;   // HASH: fields of `produced`
	uint32_t key_count;
};

struct stages {
	uint32_t count;
	uint32_t partial_count;
	struct stage stage[STAGES_MAX]; // every one behind its producer
};

// Returns 0, or -EINVAL with errors added to the job.
int stages_plan(struct job *job, uint32_t workers, struct stages *stages);

static inline bool stage_is_fused(const struct stages *stages, uint32_t index)
{
	return stages->stage[index].chain != index;
}
