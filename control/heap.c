#include "control/heap.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

enum { HEAP_BLOCK_BYTES = 64 << 10, HEAP_ALIGN = 16 };

struct heap_block {
	struct heap_block *next;
	size_t bytes;
	_Alignas(HEAP_ALIGN) uint8_t data[];
};

static void heap_grow(struct heap *heap, size_t bytes)
{
	size_t room = bytes > HEAP_BLOCK_BYTES ? bytes : HEAP_BLOCK_BYTES;
	struct heap_block *block = calloc(1, sizeof(*block) + room);
	VERIFY(block);
	block->next = heap->blocks;
	block->bytes = room;
	heap->blocks = block;
	heap->left = room;
}

void *heap_alloc(struct heap *heap, size_t bytes)
{
	bytes = (bytes + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1);
	if (heap->left < bytes)
		heap_grow(heap, bytes);
	void *memory = heap->blocks->data + (heap->blocks->bytes - heap->left);
	heap->left -= bytes;
	return memory;
}

char *heap_text(struct heap *heap, const char *text, size_t bytes)
{
	char *copy = heap_alloc(heap, bytes + 1);
	memcpy(copy, text, bytes);
	return copy;
}

char *heap_vprintf(struct heap *heap, const char *format, va_list arguments)
{
	va_list again;
	va_copy(again, arguments);
	int length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	VERIFY(length >= 0);
	char *text = heap_alloc(heap, (size_t)length + 1);
	vsnprintf(text, (size_t)length + 1, format, arguments);
	return text;
}

char *heap_printf(struct heap *heap, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	char *text = heap_vprintf(heap, format, arguments);
	va_end(arguments);
	return text;
}

void heap_destroy(struct heap *heap)
{
	while (heap->blocks) {
		struct heap_block *block = heap->blocks;
		heap->blocks = block->next;
		free(block);
	}
	heap->left = 0;
}
