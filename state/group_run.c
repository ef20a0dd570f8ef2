#include "state/group_run.h"

#include <errno.h>
#include <string.h>

#include "numa/assert.h"

enum {
	HEAD_BYTES = 16,
	ENTRY_BYTES = 16,
	END_BYTES = 4,
	AHEAD = 8,
	WRITE_COST = 4, // looks or sorts that take as long as writing a key
};

// Of a directory: which group, how many keys, where its first one lies behind the run's first.
struct entry {
	uint32_t group, keys;
	uint64_t at;
};

void group_run_begin(struct group_run *run, uint32_t bits, const struct group_source *source,
	struct snapshot_writer *w)
{
	size_t share_bytes = sizeof(struct group_share) << bits;
	size_t key_bytes = (size_t)source->keys * sizeof(uint32_t);
	uint8_t *memory = snapshot_scratch(w, share_bytes + 2 * key_bytes);
	*run = (struct group_run){.bits = bits, .shares = (struct group_share *)memory};
	if (memory == NULL)
		return;
	memset(memory, 0, share_bytes);
	run->groups = (uint32_t *)(memory + share_bytes);
	run->order = run->groups + source->keys;
}

static void stage_begin(struct group_run *run, enum group_run_stage stage)
{
	run->stage = stage;
	run->at = 0;
}

// All that comes before the keys. Afterwards shares[g].keys says where group g begins in the order.
static void head_write(struct group_run *run, uint32_t groups, uint32_t numbers,
	struct snapshot_writer *w)
{
	uint64_t bytes = 0;
	uint32_t start = 0;
	snapshot_u32(w, numbers);
	snapshot_u32(w, groups);
	snapshot_u64(w, run->bytes);
	for (uint32_t g = 0; g < 1u << run->bits; g++) {
		struct group_share *share = &run->shares[g];
		uint32_t keys = share->keys;
		if (keys != 0)
			snapshot_bytes(w, &(struct entry){g, keys, bytes}, ENTRY_BYTES);
		share->keys = start;
		bytes += share->bytes;
		start += keys;
	}
}

// How many groups have keys; without shares, as many as may have.
static uint32_t group_count(const struct group_run *run)
{
	uint32_t groups = 0;
	for (uint32_t g = 0; g < 1u << run->bits; g++)
		groups += run->shares == NULL || run->shares[g].keys != 0;
	return groups;
}

// It is known how much it will be: if that does not fit, it need not be written to be counted.
static void looked(struct group_run *run, const struct group_source *source,
	struct snapshot_writer *w)
{
	uint32_t groups = group_count(run);
	uint64_t bytes = HEAD_BYTES + (uint64_t)groups * ENTRY_BYTES + run->bytes + END_BYTES;
	bool fits = snapshot_fits(w, bytes);
	if (fits)
		head_write(run, groups, source->numbers, w);
	else
		snapshot_scratch_end(w);
	stage_begin(run, fits ? GROUP_RUN_SORTS : GROUP_RUN_WRITTEN);
}

// The three stages; each returns how much it did, of `most`.

static uint32_t keys_look(struct group_run *run, const struct group_source *source, uint32_t most,
	struct snapshot_writer *w)
{
	uint32_t from = run->at;
	for (; run->at < source->keys && run->at - from < most; run->at++) {
		uint64_t hash;
		uint32_t bytes = source->look(source->container, run->at, &hash);
		uint32_t group = bytes == 0 ? GROUP_NONE : key_group(hash, run->bits);
		run->keys += bytes != 0;
		run->bytes += bytes;
		if (run->shares == NULL)
			continue;
		run->groups[run->at] = group;
		if (bytes != 0) {
			run->shares[group].keys++;
			run->shares[group].bytes += bytes;
		}
	}
	uint32_t did = run->at - from;
	if (run->at == source->keys)
		looked(run, source, w);
	return did;
}

static uint32_t keys_sort(struct group_run *run, const struct group_source *source, uint32_t most)
{
	uint32_t from = run->at;
	for (; run->at < source->keys && run->at - from < most; run->at++)
		if (run->groups[run->at] != GROUP_NONE)
			run->order[run->shares[run->groups[run->at]].keys++] = run->at;
	uint32_t did = run->at - from;
	if (run->at == source->keys)
		stage_begin(run, GROUP_RUN_WRITES);
	return did;
}

// Sorted keys lie anywhere, each at the end of a way of several lines; asked for in advance, those
// of many keys come at once.
static void fetch_ahead(const struct group_run *run, const struct group_source *source)
{
	uint32_t ahead = run->at + (GROUP_FETCHES + 1) * AHEAD;
	if (ahead < run->keys)
		__builtin_prefetch(&run->groups[run->order[ahead]]);
	for (uint32_t stage = 0; stage < GROUP_FETCHES; stage++) {
		ahead -= AHEAD;
		if (ahead < run->keys)
			source->fetch(source->container, run->order[ahead], stage);
	}
}

static uint32_t keys_write(struct group_run *run, const struct group_source *source, uint32_t most,
	struct snapshot_writer *w)
{
	size_t start = w->at;
	for (uint32_t did = 0; run->at < run->keys; did += WRITE_COST, run->at++) {
		if (did >= most || w->at - start >= SNAPSHOT_PART_BYTES)
			return most;
		uint32_t i = run->order[run->at];
		fetch_ahead(run, source);
		source->write(source->container, i, run->groups[i], w);
	}
	snapshot_u32(w, GROUP_RUN_END);
	snapshot_scratch_end(w);
	stage_begin(run, GROUP_RUN_WRITTEN);
	return most;
}

bool group_run_write(struct group_run *run, const struct group_source *source,
	struct snapshot_writer *w)
{
	uint32_t left = w->part_keys * WRITE_COST;
	while (left != 0 && run->stage != GROUP_RUN_WRITTEN) {
		if (run->stage == GROUP_RUN_LOOKS)
			left -= keys_look(run, source, left, w);
		else if (run->stage == GROUP_RUN_SORTS)
			left -= keys_sort(run, source, left);
		else
			left -= keys_write(run, source, left, w);
	}
	return run->stage == GROUP_RUN_WRITTEN;
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

int group_run_read_part(void *container, group_key_reader *read_key, struct snapshot_reader *r)
{
	size_t start = snapshot_tell(r);
	for (uint32_t i = 0; i < r->part_keys; i++) {
		struct group_key key;
		int result = read_key(container, r, &key);
		if (result != 0)
			return result < 0 ? result : 0;
		if (snapshot_tell(r) - start >= SNAPSHOT_PART_BYTES)
			break;
	}
	return 1;
}

int group_run_read(void *container, group_key_reader *read_key, struct snapshot_reader *r)
{
	int result;
	do
		result = group_run_read_part(container, read_key, r);
	while (result == 1);
	return result;
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
