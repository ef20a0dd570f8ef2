#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/expression.h"
#include "dataplane/value_text.h"
#include "numa/arena.h"
#include "state/decimal.h"
#include "state/time_text.h"

// One row: i 7, j -3, z 0, big 2^63-1, small -2^63, f 2.5, b true, d 12.34 (decimal(10,2)),
// t 2001-01-01T00:00:01Z, s 'Grüße', e '', y bytes "ab", n null int64, m null bool, o null string.
static struct weir_schema schema;
static struct weir_column columns[SCHEMA_FIELDS_MAX];
static struct arena arena;

static uint8_t all_null[BATCH_ROWS_MAX];

static void field(const char *name, enum weir_type type, const void *value)
{
	uint32_t i = schema.field_count;
	assert_int_equal(schema_add(&schema, name, type, type == WEIR_DECIMAL ? 10 : 0,
				 type == WEIR_DECIMAL ? 2 : 0),
		0);
	static const uint8_t zero[16];
	columns[i] = (struct weir_column){value ? value : zero, value ? NULL : all_null, 0};
}

static int set_up(void **state)
{
	static const int64_t i = 7, j = -3, z = 0, big = INT64_MAX, small = INT64_MIN;
	static const int64_t t = 978307201 * 1000000000LL;
	static const double f = 2.5;
	static const uint8_t b = 1;
	static const __int128 d = 1234;
	static const struct weir_slice s = {(const uint8_t *)"Gr\xc3\xbc\xc3\x9f"
							     "e",
		7, 0};
	static const struct weir_slice e = {(const uint8_t *)"", 0, 0};
	static const struct weir_slice y = {(const uint8_t *)"ab", 2, 0};
	static const struct weir_slice q = {(const uint8_t *)"12", 2, 0};
	memset(all_null, 1, sizeof(all_null));
	field("i", WEIR_INT64, &i);
	field("j", WEIR_INT64, &j);
	field("z", WEIR_INT64, &z);
	field("big", WEIR_INT64, &big);
	field("small", WEIR_INT64, &small);
	field("f", WEIR_FLOAT64, &f);
	field("b", WEIR_BOOL, &b);
	field("d", WEIR_DECIMAL, &d);
	field("t", WEIR_TIMESTAMP, &t);
	field("s", WEIR_STRING, &s);
	field("e", WEIR_STRING, &e);
	field("y", WEIR_BYTES, &y);
	field("q", WEIR_STRING, &q);
	field("n", WEIR_INT64, NULL);
	field("m", WEIR_BOOL, NULL);
	field("o", WEIR_STRING, NULL);
	field("and", WEIR_INT64, &i);
	schema_layout(&schema);
	return 0;
}

static void print_value(const struct weir_field *type, const void *at, char *out)
{
	union {
		int64_t integer;
		double real;
		__int128 decimal;
		struct weir_slice text;
		uint8_t boolean;
	} v = {0};
	uint32_t length = 0;
	memcpy(&v, at, type_column_bytes(type->type));
	switch (type->type) {
	case WEIR_BOOL:
		length = (uint32_t)sprintf(out, "%s", v.boolean ? "true" : "false");
		break;
	case WEIR_FLOAT64:
		length = value_float64_print(v.real, out);
		break;
	case WEIR_DECIMAL:
		length = decimal_print(v.decimal, type->scale, out);
		break;
	case WEIR_TIMESTAMP:
		length = time_print(v.integer, out);
		break;
	case WEIR_STRING:
	case WEIR_BYTES:
		length = v.text.length;
		memcpy(out, v.text.data, length);
		break;
	default:
		length = value_int64_print(v.integer, out);
	}
	out[length] = '\0';
}

// "type value", "null", an error's reason, or the message of what does not compile.
static void evaluate(const char *text, char *out)
{
	struct expression *x;
	struct expression_state *s;
	uint8_t errors[BATCH_ROWS_MAX] = {0};
	char error[512];
	if (expression_compile(text, &schema, error, sizeof(error), &x) != 0) {
		sprintf(out, "%s", error);
		return;
	}
	assert_int_equal(arena_create(&arena, 8 << 20, -1, true), 0);
	assert_int_equal(expression_state_create(x, &arena, &s), 0);
	arena_seal(&arena);
	// All rows alike, the last of a full batch as well as the first.
	struct weir_column got = expression_eval(x, s, columns, BATCH_ROWS_MAX, errors);
	const uint32_t row = BATCH_ROWS_MAX - 1;
	const struct weir_field *type = expression_type(x);
	assert_int_equal(errors[0], errors[row]);
	if (errors[row]) {
		sprintf(out, "%s", weir_drop_names[errors[row] - 1]);
	} else if (got.nulls && got.nulls[row]) {
		sprintf(out, "null");
	} else {
		type_print(type, out, 32);
		strcat(out, " ");
		print_value(type, (const uint8_t *)got.data + (size_t)row * got.stride,
			out + strlen(out));
	}
	arena_destroy(&arena);
	expression_free(x);
}

