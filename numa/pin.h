// Which PUs this process may run on, and binding a thread to one of them. PUs go by OS index.
#pragma once

#include <stddef.h>

// Bind the calling thread to the PU.  Thread: any.  Returns 0 or -errno (-EINVAL: the PU does not
// exist or taskset or a cgroup has taken it away).
int pin_thread(unsigned pu);

// List, ascending, the PUs the calling thread may run on: those that taskset and cgroup leave. Ask
// before anything (EAL among others) pins this thread.
// Owns: *ret_pus is the caller's, for free().  Returns 0 or -errno.
int pin_allowed(unsigned **ret_pus, size_t *ret_count);
