// Batches: how rows pass from operator to operator inside a task, in one of three forms.
// A batch only points; what it points to stays valid until the batch is consumed.
#pragma once

#include <stdint.h>

#include "state/record.h"

#define BATCH_ROWS_MAX 256u

enum weir_batch_form {
	WEIR_PACKED,  // records one after the other, of mixed variants
	WEIR_ROWS,    // pointers to records, all of the schema's variant
	WEIR_COLUMNS, // an array a field, all of the schema
};

// int64, timestamp, float64: 8 bytes a value; bool: 1; decimal: __int128; text: struct weir_slice.
struct weir_column {
	const void *data;
	const uint8_t *nulls; // a byte a row, non-zero: null; NULL: none is null
	uint32_t stride;      // bytes from row to row; 0: one value for all rows
};

struct weir_batch {
	enum weir_batch_form form;
	// PACKED: the rows not yet consumed; the consumer moves `first` and skips rows whose
	// variant is not schema->variant.
	const uint8_t *first, *limit;
	// ROWS and COLUMNS: rows [at, count), at most BATCH_ROWS_MAX; the consumer moves `at`.
	uint32_t at, count;
	const uint8_t *const *rows;
	const struct weir_column *columns;
	const struct weir_schema *schema; // set by the runtime to the consumer's input schema
};

static inline int batch_is_empty(const struct weir_batch *b)
{
	return b->form == WEIR_PACKED ? b->first == b->limit : b->at == b->count;
}

// Scratch columns for one operator: room for BATCH_ROWS_MAX rows of a schema.
struct batch_columns {
	struct weir_column columns[SCHEMA_FIELDS_MAX];
	void *data[SCHEMA_FIELDS_MAX];
	uint8_t *nulls[SCHEMA_FIELDS_MAX];
};

struct arena;

// Returns 0 or -ENOMEM.
int batch_columns_create(struct batch_columns *c, const struct weir_schema *schema,
	struct arena *arena);

// Gather up to BATCH_ROWS_MAX rows of a batch of any form into columns; only fields whose bit is
// set in `fields`.  Does not consume; *ret_batch has form COLUMNS, at 0, its count the rows
// gathered.  Returns, for a PACKED batch, the position just behind the last row gathered (skipped
// variants included); else NULL.
const uint8_t *batch_gather(const struct weir_batch *in, uint64_t fields, struct batch_columns *c,
	struct weir_batch *ret_batch);

// Consume what batch_gather gathered: `rows` of them and the position it returned.
static inline void batch_advance(struct weir_batch *in, uint32_t rows, const uint8_t *behind)
{
	if (in->form == WEIR_PACKED)
		in->first = behind;
	else
		in->at += rows;
}

// Build the record of row `row` of columns.  Returns its length, 0 when it does not fit.
uint32_t batch_record(const struct weir_schema *schema, const struct weir_column *columns,
	uint32_t row, uint8_t *out, uint32_t room);
