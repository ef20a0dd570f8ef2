// Time in ns since an arbitrary start, monotonic, from the invariant TSC; calibrated once.
#pragma once

#include <stdint.h>

// Calibrate; call once before clock_now_ns.  Thread: any, before workers start.
void clock_init(void);

// Thread: any.  Returns ns; costs one rdtsc and one multiplication.
int64_t clock_now_ns(void);
