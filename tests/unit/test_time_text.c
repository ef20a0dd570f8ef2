#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "state/time_text.h"

#define S 1000000000LL

static void texts_are_read(void **state)
{
	static const struct {
		const char *text;
		int rc;
		int64_t ns;
	} table[] = {
		{"1970-01-01T00:00:00Z", 0, 0},
		{"1970-01-01", 0, 0},
		{"1970-01-01 00:00:01", 0, S},
		{"1969-12-31T23:59:59.5Z", 0, -S / 2},
		{"2001-01-01T00:01:00Z", 0, 978307260 * S},
		{"2001-01-01T01:01+01:00", 0, 978307260 * S},
		{"2000-12-31T18:31:00-05:30", 0, 978307260 * S},
		{"2000-02-29T00:00:00Z", 0, 951782400 * S},
		{"1970-01-01T00:00:00.123456789Z", 0, 123456789},
		{"1970-01-01T00:00:00.1234567899Z", 0, 123456789},
		{"2262-04-11T23:47:16.854775806Z", 0, INT64_MAX - 1},
		{"2262-04-11T23:47:16.854775807Z", -ERANGE, 0},
		{"1677-09-21T00:12:43.145224193Z", 0, INT64_MIN + 1},
		{"1677-09-21T00:12:43.145224192Z", -ERANGE, 0},
		{"9999-12-31T23:59:59Z", -ERANGE, 0},
		{"0000-01-01", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"2001", -EINVAL, 0},
		{"2001-1-1", -EINVAL, 0},
		{"2001-13-01", -EINVAL, 0},
		{"2001-00-01", -EINVAL, 0},
		{"2001-02-29", -EINVAL, 0},
		{"1900-02-29", -EINVAL, 0},
		{"2001-04-31", -EINVAL, 0},
		{"2001-01-00", -EINVAL, 0},
		{"2001-01-01T", -EINVAL, 0},
		{"2001-01-01T24:00:00", -EINVAL, 0},
		{"2001-01-01T23:60:00", -EINVAL, 0},
		{"2001-01-01T23:59:60", -EINVAL, 0},
		{"2001-01-01T23:59:5", -EINVAL, 0},
		{"2001-01-01T23:59:59.", -EINVAL, 0},
		{"2001-01-01T23:59:59Zx", -EINVAL, 0},
		{"2001-01-01T23:59:59+1:00", -EINVAL, 0},
		{"2001-01-01x23:59:59", -EINVAL, 0},
		{" 2001-01-01", -EINVAL, 0},
		{"-001-01-01", -EINVAL, 0},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t ns = 42;
		int rc = time_parse(table[i].text, (uint32_t)strlen(table[i].text), &ns);
		if (rc != table[i].rc || ns != (rc == 0 ? table[i].ns : 42))
			fail_msg("%s: %d %lld", table[i].text, rc, (long long)ns);
	}
}

static void agree_with_the_c_library(int64_t seconds)
{
	char got[TIME_TEXT_BYTES], want[TIME_TEXT_BYTES];
	time_t t = seconds;
	struct tm tm;
	int64_t back;
	gmtime_r(&t, &tm);
	strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
	uint32_t length = time_print(seconds * S, got);
	assert_int_equal(length, strlen(want));
	assert_string_equal(got, want);
	assert_int_equal(time_parse(got, (uint32_t)strlen(got), &back), 0);
	assert_int_equal(back, seconds * S);
}

static void every_day_of_580_years_agrees_with_the_c_library(void **state)
{
	for (int64_t day = -106000; day < 106000; day++)
		agree_with_the_c_library(day * 86400 + (day & 0xffff));
}

static void fractions_are_as_short_as_they_can_be(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} table[] = {
		{500 * 1000000, "1970-01-01T00:00:00.500Z"},
		{1000, "1970-01-01T00:00:00.000001Z"},
		{1, "1970-01-01T00:00:00.000000001Z"},
		{-1, "1969-12-31T23:59:59.999999999Z"},
		{INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
		{INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char text[TIME_TEXT_BYTES];
		time_print(table[i].ns, text);
		assert_string_equal(text, table[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_read),
		cmocka_unit_test(every_day_of_580_years_agrees_with_the_c_library),
		cmocka_unit_test(fractions_are_as_short_as_they_can_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
