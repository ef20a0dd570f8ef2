#include "state/record.h"

#include <errno.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "numa/assert.h"
#include "state/decimal.h"
#include "state/utf8.h"

enum { BYTES_MAX = 1 << 30 }; // of a record, far above any frame

static uint32_t pad(uint32_t length)
{
	return (length + RECORD_ALIGN - 1u) & ~(RECORD_ALIGN - 1u);
}

void record_begin(struct record_builder *b, const struct weir_schema *schema, uint8_t *out,
	uint32_t room)
{
	b->schema = schema;
	b->record = out;
	b->room = room < BYTES_MAX ? room : BYTES_MAX;
	b->length = schema->fixed_bytes;
	if (b->length > b->room)
		return;
	memset(out, 0, schema->fixed_bytes);
	memcpy(out + 4, &schema->variant, sizeof(schema->variant));
	uint64_t nulls = schema->field_count ? ~0ULL >> (64 - schema->field_count) : 0;
	record_nulls_set(schema, out, nulls);
}

static void null_clear(uint8_t *record, uint32_t field)
{
	record[RECORD_HEADER_BYTES + field / 8] &= (uint8_t) ~(1u << field % 8);
}

static void value_set(struct record_builder *b, uint32_t field, const void *value, uint32_t bytes)
{
	ASSERT(field < b->schema->field_count);
	ASSERT(type_record_bytes(b->schema->fields[field].type) == bytes);
	if (b->length > b->room)
		return;
	null_clear(b->record, field);
	memcpy(b->record + b->schema->fields[field].offset, value, bytes);
}

void record_set_bool(struct record_builder *b, uint32_t field, bool value)
{
	ASSERT(b->schema->fields[field].type == WEIR_BOOL);
	value_set(b, field, &value, 1);
}

void record_set_int64(struct record_builder *b, uint32_t field, int64_t value)
{
	ASSERT(b->schema->fields[field].type == WEIR_INT64 ||
		b->schema->fields[field].type == WEIR_TIMESTAMP);
	value_set(b, field, &value, sizeof(value));
}

void record_set_float64(struct record_builder *b, uint32_t field, double value)
{
	ASSERT(b->schema->fields[field].type == WEIR_FLOAT64);
	value_set(b, field, &value, sizeof(value));
}

void record_set_decimal(struct record_builder *b, uint32_t field, __int128 value)
{
	ASSERT(b->schema->fields[field].type == WEIR_DECIMAL);
	ASSERT(decimal_fits(value, b->schema->fields[field].precision));
	value_set(b, field, &value, sizeof(value));
}

// No text at or behind this one has been set.
static bool text_is_next(const struct record_builder *b, uint32_t field)
{
	for (uint32_t i = 0; i < b->schema->text_count; i++)
		if (b->schema->texts[i] >= field && !record_is_null(b->record, b->schema->texts[i]))
			return false;
	return true;
}

uint8_t *record_reserve_text(struct record_builder *b, uint32_t field, uint32_t length)
{
	ASSERT(field < b->schema->field_count && type_is_text(b->schema->fields[field].type));
	if (b->length > b->room)
		return NULL;
	ASSERT(text_is_next(b, field));
	if (length > b->room - b->length) {
		b->length = b->room + 1;
		return NULL;
	}
	uint32_t slot[2] = {b->length, length};
	value_set(b, field, slot, sizeof(slot));
	b->length += length;
	return b->record + slot[0];
}

void record_set_text(struct record_builder *b, uint32_t field, const void *data, uint32_t length)
{
	uint8_t *out = record_reserve_text(b, field, length);
	if (out != NULL && length != 0)
		memcpy(out, data, length);
}

// Up to seven zeros, without a call.
static void tail_clear(uint8_t *at, uint32_t bytes)
{
	static const uint8_t zeros[4];
	if (bytes & 4)
		memcpy(at, zeros, 4);
	if (bytes & 2)
		memcpy(at + (bytes & 4), zeros, 2);
	if (bytes & 1)
		at[bytes - 1] = 0;
}

uint32_t record_finish(uint8_t *record, uint32_t end, uint32_t room)
{
	uint32_t length = pad(end);
	if (length > room)
		return 0;
	tail_clear(record + end, length - end);
	memcpy(record, &length, sizeof(length));
	return length;
}

uint32_t record_end(struct record_builder *b)
{
	return record_finish(b->record, b->length, b->room);
}

static bool is_zero(const uint8_t *at, uint32_t bytes)
{
	uint8_t any = 0;
	while (bytes--)
		any |= *at++;
	return any == 0;
}

static bool nulls_are_sane(const struct weir_schema *schema, const uint8_t *record)
{
	uint64_t nulls = record_nulls(schema, record);
	if (schema->field_count < 64 && nulls >> schema->field_count)
		return false;
	for (; nulls; nulls &= nulls - 1) {
		const struct weir_field *f = &schema->fields[__builtin_ctzll(nulls)];
		if (!is_zero(record + f->offset, type_record_bytes(f->type)))
			return false;
	}
	return true;
}

// Values whose type does not allow every bit pattern.
static bool values_are_sane(const struct weir_schema *schema, const uint8_t *record)
{
	for (uint32_t i = 0; i < schema->picky_count; i++) {
		const struct weir_field *f = &schema->fields[schema->picky[i]];
		if (f->type == WEIR_BOOL) {
			if (record[f->offset] > 1)
				return false;
		} else if (!decimal_fits(record_decimal(record, f->offset), f->precision)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < schema->hole_count; i++)
		if (!is_zero(record + schema->holes[i].offset, schema->holes[i].bytes))
			return false;
	return true;
}

// Texts lie one behind the other from the fixed part on.  Returns where they end, 0 when they do
// not.
static uint32_t texts_end(const struct weir_schema *schema, const uint8_t *record, uint32_t length)
{
	uint32_t at = schema->fixed_bytes;
	for (uint32_t i = 0; i < schema->text_count; i++) {
		uint32_t field = schema->texts[i], slot[2];
		if (record_is_null(record, field))
			continue;
		memcpy(slot, record + schema->fields[field].offset, sizeof(slot));
		if (slot[0] != at || slot[1] > length - at)
			return 0;
		if (schema->fields[field].type == WEIR_STRING &&
			!utf8_is_valid(record + at, slot[1]))
			return 0;
		at += slot[1];
	}
	return at;
}

int record_validate(const struct weir_schema *schema, const uint8_t *record, uint32_t bytes)
{
	uint64_t header;
	if (bytes < schema->fixed_bytes)
		return -EBADMSG;
	memcpy(&header, record, sizeof(header));
	uint32_t length = (uint32_t)header;
	// The reserved u16 is zero exactly when the upper half equals the variant.
	if (header >> 32 != schema->variant || length > bytes || length < schema->fixed_bytes ||
		length % RECORD_ALIGN)
		return -EBADMSG;
	if (!nulls_are_sane(schema, record) || !values_are_sane(schema, record))
		return -EBADMSG;
	uint32_t end = texts_end(schema, record, length);
	if (end == 0 || pad(end) != length || !is_zero(record + end, length - end))
		return -EBADMSG;
	return 0;
}

uint64_t record_hash(const uint8_t *record)
{
	return XXH3_64bits(record, record_length(record));
}
