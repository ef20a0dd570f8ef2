// The loop: deadlines, events, signals.
#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/loop.h"
#include "numa/clock.h"

static struct loop *loop;

struct stepper {
	int64_t next_ns, every_ns;
	unsigned due, steps, stop_at;
	int signal; // to send at stop_at; 0: stop
};

static int64_t stepper_step(void *owner, int64_t now_ns)
{
	struct stepper *s = owner;
	s->steps++;
	if (s->next_ns == 0)
		s->next_ns = now_ns;
	if (now_ns < s->next_ns)
		return s->next_ns;
	s->next_ns += s->every_ns;
	if (++s->due == s->stop_at) {
		if (s->signal)
			kill(getpid(), s->signal);
		else
			loop_stop(loop);
		return INT64_MAX;
	}
	return s->next_ns;
}

static int loop_make(void **state)
{
	return loop_create(&loop);
}

static int loop_end(void **state)
{
	loop_destroy(loop);
	return 0;
}

// Each at its own deadline: not before it, and without turning idly in between.
static void steps_at_deadlines(void **state)
{
	struct stepper fast = {.every_ns = 2000000, .stop_at = 20};
	struct stepper slow = {.every_ns = 10000000};
	assert_int_equal(loop_add(loop, stepper_step, &fast), 0);
	assert_int_equal(loop_add(loop, stepper_step, &slow), 0);
	int64_t start_ns = clock_now_ns();
	assert_int_equal(loop_run(loop), 0);
	assert_true(clock_now_ns() - start_ns >= 19 * 2000000);
	assert_int_equal(fast.due, 20);
	assert_true(slow.due >= 4);
	assert_true(fast.steps <= 2 * (fast.due + slow.due));
}

static void signals_end_it(void **state)
{
	static const int numbers[] = {SIGTERM, SIGINT};
	struct stepper s = {.every_ns = 1000, .stop_at = 3};
	assert_int_equal(loop_add(loop, stepper_step, &s), 0);
	for (int i = 0; i < 2; i++) {
		s = (struct stepper){.every_ns = 1000, .stop_at = 3, .signal = numbers[i]};
		assert_int_equal(loop_run(loop), numbers[i]);
	}
	s = (struct stepper){.every_ns = 1000, .stop_at = 3};
	assert_int_equal(loop_run(loop), 0);
}

static void writing_to_the_dead_is_no_signal(void **state)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	assert_int_equal(write(ends[1], "x", 1), -1);
	close(ends[1]);
}

static void byte_come(evutil_socket_t fd, short what, void *owner)
{
	char byte;
	assert_int_equal(read((int)fd, &byte, 1), 1);
	loop_stop(loop);
}

static void events_are_handled_without_deadlines(void **state)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	struct event *event = event_new(loop_base(loop), ends[0], EV_READ, byte_come, NULL);
	event_add(event, NULL);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(loop_run(loop), 0);
	event_free(event);
	close(ends[0]);
	close(ends[1]);
}

static void steps_are_bounded(void **state)
{
	static struct stepper s;
	for (int i = 0; i < LOOP_STEPS_MAX; i++)
		assert_int_equal(loop_add(loop, stepper_step, &s), 0);
	assert_true(loop_add(loop, stepper_step, &s) < 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_make, loop_end)
	const struct CMUnitTest tests[] = {
		TEST(steps_at_deadlines),
		TEST(signals_end_it),
		TEST(writing_to_the_dead_is_no_signal),
		TEST(events_are_handled_without_deadlines),
		TEST(steps_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
