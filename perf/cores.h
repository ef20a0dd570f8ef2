// Which cores a benchmark's threads are pinned to.
#pragma once

#include <stdbool.h>

#include "perf/baseline/team.h"

// The last `threads` cores this process may use: the first ones serve interrupts and whoever
// started us. With `share` threads double up where cores are too few; else that is an error, said
// on stderr.  Returns 0 or -errno.
int cores_team(uint32_t threads, bool share, struct team *ret_team);
