// NEXMark events laid out in memory for runs without the engine, by the engine's own generator.
#pragma once

#include <stdint.h>

#include "numa/arena.h"
#include "perf/baseline/rows.h"

// Returns 0 or -errno.  Owns: *ret_arena holds the rows; the caller destroys it.
int rows_nexmark_create(int64_t events, int64_t rate, uint32_t loops, struct arena *ret_arena,
	struct rows *ret_rows);
