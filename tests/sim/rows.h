// Output rows as plain numbers, so that two sets of them can be compared.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROW_WIDTH = 10 };

struct row {
	int64_t values[ROW_WIDTH]; // unused ones are 0
};

struct rows {
	struct row *rows;
	size_t count, room;
};

void rows_add(struct rows *rows, const struct row *row);
void rows_free(struct rows *rows);
void rows_sort(struct rows *rows);
int row_compare(const void *a, const void *b);

// Both sorted.  Returns the index of the first difference, or SIZE_MAX when they are equal.
size_t rows_difference(const struct rows *a, const struct rows *b);
