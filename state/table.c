#include "state/table.h"

void table_create(struct table *t, struct pool *pool, enum table_form form, bool sparse,
	uint32_t stride, const uint8_t *initial)
{
	memset(t, 0, sizeof(*t));
	t->pool = pool;
	t->form = form;
	t->sparse = sparse;
	t->stride = stride;
	t->head = form == TABLE_INT64 ? TABLE_INT64_HEAD : TABLE_BYTES_HEAD;
	t->initial = initial;
	ASSERT(stride % 8 == 0 && stride >= t->head);
	ASSERT(initial != NULL || stride == t->head);
}

uint64_t table_null_hash(void)
{
	static const uint8_t null_key[12] = {[8] = 1}; // a zero value, then the mask of nulls
	return key_hash(null_key, sizeof(null_key));
}

uint64_t table_hash(const struct table *t, const uint8_t *entry)
{
	return entry == t->null_entry ? table_null_hash() : table_slot_hash(t, entry);
}

struct wanted {
	uint64_t hash;
	int64_t key; // or, of a table of bytes,
	const uint8_t *text;
	uint32_t bytes;
};

static bool has_text(const uint8_t *entry, const struct wanted *wanted)
{
	uint32_t length;
	const uint8_t *text = table_text(entry, &length);
	return length == wanted->bytes && memcmp(text, wanted->text, length) == 0;
}

// As table_probe_int64.
static uint8_t *probe_bytes(const struct table *t, uint8_t *slots, uint32_t shift,
	const struct wanted *wanted)
{
	uint64_t mask = ~0ull >> shift;
	for (uint64_t slot = table_home(wanted->hash, shift);; slot = (slot + 1) & mask) {
		uint8_t *entry = slots + slot * t->stride;
		if (entry_rows(entry) == 0 ||
			((uint64_t)entry_word(entry) == wanted->hash && has_text(entry, wanted)))
			return entry;
	}
}

static uint8_t *probe(const struct table *t, uint8_t *slots, uint32_t shift,
	const struct wanted *wanted)
{
	return t->form == TABLE_BYTES
		? probe_bytes(t, slots, shift, wanted)
		: table_probe_int64(slots, shift, t->stride, wanted->hash, wanted->key);
}

// While entries move the limit goes along with the count, so that whoever does not find a key in
// the slots comes here; the step before has seen to it that there is room.
static void limit_pass(struct table *t)
{
	ASSERT(t->count < t->limit || t->beside.unmoved != 0);
	t->limit += t->count == t->limit;
}

static bool claim_bytes(struct table *t, uint8_t *entry, const struct wanted *wanted)
{
	const uint8_t *text = texts_add(&t->texts, t->pool, wanted->text, wanted->bytes);
	if (text == NULL)
		return false;
	limit_pass(t);
	const struct table_entry head = {(int64_t)wanted->hash, 0, text, wanted->bytes};
	memcpy(entry, &head, sizeof(head));
	if (t->initial != NULL)
		memcpy(entry + t->head, t->initial, t->stride - t->head);
	t->order[t->count++] = (uint32_t)((uint64_t)(entry - t->slots) / t->stride);
	return true;
}

// The key is not in the slots, and the table is at its limit.
static __attribute__((noinline)) uint8_t *take_at_limit(struct table *t,
	const struct wanted *wanted)
{
	if (t->quiet == 0 && table_tend(t))
		return NULL;
	uint8_t *entry = probe(t, t->slots, t->shift, wanted);
	if (entry_rows(entry) != 0)
		return entry;
	if (t->beside.unmoved != 0) {
		// What has moved still stands there as well, but is found above.
		uint8_t *old = probe(t, t->beside.slots, t->beside.shift, wanted);
		t->quiet--;
		if (entry_rows(old) != 0)
			return old;
	}
	if (t->form == TABLE_BYTES)
		return claim_bytes(t, entry, wanted) ? entry : NULL;
	limit_pass(t);
	return table_claim_int64(t, t->stride, entry, wanted->key) ? entry : NULL;
}

uint8_t *table_take_int64(struct table *t, int64_t key)
{
	uint64_t hash = key_hash_int64(key);
	if (LIKELY(t->shift != 0)) {
		uint8_t *entry = table_probe_int64(t->slots, t->shift, t->stride, hash, key);
		if (entry_rows(entry) != 0 || table_claim_int64(t, t->stride, entry, key))
			return entry;
	}
	return take_at_limit(t, &(struct wanted){.hash = hash, .key = key});
}

uint8_t *table_take_null(struct table *t)
{
	ASSERT(t->form == TABLE_INT64);
	if (t->null_entry != NULL)
		return t->null_entry;
	if (!table_is_quiet(t) && table_tend(t))
		return NULL;
	uint8_t *entry = pool_alloc(t->pool, t->stride);
	if (entry == NULL)
		return NULL;
	memset(entry, 0, t->stride);
	if (t->initial != NULL)
		memcpy(entry + t->head, t->initial, t->stride - t->head);
	limit_pass(t);
	t->order[t->count++] = TABLE_NULL_SLOT;
	return t->null_entry = entry;
}

uint8_t *table_take_bytes(struct table *t, uint64_t hash, const uint8_t *key, uint32_t bytes)
{
	const struct wanted wanted = {.hash = hash, .text = key, .bytes = bytes};
	ASSERT(t->form == TABLE_BYTES);
	if (LIKELY(t->shift != 0)) {
		uint8_t *entry = probe_bytes(t, t->slots, t->shift, &wanted);
		if (entry_rows(entry) != 0)
			return entry;
		if (t->count < t->limit)
			return claim_bytes(t, entry, &wanted) ? entry : NULL;
	}
	return take_at_limit(t, &wanted);
}
