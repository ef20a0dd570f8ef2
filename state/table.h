// Tables: insert-only hash tables from a key to fixed-size accumulators, entries inline in the
// slots, linear probing. Home is by the low bits of the key's hash: the top ones chose the task, so
// all its keys have them in common. They remember the order in which keys came. An entry is {word,
// rows, accumulators}; the word is the key itself, or the hash of a key of bytes, whose text is in
// a store beside. An entry without rows is free.
//
// A table grows bit by bit, so that no key waits for all the others. Once it is full, the few new
// keys that still go in each clear a part of the next slots; then those become the table's, and
// the takes that do not find their key there move some entries over. Only they do, so a table
// whose keys are all in its slots works as if it had never grown (table_growth.c).
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "numa/assert.h"
#include "state/group_run.h"
#include "state/key.h"
#include "state/pool.h"
#include "state/snapshot.h"
#include "state/texts.h"

enum table_form { TABLE_INT64, TABLE_BYTES };

enum {
	TABLE_CAPACITY_MIN = 64,
	TABLE_SPARSE_CAPACITY = 1 << 16, // up to here a sparse table is a quarter full at most
	TABLE_INT64_HEAD = 16,           // bytes of an entry before the accumulators
	TABLE_BYTES_HEAD = 32,
	TABLE_TEXT_MAX = (1 << 24) - 1, // bytes of a key
};
// In the order list: the null key of an int64 table; a key that is not restored yet; and, in the
// order of the slots it moves from, a key that was restored meanwhile, straight to where they move.
#define TABLE_NULL_SLOT UINT32_MAX
#define TABLE_ABSENT_SLOT (UINT32_MAX - 1)
#define TABLE_MOVED_SLOT (UINT32_MAX - 2)

struct table_entry {
	int64_t word;
	uint64_t rows;
	const uint8_t *text; // TABLE_BYTES only, in the store of texts
	uint64_t text_bytes;
};

// The other arrays of a table that grows: at first those that are to be its next ones, being
// cleared; from then on the old ones, while entries move.
struct table_beside {
	uint8_t *slots; // NULL: the table does not grow
	uint32_t *order;
	uint32_t shift;
	uint32_t moved,
		unmoved;  // of the order the first are moved, and so many then are still here
	uint64_t cleared; // bytes at the front of the next slots
};

struct table {
	uint8_t *slots;
	uint32_t shift;        // 64 - log2(capacity); 0: no slots yet
	uint32_t stride, head; // bytes of an entry, and before its accumulators
	uint32_t count;
	uint32_t absent;        // so many of the order are to be restored still
	uint32_t limit;         // with so many keys one that is not in the slots takes a step
	uint32_t *order;        // slots in order of creation
	const uint8_t *initial; // accumulators of a new entry
	enum table_form form;
	bool sparse;       // shorter probes for more memory; else half full at most
	uint32_t quiet;    // takes at the limit until entries move again; 0 also where none move
	uint32_t expected; // keys, about; fewer and longer steps up to there
	struct table_beside beside;
	uint8_t *null_entry;
	struct texts texts;
	struct pool *pool;
};

// `stride` is an entry's bytes, a multiple of 8; `initial` (stride less head) is borrowed and may
// be NULL where there are no accumulators. Takes nothing from the pool.
void table_create(struct table *t, struct pool *pool, enum table_form form, bool sparse,
	uint32_t stride, const uint8_t *initial);
void table_destroy(struct table *t); // gives everything back; idempotent

// Make room for `count` keys at once, which takes as long as there are slots; those who have the
// time at the start spare the table its growing.  Returns 0, or -ENOMEM when the pool is exhausted.
int table_reserve(struct table *t, uint32_t count);

// The same of an empty table in parts: take the room, then make it ready until that returns true.
int table_reserve_begin(struct table *t, uint32_t count);
bool table_reserve_part(struct table *t);

// The table will have about `count` keys: begin larger, and grow by more at a time.
void table_expect(struct table *t, uint32_t count);

// A bounded step of growth, due when a key is not in the slots, count is limit and quiet is 0.
// Raises the limit, or lets entries move.  Returns 0, or -ENOMEM: there is no place for a key.
int table_tend(struct table *t);

// The key's entry, added if it is new: it then has no rows yet and must be given one at once. It
// stays where it is until a take that table_is_quiet did not promise to be quiet.
// Returns NULL when the pool is exhausted.
uint8_t *table_take_int64(struct table *t, int64_t key);
uint8_t *table_take_bytes(struct table *t, uint64_t hash, const uint8_t *key, uint32_t bytes);
uint8_t *table_take_null(struct table *t); // the null key of an int64 table

static inline uint32_t table_capacity(const struct table *t)
{
	return t->shift == 0 ? 0 : 1u << (64 - t->shift);
}

