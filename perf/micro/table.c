// Counting by key: read-modify-write of a counter in the engine's table, in DPDK's rte_hash with an
// array of counters beside, and in a bare open table whose lines are prefetched 16 keys ahead.
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <stdlib.h>

#include "numa/arena.h"
#include "numa/assert.h"
#include "perf/micro/micro.h"
#include "perf/micro/shim.h"
#include "state/table.h"

enum { BATCH = 4096, AHEAD = 16, KEYS_DRAWN = 1 << 20 };

struct drawn {
	int64_t keys[KEYS_DRAWN];
	uint64_t at;
};

// Uniform draws of `distinct` keys: no locality that a cache could use.
static struct drawn *draw(int64_t distinct)
{
	struct drawn *d = malloc(sizeof(*d));
	uint64_t x = 88172645463325252ULL;

	VERIFY(d != NULL);
	d->at = 0;
	for (uint32_t i = 0; i < KEYS_DRAWN; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		d->keys[i] = 1000 + (int64_t)(x % (uint64_t)distinct);
	}
	return d;
}

static const int64_t *batch_next(struct drawn *d)
{
	const int64_t *keys = d->keys + d->at;
	d->at = (d->at + BATCH) % KEYS_DRAWN;
	return keys;
}

static void table_engine(struct shim_state *state, int64_t distinct)
{
	struct drawn *d = draw(distinct);
	struct arena arena;
	struct pool pool;
	struct table t;
	uint64_t counted = 0, wanted = 0;

	VERIFY(arena_create(&arena, 256 << 20, -1, false) == 0);
	VERIFY(pool_create(&pool, &arena, 255 << 20) == 0);
	table_create(&t, &pool, TABLE_INT64, false, TABLE_INT64_HEAD, NULL);
	VERIFY(table_reserve(&t, (uint32_t)distinct) == 0);
	while (shim_next(state, BATCH)) {
		const int64_t *keys = batch_next(d);
		for (int i = 0; i < BATCH; i++) {
			uint8_t *entry = table_probe_int64(t.slots, t.shift, TABLE_INT64_HEAD,
				key_hash_int64(keys[i]), keys[i]);
			if (UNLIKELY(entry_rows(entry) == 0))
				VERIFY(table_claim_int64(&t, TABLE_INT64_HEAD, entry, keys[i]));
			((struct table_entry *)entry)->rows++;
		}
		wanted += BATCH;
	}
	for (uint32_t i = 0; i < t.count; i++)
		counted += entry_rows(table_at(&t, i));
	if (counted != wanted)
		shim_fail(state, "a count was lost");
	table_destroy(&t);
	arena_destroy(&arena);
	free(d);
}

static void table_rte_hash(struct shim_state *state, int64_t distinct)
{
	const struct rte_hash_parameters parameters = {.name = "micro",
		.entries = (uint32_t)distinct * 2,
		.key_len = sizeof(int64_t),
		.hash_func = rte_hash_crc};
	struct rte_hash *hash = rte_hash_create(&parameters);
	uint64_t *rows = calloc((size_t)distinct * 2 + 1, sizeof(*rows));
	struct drawn *d = draw(distinct);
	uint64_t counted = 0, wanted = 0;

	if (hash == NULL)
		shim_fail(state, "no memory for rte_hash");
	else
		while (shim_next(state, BATCH)) {
			const int64_t *keys = batch_next(d);
			for (int i = 0; i < BATCH; i++) {
				int32_t at = rte_hash_lookup(hash, &keys[i]);
				if (UNLIKELY(at < 0))
					at = rte_hash_add_key(hash, &keys[i]);
				rows[at]++;
			}
			wanted += BATCH;
		}
	for (int64_t i = 0; i < distinct * 2; i++)
		counted += rows[i];
	if (counted != wanted)
		shim_fail(state, "a count was lost");
	rte_hash_free(hash);
	free(rows);
	free(d);
}

struct open_entry {
	int64_t key; // 0: free
	uint64_t rows;
};

static void open_count(struct open_entry *entries, uint64_t mask, uint64_t slot, int64_t key)
{
	while (entries[slot].key != key && entries[slot].key != 0)
		slot = (slot + 1) & mask;
	entries[slot].key = key;
	entries[slot].rows++;
}

static void table_prefetched(struct shim_state *state, int64_t distinct)
{
	struct drawn *d = draw(distinct);
	struct arena arena;
	uint64_t slots = 64, counted = 0, wanted = 0;

	while (slots < (uint64_t)distinct * 2)
		slots *= 2;
	VERIFY(arena_create(&arena, slots * sizeof(struct open_entry) + 4096, -1, false) == 0);
	struct open_entry *entries = arena_alloc(&arena, slots * sizeof(struct open_entry), 64);
	while (shim_next(state, BATCH)) {
		const int64_t *keys = batch_next(d);
		for (int i = 0; i < BATCH; i += AHEAD) {
			uint64_t home[AHEAD];
			for (int k = 0; k < AHEAD; k++) {
				home[k] = key_hash_int64(keys[i + k]) & (slots - 1);
				__builtin_prefetch(&entries[home[k]], 1);
			}
			for (int k = 0; k < AHEAD; k++)
				open_count(entries, slots - 1, home[k], keys[i + k]);
		}
		wanted += BATCH;
	}
	for (uint64_t i = 0; i < slots; i++)
		counted += entries[i].rows;
	if (counted != wanted)
		shim_fail(state, "a count was lost");
	arena_destroy(&arena);
	free(d);
}

void micro_table(void)
{
	static const struct {
		const char *suffix;
		int64_t distinct;
	} sizes[] = {{"4k_keys", 4096}, {"64k_keys", 65536}, {"1m_keys", 1 << 20}};
	static const struct {
		const char *name;
		shim_benchmark run;
	} kinds[] = {{"engine", table_engine}, {"rte_hash", table_rte_hash},
		{"prefetched", table_prefetched}};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			char name[64];
			snprintf(name, sizeof(name), "table/%s/%s", kinds[k].name, sizes[s].suffix);
			shim_register(name, kinds[k].run, sizes[s].distinct, false);
		}
}
