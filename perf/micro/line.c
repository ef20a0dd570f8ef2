#include "perf/micro/line.h"

#include <stdalign.h>
#include <stdatomic.h>

#include "perf/baseline/team.h"

struct line {
	// Whose turn it is: written (release) by one thread, awaited (acquire) by the other.
	alignas(128) atomic_uint turn;
	alignas(128) uint32_t rounds;
};

static void work(void *argument, uint32_t index)
{
	struct line *l = argument;

	for (uint32_t i = 0; i < l->rounds; i++) {
		while (atomic_load_explicit(&l->turn, memory_order_acquire) != 2 * i + index)
			;
		atomic_store_explicit(&l->turn, 2 * i + index + 1, memory_order_release);
	}
}

double line_crossing_ns(uint32_t rounds, const int cpus[2])
{
	struct team team = {.threads = 2, .cpus = {cpus[0], cpus[1]}};
	struct line l = {.rounds = rounds};

	return (double)team_run(&team, work, &l) / (2.0 * rounds);
}
