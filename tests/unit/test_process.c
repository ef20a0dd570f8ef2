#include "control/process.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static bool system_lets(void)
{
	const struct sched_param lowest = {.sched_priority = 1}, none = {0};
	if (sched_setscheduler(0, SCHED_RR, &lowest) != 0)
		return false;
	return sched_setscheduler(0, SCHED_OTHER, &none) == 0;
}

static void *policy_of_thread(void *argument)
{
	*(int *)argument = sched_getscheduler(0);
	return NULL;
}

// Workers and whatever else it starts poll: before all others they would stop the host.
static void test_only_the_thread_itself_runs_first(void **state)
{
	int policy = -1;
	pthread_t thread;
	bool lets = system_lets();
	process_run_first();
	assert_int_equal(sched_getscheduler(0),
		lets ? SCHED_RR | SCHED_RESET_ON_FORK : SCHED_OTHER);
	assert_int_equal(pthread_create(&thread, NULL, policy_of_thread, &policy), 0);
	pthread_join(thread, NULL);
	assert_int_equal(policy, SCHED_OTHER);
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
