// What a job's sinks were given, against what a naive model says.
#pragma once

#include "tests/sim/scenario.h"

// Of one query, as captured.  Returns false, having said on stderr how they differ.
bool output_check(const struct scenario *s, uint32_t slot);
