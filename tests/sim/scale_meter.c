#include <time.h>

#include "tests/sim/scale_world.h"

static struct {
	bool on, running;
	int64_t from_ns, sum_ns;
} meter;

static int64_t cpu_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t clock_cost_ns(void)
{
	static int64_t least;
	for (int i = 0; i < 1000 && least == 0; i++) {
		int64_t cost = INT64_MAX;
		for (int k = 0; k < 100; k++) {
			int64_t before = cpu_now_ns(), took = cpu_now_ns() - before;
			cost = took < cost ? took : cost;
		}
		least = cost;
	}
	return least;
}

static void start(void)
{
	meter.running = true;
	meter.from_ns = cpu_now_ns();
}

static void stop(void)
{
	int64_t took_ns = cpu_now_ns() - meter.from_ns - clock_cost_ns();
	meter.sum_ns += took_ns > 0 ? took_ns : 0;
	meter.running = false;
}

void scale_meter_begin(void)
{
	meter.on = true;
	meter.sum_ns = 0;
	start();
}

void scale_meter_pause(void)
{
	if (meter.on && meter.running)
		stop();
}

void scale_meter_resume(void)
{
	if (meter.on && !meter.running)
		start();
}

int64_t scale_meter_end(void)
{
	stop();
	meter.on = false;
	return meter.sum_ns;
}
