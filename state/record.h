// Records in the pinned format (DESIGN.md, section 5): read in place, built in place.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "state/schema.h"

struct weir_slice {
	const uint8_t *data;
	uint32_t length;
	uint32_t reserved;
};

enum { RECORD_HEADER_BYTES = 8, RECORD_ALIGN = 8 };

static inline uint32_t record_length(const uint8_t *record)
{
	uint32_t length;
	memcpy(&length, record, sizeof(length));
	return length;
}

static inline uint16_t record_variant(const uint8_t *record)
{
	uint16_t variant;
	memcpy(&variant, record + 4, sizeof(variant));
	return variant;
}

static inline bool record_is_null(const uint8_t *record, uint32_t field)
{
	uint32_t word;
	memcpy(&word, record + RECORD_HEADER_BYTES + 4 * (field / 32), sizeof(word));
	return word >> (field % 32) & 1;
}

// Bit i: field i is null.
static inline uint64_t record_nulls(const struct weir_schema *schema, const uint8_t *record)
{
	uint64_t both = 0;
	uint32_t first = 0;
	if (schema->null_words == 2)
		memcpy(&both, record + RECORD_HEADER_BYTES, sizeof(both));
	else if (schema->null_words == 1)
		memcpy(&first, record + RECORD_HEADER_BYTES, sizeof(first));
	return both | first;
}

static inline void record_nulls_set(const struct weir_schema *schema, uint8_t *record,
	uint64_t nulls)
{
	uint32_t first = (uint32_t)nulls;
	if (schema->null_words == 2)
		memcpy(record + RECORD_HEADER_BYTES, &nulls, sizeof(nulls));
	else if (schema->null_words == 1)
		memcpy(record + RECORD_HEADER_BYTES, &first, sizeof(first));
}

static inline int64_t record_int64(const uint8_t *record, uint32_t offset)
{
	int64_t value;
	memcpy(&value, record + offset, sizeof(value));
	return value;
}

static inline bool record_bool(const uint8_t *record, uint32_t offset)
{
	return record[offset] != 0;
}

static inline double record_float64(const uint8_t *record, uint32_t offset)
{
	double value;
	memcpy(&value, record + offset, sizeof(value));
	return value;
}

static inline __int128 record_decimal(const uint8_t *record, uint32_t offset)
{
	__int128 value;
	memcpy(&value, record + offset, sizeof(value));
	return value;
}

// A null text reads as empty, its data being the record's start.
static inline struct weir_slice record_slice(const uint8_t *record, uint32_t offset)
{
	uint32_t at[2];
	memcpy(at, record + offset, sizeof(at));
	return (struct weir_slice){record + at[0], at[1], 0};
}

// Build a record field by field, in declared order or not; texts must be set in field order.
struct record_builder {
	const struct weir_schema *schema;
	uint8_t *record;
	uint32_t room;
	uint32_t length; // so far, unpadded; over `room` once something did not fit
};

// Start a record at `out` (aligned to 8); a field that is never set is null.
void record_begin(struct record_builder *b, const struct weir_schema *schema, uint8_t *out,
	uint32_t room);
void record_set_bool(struct record_builder *b, uint32_t field, bool value);
void record_set_int64(struct record_builder *b, uint32_t field, int64_t value); // and timestamp
void record_set_float64(struct record_builder *b, uint32_t field, double value);
void record_set_decimal(struct record_builder *b, uint32_t field, __int128 value);
void record_set_text(struct record_builder *b, uint32_t field, const void *data, uint32_t length);
// The same, the text to be written by the caller.  Returns where to, or NULL when it does not fit.
uint8_t *record_reserve_text(struct record_builder *b, uint32_t field, uint32_t length);
// Pad and write the length.  Returns the record's whole length, or 0 when it did not fit.
uint32_t record_end(struct record_builder *b);

// The same for a record whose every byte before `end` is written but its length.
uint32_t record_finish(uint8_t *record, uint32_t end, uint32_t room);

// Check a record from outside (file, network) at the start of `bytes` bytes, more may follow it,
// against its schema: length, variant, padding, null bits, zero bytes under nulls, bools, decimals
// within their precision, text offsets and UTF-8. Exactly the bytes the builder could have made
// pass; afterwards every accessor stays inside.  Returns 0 or -EBADMSG.
int record_validate(const struct weir_schema *schema, const uint8_t *record, uint32_t bytes);

// XXH3-64, seed 0, of the whole record: one term of the output hash.
uint64_t record_hash(const uint8_t *record);
