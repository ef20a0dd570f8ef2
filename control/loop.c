#include "control/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "numa/assert.h"
#include "numa/clock.h"

enum { SIGNALS = 2 };

struct loop_step {
	int64_t (*step)(void *owner, int64_t now_ns);
	void *owner;
};

struct loop {
	struct event_base *base;
	struct event *timer, *signals[SIGNALS];
	bool stopped;
	int signal; // that ended the run; 0: none
	uint32_t step_count;
	struct loop_step steps[LOOP_STEPS_MAX];
};

static void signal_come(evutil_socket_t number, short what, void *owner)
{
	struct loop *loop = owner;
	loop->signal = (int)number;
	loop->stopped = true;
}

// Its only work is to end the wait.
static void timer_come(evutil_socket_t fd, short what, void *owner)
{
}

static int signals_add(struct loop *loop)
{
	static const int numbers[SIGNALS] = {SIGTERM, SIGINT};
	for (int i = 0; i < SIGNALS; i++) {
		loop->signals[i] = evsignal_new(loop->base, numbers[i], signal_come, loop);
		if (!loop->signals[i] || event_add(loop->signals[i], NULL) != 0)
			return -ENOMEM;
	}
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

int loop_create(struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct event_config *config = event_config_new();
	int error = -ENOMEM;
	if (!loop || !config)
		goto err_config;
	// Deadlines are kept to the microsecond, not to epoll's millisecond.
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	loop->base = event_base_new_with_config(config);
	if (!loop->base)
		goto err_config;
	clock_init();
	loop->timer = evtimer_new(loop->base, timer_come, NULL);
	if (!loop->timer)
		goto err_base;
	error = signals_add(loop);
	if (error)
		goto err_base;
	event_config_free(config);
	*ret_loop = loop;
	return 0;
err_base:
	loop_destroy(loop);
	loop = NULL;
err_config:
	if (config)
		event_config_free(config);
	free(loop);
	return error;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	for (int i = 0; i < SIGNALS; i++)
		if (loop->signals[i])
			event_free(loop->signals[i]);
	if (loop->timer)
		event_free(loop->timer);
	event_base_free(loop->base);
	free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

int loop_add(struct loop *loop, int64_t (*step)(void *owner, int64_t now_ns), void *owner)
{
	if (loop->step_count == LOOP_STEPS_MAX)
		return -ENOSPC;
	loop->steps[loop->step_count++] = (struct loop_step){step, owner};
	return 0;
}

static int64_t steps_call(struct loop *loop, int64_t now_ns)
{
	int64_t deadline = INT64_MAX;
	for (uint32_t i = 0; i < loop->step_count; i++) {
		int64_t next = loop->steps[i].step(loop->steps[i].owner, now_ns);
		deadline = next < deadline ? next : deadline;
	}
	return deadline;
}

// Wait for events until the deadline, and handle them.
static void events_wait(struct loop *loop, int64_t deadline_ns)
{
	int64_t left_us = INT64_MAX;
	evtimer_del(loop->timer);
	if (deadline_ns != INT64_MAX) {
		int64_t left_ns = deadline_ns - clock_now_ns();
		left_us = left_ns > 0 ? (left_ns + 999) / 1000 : 0;
		struct timeval tv = {.tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000};
		evtimer_add(loop->timer, &tv);
	}
	VERIFY(event_base_loop(loop->base, left_us > 0 ? EVLOOP_ONCE : EVLOOP_NONBLOCK) >= 0);
}

int loop_run(struct loop *loop)
{
	loop->stopped = false;
	loop->signal = 0;
	while (!loop->stopped) {
		int64_t deadline_ns = steps_call(loop, clock_now_ns());
		if (!loop->stopped)
			events_wait(loop, deadline_ns);
	}
	return loop->signal;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