struct row {
	const char *text, *want;
};

static void check(const struct row *table, size_t count)
{
	char got[1024];
	for (size_t i = 0; i < count; i++) {
		evaluate(table[i].text, got);
		if (strcmp(got, table[i].want) != 0)
			fail_msg("%s: `%s`, not `%s`", table[i].text, got, table[i].want);
	}
}

#define CHECK(table) check(table, sizeof(table) / sizeof(table[0]))

static void arithmetic(void **state)
{
	static const struct row table[] = {
		{"1 + 2 * 3", "int64 7"},
		{"(1 + 2) * 3", "int64 9"},
		{"10 - 4 - 3", "int64 3"},
		{"i / j", "int64 -2"},
		{"i % j", "int64 1"},
		{"j % i", "int64 -3"},
		{"mod(i, 4)", "int64 3"},
		{"-i + +j", "int64 -10"},
		{"- - i", "int64 7"},
		{"abs(j)", "int64 3"},
		{"i * f", "float64 17.5"},
		{"i / 2", "int64 3"},
		{"i / 2.0", "decimal(38,6) 3.500000"},
		{"i / 2e0", "float64 3.5"},
		{"1.5e3", "float64 1500"},
		{"f % 2", "float64 0.5"},
		{"-9223372036854775808", "int64 -9223372036854775808"},
		{"9223372036854775808", "decimal(19,0) 9223372036854775808"},
		{"i + n", "null"},
		{"n * 0", "null"},
		{"n / 0", "null"},
		{"0 / n", "null"},
		{"-n", "null"},
		{"null + 1", "null"},
	};
	CHECK(table);
}

static void decimals_are_exact(void **state)
{
	static const struct row table[] = {
		{"0.908 * i", "decimal(22,3) 6.356"},
		{"d * 0.1", "decimal(11,3) 1.234"},
		{"d + 1", "decimal(22,2) 13.34"},
		{"d - 0.001", "decimal(12,3) 12.339"},
		{"d % 5", "decimal(21,2) 2.34"},
		{"-d % 5", "decimal(21,2) -2.34"},
		{"d / 3", "decimal(38,6) 4.113333"},
		{"d / 0.007", "decimal(38,6) 1762.857143"},
		{"-d", "decimal(10,2) -12.34"},
		{"abs(-d)", "decimal(10,2) 12.34"},
		{"d = 12.340", "bool true"},
		{"d > 12.339", "bool true"},
		{"d < 13", "bool true"},
		{"d in (1, 12.34)", "bool true"},
		{"d * f", "float64 30.85"},
		{"0.1 + 0.2 = 0.3", "bool true"},
		{"cast(d as decimal(10,1))", "decimal(10,1) 12.3"},
		{"cast(12.35 as decimal(10,1))", "decimal(10,1) 12.4"},
		{"cast(d as int64)", "int64 12"},
		{"cast(d as float64)", "float64 12.34"},
		{"cast(d as string)", "string 12.34"},
		{"cast(f as decimal(4,2))", "decimal(4,2) 2.50"},
		{"cast(0.49999999999999994e0 as decimal(4,0))", "decimal(4,0) 0"},
	};
	CHECK(table);
}

static void errors_belong_to_the_row(void **state)
{
	static const struct row table[] = {
		{"i / z", "out_of_range"},
		{"i % z", "out_of_range"},
		{"d / z", "out_of_range"},
		{"d % z", "out_of_range"},
		{"f / z", "out_of_range"},
		{"f % z", "out_of_range"},
		{"big + 1", "out_of_range"},
		{"small - 1", "out_of_range"},
		{"big * 2", "out_of_range"},
		{"small / -1", "out_of_range"},
		{"small % -1", "int64 0"},
		{"-small", "out_of_range"},
		{"abs(small)", "out_of_range"},
		{"1e308 * 10", "out_of_range"},
		{"cast(big as decimal(38,19)) * 10000000000000", "out_of_range"},
		{"cast(1e30 as int64)", "out_of_range"},
		{"cast(d as decimal(3,2))", "out_of_range"},
		{"cast(s as int64)", "wrong_type"},
		{"cast('99999999999999999999' as int64)", "out_of_range"},
		{"cast(cast(y as string) as bool)", "wrong_type"},
		{"(i / z) is null", "out_of_range"},
		{"i / z = 1 and false", "out_of_range"},
		{"t + cast(big as int64) * 1ns", "out_of_range"},
	};
	CHECK(table);
}

