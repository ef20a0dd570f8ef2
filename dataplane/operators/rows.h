// The operators that look at one row at a time and keep no state.
#pragma once

#include "dataplane/operator.h"

extern const struct weir_operator filter, project;
