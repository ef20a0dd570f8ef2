#include <rte_lcore.h>
#include <rte_pause.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "dataplane/engine_parts.h"
#include "numa/clock.h"
#include "numa/pin.h"

enum { SLEEP_NS = 50000 };

static void note_gap(struct engine_worker *w, int64_t now_ns)
{
	int64_t last_ns = w->worker.last_ns;
	if (w->gaps == NULL || last_ns == 0 || now_ns - last_ns <= ENGINE_GAP_NS)
		return;
	if (w->gap_count < ENGINE_GAPS_MAX)
		w->gaps[w->gap_count] = (struct engine_gap){last_ns, now_ns};
	w->gap_count++;
}

// Nothing to do: how to pass the time is the user's choice.
static void wait_idle(enum engine_wait wait, int64_t now_ns, int64_t deadline_ns)
{
	if (wait == ENGINE_WAIT_SPIN) {
		rte_pause();
	} else if (wait == ENGINE_WAIT_YIELD) {
		sched_yield();
	} else {
		int64_t left = deadline_ns - now_ns;
		struct timespec time = {0, left < SLEEP_NS ? (left > 0 ? left : 0) : SLEEP_NS};
		nanosleep(&time, NULL);
	}
}

static void loop(struct engine_worker *w, enum engine_wait wait, const atomic_bool *stop)
{
	while (w->worker.running != 0 && !atomic_load_explicit(stop, memory_order_acquire)) {
		int64_t now_ns = clock_now_ns();
		note_gap(w, now_ns);
		if (worker_step(&w->worker, now_ns) == 0)
			wait_idle(wait, now_ns, worker_deadline(&w->worker));
	}
	w->ended_ns = clock_now_ns();
}

// EAL keeps its own lock over the table of its threads, but the workers must also be ordered by one
// that can be seen from here: a slot that one worker gives back is the next one's.
static pthread_mutex_t eal_threads = PTHREAD_MUTEX_INITIALIZER;

static bool join_eal(void)
{
	pthread_mutex_lock(&eal_threads);
	bool registered = rte_thread_register() == 0;
	pthread_mutex_unlock(&eal_threads);
	return registered;
}

static void leave_eal(void)
{
	pthread_mutex_lock(&eal_threads);
	rte_thread_unregister();
	pthread_mutex_unlock(&eal_threads);
}

void *engine_worker_main(void *argument)
{
	struct engine_worker *w = argument;
	const struct engine_config *config = &w->engine->config;
	char name[16];
	snprintf(name, sizeof(name), "weir-worker-%u", w->index);
	pthread_setname_np(pthread_self(), name); // for top -H and the like
	pin_thread((unsigned)config->worker_cpus[w->index]);
	bool registered = join_eal();
	if (config->on_worker != NULL)
		config->on_worker(config->on_worker_argument);
	loop(w, config->wait, &w->engine->stop);
	atomic_store_explicit(&w->done, true, memory_order_release);
	if (registered)
		leave_eal();
	return NULL;
}
