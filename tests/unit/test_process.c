#include "control/process.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

static bool system_lets(int before)
{
	if (setpriority(PRIO_PROCESS, 0, before - 1) != 0)
		return false;
	return setpriority(PRIO_PROCESS, 0, before) == 0;
}

static void *nice_of_thread(void *argument)
{
	*(int *)argument = getpriority(PRIO_PROCESS, 0);
	return NULL;
}

// Workers and whatever else it starts poll: before all others they would stop the host.
static void test_only_the_thread_itself_runs_first(void **state)
{
	int nice = -20, before = getpriority(PRIO_PROCESS, 0);
	pthread_t thread;
	bool lets = system_lets(before);
	process_run_first();
	if (lets)
		assert_true(getpriority(PRIO_PROCESS, 0) < 0);
	else
		assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
	assert_int_equal(pthread_create(&thread, NULL, nice_of_thread, &nice), 0);
	pthread_join(thread, NULL);
	assert_true(nice >= 0);
	if (!lets)
		print_message("this system lets nobody run first\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_thread_itself_runs_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
