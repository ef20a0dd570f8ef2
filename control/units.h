// Numbers as users write them: 123, 250ms, 64KiB, 10000/s.
#pragma once

#include <stdint.h>

#include "dataplane/param.h"

// Parse text as an INT, DURATION (ns), SIZE (bytes) or RATE (a second).
// Returns NULL, or what is wrong with it and how to write it.
const char *units_parse(enum weir_param_type type, const char *text, int64_t *ret_value);

// Print a value in the largest unit that divides it, as a user would write it.
void units_print(enum weir_param_type type, int64_t value, char *out, uint32_t out_bytes);
