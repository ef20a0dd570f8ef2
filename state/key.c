#include "state/key.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "numa/assert.h"

enum { MASK_BYTES = 4, MASK_BITS = 32 };

uint64_t key_hash(const void *key, uint32_t bytes)
{
	return XXH3_64bits(key, bytes);
}

// Where the encoding goes: `bytes` counts on when `room` is used up, so that the caller learns.
struct encoder {
	uint8_t *out;
	uint64_t bytes;
	uint32_t room;
	uint32_t nulls;
};

// Write as much as there is room for.
static __attribute__((noinline)) void put_part(struct encoder *e, const uint8_t *data,
	uint32_t bytes)
{
	if (e->bytes < e->room)
		memcpy(e->out + e->bytes, data, e->room - e->bytes);
}

static inline void put(struct encoder *e, const void *data, uint32_t bytes)
{
	if (UNLIKELY(e->bytes + bytes > e->room))
		put_part(e, data, bytes);
	else if (bytes)
		memcpy(e->out + e->bytes, data, bytes);
	e->bytes += bytes;
}

static void put_text(struct encoder *e, struct weir_slice text)
{
	put(e, &text.length, sizeof(text.length));
	put(e, text.data, text.length);
}

// Equal numbers have one encoding: no negative zero, one NaN.
static void put_float64(struct encoder *e, const uint8_t *value)
{
	double number;
	memcpy(&number, value, sizeof(number));
	if (number != number)
		number = __builtin_nan("");
	number += 0.0;
	put(e, &number, sizeof(number));
}

static void put_null(struct encoder *e, enum weir_type type, uint32_t position)
{
	static const uint8_t zeros[16];
	put(e, zeros, type_is_text(type) ? sizeof(uint32_t) : type_record_bytes(type));
	e->nulls |= 1u << position;
}

// A value that is not a text.
static inline void put_value(struct encoder *e, enum weir_type type, const uint8_t *value)
{
	if (type == WEIR_INT64 || type == WEIR_TIMESTAMP)
		put(e, value, 8);
	else if (type == WEIR_FLOAT64)
		put_float64(e, value);
	else
		put(e, value, type_record_bytes(type));
}

static uint32_t encoder_end(struct encoder *e)
{
	if (UNLIKELY(e->nulls))
		put(e, &e->nulls, MASK_BYTES);
	return e->bytes < UINT32_MAX ? (uint32_t)e->bytes : UINT32_MAX;
}

uint32_t key_encode(const struct weir_schema *schema, const uint16_t *fields, uint32_t field_count,
	const uint8_t *record, uint8_t *out, uint32_t room)
{
	struct encoder e = {.out = out, .room = room};
	uint64_t nulls = record_nulls(schema, record);
	ASSERT(field_count <= MASK_BITS && record_variant(record) == schema->variant);
	for (uint32_t i = 0; i < field_count; i++) {
		const struct weir_field *f = &schema->fields[fields[i]];
		ASSERT(fields[i] < schema->field_count);
		if (UNLIKELY(nulls >> fields[i] & 1))
			put_null(&e, f->type, i);
		else if (type_is_text(f->type))
			put_text(&e, record_slice(record, f->offset));
		else
			put_value(&e, f->type, record + f->offset);
	}
	return encoder_end(&e);
}

uint32_t key_encode_columns(const struct weir_schema *schema, const uint16_t *fields,
	uint32_t field_count, const struct weir_column *columns, uint32_t row, uint8_t *out,
	uint32_t room)
{
	struct encoder e = {.out = out, .room = room};
	ASSERT(field_count <= MASK_BITS);
	for (uint32_t i = 0; i < field_count; i++) {
		const struct weir_field *f = &schema->fields[fields[i]];
		const struct weir_column *c = &columns[fields[i]];
		const uint8_t *value = (const uint8_t *)c->data + (size_t)c->stride * row;
		struct weir_slice text;
		ASSERT(fields[i] < schema->field_count);
		if (UNLIKELY(c->nulls && c->nulls[row])) {
			put_null(&e, f->type, i);
		} else if (type_is_text(f->type)) {
			memcpy(&text, value, sizeof(text));
			put_text(&e, text);
		} else {
			put_value(&e, f->type, value);
		}
	}
	return encoder_end(&e);
}
