// A heap: memory of a job's control-plane objects, freed as a whole. Running out ends the process.
// Thread: owner.
#pragma once

#include <stdarg.h>
#include <stddef.h>

struct heap_block;

struct heap {
	struct heap_block *blocks;
	size_t left; // bytes free in the first block
};

// Zeroed, aligned to 16.
void *heap_alloc(struct heap *heap, size_t bytes);
char *heap_text(struct heap *heap, const char *text, size_t bytes); // a copy, ended by a NUL
char *heap_printf(struct heap *heap, const char *format, ...)
	__attribute__((format(printf, 2, 3), nonnull));
char *heap_vprintf(struct heap *heap, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0), nonnull(1, 2)));
void heap_destroy(struct heap *heap);
