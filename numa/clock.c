#include "numa/clock.h"

#include <stdbool.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

enum { CALIBRATION_NS = 10000000, READ_TRIES = 16, INVARIANT_TSC = 1 << 8 };

// One reading of both clocks, taken as close together as could be had.
struct moment {
	uint64_t cycles;
	int64_t ns;
};

// Written by clock_init before workers start, only read afterwards.
static struct moment start;
static uint64_t ns_per_cycle_q32; // 0: no usable TSC, ask the kernel each time

static int64_t kernel_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

#if defined(__x86_64__)
static uint64_t cycles_now(void)
{
	return __rdtsc();
}

static bool cycles_usable(void)
{
	unsigned a, b, c, d;
	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & INVARIANT_TSC);
}
#else
static uint64_t cycles_now(void)
{
	return 0;
}

static bool cycles_usable(void)
{
	return false;
}
#endif

// An interrupt between the two readings would skew them: keep the tightest of some tries.
static struct moment moment_read(void)
{
	struct moment best = {0};
	uint64_t tightest = UINT64_MAX;
	for (int try = 0; try < READ_TRIES; try++) {
		uint64_t before = cycles_now();
		int64_t ns = kernel_now_ns();
		uint64_t spent = cycles_now() - before;
		if (spent >= tightest)
			continue;
		tightest = spent;
		best = (struct moment){.cycles = before + spent / 2, .ns = ns};
	}
	return best;
}

void clock_init(void)
{
	if (ns_per_cycle_q32 || !cycles_usable())
		return;
	start = moment_read();
	while (kernel_now_ns() - start.ns < CALIBRATION_NS)
		;
	struct moment end = moment_read();
	unsigned __int128 ns = (unsigned __int128)(end.ns - start.ns) << 32;
	ns_per_cycle_q32 = ns / (end.cycles - start.cycles);
}

int64_t clock_now_ns(void)
{
	if (__builtin_expect(ns_per_cycle_q32 == 0, 0))
		return kernel_now_ns();
	uint64_t cycles = cycles_now() - start.cycles;
	return start.ns + (int64_t)((unsigned __int128)cycles * ns_per_cycle_q32 >> 32);
}
