// What a planned job is: tasks, channels and where they run. control/ makes it, the dataplane and
// the simulator build the running job from it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/operator.h"

// An operator of the job with its place in a task's chain.
struct plan_step {
	const struct weir_operator *kind;
	struct weir_plan *plan;
	const struct weir_schema *input; // what its batches look like here; NULL for a source
	uint32_t operator_index;         // in the job, for counters and the report
};

enum plan_exchange { EXCHANGE_FORWARD, EXCHANGE_HASH };

// A task's output towards the tasks of one consuming operator.
struct plan_edge {
	enum plan_exchange exchange;      // FORWARD goes to channels[0]
	const struct weir_schema *input;  // of the producer; rows of other variants are skipped
	const struct weir_schema *output; // of the items: the fields that are used, in order
	const uint16_t *fields;           // per field of `output`, the index in `input`
	const uint16_t *keys;             // HASH: fields of `input`, in key order
	uint32_t key_count;
	uint32_t channel_count; // HASH: group g goes to channels[g * channel_count >> group_bits]
	const uint32_t *channels;
	const uint32_t
		*twins; // beside each of them the one to the consumer's replica, or PLAN_NONE;
			// NULL: no consumer has one
};

enum { PLAN_STEPS_MAX = 15 }; // of a task
#define PLAN_NONE UINT32_MAX

// A replicated task has two instances, each in the plan as a task of its own: they are each
// other's twin, have the same steps, index and count, and channels of their own.
enum plan_standing { PLAN_SINGLE, PLAN_PRIMARY, PLAN_REPLICA };

struct plan_task {
	uint32_t worker;
	uint32_t index, count; // of the operator's parallel instances
	uint32_t step_count;
	const struct plan_step *steps;
	uint32_t edge_count;
	const struct plan_edge *edges;
	uint32_t input_count;
	const uint32_t *inputs; // channels, from primaries
	const uint32_t
		*standby_inputs; // beside each of them the one from the producer's replica, or
				 // PLAN_NONE; NULL: no producer has one
	enum plan_standing standing;
	uint32_t twin; // task; of a replicated one
	uint32_t log;  // the channel of its order log to its twin, as long as it is the owner
};

struct plan_channel {
	uint32_t from, to;                // tasks
	const struct weir_schema *schema; // NULL: it carries an order log
};

struct job_plan {
	const char *name;
	uint32_t id;
	uint32_t version;
	uint32_t group_bits;
	uint32_t worker_count;
	uint32_t operator_count;
	const char *const *operator_ids;
	uint32_t task_count;
	const struct plan_task *tasks;
	uint32_t channel_count;
	const struct plan_channel *channels;
	// settings
	uint32_t frame_bytes;             // of one frame, header included
	uint32_t channel_frames;          // credit of a channel, in frames
	uint64_t worker_state_bytes;      // pool for keyed state, a worker
	bool recovery;                    // keep order log, checksums, retention and snapshots
	int64_t checkpoint_interval_ns;   // 0: none
	bool hot;                         // it has replicated tasks
	uint64_t channel_retention_bytes; // with recovery, or of a replicated end
	uint64_t task_snapshot_bytes;     // with recovery, room for one snapshot of a task
};
