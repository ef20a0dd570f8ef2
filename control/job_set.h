// `--set operator.parameter=value`: changes of a job file before it is checked.
#pragma once

#include "control/errors.h"

// Apply one flag to the tree of a job file. Values get the flag as their place.
void job_set(struct heap *heap, struct errors *errors, struct weir_value *root, const char *flag)
	__attribute__((nonnull));
