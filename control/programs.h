// The programs of a cluster as functions, for main() to call and for programs that know more kinds
// of operators. Each takes its arguments, runs until it is asked to end, and returns its exit code.
#pragma once

#include "dataplane/operator.h"

// `kinds` ends in NULL and outlives the call.
int node_program(int argc, char **argv, const struct weir_operator *const *kinds);
int controller_program(int argc, char **argv, const struct weir_operator *const *kinds);
