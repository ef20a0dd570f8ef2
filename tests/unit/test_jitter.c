#include "control/jitter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS 1000000LL
#define LEAST (100 * MS)
#define MOST (5000 * MS)

static struct jitter jitter;
static int64_t now_ns;

static int set_up(void **state)
{
	jitter_begin(&jitter, 10 * MS);
	now_ns = 1000 * MS;
	return 0;
}

static void note(int64_t interval_ns)
{
	now_ns += interval_ns;
	jitter_note(&jitter, now_ns, interval_ns);
}

static int64_t limit(void)
{
	return jitter_limit(&jitter, now_ns, LEAST, MOST);
}

static void test_even_intervals_keep_the_least(void **state)
{
	for (int i = 0; i < 1000; i++)
		note((9 + i % 3) * MS);
	assert_int_equal(limit(), LEAST);
}

static void test_one_delay_counts_at_once_and_behind_many_even_ones(void **state)
{
	note(60 * MS);
	assert_true(limit() >= 200 * MS);
	for (int i = 0; i < 500; i++)
		note(10 * MS);
	assert_true(limit() >= 180 * MS);
}

static void test_a_delay_fades(void **state)
{
	int64_t before = MOST;
	jitter_delayed(&jitter, now_ns, 200 * MS);
	for (int i = 0; i < 200; i++) {
		now_ns += 1000 * MS;
		assert_true(limit() <= before);
		before = limit();
	}
	assert_int_equal(before, LEAST);
}

static void test_a_shorter_delay_hides_no_longer_one(void **state)
{
	jitter_delayed(&jitter, now_ns, 200 * MS);
	jitter_delayed(&jitter, now_ns, 50 * MS);
	assert_true(limit() >= 800 * MS);
}

static void test_the_limit_has_an_end(void **state)
{
	jitter_delayed(&jitter, now_ns, 60000 * MS);
	assert_int_equal(limit(), MOST);
	now_ns += 100LL * 365 * 86400 * 1000 * MS;
	assert_int_equal(limit(), LEAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, set_up)
		TEST(test_even_intervals_keep_the_least),
		TEST(test_one_delay_counts_at_once_and_behind_many_even_ones),
		TEST(test_a_delay_fades),
		TEST(test_a_shorter_delay_hides_no_longer_one),
		TEST(test_the_limit_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
