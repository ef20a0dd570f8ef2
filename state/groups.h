// Groups of a pane with int64 keys: entries {key, rows, accumulators} appended in the order in
// which keys came, found through a small direct-mapped cache of numbers. A key that the cache has
// lost is simply appended again; entries of one key are merged into the first of them when there
// are too many and at the end. So a record never waits for a hash table's memory, and the order
// is that of first appearance whatever the cache held.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "state/aggregate.h"
#include "state/table.h"

enum { GROUPS_CACHE_BITS = 10 };

struct groups_slot {
	int64_t key;
	uint64_t number; // of the key's last entry, from 1; 0: free
};

struct groups {
	struct groups_slot *cache;
	uint8_t *entries;
	uint32_t count, room;
	uint32_t absent;   // entries to be restored still; until then nothing is merged
	uint32_t distinct; // so many entries at the front have different keys, all in `index`
	uint32_t merged;   // entries below it are merged into those; as many unless it is under way
	uint32_t merge_at; // merge when full with so many
	uint32_t null_number; // of the null key's entry, from 0; UINT32_MAX: none
	struct table index;   // key → rows word: number from 1
	const struct aggregates *aggregates;
	struct pool *pool;
};

// How a key's rows are spread over entries must not show in the result, so no floating sums, and
// no decimal ones, which may leave their range on the way.
bool groups_serve(const struct aggregates *aggregates);

// With room for `keys`.  Returns 0 or -ENOMEM, as all below.
int groups_create(struct groups *g, const struct aggregates *aggregates, struct pool *pool,
	uint32_t keys);
void groups_destroy(struct groups *g);

// Room for one entry more; entries may move.
int groups_reserve(struct groups *g);
// Leave one entry a key: of up to `entries` more; then nothing else until groups_are_merged.
int groups_merge(struct groups *g, uint32_t entries);
static inline bool groups_are_merged(const struct groups *g)
{
	return g->distinct == g->count;
}

static inline uint8_t *groups_at(const struct groups *g, uint32_t stride, uint32_t number)
{
	return g->entries + (uint64_t)number * stride;
}

static inline struct groups_slot *groups_slot(struct groups_slot *cache, int64_t key)
{
	// Fibonacci hashing: keys that follow one another fall far apart.
	return &cache[(uint64_t)key * 0x9E3779B97F4A7C15u >> (64 - GROUPS_CACHE_BITS)];
}

// Append an entry for a key and let the cache know; there must be room. It has no rows yet.
static inline uint8_t *groups_append(struct groups *g, uint32_t stride, struct groups_slot *slot,
	int64_t key)
{
	uint8_t *entry = groups_at(g, stride, g->count);
	ASSERT(g->count < g->room);
	*(struct groups_slot *)entry = (struct groups_slot){key, 0};
	if (stride != TABLE_INT64_HEAD)
		memcpy(entry + TABLE_INT64_HEAD, g->aggregates->initial, stride - TABLE_INT64_HEAD);
	*slot = (struct groups_slot){key, ++g->count};
	return entry;
}

// The entry of a key or of null; there must be room for one.
uint8_t *groups_take(struct groups *g, int64_t key);
uint8_t *groups_take_null(struct groups *g);

// In the format of a table's. A restore is for groups just created; it takes room for `count`
// entries, which is made ready until that returns true. They are then read one by one in any order,
// while others are appended behind them.
struct group_source groups_source(const struct groups *g);
int groups_restore_begin(struct groups *g, uint32_t count, const struct snapshot_reader *r);
bool groups_restore_prepare(void *groups);
int groups_restore_key(void *groups, struct snapshot_reader *r, struct group_key *ret);