static void what_is_already_decided_raises_no_error(void **state)
{
	static const struct row table[] = {
		{"z <> 0 and i / z = 1", "bool false"},
		{"z = 0 or i / z = 1", "bool true"},
		{"m and i / z = 1", "out_of_range"},
		{"coalesce(i, i / z)", "int64 7"},
		{"coalesce(n, i / z)", "out_of_range"},
		{"i in (7, i / z)", "bool true"},
		{"i in (8, i / z)", "out_of_range"},
		{"z <> 0 and (i > 3 or i / z = 1)", "bool false"},
	};
	CHECK(table);
}

static void logic_is_three_valued(void **state)
{
	static const struct row table[] = {
		{"true and true", "bool true"},
		{"true and false", "bool false"},
		{"true and null", "null"},
		{"false and null", "bool false"},
		{"null and false", "bool false"},
		{"null and true", "null"},
		{"null and null", "null"},
		{"true or null", "bool true"},
		{"null or true", "bool true"},
		{"false or null", "null"},
		{"null or false", "null"},
		{"false or false", "bool false"},
		{"not null", "null"},
		{"not m", "null"},
		{"not b", "bool false"},
		{"not not b", "bool true"},
		{"not b or b and not b", "bool false"},
		{"not i = 7", "bool false"},
		{"n = n", "null"},
		{"n <> 1", "null"},
		{"null = null", "null"},
		{"n is null", "bool true"},
		{"n is not null", "bool false"},
		{"i is null", "bool false"},
		{"null is null", "bool true"},
		{"(n = 1) is null", "bool true"},
		{"i in (1, 7)", "bool true"},
		{"i in (1, 2)", "bool false"},
		{"i in (1, null)", "null"},
		{"i in (7, null)", "bool true"},
		{"i not in (7, null)", "bool false"},
		{"i not in (1, null)", "null"},
		{"i not in (1, 2)", "bool true"},
		{"n in (1, 2)", "null"},
		{"n not in (1)", "null"},
		{"coalesce(n, null, i)", "int64 7"},
		{"coalesce(null, 1.5, i)", "decimal(20,1) 1.5"},
		{"coalesce(n, n)", "null"},
		{"coalesce(o, 'x')", "string x"},
		{"b = true", "bool true"},
	};
	CHECK(table);
}

static void texts_and_times(void **state)
{
	static const struct row table[] = {
		{"'it''s'", "string it's"},
		{"''", "string "},
		{"length(s)", "int64 5"},
		{"length(y)", "int64 2"},
		{"length(e)", "int64 0"},
		{"length(o)", "null"},
		{"substring(s, 3)",
			"string \xc3\xbc\xc3\x9f"
			"e"},
		{"substring(s, 2, 2)", "string r\xc3\xbc"},
		{"substring(s, 0, 2)", "string G"},
		{"substring(s, -5, 3)", "string "},
		{"substring(s, 9, 3)", "string "},
		{"substring(s, 1, 9223372036854775807)",
			"string Gr\xc3\xbc\xc3\x9f"
			"e"},
		{"substring(s, 2, -1)", "string "},
		{"substring(y, 2)", "bytes b"},
		{"substring(s, n)", "null"},
		{"s = 'Gr\xc3\xbc\xc3\x9f"
		 "e'",
			"bool true"},
		{"e < s", "bool true"},
		{"s >= 'Gr'", "bool true"},
		{"'Gr' > s", "bool false"},
		{"y = 'ab'", "bool true"},
		{"s in ('a', 'b')", "bool false"},
		{"cast(q as int64) + 1", "int64 13"},
		{"cast(q as decimal(5,1))", "decimal(5,1) 12.0"},
		{"cast(q as float64)", "float64 12"},
		{"cast('true' as bool)", "bool true"},
		{"cast(i as string)", "string 7"},
		{"cast(b as string)", "string true"},
		{"cast(f as string)", "string 2.5"},
		{"cast(t as string)", "string 2001-01-01T00:00:01Z"},
		{"cast(o as int64)", "null"},
		{"cast(null as string)", "null"},
		{"cast(b as int64)", "int64 1"},
		{"cast(z as bool)", "bool false"},
		{"cast(2.9 as int64)", "int64 2"},
		{"cast(-2.9e0 as int64)", "int64 -2"},
		{"cast(s as bytes) = cast(s as bytes)", "bool true"},
		{"t > timestamp '2001-01-01'", "bool true"},
		{"t = '2001-01-01T00:00:01Z'", "bool true"},
		{"'2001-01-01T00:00:02Z' > t", "bool true"},
		{"t in ('2001-01-01T00:00:01Z')", "bool true"},
		{"t + 1h", "timestamp 2001-01-01T01:00:01Z"},
		{"1min + t", "timestamp 2001-01-01T00:01:01Z"},
		{"t - 250ms", "timestamp 2001-01-01T00:00:00.750Z"},
		{"t - timestamp '2001-01-01'", "int64 1000000000"},
		{"(t - timestamp '2001-01-01') / 1ms", "int64 1000"},
		{"10s * 3", "int64 30000000000"},
		{"3 * 10s = 30s", "bool true"},
		{"t % 1min", "int64 1000000000"},
		{"cast(1h as int64)", "int64 3600000000000"},
		{"\"and\" + 1", "int64 8"},
	};
	CHECK(table);
}

