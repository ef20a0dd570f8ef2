// Lists of CPUs as users write them: "2-5,8".
#pragma once

#include <stdint.h>

#include "control/heap.h"

// Parse a list of OS indices, in the order given.
// Owns: *ret_cpus on the heap.  Returns NULL, or what is wrong with the text.
const char *cpus_parse(struct heap *heap, const char *text, unsigned **ret_cpus,
	uint32_t *ret_count);
