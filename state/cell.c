// The accumulators of aggregates, in loops specialised by operation: a template per loop, expanded
// once for each kind of cell, so that no row pays for a choice.
#include <math.h>
#include <stdbool.h>

#include "numa/assert.h"
#include "state/aggregate.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

union value {
	uint64_t u64;
	int64_t i64;
	double f64;
	__int128 i128;
};

ALWAYS_INLINE bool is_wide(enum cell_op op)
{
	return op == CELL_SUM_INT64 || op == CELL_SUM_DECIMAL || op == CELL_MIN_DECIMAL ||
		op == CELL_MAX_DECIMAL;
}

ALWAYS_INLINE union value load(enum cell_op op, const void *at)
{
	union value v = {0};
	memcpy(&v, at, is_wide(op) ? 16 : 8);
	return v;
}

ALWAYS_INLINE void store(enum cell_op op, void *at, union value v)
{
	memcpy(at, &v, is_wide(op) ? 16 : 8);
}

// NaN is the greatest: a < b unless a is NaN, and every number is less than NaN.
ALWAYS_INLINE bool less(double a, double b)
{
	return a < b || (isnan(b) && !isnan(a));
}

ALWAYS_INLINE __int128 add_decimal(__int128 a, __int128 b)
{
	__int128 sum;
	bool over = __builtin_add_overflow(a, b, &sum);
	return over || a == CELL_OVERFLOW || b == CELL_OVERFLOW ? CELL_OVERFLOW : sum;
}

#define INT128_MAX (~CELL_OVERFLOW)

ALWAYS_INLINE union value identity(enum cell_op op)
{
	switch (op) {
	case CELL_MIN_INT64:
		return (union value){.i64 = INT64_MAX};
	case CELL_MAX_INT64:
		return (union value){.i64 = INT64_MIN};
	case CELL_MIN_FLOAT64:
		return (union value){.f64 = NAN};
	case CELL_MAX_FLOAT64:
		return (union value){.f64 = -INFINITY};
	case CELL_MIN_DECIMAL:
		return (union value){.i128 = INT128_MAX};
	case CELL_MAX_DECIMAL:
		return (union value){.i128 = -INT128_MAX};
	default:
		return (union value){.i128 = 0};
	}
}

ALWAYS_INLINE union value combine(enum cell_op op, union value a, union value b)
{
	switch (op) {
	case CELL_ROWS:
	case CELL_VALUES:
		return (union value){.u64 = a.u64 + b.u64};
	case CELL_SUM_INT64:
		return (union value){.i128 = a.i128 + b.i128};
	case CELL_SUM_DECIMAL:
		return (union value){.i128 = add_decimal(a.i128, b.i128)};
	case CELL_SUM_FLOAT64:
		return (union value){.f64 = a.f64 + b.f64};
	case CELL_MIN_INT64:
		return b.i64 < a.i64 ? b : a;
	case CELL_MAX_INT64:
		return b.i64 > a.i64 ? b : a;
	case CELL_MIN_FLOAT64:
		return less(b.f64, a.f64) ? b : a;
	case CELL_MAX_FLOAT64:
		return less(a.f64, b.f64) ? b : a;
	case CELL_MIN_DECIMAL:
		return b.i128 < a.i128 ? b : a;
	case CELL_MAX_DECIMAL:
		return b.i128 > a.i128 ? b : a;
	}
	__builtin_unreachable();
}

// A row's value as an accumulator of that one row.
ALWAYS_INLINE union value of_row(enum cell_op op, const void *at)
{
	if (op == CELL_VALUES)
		return (union value){.u64 = 1};
	if (op == CELL_SUM_INT64) {
		int64_t narrow;
		memcpy(&narrow, at, sizeof(narrow));
		return (union value){.i128 = narrow};
	}
	return load(op, at);
}

// Call `loop` with the operation as a constant.
#define FOR_OP(op, loop, ...)                                                                      \
	switch (op) {                                                                              \
	case CELL_ROWS:                                                                            \
	case CELL_VALUES:                                                                          \
		loop(CELL_VALUES, __VA_ARGS__);                                                    \
		break;                                                                             \
	case CELL_SUM_INT64:                                                                       \
		loop(CELL_SUM_INT64, __VA_ARGS__);                                                 \
		break;                                                                             \
	case CELL_SUM_DECIMAL:                                                                     \
		loop(CELL_SUM_DECIMAL, __VA_ARGS__);                                               \
		break;                                                                             \
	case CELL_SUM_FLOAT64:                                                                     \
		loop(CELL_SUM_FLOAT64, __VA_ARGS__);                                               \
		break;                                                                             \
	case CELL_MIN_INT64:                                                                       \
		loop(CELL_MIN_INT64, __VA_ARGS__);                                                 \
		break;                                                                             \
	case CELL_MAX_INT64:                                                                       \
		loop(CELL_MAX_INT64, __VA_ARGS__);                                                 \
		break;                                                                             \
	case CELL_MIN_FLOAT64:                                                                     \
		loop(CELL_MIN_FLOAT64, __VA_ARGS__);                                               \
		break;                                                                             \
	case CELL_MAX_FLOAT64:                                                                     \
		loop(CELL_MAX_FLOAT64, __VA_ARGS__);                                               \
		break;                                                                             \
	case CELL_MIN_DECIMAL:                                                                     \
		loop(CELL_MIN_DECIMAL, __VA_ARGS__);                                               \
		break;                                                                             \
	case CELL_MAX_DECIMAL:                                                                     \
		loop(CELL_MAX_DECIMAL, __VA_ARGS__);                                               \
		break;                                                                             \
	}

