// What the line on a terminal says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "control/progress.h"

#define SECOND 1000000000LL

static void check(int64_t event_ns, int64_t now_ns, const char *expected)
{
	char *text = NULL;
	size_t bytes;
	struct progress progress = {.out = open_memstream(&text, &bytes), .seconds = 1};
	const struct progress_job job = {.event_ns = event_ns, .now_ns = now_ns};
	progress_show(&progress, 2000000, 3, &job);
	fclose(progress.out);
	assert_string_equal(text, expected);
	free(text);
}

static void event_time_is_told_and_the_lag_where_it_means_something(void **state)
{
	static const char plain[] = "\r\033[K3 s  2000000 records  1 million/s";
	char expected[128];
	check(INT64_MIN, 0, plain);
	check(INT64_MAX, 0, plain);
	const struct {
		int64_t event_ns, now_ns;
		const char *text;
	} rows[] = {
		{981173106 * SECOND + 700000000, 981173108 * SECOND,
			"2001-02-03T04:05:06Z, 1.3 s behind"},
		{981173106 * SECOND, 981173106 * SECOND, "2001-02-03T04:05:06Z, 0.0 s behind"},
		{981173106 * SECOND, 981173105 * SECOND, "2001-02-03T04:05:06Z"}, // in the future
		{981173106 * SECOND, (981173106 + 86399) * SECOND,
			"2001-02-03T04:05:06Z, 86399.0 s behind"},
		{981173106 * SECOND, (981173106 + 86400) * SECOND, "2001-02-03T04:05:06Z"},
		{-SECOND / 2, 10 * SECOND, "1969-12-31T23:59:59Z, 10.5 s behind"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(expected, sizeof(expected), "%s  event time %s", plain, rows[i].text);
		check(rows[i].event_ns, rows[i].now_ns, expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_time_is_told_and_the_lag_where_it_means_something),
	};
	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