static inline uint64_t entry_rows(const uint8_t *entry)
{
	return ((const struct table_entry *)entry)->rows;
}

static inline int64_t entry_word(const uint8_t *entry)
{
	return ((const struct table_entry *)entry)->word;
}

// Whether the next take leaves all entries where they are.
static inline bool table_is_quiet(const struct table *t)
{
	return t->count < t->limit || t->quiet != 0;
}

// The i-th key's entry in order of creation.
static inline uint8_t *table_at(const struct table *t, uint32_t i)
{
	bool unmoved = UNLIKELY(i - t->beside.moved < t->beside.unmoved) &&
		t->beside.order[i] != TABLE_MOVED_SLOT;
	uint32_t slot = unmoved ? t->beside.order[i] : t->order[i];
	ASSERT(slot != TABLE_ABSENT_SLOT);
	if (UNLIKELY(slot == TABLE_NULL_SLOT))
		return t->null_entry;
	return (unmoved ? t->beside.slots : t->slots) + (uint64_t)slot * t->stride;
}

static inline const uint8_t *table_text(const uint8_t *entry, uint32_t *ret_bytes)
{
	const struct table_entry *e = (const struct table_entry *)entry;
	*ret_bytes = (uint32_t)e->text_bytes;
	return e->text;
}

// The key's hash: of the key, or of the canonical encoding of null.
uint64_t table_hash(const struct table *t, const uint8_t *entry);

static inline uint64_t table_home(uint64_t hash, uint32_t shift)
{
	return hash & ~0ull >> shift;
}

// The key's entry in `slots`, or the free one where it belongs. All state is passed so that a loop
// can keep it in registers.
static inline __attribute__((always_inline)) uint8_t *table_probe_int64(uint8_t *slots,
	uint32_t shift, uint32_t stride, uint64_t hash, int64_t key)
{
	uint64_t slot = table_home(hash, shift);
	uint8_t *entry = slots + slot * stride;
	while (UNLIKELY(entry_word(entry) != key) && entry_rows(entry) != 0) {
		slot = (slot + 1) & ~0ull >> shift;
		entry = slots + slot * stride;
	}
	return entry;
}

// Make the free entry that a probe found the key's, unless the table is at its limit: then the key
// may be elsewhere, and table_take_int64 knows.
static inline bool table_claim_int64(struct table *t, uint32_t stride, uint8_t *entry, int64_t key)
{
	if (t->count == t->limit)
		return false;
	ASSERT(t->form == TABLE_INT64 && entry_rows(entry) == 0);
	memcpy(entry, &key, sizeof(key));
	if (t->initial != NULL)
		memcpy(entry + t->head, t->initial, t->stride - t->head);
	t->order[t->count++] = (uint32_t)((uint64_t)(entry - t->slots) / stride);
	return true;
}

static inline uint64_t table_slot_hash(const struct table *t, const uint8_t *entry)
{
	int64_t word = entry_word(entry);
	return t->form == TABLE_INT64 ? key_hash_int64(word) : (uint64_t)word;
}

// Ask for the line of `t` where the key of an entry of another table is looked for.
static inline void table_prefetch(const struct table *t, const struct table *of,
	const uint8_t *entry)
{
	uint64_t home = table_home(table_slot_hash(of, entry), t->shift);
	if (t->shift != 0)
		__builtin_prefetch(t->slots + home * t->stride);
}

// Of the canonical encoding of one null int64.
uint64_t table_null_hash(void);

// Snapshots of keys: {u32 key group, u32 number, key}, where a key is {u32 bytes, text}, an int64
// key 8 bytes of text and the null key none; GROUP_RUN_END stands where no more follow.
uint32_t table_key_bytes(const struct table *t, const uint8_t *entry);
void table_key_write(const struct table *t, const uint8_t *entry, uint32_t group, uint32_t number,
	struct snapshot_writer *w);

struct table_key {
	uint8_t *entry; // taken; NULL at the end
	uint32_t group, number;
};

// Returns 0, -EBADMSG or -ENOMEM.
int table_key_read(struct table *t, struct snapshot_reader *r, struct table_key *ret);

// A fetch of a group_source.
void table_fetch(const void *table, uint32_t i, uint32_t stage);

// The whole table as a run: keys numbered in order of creation, each with its rows and
// accumulators.
struct group_source table_source(const struct table *t);

// Take room to restore `count` keys into an empty table and make it ready until that returns true;
// then a key after the other (a group_key_reader), in any order and with others taken in between,
// which come behind them. The table is whole once `absent` is 0: table_at must wait for that.
// Return 0, -EBADMSG or -ENOMEM.
int table_restore_begin(struct table *t, uint32_t count, const struct snapshot_reader *r);
bool table_restore_prepare(void *table);
int table_restore_key(void *table, struct snapshot_reader *r, struct group_key *ret);
