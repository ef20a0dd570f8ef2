// How long a cache line takes from one core to the other: what bounds every exchange.
#pragma once

#include <stdint.h>

// Pass a line to and fro.  Returns ns for one way.
double line_crossing_ns(uint32_t rounds, const int cpus[2]);
