// How long a thread of this process could have run and had no core to run on: taken from what /proc
// says of it at every look. What waits for anything else, and what runs, does not count.
#pragma once

#include <stdint.h>

struct thread_wait {
	int64_t from_ns, looked_ns; // the first look and the last; 0: none yet
	int64_t ran_ns;             // the thread, before the first
	int64_t slept_ns;           // found asleep since
	int64_t waited_ns;          // the result
};

// `thread` as gettid() names it. One that is not there has not waited.  Thread: any.
void thread_wait_look(struct thread_wait *wait, int thread, int64_t now_ns);
