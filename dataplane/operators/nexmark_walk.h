// What the sources of NEXMark events share: their parameters, and a task's walk over its share of
// the sequence. Tasks take blocks of it in turn, so that together they follow its order closely.
#pragma once

#include <stdint.h>

#include "dataplane/nexmark.h"
#include "dataplane/operator.h"

enum { NEXMARK_BLOCK_EVENTS = 2048, NEXMARK_BLOCK_STEP = 64 };

// Beside the parameters events, rate and group of the sequence itself.
#define NEXMARK_WALK_PARAMS                                                                        \
	{.name = "pace",                                                                           \
		.type = WEIR_PARAM_RATE,                                                           \
		.min = 1,                                                                          \
		.max = NEXMARK_RATE_MAX,                                                           \
		.doc = "Events a second of wall-clock time, over all tasks; as fast as possible "  \
		       "when absent."},                                                            \
		{.name = "scheduled",                                                              \
			.type = WEIR_PARAM_BOOL,                                                   \
			.default_text = "false",                                                   \
			.doc = "Whether records end in an int64 field `scheduled`, the ns from "   \
			       "the start of the job to when the event is due at the pace."},      \
	{                                                                                          \
		.name = "block", .type = WEIR_PARAM_INT, .default_text = "2048",                   \
		.min = NEXMARK_BLOCK_STEP, .max = 1 << 20,                                         \
		.doc = "Events that a task takes in a row, a multiple of 64; a watermark "         \
		       "follows each block."                                                       \
	}

struct nexmark_walk {
	struct nexmark nexmark;
	uint64_t total; // events of all loops over the sequence
	uint64_t pace;  // 0: no limit
	uint64_t block;
	uint64_t number; // of the next event, counted on from loop to loop
	uint64_t stride; // events from the end of one block to the start of the task's next
	bool mark_due;   // the block before `number` is done, its watermark not yet emitted
};

// Read the parameters: those of the sequence from `sequence`, the others from plan->params; fill
// in the outputs, and the walk as plan->detail.  Returns 0, or -EINVAL after weir_plan_error.
int walk_plan(struct weir_plan *plan, const struct weir_value *sequence);
void walk_unplan(struct weir_plan *plan);

// Make a planned walk that of the context's task.
void walk_start(struct nexmark_walk *w, const struct weir_context *ctx);

// Emit the watermark that is due, if any (times start anew with every loop, so only the last one
// has any), then tell how many events from w->number on may be
// emitted now, at most `events_max`: 1 or more with WEIR_DONE, else none.
enum weir_flow walk_next(struct nexmark_walk *w, struct weir_context *ctx, uint64_t events_max,
	uint64_t *ret_events);

// That many have been emitted.
void walk_advance(struct nexmark_walk *w, struct weir_context *ctx, uint64_t events);

void walk_snapshot(const struct nexmark_walk *w, struct snapshot_writer *writer);
int walk_restore(struct nexmark_walk *w, struct snapshot_reader *reader);
