// How tables grow. At its limit a table takes slots twice as many; each new key clears a part of
// them, so much that all are clear before the table is fuller than its limit by PAST_LIMIT. Then
// they are the table's, the old ones stand beside, and every MOVE_TAKES takes that do not find
// their key in the slots move MOVES entries over, in order of creation. That is done long before
// the table is full again. Who sizes a table beforehand has it cleared at once.
#include <errno.h>

#include "state/table.h"

enum {
	PAST_LIMIT = 16, // a sixteenth
	CLEAR_KEYS = 2,  // new keys between two steps of clearing
	MOVE_TAKES = 16,
	MOVES = 64,
	FIRST_BYTES = 1 << 15,
	RESERVE_BYTES = 1 << 18, // cleared at a time
	CAPACITY_MAX = 1 << 30,
};

static uint32_t limit_of(const struct table *t, uint32_t capacity)
{
	return t->sparse && capacity <= TABLE_SPARSE_CAPACITY ? capacity / 4 : capacity / 2;
}

// The most keys while the next slots are being cleared.
static uint32_t brim_of(const struct table *t, uint32_t capacity)
{
	uint32_t limit = limit_of(t, capacity);
	return limit + limit / PAST_LIMIT;
}

static uint32_t capacity_of(uint32_t shift)
{
	return shift == 0 ? 0 : 1u << (64 - shift);
}

static uint64_t slots_bytes(const struct table *t, uint32_t capacity)
{
	return (uint64_t)capacity * t->stride;
}

static uint64_t order_bytes(const struct table *t, uint32_t capacity)
{
	return (uint64_t)brim_of(t, capacity) * sizeof(*t->order);
}

static void arrays_free(struct table *t, uint8_t *slots, uint32_t *order, uint32_t capacity)
{
	pool_free(t->pool, slots, slots_bytes(t, capacity));
	pool_free(t->pool, order, order_bytes(t, capacity));
}

static void beside_free(struct table *t)
{
	arrays_free(t, t->beside.slots, t->beside.order, capacity_of(t->beside.shift));
	t->beside = (struct table_beside){0};
}

void table_destroy(struct table *t)
{
	beside_free(t);
	arrays_free(t, t->slots, t->order, table_capacity(t));
	pool_free(t->pool, t->null_entry, t->stride);
	texts_destroy(&t->texts, t->pool);
	table_create(t, t->pool, t->form, t->sparse, t->stride, t->initial);
}

void table_expect(struct table *t, uint32_t count)
{
	t->expected = count;
}

static uint32_t first_capacity(const struct table *t)
{
	uint32_t capacity = TABLE_CAPACITY_MIN;
	while (limit_of(t, capacity) < t->expected && slots_bytes(t, capacity) < FIRST_BYTES)
		capacity *= 2;
	return capacity;
}

static uint32_t next_capacity(const struct table *t)
{
	uint32_t capacity = 2 * table_capacity(t);
	return limit_of(t, capacity) < t->expected ? 2 * capacity : capacity;
}

// Take the next arrays, beside those in use.
static int next_take(struct table *t, uint32_t capacity)
{
	if (capacity > CAPACITY_MAX)
		return -ENOMEM;
	uint8_t *slots = pool_alloc(t->pool, slots_bytes(t, capacity));
	uint32_t *order = pool_alloc(t->pool, order_bytes(t, capacity));
	if (slots == NULL || order == NULL) {
		arrays_free(t, slots, order, capacity);
		return -ENOMEM;
	}
	t->beside = (struct table_beside){
		.slots = slots, .order = order, .shift = 64 - (uint32_t)__builtin_ctz(capacity)};
	return 0;
}

// Returns whether all of the next slots are clear.
static bool next_clear(struct table *t, uint64_t bytes)
{
	struct table_beside *next = &t->beside;
	uint64_t left = slots_bytes(t, capacity_of(next->shift)) - next->cleared;
	bytes = bytes < left ? bytes : left;
	memset(next->slots + next->cleared, 0, bytes);
	next->cleared += bytes;
	return bytes == left;
}

// The next arrays become the table's; they are empty yet.
static void next_install(struct table *t)
{
	struct table_beside next = t->beside;
	t->beside = (struct table_beside){
		.slots = t->slots, .order = t->order, .shift = t->shift, .unmoved = t->count};
	t->slots = next.slots;
	t->order = next.order;
	t->shift = next.shift;
	t->limit = t->count;
}

