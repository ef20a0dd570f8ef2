// Takeover in virtual time with the CPU time that steps really take: nodes with nothing wrong
// between them, one of which dies; all others hear of it at the same moment.
#pragma once

#include <stdbool.h>
#include <stdint.h>

void takeover_create(void); // before processes part
// Returns whether every replica took over.
bool takeover_run_seed(uint64_t seed, bool verbose);
void takeover_print(void);
