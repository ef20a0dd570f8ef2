#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <xxhash.h>

#include "random_row.h"
#include "state/key.h"

enum { ROWS = 300, KEY_ROOM = 1024 };

static void the_inline_hash_is_xxh3(void **state)
{
	uint64_t seed = 1;
	static const int64_t edges[] = {0, 1, -1, INT64_MIN, INT64_MAX, 1LL << 32, 0xFFFFFFFF};
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		assert_true(key_hash_int64(edges[i]) == XXH3_64bits(&edges[i], 8));
	for (int i = 0; i < 100000; i++) {
		int64_t value = (int64_t)random_u64(&seed) >> i % 64;
		assert_true(key_hash_int64(value) == XXH3_64bits(&value, 8));
		assert_true(key_hash(&value, 8) == key_hash_int64(value));
	}
	uint8_t bytes[600];
	for (uint32_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(i * 7);
		assert_true(key_hash(bytes, i) == XXH3_64bits(bytes, i));
	}
}

static void groups_are_the_top_bits(void **state)
{
	assert_int_equal(key_group(~0ULL, KEY_GROUP_BITS_DEFAULT), KEY_GROUPS_DEFAULT - 1);
	assert_int_equal(key_group(0x123ULL << 52 | 0xFFFF, 12), 0x123);
	assert_int_equal(key_group(1ULL << 63, 1), 1);
}

