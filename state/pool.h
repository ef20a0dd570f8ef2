// State memory of one worker: power-of-two blocks out of one arena, reused through free lists.
// No system call, no allocation beyond the arena's sealed bytes.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "numa/arena.h"

enum { POOL_CLASS_MIN = 6, POOL_CLASS_MAX = 40 }; // blocks of 64 B to 1 TiB

struct pool {
	uint8_t *next, *limit;
	size_t used; // bytes handed out now
	void *free[POOL_CLASS_MAX + 1];
};

// Take `bytes` of the arena for blocks.  Returns 0 or -ENOMEM.
int pool_create(struct pool *pool, struct arena *arena, size_t bytes);

// Thread: owner.  Returns a block of at least `bytes`, aligned to 64, contents undefined, or NULL
// when the pool is exhausted.
void *pool_alloc(struct pool *pool, size_t bytes);
// Give a block back with the size it was asked for. NULL-safe.
void pool_free(struct pool *pool, void *block, size_t bytes);
