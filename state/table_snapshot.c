#include <errno.h>

#include "state/table.h"

uint32_t table_key_bytes(const struct table *t, const uint8_t *entry)
{
	uint32_t bytes = sizeof(int64_t);
	if (t->form == TABLE_BYTES)
		bytes = (uint32_t)((const struct table_entry *)entry)->text_bytes;
	else if (entry == t->null_entry)
		bytes = 0;
	return 3 * sizeof(uint32_t) + bytes;
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

int table_key_read(struct table *t, struct snapshot_reader *r, struct table_key *ret)
{
	ret->entry = NULL;
	ret->group = snapshot_read_u32(r);
	if (r->error || ret->group == GROUP_RUN_END)
		return r->error;
	ret->number = snapshot_read_u32(r);
	uint32_t bytes = snapshot_read_u32(r);
	int error = 0;
	if (t->form == TABLE_BYTES)
		error = text_read(t, r, bytes, &ret->entry);
	else if (bytes == 0)
		ret->entry = table_take_null(t);
	else if (bytes == sizeof(int64_t))
		ret->entry = table_take_int64(t, snapshot_read_i64(r));
	else
		error = -EBADMSG;
	if (r->error || error)
		return r->error ? r->error : error;
	return ret->entry == NULL ? -ENOMEM : 0;
}

static uint32_t source_look(const void *table, uint32_t i, uint64_t *ret_hash)
{
	const struct table *t = table;
	const uint8_t *entry = table_at(t, i);
	*ret_hash = table_hash(t, entry);
	return table_key_bytes(t, entry) + t->stride - t->head + (uint32_t)sizeof(uint64_t);
}

static void source_write(const void *table, uint32_t i, uint32_t group, struct snapshot_writer *w)
{
	const struct table *t = table;
	const uint8_t *entry = table_at(t, i);
	table_key_write(t, entry, group, i, w);
	snapshot_u64(w, entry_rows(entry));
	snapshot_bytes(w, entry + t->head, t->stride - t->head);
}

void table_fetch(const void *table, uint32_t i, uint32_t stage)
{
	const struct table *t = table;
	if (stage == 0)
		__builtin_prefetch(&t->order[i]);
	else if (stage == 1)
		__builtin_prefetch(table_at(t, i));
	else if (t->form == TABLE_BYTES)
		__builtin_prefetch(((const struct table_entry *)table_at(t, i))->text);
}

struct group_source table_source(const struct table *t)
{
	VERIFY(t->absent == 0);
	return (struct group_source){.container = t,
		.keys = t->count,
		.numbers = t->count,
		.look = source_look,
		.write = source_write,
		.fetch = table_fetch};
}

int table_restore_begin(struct table *t, uint32_t count, const struct snapshot_reader *r)
{
	ASSERT(t->count == 0);
	// No key takes less than its three words and its rows.
	if (r->error || count > snapshot_left(r) / 20)
		return -EBADMSG;
	if (count == 0)
		return 0;
	if (table_reserve_begin(t, count + 1)) // a key is appended before it is put in its place
		return -ENOMEM;
	t->absent = count;
	return 0;
}

bool table_restore_prepare(void *table)
{
	enum { PART = 1 << 16 };
	struct table *t = table;
	if (!table_reserve_part(t))
		return false;
	for (uint32_t i = 0; i < PART && t->count < t->absent; i++)
		t->order[t->count++] = TABLE_ABSENT_SLOT;
	return t->count == t->absent;
}

// Give the key that came last its place in the order, where that is not taken. Among entries that
// have yet to move it is marked as one that has.
static bool order_place(struct table *t, uint32_t number)
{
	struct table_beside *old = &t->beside;
	bool unmoved = number - old->moved < old->unmoved;
	if ((unmoved ? old->order : t->order)[number] != TABLE_ABSENT_SLOT)
		return false;
	t->order[number] = t->order[--t->count];
	if (unmoved)
		old->order[number] = TABLE_MOVED_SLOT;
	if (old->unmoved != 0) // below its limit a table would not look among those
		t->limit = t->count;
	return true;
}

int table_restore_key(void *table, struct snapshot_reader *r, struct group_key *ret)
{
	struct table *t = table;
	struct table_key key;
	uint32_t before = t->count;
	int error = table_key_read(t, r, &key);
	if (error)
		return error;
	if (key.entry == NULL)
		return t->absent == 0 ? 1 : -EBADMSG;
	((struct table_entry *)key.entry)->rows = snapshot_read_u64(r);
	snapshot_read(r, key.entry + t->head, t->stride - t->head);
	bool is_new = t->count == before + 1;
	if (!is_new || entry_rows(key.entry) == 0 || key.number >= before ||
		!order_place(t, key.number))
		return -EBADMSG;
	t->absent--;
	*ret = (struct group_key){key.group, table_hash(t, key.entry)};
	return r->error;
}
