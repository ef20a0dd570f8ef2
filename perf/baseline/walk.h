// Walking rows at the speed of memory: rows of varying length hide the stream from the hardware's
// prefetcher, so every line is asked for in order, a fixed distance ahead.
#pragma once

#include <stdint.h>

enum { WALK_LINE_BYTES = 64, WALK_AHEAD_BYTES = 2048 };

// Ask for the lines from `line` to WALK_AHEAD_BYTES behind `at`; reaching past the end of the rows
// is harmless.  Returns the next line to ask for.
static inline const uint8_t *walk_ahead(const uint8_t *line, const uint8_t *at)
{
	for (; line < at + WALK_AHEAD_BYTES; line += WALK_LINE_BYTES)
		__builtin_prefetch(line);
	return line;
}
