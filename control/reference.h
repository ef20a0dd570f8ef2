// The reference of job files, made from the tables that jobs are checked against.
#pragma once

#include <stdio.h>

#include "dataplane/operator.h"

// Every kind with its parameters as text for a terminal, or only the one named.
// Returns 0, or -ENOENT for an unknown name.
int reference_print(const struct weir_operator *const *kinds, const char *only, FILE *out);

// All of docs/reference.md.
void reference_markdown(const struct weir_operator *const *kinds, FILE *out);

// All of docs/cluster-reference.md.
void reference_cluster_markdown(FILE *out);
