// The source that reads a CSV file, plain or zstd.
#pragma once

#include "dataplane/operator.h"

extern const struct weir_operator source_csv;

// A watermark goes before every record whose number is a multiple of it.
#define SOURCE_CSV_MARK_RECORDS 256u
