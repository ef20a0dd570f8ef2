// A keyed sink that counts records per key and notes when each was due and when it was done with.
// Only benchmarks have it: unlike other operators it reads the clock itself.
#pragma once

#include "dataplane/operator.h"

struct latency_sample {
	int64_t due_ns;  // after the job's start
	int64_t done_ns; // clock_now_ns
};

struct latency_log {
	struct latency_sample *samples;
	uint64_t count, room;
};

extern const struct weir_operator sink_latency;

// Task i of the jobs to come writes to logs[i]; further samples than there is room for are lost.
// Owns: the logs stay the caller's.  Thread: agent, while no such job runs.
void sink_latency_use(struct latency_log *logs);
