// What the files of the task share; nobody else includes it. All: owner's thread.
#pragma once

#include "dataplane/task.h"

// The link that gets what comes from outside: the first behind a source.
static inline struct chain_link *task_head(struct task *t)
{
	return &t->links[t->source ? 1 : 0];
}

// Take note of what a push down the chain came to.  Returns whether to go on.
static inline bool task_settle(struct task *t, enum weir_flow flow)
{
	t->blocked = flow == WEIR_FULL;
	if (flow == WEIR_FAILED)
		t->outcome = TASK_FAILED;
	return flow == WEIR_DONE;
}

// The beginning of a step: what the agent told of losses, what came of the log, whom to follow.
// Returns the work done.
uint32_t task_tend(struct task *t);

// A new replica: go on taking its state, and restore it once it is whole.  Returns the work done.
uint32_t task_wait(struct task *t, int64_t now_ns);

// Owner, its chain drained: take its state for a new replica, if that is wanted.
void task_take_state(struct task *t);

// The end of one, all of it sealed.  Returns the work done.
uint32_t task_settle_up(struct task *t);

// Consume up to TASK_STEP_FRAMES frames, or produce up to TASK_SOURCE_RECORDS records; the chain
// must be drained.  Return the records and marks handled.
uint32_t task_consume(struct task *t);
uint32_t task_produce(struct task *t);
