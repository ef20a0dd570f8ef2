#include <errno.h>

#include "state/table.h"

uint32_t *groups_sort(struct pool *pool, uint32_t *groups, uint32_t count, uint32_t group_bits)
{
	uint64_t list_bytes = (uint64_t)count * sizeof(uint32_t);
	uint64_t starts_bytes = sizeof(uint32_t) << group_bits;
	uint32_t *list = groups == NULL ? NULL : pool_alloc(pool, list_bytes);
	uint32_t *starts = list == NULL ? NULL : pool_alloc(pool, starts_bytes);
	if (starts == NULL) {
		pool_free(pool, groups, list_bytes);
		pool_free(pool, list, list_bytes);
		return NULL;
	}
	memset(starts, 0, starts_bytes);
	for (uint32_t i = 0; i < count; i++)
		starts[groups[i]]++;
	uint32_t start = 0;
	for (uint32_t g = 0; g < 1u << group_bits; g++) {
		uint32_t keys = starts[g];
		starts[g] = start;
		start += keys;
	}
	for (uint32_t i = 0; i < count; i++)
		list[starts[groups[i]]++] = i;
	pool_free(pool, starts, starts_bytes);
	pool_free(pool, groups, list_bytes);
	return list;
}

uint32_t *table_groups(const struct table *t, uint32_t group_bits)
{
	uint32_t *groups = pool_alloc(t->pool, (uint64_t)t->count * sizeof(*groups));
	for (uint32_t i = 0; groups != NULL && i < t->count; i++)
		groups[i] = key_group(table_hash(t, table_at(t, i)), group_bits);
	return groups_sort(t->pool, groups, t->count, group_bits);
}

void table_groups_free(const struct table *t, uint32_t *groups)
{
	pool_free(t->pool, groups, (uint64_t)t->count * sizeof(*groups));
}

void table_key_write(const struct table *t, const uint8_t *entry, uint32_t group, uint32_t number,
	struct snapshot_writer *w)
{
	uint32_t bytes = sizeof(int64_t);
	const uint8_t *text = entry;
	if (t->form == TABLE_BYTES)
		text = table_text(entry, &bytes);
	else if (entry == t->null_entry)
		bytes = 0;
	snapshot_u32(w, group);
	snapshot_u32(w, number);
	snapshot_u32(w, bytes);
	snapshot_bytes(w, text, bytes);
}

static int text_read(struct table *t, struct snapshot_reader *r, uint32_t bytes,
	uint8_t **ret_entry)
{
	if (bytes > TABLE_TEXT_MAX || bytes > snapshot_left(r))
		return -EBADMSG;
	uint8_t *text = pool_alloc(t->pool, bytes);
	if (text == NULL)
		return -ENOMEM;
	snapshot_read(r, text, bytes);
	*ret_entry = table_take_bytes(t, key_hash(text, bytes), text, bytes);
	pool_free(t->pool, text, bytes);
	return 0;
}

int table_key_read(struct table *t, struct snapshot_reader *r, uint8_t **ret_entry,
	uint32_t *ret_number)
{
	uint32_t group = snapshot_read_u32(r);
	*ret_entry = NULL;
	if (r->error || group == TABLE_KEYS_END)
		return r->error;
	*ret_number = snapshot_read_u32(r);
	uint32_t bytes = snapshot_read_u32(r);
	int error = 0;
	if (t->form == TABLE_BYTES)
		error = text_read(t, r, bytes, ret_entry);
	else if (bytes == 0)
		*ret_entry = table_take_null(t);
	else if (bytes == sizeof(int64_t))
		*ret_entry = table_take_int64(t, snapshot_read_i64(r));
	else
		error = -EBADMSG;
	if (r->error || error)
		return r->error ? r->error : error;
	return *ret_entry == NULL ? -ENOMEM : 0;
}

void table_snapshot(const struct table *t, uint32_t group_bits, struct snapshot_writer *w)
{
	snapshot_u32(w, t->count);
	uint32_t *groups = table_groups(t, group_bits);
	// Without memory to sort there is no snapshot, which the writer reports at its end.
	if (groups == NULL) {
		w->overflow = true;
		return;
	}
	for (uint32_t i = 0; i < t->count; i++) {
		const uint8_t *entry = table_at(t, groups[i]);
		uint32_t group = key_group(table_hash(t, entry), group_bits);
		table_key_write(t, entry, group, groups[i], w);
		snapshot_u64(w, entry_rows(entry));
		snapshot_bytes(w, entry + t->head, t->stride - t->head);
	}
	snapshot_u32(w, TABLE_KEYS_END);
	table_groups_free(t, groups);
}

// Read the entries; slots[number] is where the key with this number went.
static int entries_read(struct table *t, struct snapshot_reader *r, uint32_t count, uint32_t *slots)
{
	for (;;) {
		uint32_t number, before = t->count;
		uint8_t *entry;
		int error = table_key_read(t, r, &entry, &number);
		if (error)
			return error;
		if (entry == NULL)
			return t->count == count ? 0 : -EBADMSG;
		((struct table_entry *)entry)->rows = snapshot_read_u64(r);
		snapshot_read(r, entry + t->head, t->stride - t->head);
		bool is_new = t->count == before + 1 && number < count;
		if (!is_new || entry_rows(entry) == 0 || slots[number] != 0)
			return -EBADMSG;
		slots[number] = t->order[before] + 2; // 0 says none yet, and the null slot wraps
	}
}

int table_restore(struct table *t, struct snapshot_reader *r)
{
	ASSERT(t->count == 0);
	uint32_t count = snapshot_read_u32(r);
	// No key takes less than its three words and its rows.
	if (r->error || count > snapshot_left(r) / 20)
		return -EBADMSG;
	if (table_reserve(t, count))
		return -ENOMEM;
	uint64_t bytes = (uint64_t)count * sizeof(uint32_t);
	uint32_t *slots = pool_alloc(t->pool, bytes);
	if (slots == NULL)
		return -ENOMEM;
	memset(slots, 0, bytes);
	int error = entries_read(t, r, count, slots);
	for (uint32_t i = 0; i < count && !error; i++)
		t->order[i] = slots[i] - 2;
	pool_free(t->pool, slots, bytes);
	return error;
}