static void mistakes_are_named_with_their_place(void **state)
{
	static const struct row table[] = {
		{"", "at character 1: a value is missing at the end"},
		{"i +", "at character 4: a value is missing at the end"},
		{"i + * 2", "at character 5: expected a value, found `*`"},
		{"i i", "at character 3: expected an operator or the end, found `i`"},
		{"(i", "at character 3: `)` is missing at the end"},
		{"i in ()", "at character 3: `in ()` holds nothing; list at least one value"},
		{"i in 3", "at character 6: expected `(` and a list of values, found `3`"},
		{"i is 3", "at character 6: expected `null` or `not null`, found `3`"},
		{"i not 3", "at character 7: expected `in`, found `3`"},
		{"'abc", "at character 1: a text without its closing '"},
		{"\"abc", "at character 1: a name without its closing \""},
		{"i & 1", "at character 3: a character that means nothing here"},
		{"i > 1 && i < 2", "at character 7: `&&` means nothing here; write `and`"},
		{"i > 1 || i < 2", "at character 7: `||` means nothing here; write `or`"},
		{"i === 1", "at character 3: `===` means nothing here; write `=`"},
		{"i => 1", "at character 3: `=>` means nothing here; write `>=`"},
		{"5 parsec", "at character 3: expected an operator or the end, found `parsec`"},
		{"5parsec",
			"at character 1: a number with an unknown unit; the units are ns, us, ms,"
			" s, min, h, d"},
		{"1.5s", "at character 1: a duration with a point; use a smaller unit"},
		{"999999999999h", "at character 1: a duration above 292 years"},
		{"123456789012345678901234567890123456789",
			"at character 1: a number of more than 38 digits"},
		{"i < s",
			"at character 3: cannot compare int64 and string; turn one into the other's"
			" type with cast(… as …)"},
		{"i + s",
			"at character 3: no arithmetic is defined between int64 and string; turn"
			" one into the other's type with cast(… as …)"},
		{"t + t",
			"at character 3: no arithmetic is defined between timestamp and timestamp;"
			" turn one into the other's type with cast(… as …)"},
		{"i and b",
			"at character 1: and, or and not take conditions, not int64 and int64;"
			" turn one into the other's type with cast(… as …)"},
		{"t > 'yesterday'",
			"at character 5: `yesterday` is no time between 1678 and 2261;"
			" write it as 2001-02-03T04:05:06Z"},
		{"cast(i as blob)",
			"at character 11: `blob` is no type; use bool, int64, float64,"
			" decimal(p,s), timestamp, string or bytes"},
		{"cast(y as int64)",
			"at character 1: bytes cannot be cast into int64; cast it into"
			" string or int64 first"},
		{"sqrt(i)",
			"at character 1: there is no function `sqrt`; there are abs, cast,"
			" coalesce, length, mod and substring"},
		{"abs(i, j)", "at character 1: abs takes 1 to 1 values, not 2"},
		{"null",
			"at character 1: the value is always null; give it a type with"
			" cast(null as …)"},
		{"\xff", "at character 1: the expression is not UTF-8"},
	};
	CHECK(table);
	char got[1024];
	evaluate("i + nosuch", got);
	assert_non_null(strstr(got,
		"at character 5: there is no field `nosuch`; the input has i, j"));
	evaluate("'a' = \"it is\"", got);
	assert_non_null(strstr(got,
		"at character 7: there is no field \"it is\"; a text stands in single quotes,"));
	evaluate("!(i > 1)", got);
	assert_non_null(strstr(got, "at character 1: `!` alone means nothing here; write `not`"));
	evaluate("'é' = nosuch", got);
	assert_non_null(strstr(got, "at character 7: there is no field `nosuch`"));
}

