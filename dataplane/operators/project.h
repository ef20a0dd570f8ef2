// The operator that computes fields of fields.
#pragma once

#include "dataplane/operator.h"

// Returns the field of the input that stands unchanged in field `output` of the result; -1: it is
// computed.
int project_origin(const struct weir_plan *plan, uint32_t output);
