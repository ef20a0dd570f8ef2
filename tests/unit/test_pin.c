#include "numa/pin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

static unsigned *pus;
static size_t pu_count;

static void the_list_is_ascending_and_is_the_affinity(void **state)
{
	cpu_set_t set;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_int_equal(pu_count, CPU_COUNT(&set));
	for (size_t i = 0; i < pu_count; i++) {
		assert_true(CPU_ISSET(pus[i], &set));
		assert_true(i == 0 || pus[i] > pus[i - 1]);
	}
}

static void a_pinned_thread_runs_there_and_may_nowhere_else(void **state)
{
	unsigned *left;
	size_t count;
	for (size_t i = pu_count; i-- > 0;) {
		assert_int_equal(pin_thread(pus[i]), 0);
		assert_int_equal(sched_getcpu(), pus[i]);
		assert_int_equal(pin_allowed(&left, &count), 0);
		assert_int_equal(count, 1);
		assert_int_equal(left[0], pus[i]);
		free(left);
	}
}

static void a_pu_that_is_not_there_is_refused(void **state)
{
	assert_int_equal(pin_thread(100000), -EINVAL);
	assert_int_equal(pin_thread(-1u), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_list_is_ascending_and_is_the_affinity),
		cmocka_unit_test(a_pinned_thread_runs_there_and_may_nowhere_else),
		cmocka_unit_test(a_pu_that_is_not_there_is_refused),
	};
	if (pin_allowed(&pus, &pu_count))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(pus);
	return failed;
}
