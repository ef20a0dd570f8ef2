// CSV written: quotes only where a field needs them, null as nothing, the empty text as "",
// bytes in hex, rows ended by LF.
#pragma once

#include <stdint.h>

#include "dataplane/output_file.h"
#include "state/batch.h"

struct csv_writer {
	struct output_file *out; // its buffer holds at least CSV_VALUE_BYTES
	const struct weir_schema *schema;
	bool times_iso; // else integer ms since 1970
};

enum { CSV_VALUE_BYTES = 64 };

// All: owner's thread.  Return 0 or -errno of the file.
int csv_write_names(struct csv_writer *w);
int csv_write_row(struct csv_writer *w, const struct weir_column *columns, uint32_t row);
