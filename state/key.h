// Keys: the canonical encoding of chosen fields, its hash, and the key group it falls into.
#pragma once

#include <stdint.h>

#include "state/batch.h"
#include "state/record.h"

#define KEY_GROUPS_DEFAULT 4096u
#define KEY_GROUP_BITS_DEFAULT 12u

// XXH3-64, seed 0, of an 8-byte key, inline; equals XXH3_64bits of its little-endian bytes.
static inline uint64_t key_hash_int64(int64_t value)
{
	// The 4-to-8-byte path of XXH3 (xxHash specification, "XXH3 for small inputs") with the
	// default secret's words folded in.
	uint64_t key = (uint64_t)value;
	uint64_t h = (key >> 32 | key << 32) ^ 0xC73AB174C5ECD5A2ULL;
	h ^= (h << 49 | h >> 15) ^ (h << 24 | h >> 40);
	h *= 0x9FB21C651E98DF25ULL;
	h ^= (h >> 35) + 8;
	h *= 0x9FB21C651E98DF25ULL;
	return h ^ h >> 28;
}

// XXH3-64, seed 0, of any canonical encoding.
uint64_t key_hash(const void *key, uint32_t bytes);

static inline uint32_t key_group(uint64_t hash, uint32_t group_bits)
{
	return (uint32_t)(hash >> (64 - group_bits));
}

// Write the canonical encoding (each field little-endian, text as u32 length and bytes, null as
// zero or empty, then a u32 mask of the nulls if there is any) of a record's fields.
// Returns its bytes; a return larger than `room` says that only the first `room` are written.
uint32_t key_encode(const struct weir_schema *schema, const uint16_t *fields, uint32_t field_count,
	const uint8_t *record, uint8_t *out, uint32_t room);

// The same from row `row` of columns.
uint32_t key_encode_columns(const struct weir_schema *schema, const uint16_t *fields,
	uint32_t field_count, const struct weir_column *columns, uint32_t row, uint8_t *out,
	uint32_t room);
