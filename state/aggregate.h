// Aggregates: what a group's rows are reduced to. Each is worked out from cells, fixed-size
// accumulators that lie side by side in a table entry and can be combined in any grouping; equal
// cells are shared (sum(x) and avg(x) keep one sum and one count).
#pragma once

#include <stdint.h>

#include "state/batch.h"

#define AGGREGATES_MAX 32
#define CELLS_MAX 64

// Nulls are ignored; count() counts rows, count(field) values. Of no values count is 0 and the
// rest null. NaN is greater than all numbers.
enum aggregate_function {
	AGGREGATE_COUNT,
	AGGREGATE_SUM, // int64 → decimal(38,0), decimal(p,s) → decimal(38,s), float64
	AGGREGATE_MIN, // of bool, string and bytes there is none
	AGGREGATE_MAX,
	AGGREGATE_AVG, // int64 → decimal(38,6), decimal(p,s) → decimal(38,s+6), half up; float64
};

enum cell_op {
	CELL_ROWS,        // uint64: rows of the group, the second word of an entry
	CELL_VALUES,      // uint64: values that are not null
	CELL_SUM_INT64,   // __int128, cannot overflow
	CELL_SUM_DECIMAL, // __int128, CELL_OVERFLOW once it left the range
	CELL_SUM_FLOAT64,
	CELL_MIN_INT64,
	CELL_MAX_INT64,
	CELL_MIN_FLOAT64,
	CELL_MAX_FLOAT64,
	CELL_MIN_DECIMAL,
	CELL_MAX_DECIMAL,
};

#define CELL_OVERFLOW ((__int128)((unsigned __int128)1 << 127))

struct cell {
	enum cell_op op;
	int32_t field;   // of the input; -1: none
	uint32_t offset; // in an entry
	uint32_t bytes;  // 8 or 16
};

struct aggregate {
	enum aggregate_function function;
	int32_t field; // of the input, -1: count()
	enum weir_type type;
	uint8_t scale;        // of a decimal field
	uint32_t cell;        // its accumulator
	uint32_t values_cell; // how many values it saw; 0, the rows, for count()
};

struct aggregates {
	uint32_t count, cell_count;
	uint32_t entry_bytes; // head included
	uint32_t head_bytes;
	struct aggregate list[AGGREGATES_MAX];
	struct cell cells[CELLS_MAX]; // cells[0] counts rows
	uint8_t initial[CELLS_MAX * sizeof(__int128)] __attribute__((aligned(16)));
};

// Start with no aggregates over entries with a head of so many bytes.
void aggregates_begin(struct aggregates *a, uint32_t head_bytes);
// Add function(field); `field` NULL: count(); *ret_result gets the result's type, not its name.
// Returns 0, -EINVAL (no such function of that type), or -ENOSPC.
int aggregates_add(struct aggregates *a, enum aggregate_function function, int32_t index,
	const struct weir_field *field, struct weir_field *ret_result);

// Add row rows[k] of `values` to the cells of entries[k], all but the count of rows.
void cells_update(const struct aggregates *a, uint8_t *const *entries,
	const struct weir_column *values, const uint32_t *rows, uint32_t count);

// Combine all cells of `from` into those of `entry`, rows too.
void entry_merge(const struct aggregates *a, uint8_t *entry, const uint8_t *from);

// Arrays of one cell's accumulators.
void cell_fill(const struct cell *cell, void *out, uint32_t count); // as of no rows
// out[k] = a[k] combined with b[k]; `b` NULL: with nothing. out may be a.
void cell_combine(const struct cell *cell, void *out, const void *a, const void *b, uint32_t count);
// The same of the elements listed in `index`, to out[0], out[1] ….
void cell_combine_index(const struct cell *cell, void *out, const void *a, const void *b,
	const uint32_t *index, uint32_t count);
// Combine the k-th entry's with a[index[k]] and with b[index[k]].
void cell_fold(const struct cell *cell, void *a, void *b, const uint32_t *index,
	uint8_t *const *entries, uint32_t count);
// out[k] = the k-th entry's.
void cell_gather(const struct cell *cell, void *out, uint8_t *const *entries, uint32_t count);

// Turn `count` rows of cell arrays into result columns. Integer results point into the cells;
// others are written to the column's own memory (type_column_bytes a row; nulls a byte a row).
// Returns 0, or -EOVERFLOW and the aggregate whose sum left 38 digits.
int aggregates_results(const struct aggregates *a, const void *const *cells, uint32_t count,
	struct batch_columns *out, uint32_t first_column, uint32_t *ret_aggregate);
