// A source of rows that lie in memory before the clock starts, shared by all its tasks.
#pragma once

#include "dataplane/operator.h"

extern const struct weir_operator source_memory;

// Where the rows of a planned source lie once they are laid out, how many there are and how often
// they are read: for benchmarks that read them beside the engine.
void source_memory_rows(const struct weir_plan *plan, const uint8_t **ret_first,
	const uint8_t **ret_limit, uint64_t *ret_count, uint32_t *ret_loops);
