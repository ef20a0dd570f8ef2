// A few pinned threads that begin together, timed from the first one's start to the last one's end.
#pragma once

#include <stdint.h>

enum { TEAM_THREADS_MAX = 8 };

struct team {
	uint32_t threads;
	int cpus[TEAM_THREADS_MAX]; // OS index of the PU a thread is bound to
};

// Run work(argument, index) once on each thread.  Returns ns from the first start to the last end;
// ends the process when a thread cannot be made or bound.
int64_t team_run(const struct team *team, void (*work)(void *argument, uint32_t index),
	void *argument);
