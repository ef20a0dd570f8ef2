#include <errno.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "numa/arena.h"
#include "random_row.h"
#include "state/batch.h"

enum { ROWS = 700, ROOM = 1 << 20 };

static struct arena arena;
static alignas(8) uint8_t packed[ROOM];
static struct random_row rows[ROWS]; // those of the schema's variant, in order
static const uint8_t *records[ROWS];

// Lay out rows of a schema, one in four a record of another variant.  Returns the bytes.
static uint32_t packed_fill(uint64_t *seed, const struct weir_schema *s, uint32_t *ret_rows)
{
	struct weir_schema other = {.variant = (uint16_t)(s->variant + 1)};
	schema_add(&other, "text", WEIR_STRING, 0, 0);
	schema_layout(&other);
	uint32_t bytes = 0, count = 0, limit = random_below(seed, ROWS);
	for (uint32_t i = 0; i < limit; i++) {
		if (random_below(seed, 4) == 0) {
			struct random_row skipped;
			random_row(seed, &other, 10, &skipped);
			bytes += random_build(&other, &skipped, packed + bytes, ROOM - bytes);
			continue;
		}
		records[count] = packed + bytes;
		random_row(seed, s, *seed % 3 ? 0 : 15, &rows[count]);
		bytes += random_build(s, &rows[count++], packed + bytes, ROOM - bytes);
	}
	*ret_rows = count;
	return bytes;
}

static void row_check(const struct weir_batch *b, uint32_t row, uint64_t fields,
	const struct random_row *want)
{
	alignas(8) static uint8_t record[RANDOM_RECORD_MAX];
	struct weir_column columns[SCHEMA_FIELDS_MAX];
	static const uint8_t nothing[16];
	static uint8_t nulls[BATCH_ROWS_MAX];
	memset(nulls, 1, sizeof(nulls));
	for (uint32_t i = 0; i < b->schema->field_count; i++) {
		bool asked = fields >> i & 1;
		struct weir_column absent = {nothing, nulls, 0};
		columns[i] = asked ? b->columns[i] : absent;
	}
	assert_true(batch_record(b->schema, columns, row, record, sizeof(record)) > 0);
	assert_int_equal(record_validate(b->schema, record, sizeof(record)), 0);
	for (uint32_t i = 0; i < b->schema->field_count; i++)
		if (fields >> i & 1)
			assert_true(random_matches(b->schema, i, &want->values[i], record));
}

// Walk a batch through batch_gather and compare every row.  Returns the rows seen.
static uint32_t gather_check(struct weir_batch *in, uint64_t fields, struct batch_columns *c)
{
	uint32_t seen = 0;
	while (!batch_is_empty(in)) {
		struct weir_batch out;
		const uint8_t *first = in->first;
		uint32_t at = in->at;
		const uint8_t *behind = batch_gather(in, fields, c, &out);
		assert_true(in->first == first && in->at == at);
		assert_int_equal(out.form, WEIR_COLUMNS);
		assert_int_equal(out.at, 0);
		assert_true(out.count <= BATCH_ROWS_MAX && out.schema == in->schema);
		for (uint32_t i = 0; i < out.count; i++)
			row_check(&out, i, fields, &rows[seen + i]);
		seen += out.count;
		batch_advance(in, out.count, behind);
	}
	return seen;
}

static void every_form_gathers_the_same(void **state)
{
	uint64_t seed = 1;
	for (int round = 0; round < 60; round++) {
		struct weir_schema s;
		struct batch_columns c, again;
		random_schema(&seed, 1 + random_below(&seed, 20), &s);
		assert_int_equal(arena_create(&arena, 2 << 20, -1, true), 0);
		assert_int_equal(batch_columns_create(&c, &s, &arena), 0);
		assert_int_equal(batch_columns_create(&again, &s, &arena), 0);
		uint32_t count, bytes = packed_fill(&seed, &s, &count);
		uint64_t all = ~0ULL >> (64 - s.field_count), some = random_u64(&seed) & all;
		struct weir_batch in = {.form = WEIR_PACKED,
			.first = packed,
			.limit = packed + bytes,
			.schema = &s};
		assert_int_equal(gather_check(&in, all, &c), count);
		in.first = packed;
		assert_int_equal(gather_check(&in, some, &c), count);
		in = (struct weir_batch){
			.form = WEIR_ROWS, .rows = records, .count = count, .schema = &s};
		assert_int_equal(gather_check(&in, some, &c), count);
		in = (struct weir_batch){
			.form = WEIR_ROWS, .rows = records, .count = count, .schema = &s};
		struct weir_batch columns, shifted;
		batch_gather(&in, all, &c, &columns);
		columns.at = columns.count / 3;
		uint32_t left = columns.count - columns.at;
		batch_gather(&columns, some, &again, &shifted);
		assert_int_equal(shifted.count, left);
		for (uint32_t i = 0; i < left; i++)
			row_check(&shifted, i, some, &rows[columns.at + i]);
		arena_destroy(&arena);
	}
}

