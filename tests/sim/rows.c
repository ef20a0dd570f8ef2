#include "tests/sim/rows.h"

#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

void rows_add(struct rows *rows, const struct row *row)
{
	if (rows->count == rows->room) {
		rows->room = rows->room == 0 ? 1024 : rows->room * 2;
		rows->rows = realloc(rows->rows, rows->room * sizeof(*rows->rows));
		VERIFY(rows->rows != NULL);
	}
	rows->rows[rows->count++] = *row;
}

void rows_free(struct rows *rows)
{
	free(rows->rows);
	*rows = (struct rows){0};
}

int row_compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	for (int i = 0; i < ROW_WIDTH; i++)
		if (x->values[i] != y->values[i])
			return x->values[i] < y->values[i] ? -1 : 1;
	return 0;
}

void rows_sort(struct rows *rows)
{
	if (rows->count != 0)
		qsort(rows->rows, rows->count, sizeof(*rows->rows), row_compare);
}

size_t rows_difference(const struct rows *a, const struct rows *b)
{
	size_t least = a->count < b->count ? a->count : b->count;
	for (size_t i = 0; i < least; i++)
		if (row_compare(&a->rows[i], &b->rows[i]) != 0)
			return i;
	return a->count == b->count ? SIZE_MAX : least;
}
