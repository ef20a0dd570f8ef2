// Texts: a store of bytes that only grows and in which nothing ever moves: block after block, each
// twice as large as the one before. A text has its length before it.
#pragma once

#include <stdint.h>
#include <string.h>

#include "state/pool.h"

struct texts_block;

// All zero: empty.
struct texts {
	struct texts_block *last; // the one that is being filled
	uint8_t *next, *limit;    // what is free of it
};

// Keep a copy.  Returns it, or NULL when the pool is exhausted.
const uint8_t *texts_add(struct texts *s, struct pool *pool, const uint8_t *text, uint32_t bytes);
void texts_destroy(struct texts *s, struct pool *pool); // gives everything back; idempotent

static inline uint32_t text_bytes(const uint8_t *text)
{
	uint32_t bytes;
	memcpy(&bytes, text - sizeof(bytes), sizeof(bytes));
	return bytes;
}