static void a_run_of_other_variants_is_passed_over(void **state)
{
	struct weir_schema s = {.variant = 3}, other = {.variant = 4};
	schema_add(&s, "a", WEIR_INT64, 0, 0);
	schema_layout(&s);
	schema_add(&other, "a", WEIR_INT64, 0, 0);
	schema_layout(&other);
	struct record_builder b;
	uint32_t bytes = 0;
	for (int i = 0; i < 1000; i++) {
		record_begin(&b, &other, packed + bytes, ROOM - bytes);
		bytes += record_end(&b);
	}
	assert_int_equal(arena_create(&arena, 1 << 16, -1, true), 0);
	struct batch_columns c;
	assert_int_equal(batch_columns_create(&c, &s, &arena), 0);
	struct weir_batch out,
		in = {.form = WEIR_PACKED, .first = packed, .limit = packed + bytes, .schema = &s};
	assert_ptr_equal(batch_gather(&in, 1, &c, &out), packed + bytes);
	assert_int_equal(out.count, 0);
	arena_destroy(&arena);
}

static void a_null_array_is_there_only_for_nulls(void **state)
{
	struct weir_schema s = {0};
	schema_add(&s, "a", WEIR_INT64, 0, 0);
	schema_add(&s, "b", WEIR_INT64, 0, 0);
	schema_layout(&s);
	const uint8_t *at[3];
	uint32_t bytes = 0;
	for (int i = 0; i < 3; i++) {
		struct record_builder b;
		record_begin(&b, &s, packed + bytes, ROOM - bytes);
		record_set_int64(&b, 0, i);
		if (i != 1)
			record_set_int64(&b, 1, i);
		at[i] = packed + bytes;
		bytes += record_end(&b);
	}
	assert_int_equal(arena_create(&arena, 1 << 16, -1, true), 0);
	struct batch_columns c;
	assert_int_equal(batch_columns_create(&c, &s, &arena), 0);
	struct weir_batch out, in = {.form = WEIR_ROWS, .rows = at, .count = 3, .schema = &s};
	batch_gather(&in, 3, &c, &out);
	assert_null(out.columns[0].nulls);
	assert_memory_equal(out.columns[1].nulls, "\0\1\0", 3);
	batch_gather(&in, 1, &c, &out);
	in.count = 1; // a later batch without nulls has no array again
	batch_gather(&in, 3, &c, &out);
	assert_null(out.columns[1].nulls);
	arena_destroy(&arena);
}

static void one_value_serves_all_rows_at_stride_zero(void **state)
{
	struct weir_schema s = {0};
	schema_add(&s, "text", WEIR_STRING, 0, 0);
	schema_layout(&s);
	struct weir_slice text = {(const uint8_t *)"same", 4, 0};
	struct weir_column column = {&text, NULL, 0};
	alignas(8) uint8_t record[64];
	for (uint32_t row = 0; row < 300; row += 100) {
		assert_int_equal(batch_record(&s, &column, row, record, sizeof(record)), 24);
		struct weir_slice got = record_slice(record, s.fields[0].offset);
		assert_int_equal(got.length, 4);
		assert_memory_equal(got.data, "same", 4);
	}
	assert_int_equal(batch_record(&s, &column, 0, record, 23), 0);
}

static void too_little_room_is_said_and_kept_to(void **state)
{
	struct weir_schema s = {0};
	schema_add(&s, "flag", WEIR_BOOL, 0, 0);
	schema_add(&s, "a", WEIR_STRING, 0, 0);
	schema_add(&s, "b", WEIR_BYTES, 0, 0);
	schema_layout(&s);
	static const uint8_t flag = 1;
	struct weir_slice a = {(const uint8_t *)"123456", 6, 0}, b = {(const uint8_t *)"xyz", 3, 0};
	struct weir_column columns[] = {{&flag, NULL, 0}, {&a, NULL, 0}, {&b, NULL, 0}};
	alignas(8) uint8_t record[64];
	assert_int_equal(batch_record(&s, columns, 0, record, 48), 48);
	for (uint32_t room = 0; room < 48; room++) {
		memset(record, 0xAA, sizeof(record));
		assert_int_equal(batch_record(&s, columns, 0, record, room), 0);
		for (uint32_t i = room; i < sizeof(record); i++)
			assert_int_equal(record[i], 0xAA);
	}
}

static void an_arena_too_small_is_said(void **state)
{
	struct weir_schema s = {0};
	struct batch_columns c;
	for (int i = 0; i < 8; i++) {
		char name[2] = {(char)('a' + i), 0};
		schema_add(&s, name, WEIR_DECIMAL, 38, 0);
	}
	schema_layout(&s);
	assert_int_equal(arena_create(&arena, 4096, -1, true), 0);
	while (arena_alloc(&arena, 1024, 1))
		continue;
	assert_int_equal(batch_columns_create(&c, &s, &arena), -ENOMEM);
	arena_destroy(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_gathers_the_same),
		cmocka_unit_test(a_run_of_other_variants_is_passed_over),
		cmocka_unit_test(a_null_array_is_there_only_for_nulls),
		cmocka_unit_test(one_value_serves_all_rows_at_stride_zero),
		cmocka_unit_test(too_little_room_is_said_and_kept_to),
		cmocka_unit_test(an_arena_too_small_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