static void depth_and_size_are_bounded(void **state)
{
	char text[8192] = "", got[1024];
	memset(text, '(', 200);
	strcpy(text + 200, "i");
	evaluate(text, got);
	assert_non_null(strstr(got, "nested deeper than 64"));
	memset(text, '-', 200);
	strcpy(text + 200, "i");
	evaluate(text, got);
	assert_non_null(strstr(got, "nested deeper than 64"));
	strcpy(text, "i");
	for (int i = 0; i < 300; i++)
		strcat(text, "+i");
	evaluate(text, got);
	assert_non_null(strstr(got, "more than 256 parts"));
	strcpy(text, "i in (0");
	for (int i = 0; i < 70; i++)
		strcat(text, ",1");
	strcat(text, ")");
	evaluate(text, got);
	assert_non_null(strstr(got, "more than 64 values"));
}

// Rows differ, nulls lie between, and columns are strided as they are in records.
static void every_row_has_its_own_answer(void **state)
{
	struct {
		int64_t value, other;
	} rows[BATCH_ROWS_MAX];
	uint8_t nulls[BATCH_ROWS_MAX], errors[BATCH_ROWS_MAX] = {0};
	struct weir_schema two = {0};
	struct expression *x;
	struct expression_state *s;
	char error[256];
	schema_add(&two, "value", WEIR_INT64, 0, 0);
	schema_add(&two, "other", WEIR_INT64, 0, 0);
	schema_layout(&two);
	for (int i = 0; i < (int)BATCH_ROWS_MAX; i++) {
		rows[i].value = i * 3 - 100;
		rows[i].other = i % 5;
		nulls[i] = i % 7 == 0;
	}
	struct weir_column in[2] = {
		{&rows[0].value, nulls, sizeof(rows[0])}, {&rows[0].other, NULL, sizeof(rows[0])}};
	assert_int_equal(expression_compile("value / other > 3 or value in (2, 5)", &two, error,
				 sizeof(error), &x),
		0);
	assert_int_equal(expression_fields(x), 3);
	assert_int_equal(expression_field(x), -1);
	assert_int_equal(arena_create(&arena, 8 << 20, -1, true), 0);
	assert_int_equal(expression_state_create(x, &arena, &s), 0);
	struct weir_column out = expression_eval(x, s, in, 200, errors);
	for (int i = 0; i < 200; i++) {
		bool failed = !nulls[i] && rows[i].other == 0;
		assert_int_equal(errors[i], failed ? 1 + WEIR_DROP_OUT_OF_RANGE : 0);
		if (failed)
			continue;
		bool want = !nulls[i] &&
			(rows[i].value / rows[i].other > 3 || rows[i].value == 2 ||
				rows[i].value == 5);
		assert_int_equal(out.nulls[i], nulls[i]);
		if (!nulls[i])
			assert_int_equal(((const uint8_t *)out.data)[i], want);
	}
	assert_int_equal(errors[200], 0);
	arena_destroy(&arena);
	expression_free(x);
}

static void a_plain_field_is_recognised(void **state)
{
	struct expression *x;
	char error[256];
	assert_int_equal(expression_compile(" ( f ) ", &schema, error, sizeof(error), &x), 0);
	assert_int_equal(expression_field(x), 5);
	assert_int_equal(expression_fields(x), 1 << 5);
	expression_free(x);
	expression_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arithmetic),
		cmocka_unit_test(decimals_are_exact),
		cmocka_unit_test(errors_belong_to_the_row),
		cmocka_unit_test(what_is_already_decided_raises_no_error),
		cmocka_unit_test(logic_is_three_valued),
		cmocka_unit_test(texts_and_times),
		cmocka_unit_test(mistakes_are_named_with_their_place),
		cmocka_unit_test(depth_and_size_are_bounded),
		cmocka_unit_test(every_row_has_its_own_answer),
		cmocka_unit_test(a_plain_field_is_recognised),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
