// NEXMark records as lines of CSV: nothing quoted (no text holds a comma, a quote or a line's
// end), times in ms since 1970.
#pragma once

#include <stdint.h>

#include "state/record.h"

#define NEXMARK_LINE_ROOM 1024u // bytes that hold any line

// Write the names of the schema's fields, or a record's values, and a newline, to `out`.
// Thread: any.  Returns the bytes written.
uint32_t nexmark_csv_header(const struct weir_schema *schema, char *out);
uint32_t nexmark_csv_line(const struct weir_schema *schema, const uint8_t *record, char *out);
