#include "state/aggregate.h"

#include <errno.h>
#include <stdbool.h>

#include "numa/assert.h"
#include "state/decimal.h"

static uint32_t op_bytes(enum cell_op op)
{
	switch (op) {
	case CELL_SUM_INT64:
	case CELL_SUM_DECIMAL:
	case CELL_MIN_DECIMAL:
	case CELL_MAX_DECIMAL:
		return 16;
	default:
		return 8;
	}
}

void aggregates_begin(struct aggregates *a, uint32_t head_bytes)
{
	memset(a, 0, sizeof(*a));
	a->head_bytes = a->entry_bytes = head_bytes;
	a->cell_count = 1;
	a->cells[0] = (struct cell){CELL_ROWS, -1, 8, 8};
}

// Returns the cell's index, or -1 when there are too many.
static int cell_add(struct aggregates *a, enum cell_op op, int32_t field)
{
	for (uint32_t i = 1; i < a->cell_count; i++)
		if (a->cells[i].op == op && a->cells[i].field == field)
			return (int)i;
	if (a->cell_count == CELLS_MAX)
		return -1;
	struct cell *cell = &a->cells[a->cell_count];
	*cell = (struct cell){op, field, a->entry_bytes, op_bytes(op)};
	cell_fill(cell, a->initial + a->entry_bytes - a->head_bytes, 1);
	a->entry_bytes += cell->bytes;
	return (int)a->cell_count++;
}

static int op_of(enum aggregate_function function, enum weir_type type)
{
	bool number = type == WEIR_INT64 || type == WEIR_DECIMAL || type == WEIR_FLOAT64;
	if (!number &&
		(type != WEIR_TIMESTAMP || function == AGGREGATE_SUM || function == AGGREGATE_AVG))
		return -1;
	uint32_t kind = type == WEIR_FLOAT64 ? 1 : type == WEIR_DECIMAL ? 2 : 0;
	static const enum cell_op sums[] = {CELL_SUM_INT64, CELL_SUM_FLOAT64, CELL_SUM_DECIMAL};
	static const enum cell_op mins[] = {CELL_MIN_INT64, CELL_MIN_FLOAT64, CELL_MIN_DECIMAL};
	static const enum cell_op maxs[] = {CELL_MAX_INT64, CELL_MAX_FLOAT64, CELL_MAX_DECIMAL};
	return (int)(function == AGGREGATE_MIN      ? mins
			: function == AGGREGATE_MAX ? maxs
						    : sums)[kind];
}

static void result_type(const struct aggregate *g, const struct weir_field *field,
	struct weir_field *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->type = g->function == AGGREGATE_COUNT ? WEIR_INT64 : field->type;
	if (g->function == AGGREGATE_COUNT || field->type == WEIR_FLOAT64)
		return;
	ret->precision = field->precision;
	ret->scale = field->scale;
	if (g->function != AGGREGATE_SUM && g->function != AGGREGATE_AVG)
		return;
	ret->type = WEIR_DECIMAL;
	ret->precision = 38;
	ret->scale = (uint8_t)(g->scale + (g->function == AGGREGATE_AVG ? 6 : 0));
}

int aggregates_add(struct aggregates *a, enum aggregate_function function, int32_t index,
	const struct weir_field *field, struct weir_field *ret_result)
{
	if (a->count == AGGREGATES_MAX)
		return -ENOSPC;
	struct aggregate g = {function, index, field == NULL ? WEIR_INT64 : field->type, 0, 0, 0};
	if (field == NULL && function != AGGREGATE_COUNT)
		return -EINVAL;
	if (field != NULL) {
		g.scale = field->type == WEIR_DECIMAL ? field->scale : 0;
		int op = function == AGGREGATE_COUNT ? CELL_VALUES : op_of(function, field->type);
		if (op < 0 || (function == AGGREGATE_AVG && g.scale > 32))
			return -EINVAL;
		int values = cell_add(a, CELL_VALUES, index);
		int cell = values < 0 ? -1 : cell_add(a, (enum cell_op)op, index);
		if (cell < 0)
			return -ENOSPC;
		g.values_cell = (uint32_t)values;
		g.cell = (uint32_t)cell;
	}
	a->list[a->count++] = g;
	result_type(&g, field, ret_result);
	return 0;
}

// Results: which values are missing, and sums that left 38 digits.

static const uint8_t *nulls_of(const uint64_t *values, uint32_t count, uint8_t *nulls)
{
	bool any = false;
	for (uint32_t i = 0; i < count; i++) {
		nulls[i] = values[i] == 0;
		any |= nulls[i];
	}
	return any ? nulls : NULL;
}

static int sums(const __int128 *sum, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!decimal_fits(sum[i], DECIMAL_DIGITS_MAX))
			return -EOVERFLOW;
	return 0;
}

// sum / n with six more digits, half up (away from zero).
static int average_decimal(__int128 sum, uint64_t n, __int128 *ret)
{
	if (n == 0) {
		*ret = 0;
		return 0;
	}
	bool negative = sum < 0;
	if (sum == CELL_OVERFLOW)
		return -EOVERFLOW;
	unsigned __int128 whole = (unsigned __int128)(negative ? -sum : sum);
	unsigned __int128 rest = whole % n * 1000000, digits = rest / n, value;
	digits += (rest % n) >= n - rest % n;
	if (__builtin_mul_overflow(whole / n, (unsigned __int128)1000000, &value) ||
		__builtin_add_overflow(value, digits, &value) ||
		value >= (unsigned __int128)decimal_power[DECIMAL_DIGITS_MAX])
		return -EOVERFLOW;
	*ret = negative ? -(__int128)value : (__int128)value;
	return 0;
}

static int averages(const struct aggregate *g, const void *sum, const uint64_t *values,
	uint32_t count, void *out)
{
	for (uint32_t i = 0; i < count; i++) {
		if (g->type == WEIR_FLOAT64)
			((double *)out)[i] =
				values[i] == 0 ? 0 : ((const double *)sum)[i] / (double)values[i];
		else if (average_decimal(((const __int128 *)sum)[i], values[i],
				 &((__int128 *)out)[i]))
			return -EOVERFLOW;
	}
	return 0;
}

int aggregates_results(const struct aggregates *a, const void *const *cells, uint32_t count,
	struct batch_columns *out, uint32_t first_column, uint32_t *ret_aggregate)
{
	for (uint32_t i = 0; i < a->count; i++) {
		const struct aggregate *g = &a->list[i];
		struct weir_column *column = &out->columns[first_column + i];
		const void *cell = cells[g->cell];
		int error = 0;
		*column = (struct weir_column){cell, NULL, a->cells[g->cell].bytes};
		if (g->function != AGGREGATE_COUNT)
			column->nulls = nulls_of(cells[g->values_cell], count,
				out->nulls[first_column + i]);
		if (g->function == AGGREGATE_SUM && g->type != WEIR_FLOAT64)
			error = sums(cell, count);
		if (g->function == AGGREGATE_AVG) {
			void *average = out->data[first_column + i];
			error = averages(g, cell, cells[g->values_cell], count, average);
			column->data = average;
		}
		if (error) {
			*ret_aggregate = i;
			return error;
		}
	}
	return 0;
}
