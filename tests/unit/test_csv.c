#include <stdalign.h>

#include "dataplane/csv.h"
#include "operator_fixture.h"

static struct weir_schema schema;
static struct csv_layout layout;

static int set_up(void **state)
{
	schema_add(&schema, "i", WEIR_INT64, 0, 0);
	schema_add(&schema, "s", WEIR_STRING, 0, 0);
	schema_add(&schema, "f", WEIR_FLOAT64, 0, 0);
	schema_add(&schema, "d", WEIR_DECIMAL, 6, 2);
	schema_add(&schema, "b", WEIR_BOOL, 0, 0);
	schema_add(&schema, "t", WEIR_TIMESTAMP, 0, 0);
	schema_add(&schema, "x", WEIR_BYTES, 0, 0);
	schema_layout(&schema);
	csv_layout_plain(&layout, &schema, CSV_TIMES_AUTO);
	return 0;
}

// Read a text given in pieces of `step` bytes; every row's fields in brackets, "!" malformed,
// "^" too large, its line before it.
static void read_rows(const char *text, size_t bytes, size_t step, char *out)
{
	static uint8_t window[4 << 20];
	static struct csv_row row;
	struct csv_reader r;
	size_t given = 0;
	enum csv_status status;
	*out = '\0';
	csv_start(&r, 0, 1);
	r.at = r.limit = window;
	while ((status = csv_row_next(&r, &row)) != CSV_END) {
		if (status == CSV_MORE) {
			size_t kept = (size_t)(r.limit - r.at);
			size_t more = bytes - given < step ? bytes - given : step;
			assert_true(kept <= CSV_ROW_BYTES_MAX + step);
			memmove(window, r.at, kept);
			memcpy(window + kept, text + given, more);
			given += more;
			r.at = window;
			r.limit = window + kept + more;
			r.last = given == bytes;
			continue;
		}
		out += sprintf(out, "%d", (int)row.line);
		if (row.reject == WEIR_DROP_MALFORMED)
			out += sprintf(out, "!");
		else if (row.reject == WEIR_DROP_TOO_LARGE)
			out += sprintf(out, "^");
		else
			for (uint32_t i = 0; i < row.field_count; i++)
				out += sprintf(out, row.fields[i].quoted ? "{%.*s}" : "[%.*s]",
					(int)row.fields[i].length, row.fields[i].data);
		out += sprintf(out, " ");
	}
	assert_int_equal(r.offset, bytes);
}

static void rows_are_found_wherever_the_text_is_cut(void **state)
{
	static const struct {
		const char *text, *want;
	} table[] = {
		{"", ""},
		{"\n", "1[] "},
		{"\r\n", "1[] "},
		{"a", "1[a] "},
		{"a\n", "1[a] "},
		{"a\r\n", "1[a] "},
		{"a\r", "1[a] "},
		{"a,b\nc,d", "1[a][b] 2[c][d] "},
		{"a,\n,b\n,\n", "1[a][] 2[][b] 3[][] "},
		{"\"a\",\"\"\n", "1{a}{} "},
		{"\"a\"\r\n\"b\"\r\n", "1{a} 2{b} "},
		{"\"a\"\r", "1{a} "},
		{"\"a,b\",c\n", "1{a,b}[c] "},
		{"\"a\nb\"\nc\n", "1{a\nb} 3[c] "},
		{"\"a\r\nb\",c\r\nd\n", "1{a\r\nb}[c] 3[d] "},
		{"\"a\"\"b\"\n", "1{a\"\"b} "},
		{"\"\"\"\"\n", "1{\"\"} "},
		{"\"\"\"\"\"\"", "1{\"\"\"\"} "},
		{"a\"b,c\nd\n", "1! 2[d] "},
		{"\"a\"b,c\nd\n", "1! 2[d] "},
		{"\"a\" ,c\nd\n", "1! 2[d] "},
		{"\"a\"\rb\nd\n", "1! 2[d] "},
		{"\"abc", "1! "},
		{"\"abc\nd\n", "1! "},
		{"\"a\nb\"x\nd\n", "1! 3[d] "},
		{"x,\"abc\"\"", "1! "},
		{"a\rb\n", "1[a\rb] "},
		{" a , \"b\"\n", "1! "},
		{"a\n\nb", "1[a] 2[] 3[b] "},
	};
	char got[256];
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		for (size_t step = 1; step < 12; step++) {
			read_rows(table[i].text, strlen(table[i].text), step, got);
			if (strcmp(got, table[i].want) != 0)
				fail_msg("`%s` by %zu: `%s`, not `%s`", table[i].text, step, got,
					table[i].want);
		}
}

