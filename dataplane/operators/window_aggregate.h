// window_aggregate: records grouped by key and window of event time, reduced to aggregates.
#pragma once

#include "dataplane/operator.h"

extern const struct weir_operator window_aggregate;
