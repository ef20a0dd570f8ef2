// What is wrong with a job file: every error with its place, printed in the order of the lines.
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "control/heap.h"
#include "dataplane/param.h"

enum { ERRORS_MAX = 100 }; // further ones are counted only

struct error_line {
	const char *file;
	uint32_t line; // 0: the file, or the flag that `file` then is, as a whole
	const char *text;
};

struct errors {
	struct heap *heap;
	uint32_t count;
	struct error_line lines[ERRORS_MAX];
};

void errors_add(struct errors *errors, const char *file, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

// Print `file:line: text` lines in order, those without a line first.
void errors_print(struct errors *errors, FILE *out);

// A tree of values and what its root is called in messages ("" for a file's root).
struct value_root {
	const struct weir_value *value;
	const char *name;
};

// Where value `at` stands below the root, as --set names it: "hourly.window.size".  Returns text
// on the heap.
const char *value_path(struct heap *heap, const struct value_root *root,
	const struct weir_value *at);

// Add an error about value `at` (or the root when NULL): `file:line: path: text`.
void errors_add_at(struct errors *errors, const struct value_root *root,
	const struct weir_value *at, const char *format, ...) __attribute__((format(printf, 4, 5)));