static uint32_t free_slot(const uint8_t *slots, uint32_t shift, uint32_t stride, uint64_t hash)
{
	uint64_t mask = ~0ull >> shift, slot = table_home(hash, shift);
	while (entry_rows(slots + slot * stride) != 0)
		slot = (slot + 1) & mask;
	return (uint32_t)slot;
}

// Each entry waits for two lines; asked for in advance, they all come at once.
static void lines_fetch(const struct table *t, uint32_t count, uint64_t *ret_hashes)
{
	const uint32_t *order = t->beside.order + t->beside.moved;
	for (uint32_t i = 0; i < count; i++)
		if (order[i] < TABLE_MOVED_SLOT)
			__builtin_prefetch(t->beside.slots + (uint64_t)order[i] * t->stride);
	for (uint32_t i = 0; i < count; i++) {
		if (order[i] >= TABLE_MOVED_SLOT) // in no slot, or moved
			continue;
		ret_hashes[i] =
			table_slot_hash(t, t->beside.slots + (uint64_t)order[i] * t->stride);
		__builtin_prefetch(t->slots + table_home(ret_hashes[i], t->shift) * t->stride, 1);
	}
}

static void entries_move(struct table *t)
{
	struct table_beside *old = &t->beside;
	uint32_t count = old->unmoved < MOVES ? old->unmoved : MOVES;
	uint64_t hashes[MOVES];
	if (count != 0)
		lines_fetch(t, count, hashes);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t from = old->order[old->moved], to = from;
		if (from == TABLE_MOVED_SLOT) {
			to = t->order[old->moved];
		} else if (from < TABLE_MOVED_SLOT) {
			to = free_slot(t->slots, t->shift, t->stride, hashes[i]);
			memcpy(t->slots + (uint64_t)to * t->stride,
				old->slots + (uint64_t)from * t->stride, t->stride);
		}
		t->order[old->moved++] = to;
		old->unmoved--;
	}
	t->quiet = MOVE_TAKES;
	if (old->unmoved != 0)
		return;
	beside_free(t);
	t->quiet = 0;
	t->limit = limit_of(t, table_capacity(t));
	ASSERT(t->count < t->limit);
}

// Go on with the next arrays.  Returns 0 and whether they are clear, or -ENOMEM: without them there
// is no place for a key. Until then they are asked for again and again.
static int next_tend(struct table *t, bool *ret_clear)
{
	uint32_t capacity = table_capacity(t), brim = brim_of(t, capacity);
	bool last = t->count == brim;
	*ret_clear = false;
	if (t->beside.slots == NULL && next_take(t, next_capacity(t)) && last)
		return -ENOMEM;
	if (t->beside.slots != NULL) {
		uint64_t bytes = slots_bytes(t, capacity_of(t->beside.shift));
		uint64_t step = bytes / (brim - limit_of(t, capacity)) * CLEAR_KEYS;
		*ret_clear = next_clear(t, last ? bytes : step);
	}
	t->limit = brim - t->count < CLEAR_KEYS ? brim : t->count + CLEAR_KEYS;
	return 0;
}

int table_tend(struct table *t)
{
	bool is_clear;
	if (t->shift == 0)
		return table_reserve(t, limit_of(t, first_capacity(t)));
	if (t->beside.unmoved == 0) {
		int error = next_tend(t, &is_clear);
		if (error || !is_clear)
			return error;
		next_install(t);
	}
	entries_move(t);
	return 0;
}

static uint32_t capacity_for(const struct table *t, uint32_t count)
{
	uint32_t capacity = TABLE_CAPACITY_MIN;
	while (capacity <= CAPACITY_MAX && limit_of(t, capacity) < count)
		capacity *= 2;
	return capacity;
}

int table_reserve_begin(struct table *t, uint32_t count)
{
	uint32_t capacity = capacity_for(t, count);
	ASSERT(t->count == 0 && t->beside.slots == NULL);
	return capacity <= table_capacity(t) ? 0 : next_take(t, capacity);
}

bool table_reserve_part(struct table *t)
{
	if (t->beside.slots == NULL) // it is done, or there was room
		return true;
	if (t->beside.unmoved == 0) {
		if (!next_clear(t, RESERVE_BYTES))
			return false;
		next_install(t);
	}
	entries_move(t);
	return t->beside.unmoved == 0;
}

int table_reserve(struct table *t, uint32_t count)
{
	uint32_t capacity = capacity_for(t, count);
	if (capacity <= table_capacity(t))
		return 0;
	while (t->beside.unmoved != 0)
		entries_move(t);
	beside_free(t);
	if (next_take(t, capacity))
		return -ENOMEM;
	while (!table_reserve_part(t))
		;
	return 0;
}
