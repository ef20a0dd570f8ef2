// Time in ns, monotonic, from the invariant TSC; calibrated once against CLOCK_MONOTONIC, from
// whose reading it starts and from which it then drifts by the error of a 10 ms calibration.
// Where there is no invariant TSC, or before clock_init, it is CLOCK_MONOTONIC itself.
#pragma once

#include <stdint.h>

// Calibrate; call once before clock_now_ns (a further call does nothing); spins for 10 ms.
// Thread: any, before workers start.
void clock_init(void);

// Thread: any.  Returns ns; costs one rdtsc and one multiplication.
int64_t clock_now_ns(void);
