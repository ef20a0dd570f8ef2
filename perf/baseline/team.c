#include "perf/baseline/team.h"

#include <pthread.h>

#include "numa/assert.h"
#include "numa/clock.h"
#include "numa/pin.h"

struct member {
	pthread_t thread;
	pthread_barrier_t *start;
	void (*work)(void *argument, uint32_t index);
	void *argument;
	uint32_t index;
	int cpu;
	int64_t begin_ns, end_ns;
};

static void *member_main(void *argument)
{
	struct member *m = argument;

	VERIFY(pin_thread((unsigned)m->cpu) == 0);
	pthread_barrier_wait(m->start);
	m->begin_ns = clock_now_ns();
	m->work(m->argument, m->index);
	m->end_ns = clock_now_ns();
	return NULL;
}

int64_t team_run(const struct team *team, void (*work)(void *argument, uint32_t index),
	void *argument)
{
	struct member members[TEAM_THREADS_MAX];
	pthread_barrier_t start;

	VERIFY(team->threads >= 1 && team->threads <= TEAM_THREADS_MAX);
	VERIFY(pthread_barrier_init(&start, NULL, team->threads) == 0);
	for (uint32_t i = 0; i < team->threads; i++) {
		members[i] = (struct member){.start = &start,
			.work = work,
			.argument = argument,
			.index = i,
			.cpu = team->cpus[i]};
		VERIFY(pthread_create(&members[i].thread, NULL, member_main, &members[i]) == 0);
	}
	int64_t begin_ns = INT64_MAX, end_ns = INT64_MIN;
	for (uint32_t i = 0; i < team->threads; i++) {
		pthread_join(members[i].thread, NULL);
		begin_ns = members[i].begin_ns < begin_ns ? members[i].begin_ns : begin_ns;
		end_ns = members[i].end_ns > end_ns ? members[i].end_ns : end_ns;
	}
	pthread_barrier_destroy(&start);
	return end_ns - begin_ns;
}