static bool values_equal(enum weir_type type, const struct random_value *a,
	const struct random_value *b)
{
	if (a->null || b->null)
		return a->null && b->null;
	if (type == WEIR_FLOAT64)
		return a->f64 == b->f64 || (a->f64 != a->f64 && b->f64 != b->f64);
	if (type == WEIR_DECIMAL)
		return a->decimal == b->decimal;
	if (!type_is_text(type))
		return a->i64 == b->i64;
	return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

// Keep values few, so that many keys are equal in part or in whole.
static void row_narrow(uint64_t *seed, const struct weir_schema *s, struct random_row *row)
{
	static const double doubles[] = {0.0, -0.0, 1.5, __builtin_nan(""), -__builtin_nan("7")};
	for (uint32_t i = 0; i < s->field_count; i++) {
		struct random_value *v = &row->values[i];
		v->i64 = s->fields[i].type == WEIR_BOOL ? v->i64 : random_below(seed, 2);
		v->f64 = doubles[random_below(seed, 5)];
		v->decimal = random_below(seed, 2);
		v->length = random_below(seed, 3);
		memset(v->text, (int)random_below(seed, 2), v->length);
		for (uint32_t k = 0; k < v->length; k++)
			v->text[k] = (uint8_t)random_below(seed, 2);
	}
}

static void encodings_are_equal_exactly_when_keys_are(void **state)
{
	static alignas(8) uint8_t record[RANDOM_RECORD_MAX];
	static struct random_row rows[ROWS];
	static uint8_t keys[ROWS][KEY_ROOM];
	uint32_t lengths[ROWS], same = 0, different = 0;
	uint64_t seed = 2;
	for (int round = 0; round < 40; round++) {
		struct weir_schema s;
		random_schema(&seed, 1 + random_below(&seed, 40), &s);
		uint16_t fields[8];
		uint32_t count = 1 + random_below(&seed, 3);
		for (uint32_t i = 0; i < count; i++)
			fields[i] = (uint16_t)random_below(&seed, s.field_count);
		for (uint32_t i = 0; i < ROWS; i++) {
			random_row(&seed, &s, 25, &rows[i]);
			row_narrow(&seed, &s, &rows[i]);
			random_build(&s, &rows[i], record, sizeof(record));
			lengths[i] = key_encode(&s, fields, count, record, keys[i], KEY_ROOM);
			assert_true(lengths[i] <= KEY_ROOM);
		}
		for (uint32_t i = 0; i < ROWS; i++) {
			for (uint32_t k = 0; k < i; k++) {
				bool equal = true;
				for (uint32_t f = 0; f < count; f++)
					equal &= values_equal(s.fields[fields[f]].type,
						&rows[i].values[fields[f]],
						&rows[k].values[fields[f]]);
				bool bytes_equal = lengths[i] == lengths[k] &&
					memcmp(keys[i], keys[k], lengths[i]) == 0;
				assert_int_equal(equal, bytes_equal);
				same += equal;
				different += !equal;
			}
		}
	}
	assert_true(same > 10000 && different > 10000);
}

static void the_encoding_is_as_pinned(void **state)
{
	struct weir_schema s = {0};
	schema_add(&s, "name", WEIR_STRING, 0, 0);
	schema_add(&s, "flag", WEIR_BOOL, 0, 0);
	schema_add(&s, "id", WEIR_INT64, 0, 0);
	schema_add(&s, "sum", WEIR_DECIMAL, 38, 0);
	schema_layout(&s);
	alignas(8) uint8_t record[128];
	uint8_t key[64];
	struct record_builder b;
	record_begin(&b, &s, record, sizeof(record));
	record_set_text(&b, 0, "ORD", 3);
	record_set_bool(&b, 1, true);
	record_set_decimal(&b, 3, -2);
	record_end(&b);
	static const uint16_t fields[] = {3, 0, 2, 1};
	static const uint8_t want[] = {0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
		0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 3, 0, 0, 0, 'O', 'R', 'D', 0, 0, 0, 0, 0, 0, 0,
		0, 1, 4, 0, 0, 0};
	assert_int_equal(key_encode(&s, fields, 4, record, key, sizeof(key)), sizeof(want));
	assert_memory_equal(key, want, sizeof(want));
	assert_int_equal(key_encode(&s, fields + 3, 1, record, key, sizeof(key)), 1);
	assert_int_equal(key[0], 1);
	for (uint32_t room = 0; room < sizeof(want); room++) {
		memset(key, 0xAA, sizeof(key));
		assert_int_equal(key_encode(&s, fields, 4, record, key, room), sizeof(want));
		assert_int_equal(key[room], 0xAA);
		assert_memory_equal(key, want, room);
	}
	static const uint16_t name = 0; // a null text: an empty one and the mask
	record_begin(&b, &s, record, sizeof(record));
	record_end(&b);
	assert_int_equal(key_encode(&s, &name, 1, record, key, sizeof(key)), 8);
	assert_memory_equal(key, "\0\0\0\0\1\0\0\0", 8);
}

static void columns_encode_as_records_do(void **state)
{
	static alignas(8) uint8_t record[RANDOM_RECORD_MAX];
	static struct random_row row;
	uint64_t seed = 3;
	for (int round = 0; round < 500; round++) {
		struct weir_schema s;
		random_schema(&seed, 1 + random_below(&seed, 10), &s);
		random_row(&seed, &s, 20, &row);
		random_build(&s, &row, record, sizeof(record));
		struct weir_column columns[SCHEMA_FIELDS_MAX];
		struct weir_slice texts[SCHEMA_FIELDS_MAX];
		uint8_t nulls[SCHEMA_FIELDS_MAX];
		uint16_t fields[SCHEMA_FIELDS_MAX];
		for (uint16_t i = 0; i < s.field_count; i++) {
			uint32_t offset = s.fields[i].offset;
			fields[i] = i;
			nulls[i] = record_is_null(record, i);
			texts[i] = record_slice(record, offset);
			bool text = type_is_text(s.fields[i].type);
			const void *data = text ? (void *)&texts[i] : (void *)(record + offset);
			columns[i] = (struct weir_column){data, nulls[i] ? &nulls[i] : NULL, 0};
		}
		uint8_t a[KEY_ROOM], b[KEY_ROOM];
		uint32_t length = key_encode(&s, fields, s.field_count, record, a, sizeof(a));
		assert_int_equal(key_encode_columns(&s, fields, s.field_count, columns, 0, b,
					 sizeof(b)),
			length);
		assert_memory_equal(a, b, length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_inline_hash_is_xxh3),
		cmocka_unit_test(groups_are_the_top_bits),
		cmocka_unit_test(encodings_are_equal_exactly_when_keys_are),
		cmocka_unit_test(the_encoding_is_as_pinned),
		cmocka_unit_test(columns_encode_as_records_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
