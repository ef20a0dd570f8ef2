// Threads of this process that sleep, and that stand in line for one core.
#include "control/thread_wait.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "numa/clock.h"
#include "numa/pin.h"

enum { CROWD = 6, LOOKS = 100 };
#define LOOK_NS 5000000LL

static atomic_bool stop;
static atomic_int first; // of the crowd

static void *spin(void *argument)
{
	int none = 0;
	pin_thread(0);
	atomic_compare_exchange_strong(&first, &none, gettid());
	while (!stop) {
	}
	return NULL;
}

static void *doze(void *argument)
{
	const struct timespec while_ns = {0, 1000000};
	first = gettid();
	while (!stop)
		nanosleep(&while_ns, NULL);
	return NULL;
}

// Returns how long it was looked at.
static int64_t watch(struct thread_wait *wait, void *(*run)(void *), uint32_t count)
{
	const struct timespec while_ns = {0, LOOK_NS};
	pthread_t threads[CROWD];
	stop = false;
	first = 0;
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, NULL), 0);
	while (first == 0)
		nanosleep(&while_ns, NULL);
	int64_t from_ns = clock_now_ns();
	for (uint32_t i = 0; i < LOOKS; i++) {
		thread_wait_look(wait, first, clock_now_ns());
		nanosleep(&while_ns, NULL);
	}
	stop = true;
	for (uint32_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return clock_now_ns() - from_ns;
}

static void test_who_stands_in_line_waits(void **state)
{
	struct thread_wait wait = {0};
	int64_t all_ns = watch(&wait, spin, CROWD);
	assert_true(wait.waited_ns > all_ns / 2);
	assert_true(wait.waited_ns <= all_ns);
}

static void test_who_sleeps_does_not(void **state)
{
	struct thread_wait wait = {0};
	int64_t all_ns = watch(&wait, doze, 1);
	assert_true(wait.waited_ns < all_ns / 2);
}

static void test_a_thread_that_is_not_there(void **state)
{
	struct thread_wait wait = {0};
	thread_wait_look(&wait, 0, 1);
	assert_int_equal(wait.waited_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_stands_in_line_waits),
		cmocka_unit_test(test_who_sleeps_does_not),
		cmocka_unit_test(test_a_thread_that_is_not_there),
	};
	clock_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
