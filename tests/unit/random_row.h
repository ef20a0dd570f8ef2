// Random schemas and rows for property tests: everything comes from one seed.
#pragma once

#include <stdio.h>

#include "state/decimal.h"
#include "state/record.h"

enum { RANDOM_TEXT_MAX = 40, RANDOM_RECORD_MAX = 8192 };

struct random_value {
	bool null;
	int64_t i64; // also bool and timestamp
	double f64;
	__int128 decimal;
	uint8_t text[RANDOM_TEXT_MAX];
	uint32_t length;
};

struct random_row {
	struct random_value values[SCHEMA_FIELDS_MAX];
};

// SplitMix64 (Steele, Lea, Flood 2014).
static inline uint64_t random_u64(uint64_t *seed)
{
	uint64_t z = *seed += 0x9E3779B97F4A7C15ULL;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	return z ^ z >> 31;
}

static inline uint32_t random_below(uint64_t *seed, uint32_t limit)
{
	return (uint32_t)(random_u64(seed) % limit);
}

static inline void random_schema(uint64_t *seed, uint32_t fields, struct weir_schema *schema)
{
	*schema = (struct weir_schema){.variant = (uint16_t)random_below(seed, 3)};
	for (uint32_t i = 0; i < fields; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%u", i);
		enum weir_type type = random_below(seed, WEIR_TYPE_COUNT);
		uint8_t precision = (uint8_t)(1 + random_below(seed, DECIMAL_DIGITS_MAX));
		bool decimal = type == WEIR_DECIMAL;
		schema_add(schema, name, type, decimal ? precision : 0,
			decimal ? precision / 2 : 0);
	}
	schema_layout(schema);
}

static inline void random_text(uint64_t *seed, bool utf8, struct random_value *v)
{
	static const char *const pieces[] = {"a", "Z", " ", ",", "é", "ß", "€", "\U00010348", "0"};
	uint32_t count = random_below(seed, 9);
	for (uint32_t i = 0; i < count; i++) {
		const char *piece = pieces[random_below(seed, sizeof(pieces) / sizeof(pieces[0]))];
		memcpy(v->text + v->length, piece, strlen(piece));
		v->length += (uint32_t)strlen(piece);
	}
	for (uint32_t i = 0; !utf8 && i < v->length; i++)
		v->text[i] = (uint8_t)random_u64(seed);
}

// Small ranges are frequent, so that equal values meet.
static inline void random_row(uint64_t *seed, const struct weir_schema *schema,
	uint32_t null_percent, struct random_row *row)
{
	*row = (struct random_row){0};
	for (uint32_t i = 0; i < schema->field_count; i++) {
		struct random_value *v = &row->values[i];
		const struct weir_field *f = &schema->fields[i];
		v->null = random_below(seed, 100) < null_percent;
		bool small = random_below(seed, 2);
		uint64_t bits = small ? random_below(seed, 3) : random_u64(seed);
		v->i64 = f->type == WEIR_BOOL ? (int64_t)(bits & 1) : (int64_t)bits;
		v->f64 = small ? (double)bits - 1 : (double)(int64_t)bits / 3;
		v->decimal = (__int128)((unsigned __int128)random_u64(seed) << 64 | bits) %
			decimal_power[f->precision];
		if (type_is_text(f->type))
			random_text(seed, f->type == WEIR_STRING, v);
	}
}

static inline uint32_t random_build(const struct weir_schema *schema, const struct random_row *row,
	uint8_t *out, uint32_t room)
{
	struct record_builder b;
	record_begin(&b, schema, out, room);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct random_value *v = &row->values[i];
		enum weir_type type = schema->fields[i].type;
		if (v->null)
			continue;
		if (type == WEIR_BOOL)
			record_set_bool(&b, i, v->i64 != 0);
		else if (type == WEIR_FLOAT64)
			record_set_float64(&b, i, v->f64);
		else if (type == WEIR_DECIMAL)
			record_set_decimal(&b, i, v->decimal);
		else if (type_is_text(type))
			record_set_text(&b, i, v->text, v->length);
		else
			record_set_int64(&b, i, v->i64);
	}
	return record_end(&b);
}

// The field as read from a record equals the value.
static inline bool random_matches(const struct weir_schema *schema, uint32_t field,
	const struct random_value *v, const uint8_t *record)
{
	const struct weir_field *f = &schema->fields[field];
	if (record_is_null(record, field) || v->null)
		return record_is_null(record, field) && v->null;
	if (f->type == WEIR_BOOL)
		return record_bool(record, f->offset) == (v->i64 != 0);
	if (f->type == WEIR_FLOAT64)
		return record_float64(record, f->offset) == v->f64;
	if (f->type == WEIR_DECIMAL)
		return record_decimal(record, f->offset) == v->decimal;
	if (!type_is_text(f->type))
		return record_int64(record, f->offset) == v->i64;
	struct weir_slice text = record_slice(record, f->offset);
	return text.length == v->length && memcmp(text.data, v->text, text.length) == 0;
}
