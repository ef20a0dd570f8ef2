#include "state/group_run.h"

#include <errno.h>
#include <string.h>

#include "numa/assert.h"

enum { ENTRY_BYTES = 16 };

// Of a directory: which group, how many keys, where its first one lies behind the run's first.
struct entry {
	uint32_t group, keys;
	uint64_t at;
};

static uint64_t shares_bytes(uint32_t bits)
{
	return sizeof(struct group_share) << bits;
}

int group_run_begin(struct group_run *run, struct pool *pool, uint32_t bits, uint32_t room)
{
	*run = (struct group_run){.pool = pool, .bits = bits, .room = room};
	run->groups = pool_alloc(pool, (uint64_t)room * sizeof(*run->groups));
	run->order = pool_alloc(pool, (uint64_t)room * sizeof(*run->order));
	run->shares = pool_alloc(pool, shares_bytes(bits));
	if (run->groups == NULL || run->order == NULL || run->shares == NULL) {
		group_run_end(run);
		return -ENOMEM;
	}
	memset(run->shares, 0, shares_bytes(bits));
	return 0;
}

void group_run_end(struct group_run *run)
{
	pool_free(run->pool, run->groups, (uint64_t)run->room * sizeof(*run->groups));
	pool_free(run->pool, run->order, (uint64_t)run->room * sizeof(*run->order));
	pool_free(run->pool, run->shares, shares_bytes(run->bits));
}

// Afterwards shares[g].keys says where group g ends in the order.
static void sort(struct group_run *run)
{
	uint32_t start = 0;
	for (uint32_t g = 0; g < 1u << run->bits; g++) {
		uint32_t keys = run->shares[g].keys;
		run->shares[g].keys = start;
		start += keys;
	}
	for (uint32_t i = 0; i < run->added; i++)
		if (run->groups[i] != GROUP_NONE)
			run->order[run->shares[run->groups[i]].keys++] = i;
}

void group_run_write(struct group_run *run, uint32_t count, struct snapshot_writer *w)
{
	uint32_t groups = 0;
	uint64_t bytes = 0;
	ASSERT(run->added <= run->room);
	for (uint32_t g = 0; g < 1u << run->bits; g++) {
		groups += run->shares[g].keys != 0;
		bytes += run->shares[g].bytes;
	}
	snapshot_u32(w, count);
	snapshot_u32(w, groups);
	snapshot_u64(w, bytes);
	bytes = 0;
	for (uint32_t g = 0; g < 1u << run->bits; g++) {
		const struct group_share *share = &run->shares[g];
		if (share->keys == 0)
			continue;
		snapshot_bytes(w, &(struct entry){g, share->keys, bytes}, ENTRY_BYTES);
		bytes += share->bytes;
	}
	sort(run);
}

int group_directory_read(struct group_directory *d, struct snapshot_reader *r)
{
	d->count = snapshot_read_u32(r);
	d->groups = snapshot_read_u32(r);
	d->bytes = snapshot_read_u64(r);
	d->at = snapshot_tell(r);
	uint64_t left = snapshot_left(r), entries = (uint64_t)d->groups * ENTRY_BYTES;
	if (r->error || entries > left || d->bytes > left - entries)
		return -EBADMSG;
	d->keys_at = d->at + entries;
	snapshot_seek(r, d->keys_at);
	return 0;
}

static struct entry entry_read(const struct group_directory *d, struct snapshot_reader *r,
	uint32_t i)
{
	struct entry entry;
	snapshot_seek(r, d->at + (size_t)i * ENTRY_BYTES);
	snapshot_read(r, &entry, ENTRY_BYTES);
	return entry;
}

int group_directory_mark(const struct group_directory *d, struct snapshot_reader *r,
	struct group_set *groups)
{
	struct entry last = {0};
	uint64_t keys = 0;
	for (uint32_t i = 0; i < d->groups; i++) {
		struct entry entry = entry_read(d, r, i);
		bool ascends =
			i == 0 ? entry.at == 0 : entry.group > last.group && entry.at > last.at;
		if (!ascends || entry.group >= 1u << groups->bits || entry.keys == 0 ||
			entry.at >= d->bytes)
			return -EBADMSG;
		group_set_add(groups, entry.group);
		keys += entry.keys;
		last = entry;
	}
	if (keys > d->count || (d->groups == 0 && d->bytes != 0))
		return -EBADMSG;
	snapshot_seek(r, d->keys_at + d->bytes);
	return snapshot_read_u32(r) == GROUP_RUN_END ? r->error : -EBADMSG;
}

int group_run_read(void *container, group_key_reader *read_key, struct snapshot_reader *r)
{
	struct group_key key;
	int result;
	do
		result = read_key(container, r, &key);
	while (result == 0);
	return result < 0 ? result : 0;
}

// The place of a group in the directory; d->groups: it has no keys.
static uint32_t find(const struct group_directory *d, struct snapshot_reader *r, uint32_t group,
	struct entry *ret)
{
	uint32_t low = 0, high = d->groups;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		*ret = entry_read(d, r, middle);
		if (ret->group == group)
			return middle;
		if (ret->group < group)
			low = middle + 1;
		else
			high = middle;
	}
	return d->groups;
}

int group_run_read_group(const struct group_directory *d, uint32_t group, uint32_t bits,
	void *container, group_key_reader *read_key, struct snapshot_reader *r)
{
	struct entry entry;
	uint32_t i = find(d, r, group, &entry);
	if (i == d->groups)
		return r->error;
	uint64_t limit = i + 1 < d->groups ? entry_read(d, r, i + 1).at : d->bytes;
	snapshot_seek(r, d->keys_at + entry.at);
	for (uint32_t k = 0; k < entry.keys; k++) {
		struct group_key key;
		int result = read_key(container, r, &key);
		if (result != 0)
			return result < 0 ? result : -EBADMSG;
		// A key in another group than its own would be waited for in vain.
		if (key.group != group || key_group(key.hash, bits) != group)
			return -EBADMSG;
	}
	return snapshot_tell(r) == d->keys_at + limit ? r->error : -EBADMSG;
}
