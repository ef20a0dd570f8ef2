#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "state/schema.h"

static void layout_of_a_nexmark_bid(void **state)
{
	static const char *const names[] = {"auction", "bidder", "price", "time", "extra"};
	static const uint32_t offsets[] = {16, 24, 32, 40, 48};
	struct weir_schema s = {.name = "bid", .variant = 2};
	for (int i = 0; i < 5; i++)
		assert_int_equal(schema_add(&s, names[i],
					 i == 4           ? WEIR_STRING
						 : i == 3 ? WEIR_TIMESTAMP
							  : WEIR_INT64,
					 0, 0),
			0);
	schema_layout(&s);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(s.fields[i].offset, offsets[i]);
		assert_int_equal(schema_find(&s, names[i]), i);
	}
	assert_int_equal(s.null_words, 1);
	assert_int_equal(s.fixed_bytes, 56);
	assert_true(s.has_text);
	assert_int_equal(s.hole_count, 1); // 12 to 16
	assert_int_equal(s.holes[0].offset, 12);
	assert_int_equal(s.holes[0].bytes, 4);
	assert_int_equal(schema_find(&s, "nobody"), -1);
}

static void layout_aligns_each_type(void **state)
{
	struct weir_schema s = {0};
	schema_add(&s, "flag", WEIR_BOOL, 0, 0);
	schema_add(&s, "text", WEIR_BYTES, 0, 0);
	schema_add(&s, "sum", WEIR_DECIMAL, 38, 0);
	schema_add(&s, "last", WEIR_BOOL, 0, 0);
	schema_layout(&s);
	assert_int_equal(s.fields[0].offset, 12);
	assert_int_equal(s.fields[1].offset, 16);
	assert_int_equal(s.fields[2].offset, 24);
	assert_int_equal(s.fields[3].offset, 40);
	assert_int_equal(s.fixed_bytes, 41);
	assert_int_equal(s.hole_count, 1);
	schema_layout(&s); // again: the same
	assert_int_equal(s.hole_count, 1);
	assert_int_equal(s.text_count, 1);
	assert_int_equal(s.picky_count, 3);
}

static void null_words_grow_with_the_fields(void **state)
{
	struct weir_schema s = {0};
	schema_layout(&s);
	assert_int_equal(s.null_words, 0);
	assert_int_equal(s.fixed_bytes, 8);
	for (int i = 0; i < SCHEMA_FIELDS_MAX; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(schema_add(&s, name, WEIR_INT64, 0, 0), 0);
		schema_layout(&s);
		assert_int_equal(s.null_words, i < 32 ? 1 : 2);
	}
	assert_int_equal(s.fields[0].offset, 16);
	assert_int_equal(s.hole_count, 0);
	assert_int_equal(schema_add(&s, "one_more", WEIR_INT64, 0, 0), -ENOSPC);
	assert_int_equal(s.field_count, SCHEMA_FIELDS_MAX);
}

static void bad_fields_are_refused(void **state)
{
	struct weir_schema s = {0};
	char name[65];
	memset(name, 'x', sizeof(name) - 1);
	name[64] = 0;
	assert_int_equal(schema_add(&s, name, WEIR_BOOL, 0, 0), -ENAMETOOLONG);
	assert_int_equal(schema_add(&s, name + 1, WEIR_BOOL, 0, 0), 0);
	assert_int_equal(schema_add(&s, name + 1, WEIR_INT64, 0, 0), -EEXIST);
	assert_int_equal(schema_add(&s, "", WEIR_BOOL, 0, 0), -EINVAL);
	assert_int_equal(schema_add(&s, "a", WEIR_DECIMAL, 0, 0), -EINVAL);
	assert_int_equal(schema_add(&s, "a", WEIR_DECIMAL, 39, 0), -EINVAL);
	assert_int_equal(schema_add(&s, "a", WEIR_DECIMAL, 5, 6), -EINVAL);
	assert_int_equal(schema_add(&s, "a", WEIR_INT64, 5, 0), -EINVAL);
	assert_int_equal(schema_add(&s, "a", WEIR_TYPE_COUNT, 0, 0), -EINVAL);
	assert_int_equal(s.field_count, 1);
}

static void types_are_named_and_parsed(void **state)
{
	struct weir_field f = {0}, back;
	char text[32];
	for (enum weir_type t = 0; t < WEIR_TYPE_COUNT; t++) {
		f.type = t;
		f.precision = t == WEIR_DECIMAL ? 38 : 0;
		type_print(&f, text, sizeof(text));
		assert_int_equal(type_parse(text, &back), 0);
		assert_int_equal(back.type, t);
		assert_int_equal(back.precision, f.precision);
	}
	assert_int_equal(type_parse("decimal(4,4)", &back), 0);
	assert_int_equal(type_parse("decimal(12,3)", &back), 0);
	assert_int_equal(back.precision, 12);
	assert_int_equal(back.scale, 3);
	static const char *const bad[] = {"", "int", "int64 ", "INT64", "decimal", "decimal(",
		"decimal(5)", "decimal(5,6)", "decimal(0,0)", "decimal(39,0)", "decimal(05,1)",
		"decimal(5,01)", "decimal(5, 1)", "decimal(5,1) ", "decimal(5,-1)",
		"decimal(138,1)"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		back = (struct weir_field){.type = WEIR_BYTES, .precision = 7};
		assert_int_equal(type_parse(bad[i], &back), -EINVAL);
		assert_true(back.type == WEIR_BYTES && back.precision == 7);
	}
}

static void equality_is_of_fields_and_variant(void **state)
{
	struct weir_schema a = {.name = "a"}, b = {.name = "b"};
	schema_add(&a, "x", WEIR_DECIMAL, 10, 2);
	schema_add(&b, "x", WEIR_DECIMAL, 10, 2);
	assert_true(schema_equal(&a, &b));
	b.fields[0].scale = 3;
	assert_false(schema_equal(&a, &b));
	b = a;
	b.variant = 1;
	assert_false(schema_equal(&a, &b));
	b = a;
	schema_add(&b, "y", WEIR_BOOL, 0, 0);
	assert_false(schema_equal(&a, &b));
	b = a;
	b.fields[0].name[0] = 'z';
	assert_false(schema_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_of_a_nexmark_bid),
		cmocka_unit_test(layout_aligns_each_type),
		cmocka_unit_test(null_words_grow_with_the_fields),
		cmocka_unit_test(bad_fields_are_refused),
		cmocka_unit_test(types_are_named_and_parsed),
		cmocka_unit_test(equality_is_of_fields_and_variant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
