// The sinks that write CSV.
#pragma once

#include "dataplane/operator.h"

extern const struct weir_operator sink_csv, sink_stdout;
