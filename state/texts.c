#include "state/texts.h"

#include <stdbool.h>

enum { BLOCK_MIN = 1024 };

struct texts_block {
	struct texts_block *before;
	uint64_t bytes;
};

// Begin a block twice as large as the last, and large enough.
static bool block_begin(struct texts *s, struct pool *pool, uint64_t need)
{
	uint64_t bytes = s->last == NULL ? BLOCK_MIN : 2 * s->last->bytes;
	while (bytes < sizeof(struct texts_block) + need)
		bytes *= 2;
	struct texts_block *block = pool_alloc(pool, bytes);
	if (block == NULL)
		return false;
	*block = (struct texts_block){s->last, bytes};
	s->last = block;
	s->next = (uint8_t *)(block + 1);
	s->limit = (uint8_t *)block + bytes;
	return true;
}

const uint8_t *texts_add(struct texts *s, struct pool *pool, const uint8_t *text, uint32_t bytes)
{
	uint64_t need = sizeof(bytes) + (uint64_t)bytes;
	if ((uint64_t)(s->limit - s->next) < need && !block_begin(s, pool, need))
		return NULL;
	uint8_t *copy = s->next + sizeof(bytes);
	memcpy(s->next, &bytes, sizeof(bytes));
	memcpy(copy, text, bytes);
	s->next += need;
	return copy;
}

void texts_destroy(struct texts *s, struct pool *pool)
{
	for (struct texts_block *block = s->last, *before; block != NULL; block = before) {
		before = block->before;
		pool_free(pool, block, block->bytes);
	}
	*s = (struct texts){0};
}