static void a_row_has_bounds(void **state)
{
	static char text[(3 << 20) + 64], got[64];
	static const struct {
		size_t bytes; // of the field, whose quotes count too
		bool quoted;
		const char *want;
	} table[] = {
		{CSV_ROW_BYTES_MAX - 1, false, NULL},
		{CSV_ROW_BYTES_MAX, false, NULL},
		{CSV_ROW_BYTES_MAX + 1, false, "1^ 2[z] "},
		{3 << 20, false, "1^ 2[z] "},
		{3 << 20, true, "1^ 4[z] "},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		for (size_t step = 100003; step <= (1 << 20) + 7; step *= 10) {
			memset(text, 'a', table[i].bytes);
			if (table[i].quoted)
				memcpy(text, "\"\n\"\"\n,", 6);
			if (table[i].quoted)
				text[table[i].bytes - 1] = '"';
			memcpy(text + table[i].bytes, "\nz\n", 4);
			char *out = table[i].want ? got : malloc(2 << 20);
			read_rows(text, table[i].bytes + 3, step, out);
			if (table[i].want)
				assert_string_equal(out, table[i].want);
			else
				assert_int_equal(strlen(out), table[i].bytes + 9);
			if (!table[i].want)
				free(out);
		}
}

static void too_many_columns_are_malformed(void **state)
{
	char text[2 * CSV_COLUMNS_MAX + 8], *got = malloc(1 << 16);
	memset(text, ',', sizeof(text));
	text[CSV_COLUMNS_MAX - 1] = '\n';
	text[CSV_COLUMNS_MAX] = 'z';
	read_rows(text, CSV_COLUMNS_MAX + 1, 999, got);
	assert_int_equal(strlen(got), 2 * CSV_COLUMNS_MAX + 2 + 5);
	text[CSV_COLUMNS_MAX - 1] = ',';
	text[CSV_COLUMNS_MAX] = '\n';
	read_rows(text, CSV_COLUMNS_MAX + 1, 999, got);
	assert_string_equal(got, "1! ");
	free(got);
}

// What a row of one value in field `name` and nulls beside comes to, written back.
static void through(const char *name, const char *value, enum csv_times times, char *out)
{
	static uint8_t buffer[1 << 16];
	static struct csv_row row;
	alignas(8) static uint8_t record[1024];
	struct csv_reader r;
	struct csv_reject why;
	struct csv_layout own = layout;
	struct arena arena;
	struct batch_columns columns;
	char text[512] = "";
	own.times = times;
	int field = schema_find(&schema, name);
	for (int i = 0; i < (int)schema.field_count; i++)
		sprintf(text + strlen(text), "%s%s", i ? "," : "", i == field ? value : "");
	csv_start(&r, 0, 1);
	r.at = (const uint8_t *)text;
	r.limit = r.at + strlen(text);
	r.last = true;
	assert_int_equal(csv_row_next(&r, &row), CSV_ROW);
	uint32_t length = csv_record(&own, &row, record, sizeof(record), &why);
	if (length == 0) {
		assert_true(why.reason == WEIR_DROP_MALFORMED || why.field == (uint32_t)field);
		strcpy(out, weir_drop_names[why.reason]);
		return;
	}
	assert_int_equal(record_validate(&schema, record, length), 0);
	struct output_file file = {.fd = -1, .buffer = buffer, .room = sizeof(buffer)};
	struct csv_writer w = {.out = &file, .schema = &schema, .times_iso = true};
	const uint8_t *rows[] = {record};
	struct weir_batch in = {.form = WEIR_ROWS, .rows = rows, .count = 1, .schema = &schema};
	struct weir_batch got;
	assert_int_equal(arena_create(&arena, 1 << 20, -1, true), 0);
	assert_int_equal(batch_columns_create(&columns, &schema, &arena), 0);
	batch_gather(&in, schema_all_fields(&schema), &columns, &got);
	assert_int_equal(csv_write_row(&w, got.columns, 0), 0);
	arena_destroy(&arena);
	buffer[file.used - 1] = '\0';
	// The value alone again: commas before and behind it are those of the other fields.
	char *from = (char *)buffer + field;
	from[strlen(from) - (schema.field_count - 1u - (uint32_t)field)] = '\0';
	strcpy(out, from);
}

static const struct {
	const char *name, *value, *want;
} values[] = {
	{"i", "0", "0"},
	{"i", "-9223372036854775808", "-9223372036854775808"},
	{"i", "9223372036854775807", "9223372036854775807"},
	{"i", "9223372036854775808", "out_of_range"},
	{"i", "-9223372036854775809", "out_of_range"},
	{"i", "99999999999999999999999", "out_of_range"},
	{"i", "+0012", "12"},
	{"i", "\"7\"", "7"},
	{"i", "", ""},
	{"i", "\"\"", "wrong_type"},
	{"i", "-", "wrong_type"},
	{"i", "1.0", "wrong_type"},
	{"i", " 1", "wrong_type"},
	{"i", "1 ", "wrong_type"},
	{"i", "0x1", "wrong_type"},
	{"i", "\"1\"\"\"", "wrong_type"},
	{"s", "abc", "abc"},
	{"s", "", ""},
	{"s", "\"\"", "\"\""},
	{"s", "\"a,b\"", "\"a,b\""},
	{"s", "\"a\"\"b\"", "\"a\"\"b\""},
	{"s", "\"\"\"\"\"\"", "\"\"\"\"\"\""},
	{"s", "\"a\nb\"", "\"a\nb\""},
	{"s", "\"abc\"", "abc"},
	{"s",
		"Gr\xc3\xbc\xc3\x9f"
		"e",
		"Gr\xc3\xbc\xc3\x9f"
		"e"},
	{"s", "\xff", "invalid_utf8"},
	{"s", "\xc0\x80", "invalid_utf8"},
	{"s", "\"\"\"\xc3\"", "invalid_utf8"},
	{"f", "1.5", "1.5"},
	{"f", "-1e3", "-1000"},
	{"f", "0.1", "0.1"},
	{"f", ".5", "0.5"},
	{"f", "123456789012345678", "123456789012345680"},
	{"f", "4.9406564584124654e-324", "4.94065645841247e-324"},
	{"f", "1e309", "out_of_range"},
	{"f", "nan", "wrong_type"},
	{"f", "inf", "wrong_type"},
	{"f", "0x1p3", "wrong_type"},
	{"f", "1e", "wrong_type"},
	{"f", ".", "wrong_type"},
	{"d", "12.345", "12.35"},
	{"d", "-9999.99", "-9999.99"},
	{"d", "9999.995", "out_of_range"},
	{"d", "1e2", "wrong_type"},
	{"b", "true", "true"},
	{"b", "FALSE", "false"},
	{"b", "1", "true"},
	{"b", "yes", "wrong_type"},
	{"t", "0", "1970-01-01T00:00:00Z"},
	{"t", "-1", "1969-12-31T23:59:59.999Z"},
	{"t", "2001-02-03T04:05:06Z", "2001-02-03T04:05:06Z"},
	{"t", "2001-02-03", "2001-02-03T00:00:00Z"},
	{"t", "9223372036855", "out_of_range"},
	{"t", "9999-01-01", "out_of_range"},
	{"t", "yesterday", "wrong_type"},
	{"x", "00ffAB", "00ffab"},
	{"x", "\"\"", "\"\""},
	{"x", "abc", "wrong_type"},
	{"x", "0g", "wrong_type"},
	{"x", "1,2", "malformed"},
};

static void values_are_typed(void **state)
{
	char got[512];
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		through(values[i].name, values[i].value, CSV_TIMES_AUTO, got);
		// 123456789012345678 prints in its own way.
		if (strcmp(values[i].want, "123456789012345680") == 0)
			assert_true(strtod(got, NULL) == 123456789012345678.0);
		else if (strcmp(got, values[i].want) != 0)
			fail_msg("%s %s: `%s`, not `%s`", values[i].name, values[i].value, got,
				values[i].want);
	}
	through("t", "5", CSV_TIMES_ISO, got);
	assert_string_equal(got, "wrong_type");
	through("t", "2001-02-03", CSV_TIMES_MS, got);
	assert_string_equal(got, "wrong_type");
}

