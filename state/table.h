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
#define TABLE_NULL_SLOT UINT32_MAX // in the order list: the null key of an int64 table

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
	bool unmoved = UNLIKELY(i - t->beside.moved < t->beside.unmoved);
	uint32_t slot = unmoved ? t->beside.order[i] : t->order[i];
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

// The numbers 0 to count - 1 sorted by the key groups of what they number, in memory of the pool
// of count words; `groups` is such memory too and is given back.  NULL, also where groups is: the
// pool is exhausted.
uint32_t *groups_sort(struct pool *pool, uint32_t *groups, uint32_t count, uint32_t group_bits);

// The keys' places in the order of creation so sorted; to be given back by table_groups_free.
uint32_t *table_groups(const struct table *t, uint32_t group_bits);
void table_groups_free(const struct table *t, uint32_t *groups);

// Snapshots of keys: {u32 key group, u32 number, key}, where a key is {u32 bytes, text}, an int64
// key 8 bytes of text and the null key none; TABLE_KEYS_END stands where no more follow.
#define TABLE_KEYS_END UINT32_MAX

void table_key_write(const struct table *t, const uint8_t *entry, uint32_t group, uint32_t number,
	struct snapshot_writer *w);
// Take the entry of the next key, NULL at the end.  Returns 0, -EBADMSG or -ENOMEM.
int table_key_read(struct table *t, struct snapshot_reader *r, uint8_t **ret_entry,
	uint32_t *ret_number);

// The whole table: keys by key group, numbered in order of creation, each with its rows and
// accumulators.  table_restore is for an empty table; returns 0, -EBADMSG or -ENOMEM.
void table_snapshot(const struct table *t, uint32_t group_bits, struct snapshot_writer *w);
int table_restore(struct table *t, struct snapshot_reader *r);
