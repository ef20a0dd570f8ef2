// A source of rows that lie in memory before the clock starts, shared by all its tasks.
#pragma once

#include "dataplane/operator.h"

extern const struct weir_operator source_memory;
