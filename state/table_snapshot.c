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

void table_snapshot(const struct table *t, uint32_t group_bits, struct snapshot_writer *w)
{
	struct group_run run;
	VERIFY(t->absent == 0);
	// Without memory to sort there is no snapshot, which the writer reports at its end.
	if (group_run_begin(&run, t->pool, group_bits, t->count)) {
		w->overflow = true;
		return;
	}
	uint32_t behind = t->stride - t->head + sizeof(uint64_t);
	for (uint32_t i = 0; i < t->count; i++) {
		const uint8_t *entry = table_at(t, i);
		group_run_add(&run, table_hash(t, entry), table_key_bytes(t, entry) + behind);
	}
	group_run_write(&run, t->count, w);
	for (uint32_t i = 0; i < run.keys; i++) {
		uint32_t number = run.order[i];
		const uint8_t *entry = table_at(t, number);
		table_key_write(t, entry, run.groups[number], number, w);
		snapshot_u64(w, entry_rows(entry));
		snapshot_bytes(w, entry + t->head, t->stride - t->head);
	}
	snapshot_u32(w, GROUP_RUN_END);
	group_run_end(&run);
}

int table_restore_begin(struct table *t, uint32_t count, const struct snapshot_reader *r)
{
	ASSERT(t->count == 0);
	// No key takes less than its three words and its rows.
	if (r->error || count > snapshot_left(r) / 20)
		return -EBADMSG;
	if (count == 0)
		return 0;
	if (table_reserve(t, count + 1)) // a key is appended before it is put in its place
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		t->order[i] = TABLE_ABSENT_SLOT;
	t->count = t->absent = count;
	return 0;
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
