#include "state/groups.h"

#include <errno.h>

#define NONE UINT32_MAX

enum { ROOM_MIN = 64, MERGE_MIN = 4096, AHEAD = 16 };

static const uint64_t cache_bytes = sizeof(struct groups_slot) << GROUPS_CACHE_BITS;

static uint32_t stride_of(const struct groups *g)
{
	return g->aggregates->entry_bytes;
}

bool groups_serve(const struct aggregates *aggregates)
{
	for (uint32_t c = 0; c < aggregates->cell_count; c++)
		if (aggregates->cells[c].op == CELL_SUM_FLOAT64 ||
			aggregates->cells[c].op == CELL_SUM_DECIMAL)
			return false;
	return true;
}

static int grow(struct groups *g, uint32_t room)
{
	uint32_t stride = stride_of(g);
	if (room > NONE / 2)
		return -ENOMEM;
	uint8_t *entries = pool_alloc(g->pool, (uint64_t)room * stride);
	if (entries == NULL)
		return -ENOMEM;
	if (g->count != 0)
		memcpy(entries, g->entries, (uint64_t)g->count * stride);
	pool_free(g->pool, g->entries, (uint64_t)g->room * stride);
	g->entries = entries;
	g->room = room;
	return 0;
}

int groups_create(struct groups *g, const struct aggregates *aggregates, struct pool *pool,
	uint32_t keys)
{
	memset(g, 0, sizeof(*g));
	g->aggregates = aggregates;
	g->pool = pool;
	g->merge_at = MERGE_MIN;
	g->null_number = NONE;
	table_create(&g->index, pool, TABLE_INT64, false, TABLE_INT64_HEAD, NULL);
	g->cache = pool_alloc(pool, cache_bytes);
	if (g->cache == NULL || grow(g, keys < ROOM_MIN ? ROOM_MIN : keys)) {
		groups_destroy(g);
		return -ENOMEM;
	}
	memset(g->cache, 0, cache_bytes);
	return 0;
}

void groups_destroy(struct groups *g)
{
	pool_free(g->pool, g->cache, cache_bytes);
	pool_free(g->pool, g->entries, (uint64_t)g->room * stride_of(g));
	table_destroy(&g->index);
	g->cache = NULL;
	g->entries = NULL;
	g->room = g->count = 0;
}

int groups_reserve(struct groups *g)
{
	if (g->count < g->room)
		return 0;
	if (g->count >= g->merge_at) {
		uint32_t before = g->count;
		if (groups_merge(g, NONE))
			return -ENOMEM;
		// Where keys hardly repeat, merging is put off further, so that a key is looked up
		// a bounded number of times in any case.
		bool gained = g->count < before - before / 8;
		g->merge_at = (gained ? 2 : 4) * g->count;
		g->merge_at = g->merge_at < MERGE_MIN ? MERGE_MIN : g->merge_at;
		if (g->count < g->room - g->room / 4)
			return 0;
	}
	return grow(g, 2 * g->room);
}

// Entry `number` behind the distinct ones: into the entry its key has, or to their end.
static int merge_one(struct groups *g, uint32_t stride, uint32_t number)
{
	uint8_t *entry = groups_at(g, stride, number), *end = groups_at(g, stride, g->distinct);
	struct table_entry *known = NULL;
	if (number == g->null_number) {
		g->null_number = g->distinct;
	} else {
		known = (struct table_entry *)table_take_int64(&g->index, entry_word(entry));
		if (known == NULL)
			return -ENOMEM;
		if (known->rows != 0) {
			entry_merge(g->aggregates, groups_at(g, stride, (uint32_t)known->rows - 1),
				entry);
			return 0;
		}
	}
	if (end != entry)
		memcpy(end, entry, stride);
	g->distinct++;
	if (known != NULL)
		known->rows = g->distinct;
	return 0;
}

int groups_merge(struct groups *g, uint32_t entries)
{
	uint32_t stride = stride_of(g);
	ASSERT(g->absent == 0);
	if (groups_are_merged(g))
		return 0;
	for (; g->merged < g->count && entries != 0; g->merged++, entries--) {
		if (g->merged + AHEAD < g->count)
			table_prefetch(&g->index, &g->index,
				groups_at(g, stride, g->merged + AHEAD));
		if (merge_one(g, stride, g->merged))
			return -ENOMEM;
	}
	if (g->merged != g->count)
		return 0;
	g->count = g->merged = g->distinct;
	memset(g->cache, 0, cache_bytes);
	return 0;
}

