// The keeper: a second process that shares this one's memory and nothing else. The kernel closes
// the connections of a killed process only after it has given back all memory that nobody else
// uses, page by page: milliseconds, and tens of them per GiB in small pages, in which nobody knows
// of the death. What the keeper still uses is given back once it sees that the other has ended.
#pragma once

#include <stdint.h>

// Start one for this process, once, before there are other threads or connections. It ends with
// the process, has no open files, heeds no signal but SIGKILL, and keeps off `cpus` if it can.
// Thread: main.  Returns 0, or -errno: a death is then noticed later, and nothing else.
int keeper_start(const int *cpus, uint32_t count);
