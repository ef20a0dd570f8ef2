#include "state/pool.h"

#include <errno.h>
#include <string.h>

#include "numa/assert.h"

static uint32_t class_of(size_t bytes)
{
	if (bytes <= (size_t)1 << POOL_CLASS_MIN)
		return POOL_CLASS_MIN;
	return 64 - (uint32_t)__builtin_clzll(bytes - 1);
}

int pool_create(struct pool *pool, struct arena *arena, size_t bytes)
{
	uint8_t *memory = arena_alloc(arena, bytes, 64);
	if (memory == NULL)
		return -ENOMEM;
	memset(pool, 0, sizeof(*pool));
	pool->next = memory;
	pool->limit = memory + bytes;
	return 0;
}

static void *list_take(struct pool *pool, uint32_t class)
{
	void *block = pool->free[class];
	if (block != NULL)
		memcpy(&pool->free[class], block, sizeof(void *));
	return block;
}

static void list_put(struct pool *pool, uint32_t class, void *block)
{
	memcpy(block, &pool->free[class], sizeof(void *));
	pool->free[class] = block;
}

// Halve a larger free block until it has the class asked for; the upper halves stay free.
static void *split(struct pool *pool, uint32_t class)
{
	uint32_t from = class + 1;
	while (from <= POOL_CLASS_MAX && pool->free[from] == NULL)
		from++;
	if (from > POOL_CLASS_MAX)
		return NULL;
	uint8_t *block = list_take(pool, from);
	while (from > class) {
		from--;
		list_put(pool, from, block + ((size_t)1 << from));
	}
	return block;
}

void *pool_alloc(struct pool *pool, size_t bytes)
{
	uint32_t class = class_of(bytes);
	if (class > POOL_CLASS_MAX)
		return NULL;
	size_t rounded = (size_t)1 << class;
	void *block = list_take(pool, class);
	if (block == NULL && (size_t)(pool->limit - pool->next) >= rounded) {
		block = pool->next;
		pool->next += rounded;
	}
	if (block == NULL)
		block = split(pool, class);
	if (block == NULL)
		return NULL;
	pool->used += rounded;
	return block;
}

void pool_free(struct pool *pool, void *block, size_t bytes)
{
	if (block == NULL)
		return;
	uint32_t class = class_of(bytes);
	ASSERT(class <= POOL_CLASS_MAX && pool->used >= (size_t)1 << class);
	pool->used -= (size_t)1 << class;
	list_put(pool, class, block);
}
