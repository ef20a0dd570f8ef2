// Checkpoints of the tasks of a job on this node: when a barrier is asked for, and when the one
// under way is committed. Stepped, by the agent and by every worker whose tasks wait for it, so
// that an agent which gets no core delays nobody.
#pragma once

#include <stdalign.h>
#include <stdatomic.h>

#include "dataplane/task.h"

struct checkpoint {
	struct task **tasks;
	uint32_t task_count;
	int64_t interval_ns; // 0: none are taken
	struct task_control *control;
	// Below: of whoever has turned `driven` from false to true (acquire; back: release).
	alignas(64) atomic_bool driven;
	int64_t next_ns;   // when the next barrier is due
	atomic_uint early; // asked for before they were due; relaxed: a figure
};

// Commit the barrier under way once all tasks hold it; then ask for the next when it is due or a
// task wants it. Does nothing while another thread is at it.  Thread: any.
void checkpoint_drive(struct checkpoint *c, int64_t now_ns);
