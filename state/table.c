#include "state/table.h"

#include <errno.h>

static uint32_t limit_of(const struct table *t, uint32_t capacity)
{
	return t->sparse && capacity <= TABLE_SPARSE_CAPACITY ? capacity / 4 : capacity / 2;
}

static uint64_t slots_bytes(const struct table *t, uint32_t capacity)
{
	return (uint64_t)capacity * t->stride;
}

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

void table_destroy(struct table *t)
{
	uint32_t capacity = table_capacity(t);
	pool_free(t->pool, t->slots, slots_bytes(t, capacity));
	pool_free(t->pool, t->order, (uint64_t)limit_of(t, capacity) * sizeof(*t->order));
	pool_free(t->pool, t->null_entry, t->stride);
	pool_free(t->pool, t->texts, t->texts_room);
	table_create(t, t->pool, t->form, t->sparse, t->stride, t->initial);
}

static uint64_t slot_hash(const struct table *t, const uint8_t *entry)
{
	int64_t word = entry_word(entry);
	return t->form == TABLE_INT64 ? key_hash_int64(word) : (uint64_t)word;
}

uint64_t table_null_hash(void)
{
	static const uint8_t null_key[12] = {[8] = 1}; // a zero value, then the mask of nulls
	return key_hash(null_key, sizeof(null_key));
}

uint64_t table_hash(const struct table *t, const uint8_t *entry)
{
	return entry == t->null_entry ? table_null_hash() : slot_hash(t, entry);
}

static uint32_t free_slot(const uint8_t *slots, uint32_t shift, uint32_t stride, uint64_t hash)
{
	uint64_t mask = ~0ull >> shift, slot = table_home(hash, shift);
	while (entry_rows(slots + slot * stride) != 0)
		slot = (slot + 1) & mask;
	return (uint32_t)slot;
}

static void rehash(struct table *t, uint8_t *slots, uint32_t shift)
{
	for (uint32_t i = 0; i < t->count; i++) {
		if (t->order[i] == TABLE_NULL_SLOT)
			continue;
		const uint8_t *entry = table_at(t, i);
		t->order[i] = free_slot(slots, shift, t->stride, slot_hash(t, entry));
		memcpy(slots + (uint64_t)t->order[i] * t->stride, entry, t->stride);
	}
}

static int resize(struct table *t, uint32_t capacity)
{
	uint32_t limit = limit_of(t, capacity), limit_old = limit_of(t, table_capacity(t));
	uint8_t *slots = pool_alloc(t->pool, slots_bytes(t, capacity));
	uint32_t *order = pool_alloc(t->pool, (uint64_t)limit * sizeof(*order));
	if (slots == NULL || order == NULL) {
		pool_free(t->pool, slots, slots_bytes(t, capacity));
		pool_free(t->pool, order, (uint64_t)limit * sizeof(*order));
		return -ENOMEM;
	}
	memset(slots, 0, slots_bytes(t, capacity));
	uint32_t shift = 64 - (uint32_t)__builtin_ctz(capacity);
	rehash(t, slots, shift);
	if (t->count != 0)
		memcpy(order, t->order, (uint64_t)t->count * sizeof(*order));
	pool_free(t->pool, t->slots, slots_bytes(t, table_capacity(t)));
	pool_free(t->pool, t->order, (uint64_t)limit_old * sizeof(*order));
	t->slots = slots;
	t->order = order;
	t->shift = shift;
	t->limit = limit;
	return 0;
}

int table_reserve(struct table *t, uint32_t count)
{
	if (count <= t->limit)
		return 0;
	uint64_t capacity = TABLE_CAPACITY_MIN;
	while (capacity <= 1u << 30 && limit_of(t, (uint32_t)capacity) < count)
		capacity *= 2;
	return capacity > 1u << 30 ? -ENOMEM : resize(t, (uint32_t)capacity);
}

uint8_t *table_take_int64(struct table *t, int64_t key)
{
	uint64_t hash = key_hash_int64(key);
	if (t->shift == 0 && table_reserve(t, 1))
		return NULL;
	uint8_t *entry = table_probe_int64(t->slots, t->shift, t->stride, hash, key);
	if (entry_rows(entry) != 0 || table_claim_int64(t, t->stride, entry, key))
		return entry;
	if (table_reserve(t, t->count + 1))
		return NULL;
	entry = table_probe_int64(t->slots, t->shift, t->stride, hash, key);
	table_claim_int64(t, t->stride, entry, key);
	return entry;
}

uint8_t *table_take_null(struct table *t)
{
	ASSERT(t->form == TABLE_INT64);
	if (t->null_entry != NULL)
		return t->null_entry;
	if (t->count == t->limit && table_reserve(t, t->count + 1))
		return NULL;
	uint8_t *entry = pool_alloc(t->pool, t->stride);
	if (entry == NULL)
		return NULL;
	memset(entry, 0, t->stride);
	if (t->initial != NULL)
		memcpy(entry + t->head, t->initial, t->stride - t->head);
	t->order[t->count++] = TABLE_NULL_SLOT;
	return t->null_entry = entry;
}

static int texts_reserve(struct table *t, uint64_t bytes)
{
	if (t->texts != NULL && t->texts_room - t->texts_used >= bytes)
		return 0;
	uint64_t room = t->texts_room == 0 ? 1024 : 2 * t->texts_room;
	while (room - t->texts_used < bytes)
		room *= 2;
	uint8_t *texts = pool_alloc(t->pool, room);
	if (texts == NULL)
		return -ENOMEM;
	if (t->texts_used != 0)
		memcpy(texts, t->texts, t->texts_used);
	pool_free(t->pool, t->texts, t->texts_room);
	t->texts = texts;
	t->texts_room = room;
	return 0;
}

static bool has_text(const struct table *t, const uint8_t *entry, const uint8_t *key,
	uint32_t bytes)
{
	uint32_t length;
	const uint8_t *text = table_text(t, entry, &length);
	return length == bytes && memcmp(text, key, bytes) == 0;
}

static uint8_t *find_bytes(const struct table *t, uint64_t hash, const uint8_t *key, uint32_t bytes)
{
	uint64_t mask = ~0ull >> t->shift;
	for (uint64_t slot = table_home(hash, t->shift);; slot = (slot + 1) & mask) {
		uint8_t *entry = t->slots + slot * t->stride;
		if (entry_rows(entry) == 0)
			return NULL;
		if ((uint64_t)entry_word(entry) == hash && has_text(t, entry, key, bytes))
			return entry;
	}
}

static uint8_t *add_bytes(struct table *t, uint64_t hash, const uint8_t *key, uint32_t bytes)
{
	if (texts_reserve(t, bytes) || (t->count == t->limit && table_reserve(t, t->count + 1)))
		return NULL;
	uint32_t slot = free_slot(t->slots, t->shift, t->stride, hash);
	uint8_t *entry = t->slots + (uint64_t)slot * t->stride;
	const struct table_entry head = {(int64_t)hash, 0, t->texts_used, bytes};
	memcpy(entry, &head, sizeof(head));
	if (t->initial != NULL)
		memcpy(entry + t->head, t->initial, t->stride - t->head);
	t->order[t->count++] = slot;
	memcpy(t->texts + t->texts_used, key, bytes);
	t->texts_used += bytes;
	return entry;
}

uint8_t *table_take_bytes(struct table *t, uint64_t hash, const uint8_t *key, uint32_t bytes)
{
	ASSERT(t->form == TABLE_BYTES);
	uint8_t *entry = t->count == 0 ? NULL : find_bytes(t, hash, key, bytes);
	return entry != NULL ? entry : add_bytes(t, hash, key, bytes);
}