uint8_t *groups_take(struct groups *g, int64_t key)
{
	uint32_t stride = stride_of(g);
	struct groups_slot *slot = groups_slot(g->cache, key);
	if (slot->key == key && slot->number != 0)
		return groups_at(g, stride, (uint32_t)slot->number - 1);
	return groups_append(g, stride, slot, key);
}

uint8_t *groups_take_null(struct groups *g)
{
	uint32_t stride = stride_of(g);
	if (g->null_number == NONE) {
		struct groups_slot unknown;
		groups_append(g, stride, &unknown, 0);
		g->null_number = g->count - 1;
	}
	return groups_at(g, stride, g->null_number);
}

static uint64_t hash_of(const struct groups *g, uint32_t number)
{
	return number == g->null_number
		? table_null_hash()
		: key_hash_int64(entry_word(groups_at(g, stride_of(g), number)));
}

void groups_snapshot(const struct groups *g, uint32_t group_bits, struct snapshot_writer *w)
{
	uint32_t stride = stride_of(g);
	struct group_run run;
	VERIFY(g->absent == 0);
	if (group_run_begin(&run, g->pool, group_bits, g->count)) {
		w->overflow = true;
		return;
	}
	for (uint32_t i = 0; i < g->count; i++)
		group_run_add(&run, hash_of(g, i),
			3 * sizeof(uint32_t) + (i == g->null_number ? stride - 8 : stride));
	group_run_write(&run, g->count, w);
	for (uint32_t i = 0; i < run.keys; i++) {
		uint32_t number = run.order[i];
		const uint8_t *entry = groups_at(g, stride, number);
		snapshot_u32(w, run.groups[number]);
		snapshot_u32(w, number);
		snapshot_u32(w, number == g->null_number ? 0 : sizeof(int64_t));
		if (number != g->null_number)
			snapshot_bytes(w, entry, sizeof(int64_t));
		snapshot_bytes(w, entry + sizeof(int64_t), stride - sizeof(int64_t));
	}
	snapshot_u32(w, GROUP_RUN_END);
	group_run_end(&run);
}

int groups_restore_begin(struct groups *g, uint32_t count, const struct snapshot_reader *r)
{
	ASSERT(g->count == 0);
	// No entry takes less than its three words and its rows.
	if (r->error || count > snapshot_left(r) / 20)
		return -EBADMSG;
	if (count > g->room && grow(g, count))
		return -ENOMEM;
	memset(g->entries, 0, (uint64_t)count * stride_of(g));
	g->count = g->absent = count;
	if (count != 0)
		g->merge_at = NONE;
	return 0;
}

// Read an entry behind its group, and take it from the absent.
static int entry_restore(struct groups *g, struct snapshot_reader *r, uint32_t *ret_number)
{
	uint32_t stride = stride_of(g), number = snapshot_read_u32(r);
	uint32_t bytes = snapshot_read_u32(r);
	uint8_t *entry = groups_at(g, stride, number);
	bool is_null = bytes == 0 && g->null_number == NONE;
	if (r->error || number >= g->count || (bytes != sizeof(int64_t) && !is_null) ||
		entry_rows(entry) != 0)
		return -EBADMSG;
	if (is_null)
		g->null_number = number;
	else
		snapshot_read(r, entry, sizeof(int64_t));
	snapshot_read(r, entry + sizeof(int64_t), stride - sizeof(int64_t));
	if (r->error || entry_rows(entry) == 0)
		return -EBADMSG;
	if (--g->absent == 0)
		g->merge_at = MERGE_MIN;
	*ret_number = number;
	return 0;
}

int groups_restore_key(void *groups, struct snapshot_reader *r, struct group_key *ret)
{
	struct groups *g = groups;
	uint32_t number;
	ret->group = snapshot_read_u32(r);
	if (r->error)
		return r->error;
	if (ret->group == GROUP_RUN_END)
		return g->absent == 0 ? 1 : -EBADMSG;
	if (g->absent == 0)
		return -EBADMSG;
	int error = entry_restore(g, r, &number);
	if (!error)
		ret->hash = hash_of(g, number);
	return error;
}
