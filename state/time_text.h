// Times as text: ISO 8601 in UTC, between 1677-09-21 and 2262-04-11 (int64 ns since 1970).
#pragma once

#include <stdint.h>

// "2001-02-03T04:05:06.123456789Z" and a terminating NUL.
#define TIME_TEXT_BYTES 32

// Read YYYY-MM-DD, then nothing or T or a blank and hh:mm[:ss[.fraction]], then nothing, Z or
// +hh:mm or -hh:mm (nothing: UTC). More than nine digits of fraction are cut.
// Returns 0, -EINVAL (not a time) or -ERANGE (outside of what ns can say, INT64_MIN and INT64_MAX
// included, which mean before and after everything).
int time_parse(const void *text, uint32_t bytes, int64_t *ret_ns);

// Write in the form above with Z, the fraction only where there is one (3, 6 or 9 digits).
// Returns the text's length without its NUL.
uint32_t time_print(int64_t ns, char out[TIME_TEXT_BYTES]);
