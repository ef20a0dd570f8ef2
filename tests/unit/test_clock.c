#include "numa/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <time.h>

enum { SPAN_NS = 50000000, READS = 1000000 };

static int64_t kernel_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

// Each reading lies between two of the kernel's, give or take 1 % of the time gone by.
static void it_keeps_pace_with_the_kernel(void **state)
{
	int64_t from = kernel_now_ns(), now;
	do {
		int64_t before = kernel_now_ns();
		int64_t ours = clock_now_ns();
		now = kernel_now_ns();
		int64_t slack = (now - from) / 100 + 2000;
		assert_in_range(ours, before - slack, now + slack);
	} while (now - from < SPAN_NS);
}

static void it_never_goes_back(void **state)
{
	int64_t last = clock_now_ns();
	for (int i = 0; i < READS; i++) {
		int64_t now = clock_now_ns();
		assert_true(now >= last);
		last = now;
	}
}

static void a_second_init_changes_nothing(void **state)
{
	int64_t spent_ns_min = INT64_MAX;
	for (int i = 0; i < 8; i++) {
		int64_t before = clock_now_ns();
		clock_init();
		int64_t spent_ns = clock_now_ns() - before;
		assert_true(spent_ns >= 0);
		spent_ns_min = spent_ns < spent_ns_min ? spent_ns : spent_ns_min;
	}
	assert_true(spent_ns_min < 5000000); // it takes 10 ms to calibrate
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_keeps_pace_with_the_kernel),
		cmocka_unit_test(it_never_goes_back),
		cmocka_unit_test(a_second_init_changes_nothing),
	};
	clock_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
