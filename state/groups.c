#include "state/groups.h"

#include <errno.h>

#define NONE UINT32_MAX

enum { ROOM_MIN = 64, MERGE_MIN = 4096, AHEAD = 16, CLEAR_BYTES = 1 << 18 };

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

static uint32_t source_look(const void *groups, uint32_t i, uint64_t *ret_hash)
{
	const struct groups *g = groups;
	*ret_hash = hash_of(g, i);
	return 3 * (uint32_t)sizeof(uint32_t) + stride_of(g) -
		(i == g->null_number ? (uint32_t)sizeof(int64_t) : 0);
}

static void source_write(const void *groups, uint32_t i, uint32_t group, struct snapshot_writer *w)
{
	const struct groups *g = groups;
	uint32_t stride = stride_of(g);
	const uint8_t *entry = groups_at(g, stride, i);
	snapshot_u32(w, group);
	snapshot_u32(w, i);
	snapshot_u32(w, i == g->null_number ? 0 : sizeof(int64_t));
	if (i != g->null_number)
		snapshot_bytes(w, entry, sizeof(int64_t));
	snapshot_bytes(w, entry + sizeof(int64_t), stride - sizeof(int64_t));
}

static void source_fetch(const void *groups, uint32_t i, uint32_t stage)
{
	const struct groups *g = groups;
	if (stage + 1 == GROUP_FETCHES)
		__builtin_prefetch(groups_at(g, stride_of(g), i));
}

struct group_source groups_source(const struct groups *g)
{
	VERIFY(g->absent == 0);
	return (struct group_source){.container = g,
		.keys = g->count,
		.numbers = g->count,
		.look = source_look,
		.write = source_write,
		.fetch = source_fetch};
}

int groups_restore_begin(struct groups *g, uint32_t count, const struct snapshot_reader *r)
{
	ASSERT(g->count == 0);
	// No entry takes less than its three words and its rows.
	if (r->error || count > snapshot_left(r) / 20)
		return -EBADMSG;
	// With some room behind them, so that the next entry does not move them all.
	if (count > g->room && grow(g, count + count / 4))
		return -ENOMEM;
	g->absent = count;
	if (count != 0)
		g->merge_at = NONE;
	return 0;
}

bool groups_restore_prepare(void *groups)
{
	struct groups *g = groups;
	uint32_t stride = stride_of(g), left = g->absent - g->count;
	uint32_t part = left < CLEAR_BYTES / stride ? left : CLEAR_BYTES / stride;
	memset(groups_at(g, stride, g->count), 0, (uint64_t)part * stride);
	g->count += part;
	return g->count == g->absent;
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
	if (--g->absent == 0) // as behind a merge
		g->merge_at = g->count < MERGE_MIN / 2 ? MERGE_MIN : 2 * g->count;
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
