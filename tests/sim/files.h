// Jobs whose sinks write files, while tasks die.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// A job of the seed, once undisturbed and once with deaths: its files must hold the same lines,
// each once, and nothing else may be left.  Returns whether they do; says on stderr what does not.
bool files_run_seed(uint64_t seed, bool verbose);