ALWAYS_INLINE void update(enum cell_op op, uint32_t offset, uint8_t *const *entries,
	const struct weir_column *column, const uint32_t *rows, uint32_t count)
{
	const uint8_t *data = column->data;
	for (uint32_t i = 0; i < count; i++) {
		if (column->nulls != NULL && column->nulls[rows[i]])
			continue;
		union value v = of_row(op, data + (uint64_t)rows[i] * column->stride);
		uint8_t *at = entries[i] + offset;
		store(op, at, combine(op, load(op, at), v));
	}
}

void cells_update(const struct aggregates *a, uint8_t *const *entries,
	const struct weir_column *values, const uint32_t *rows, uint32_t count)
{
	for (uint32_t c = 1; c < a->cell_count; c++) {
		const struct cell *cell = &a->cells[c];
		FOR_OP(cell->op, update, cell->offset, entries, &values[cell->field], rows, count)
	}
}

ALWAYS_INLINE void merge(enum cell_op op, uint8_t *to, const uint8_t *from)
{
	store(op, to, combine(op, load(op, to), load(op, from)));
}

void entry_merge(const struct aggregates *a, uint8_t *entry, const uint8_t *from)
{
	for (uint32_t c = 0; c < a->cell_count; c++) {
		const struct cell *cell = &a->cells[c];
		FOR_OP(cell->op, merge, entry + cell->offset, from + cell->offset)
	}
}

ALWAYS_INLINE void fill(enum cell_op op, uint8_t *out, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		store(op, out + (uint64_t)i * (is_wide(op) ? 16 : 8), identity(op));
}

void cell_fill(const struct cell *cell, void *out, uint32_t count){
	FOR_OP(cell->op, fill, out, count)}

ALWAYS_INLINE void combine_all(enum cell_op op, uint8_t *out, const uint8_t *a, const uint8_t *b,
	uint32_t count)
{
	uint64_t step = is_wide(op) ? 16 : 8;
	for (uint64_t at = 0; at < count * step; at += step)
		store(op, out + at, combine(op, load(op, a + at), load(op, b + at)));
}

void cell_combine(const struct cell *cell, void *out, const void *a, const void *b, uint32_t count)
{
	if (b == NULL)
		memcpy(out, a, (uint64_t)count * cell->bytes);
	else
		FOR_OP(cell->op, combine_all, out, a, b, count)
}

ALWAYS_INLINE void combine_index(enum cell_op op, uint8_t *out, const uint8_t *a, const uint8_t *b,
	const uint32_t *index, uint32_t count)
{
	uint64_t step = is_wide(op) ? 16 : 8;
	for (uint32_t i = 0; i < count; i++) {
		union value v = load(op, a + index[i] * step);
		if (b != NULL)
			v = combine(op, v, load(op, b + index[i] * step));
		store(op, out + i * step, v);
	}
}

void cell_combine_index(const struct cell *cell, void *out, const void *a, const void *b,
	const uint32_t *index,
	uint32_t count){FOR_OP(cell->op, combine_index, out, a, b, index, count)}

ALWAYS_INLINE void fold(enum cell_op op, uint8_t *a, uint8_t *b, const uint32_t *index,
	uint8_t *const *entries, uint32_t offset, uint32_t count)
{
	uint64_t step = is_wide(op) ? 16 : 8;
	for (uint32_t i = 0; i < count; i++) {
		union value v = load(op, entries[i] + offset);
		uint64_t at = index[i] * step;
		store(op, a + at, combine(op, load(op, a + at), v));
		store(op, b + at, combine(op, load(op, b + at), v));
	}
}

void cell_fold(const struct cell *cell, void *a, void *b, const uint32_t *index,
	uint8_t *const *entries,
	uint32_t count){FOR_OP(cell->op, fold, a, b, index, entries, cell->offset, count)}

ALWAYS_INLINE void gather(enum cell_op op, uint8_t *out, uint8_t *const *entries, uint32_t offset,
	uint32_t count)
{
	uint64_t step = is_wide(op) ? 16 : 8;
	for (uint32_t i = 0; i < count; i++)
		store(op, out + i * step, load(op, entries[i] + offset));
}

void cell_gather(const struct cell *cell, void *out, uint8_t *const *entries, uint32_t count)
{
	FOR_OP(cell->op, gather, out, entries, cell->offset, count)
}
