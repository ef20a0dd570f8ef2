// The reference: what a scenario's job must put out, computed naively.
#pragma once

#include "tests/sim/rows.h"
#include "tests/sim/scenario.h"

// Fill `rows` with every output row of the whole run of one of its queries, sorted.
void model_compute(const struct scenario *s, const struct query *q, struct rows *rows);