static void nul_bytes_are_content(void **state)
{
	static struct csv_row row;
	alignas(8) uint8_t record[256];
	struct csv_reject why;
	struct csv_reader r;
	static const uint8_t text[] = "1,a\0b,,,,,\n1\0,a,,,,,\n";
	csv_start(&r, 0, 1);
	r.at = text;
	r.limit = text + sizeof(text) - 1;
	r.last = true;
	assert_int_equal(csv_row_next(&r, &row), CSV_ROW);
	assert_int_not_equal(csv_record(&layout, &row, record, sizeof(record), &why), 0);
	struct weir_slice s = record_slice(record, schema.fields[1].offset);
	assert_int_equal(s.length, 3);
	assert_memory_equal(s.data, "a\0b", 3);
	assert_int_equal(csv_row_next(&r, &row), CSV_ROW);
	assert_int_equal(csv_record(&layout, &row, record, sizeof(record), &why), 0);
	assert_int_equal(why.reason, WEIR_DROP_WRONG_TYPE);
}

static void a_record_without_room_is_too_large(void **state)
{
	static struct csv_row row;
	alignas(8) uint8_t record[256];
	struct csv_reject why;
	struct csv_reader r;
	static const char text[] = "1,\"some \"\"text\"\" of 21\",,,,,";
	for (uint32_t room = 0; room <= 256; room += 8) {
		csv_start(&r, 0, 1);
		r.at = (const uint8_t *)text;
		r.limit = r.at + strlen(text);
		r.last = true;
		assert_int_equal(csv_row_next(&r, &row), CSV_ROW);
		memset(record, 0xEE, sizeof(record));
		uint32_t length = csv_record(&layout, &row, record, room, &why);
		bool fits = room >= ((schema.fixed_bytes + 17 + 7) & ~7u);
		assert_int_equal(length != 0, fits);
		if (!fits)
			assert_int_equal(why.reason, WEIR_DROP_TOO_LARGE);
		for (uint32_t i = room; i < sizeof(record); i++)
			assert_int_equal(record[i], 0xEE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found_wherever_the_text_is_cut),
		cmocka_unit_test(a_row_has_bounds),
		cmocka_unit_test(too_many_columns_are_malformed),
		cmocka_unit_test(values_are_typed),
		cmocka_unit_test(nul_bytes_are_content),
		cmocka_unit_test(a_record_without_room_is_too_large),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
