// The order log of one task: what it consumed in which order, as "(input, up to item)", and where
// its source injected barriers. Entries live until a later snapshot makes them needless.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum order_kind {
	ORDER_CONSUMED, // of `input`, all items below `position`
	ORDER_READ,     // source: all records below `position`
	ORDER_BARRIER,  // source: barrier `epoch` behind record `position`
	ORDER_STOPPED,  // source: interrupted behind record `position`
	ORDER_ENDED,    // source: ran out behind record `position`, before any other event
};

struct order_entry {
	uint64_t position;
	uint64_t checksum; // CONSUMED: of the input's items below `position`; else marks so far
	uint32_t epoch;    // BARRIER
	uint16_t input;    // CONSUMED: index among the task's inputs
	uint16_t kind;
};

struct arena;

// A ring of entries; `first` and `next` count for ever.
struct order_log {
	struct order_entry *entries;
	uint64_t capacity; // a power of two
	uint64_t first, next;
	uint64_t replay; // next entry to obey; == next: live
	uint64_t sealed; // entries below it grow no more: a snapshot lies between
};

// Returns 0 or -ENOMEM.
int order_log_create(struct order_log *log, uint64_t capacity, struct arena *arena);

static inline bool order_log_is_full(const struct order_log *log)
{
	return log->next - log->first == log->capacity;
}

static inline uint64_t order_log_room(const struct order_log *log)
{
	return log->capacity - (log->next - log->first);
}

static inline bool order_log_replaying(const struct order_log *log)
{
	return log->replay != log->next;
}

// Thread: owner.  Append while live; consecutive CONSUMED entries of one input become one, as do
// READ ones.
// The log must not be full.
void order_log_append(struct order_log *log, const struct order_entry *entry);

// The entry of that index, between first and next.
const struct order_entry *order_log_at(const struct order_log *log, uint64_t index);

// The entry to obey now; only while replaying.
const struct order_entry *order_log_current(const struct order_log *log);
void order_log_obeyed(struct order_log *log);

// Thread: owner.  Take an entry that another instance chose, to be obeyed. The log must not be
// full.
void order_log_follow(struct order_log *log, const struct order_entry *entry);

// A snapshot is taken here: entries before and after it stay apart.
void order_log_seal(struct order_log *log);

// Forget entries below `first` (a value of `next` when a snapshot was taken).
void order_log_trim(struct order_log *log, uint64_t first);

#define ORDER_KEY 0x9E3779B97F4A7C15ULL      // an item's number times this keys its term
#define ORDER_KEY_HIGH 0xC2B2AE3D27D4EB4FULL // more for a record's second half
enum {
	ORDER_MIXED_BYTES = 32, // of a record, as far as it is that long
	ORDER_EVEN_BYTES_MIN = 24,
};

// One term of the running checksum over consumed items: a mark's, or a record's without its length.
static inline uint64_t order_mix(uint64_t number, uint64_t low, uint64_t high)
{
	uint64_t key = (number + 1) * ORDER_KEY;
	return (low ^ key) * (high + key);
}

// The terms of `count` records from `first`, numbered from `number`: of each its length, its null
// words (its bytes 8 to 15) and the next 16 bytes, of its fields; docs/formats.md has the formula.
uint64_t order_mix_records(uint64_t number, const uint8_t *first, uint64_t count);

// The same for records that are all of `bytes` (a multiple of 8, at least ORDER_EVEN_BYTES_MIN).
uint64_t order_mix_even(uint64_t number, const uint8_t *first, uint64_t count, uint32_t bytes);
