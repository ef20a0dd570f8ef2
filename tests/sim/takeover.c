#include "tests/sim/takeover.h"

#include <inttypes.h>
#include <rte_mbuf.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "control/workload.h"
#include "numa/assert.h"
#include "tests/sim/replicas.h"
#include "tests/sim/takeover_rest.h"

enum { US = 1000, MS = 1000 * US };
// Before the death steps are charged for so long, that each worker may come to its own pace.
enum { COARSE_NS = 20 * US, CHARGED_NS = 2 * MS, WAIT_NS = 20 * MS, LINK_NS = 10 * US };
enum { SAMPLES_MAX = 1 << 16, LOADS = 3, TASKS_MAX = 1024 };

static const uint64_t paces[LOADS] = {20000, 200000, 1000000};

// Of one task that took over; times since its node heard of the loss.
struct sample {
	uint32_t load;
	uint64_t state_bytes; // of its worker
	int64_t ready_ns;     // its log is obeyed and all receivers have answered
	int64_t first_ns;     // source: one of them took an item from it, less the time in which
			      // it had none to send; 0: it never had
};

struct samples {
	atomic_uint count, seeds[LOADS];
	// Of all seeds: what the rest took in each window with a death, and without; and seeds in
	// which it was less than half in the longest one.
	atomic_ullong rest[LOADS][REST_WINDOWS], undisturbed[LOADS][REST_WINDOWS];
	atomic_uint bad[LOADS];
	struct sample samples[SAMPLES_MAX];
};

static struct samples *samples; // shared by the processes

// A successor under observation.
struct watched {
	bool is, ready, first;
	int64_t idle_ns; // ready, with nothing to send: sources take turns
	struct sample sample;
};

struct run {
	struct replica_world world;
	int64_t at_ns[WIRE_PORTS_MAX]; // by worker of the plan
	int64_t heard_ns;              // 0: nobody died yet
	int64_t clock_ns;              // what reading the clock twice takes
	uint32_t lost, load;
	struct watched watched[TASKS_MAX];
	bool spared; // nothing dies
	struct takeover_rest rest;
};

static int64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t clock_cost(void)
{
	int64_t least = INT64_MAX;
	for (int i = 0; i < 1000; i++) {
		int64_t before = cpu_ns(), cost = cpu_ns() - before;
		least = cost < least ? cost : least;
	}
	return least;
}

void takeover_create(void)
{
	samples = mmap(NULL, sizeof(*samples), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	VERIFY(samples != MAP_FAILED);
}

// ---- time

static int64_t step(struct run *r, uint32_t worker)
{
	struct replica_world *w = &r->world;
	struct replica_node *node = &w->nodes[worker / w->node_workers];
	uint32_t index = worker % w->node_workers;
	w->now_ns = w->wire.now_ns = r->at_ns[worker];
	int64_t before = cpu_ns();
	worker_step(&node->engine->workers[index].worker, w->now_ns);
	transport_step(&node->transports[index], w->now_ns);
	int64_t took = cpu_ns() - before - r->clock_ns;
	return took > 0 ? took : 1;
}

// The worker whose turn comes next.
static uint32_t next_worker(const struct run *r)
{
	uint32_t best = PLAN_NONE;
	for (uint32_t i = 0; i < r->world.planned.plan.worker_count; i++)
		if (!r->world.nodes[i / r->world.node_workers].dead &&
			(best == PLAN_NONE || r->at_ns[i] < r->at_ns[best]))
			best = i;
	return best;
}

// ---- what came of it

static bool is_ready(const struct task *t)
{
	if (t->replica.role != REPLICA_ALONE || order_log_replaying(&t->log))
		return false;
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		const struct sender *s = &t->exchange.senders[i];
		for (uint32_t f = 0; f < s->follower_count; f++)
			if (!s->followers[f].lost && !s->followers[f].answered)
				return false;
	}
	return true;
}

// What a successor and its receivers have come to.
enum progress { NOTHING, MADE, TAKEN };

// MADE: it has an item that a receiver has not; TAKEN: one that fenced its predecessor took one.
static enum progress progress_of(const struct replica_world *w, const struct task *t)
{
	enum progress most = NOTHING;
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		const struct sender *s = &t->exchange.senders[i];
		for (uint32_t f = 0; f < s->follower_count && most != TAKEN; f++) {
			uint32_t channel = s->followers[f].channel->config.id;
			uint32_t to = w->planned.plan.channels[channel].to;
			const struct engine *e = w->nodes[replica_node_of(w, to)].engine;
			const struct receiver *r = e->receiver_of[channel];
			if (s->followers[f].lost)
				continue;
			if (s->next_number + s->items > r->next_number)
				most = MADE;
			if (r->channel->config.id == channel &&
				(r->frame != NULL ||
					r->next_number > atomic_load(&r->channel->wanted)))
				most = TAKEN;
		}
	}
	return most;
}

static void watch_task(struct run *r, const struct task *task, int64_t since_ns)
{
	struct watched *watched = &r->watched[task->id];
	if (!watched->ready && is_ready(task)) {
		watched->ready = true;
		watched->sample.ready_ns = since_ns;
	}
	if (!task->source || watched->first)
		return;
	enum progress progress = progress_of(&r->world, task);
	if (watched->ready && progress == NOTHING)
		watched->idle_ns = since_ns - watched->sample.ready_ns;
	if (progress != TAKEN)
		return;
	watched->first = true;
	watched->sample.first_ns = since_ns - watched->idle_ns;
}

// Returns how many are still awaited.
static uint32_t watch(struct run *r, int64_t now_ns)
{
	uint32_t awaited = 0;
	for (uint32_t t = 0; t < r->world.planned.plan.task_count; t++) {
		const struct watched *watched = &r->watched[t];
		const struct task *task = watched->is ? replica_task(&r->world, t) : NULL;
		if (task == NULL)
			continue;
		watch_task(r, task, now_ns - r->heard_ns);
		bool sends = task->source && task->outcome == TASK_RUNNING;
		awaited += !watched->ready || (sends && !watched->first);
	}
	return awaited;
}

static void begin_to_watch(struct run *r)
{
	const struct job_plan *plan = &r->world.planned.plan;
	VERIFY(plan->task_count <= TASKS_MAX);
	for (uint32_t t = 0; t < plan->task_count; t++) {
		const struct plan_task *task = &plan->tasks[t];
		if (task->standing != PLAN_REPLICA ||
			replica_node_of(&r->world, task->twin) != r->lost)
			continue;
		const struct engine *e = r->world.nodes[replica_node_of(&r->world, t)].engine;
		r->watched[t] = (struct watched){.is = true,
			.sample = {.load = r->load,
				.state_bytes = engine_worker_of(e, t)->state.used}};
	}
}

static bool keep(struct run *r)
{
	bool good = true;
	for (uint32_t t = 0; t < r->world.planned.plan.task_count; t++) {
		if (!r->watched[t].is)
			continue;
		good = good && r->watched[t].ready;
		uint32_t at = atomic_fetch_add(&samples->count, 1);
		if (at < SAMPLES_MAX)
			samples->samples[at] = r->watched[t].sample;
	}
	return good;
}

// ---- a run

static void run_until(struct run *r, int64_t until_ns, bool charged)
{
	for (uint32_t next; (next = next_worker(r)) != PLAN_NONE && r->at_ns[next] < until_ns;) {
		if (r->heard_ns != 0)
			rest_look(&r->rest, &r->world, r->at_ns[next]);
		int64_t took = step(r, next);
		r->at_ns[next] += charged ? took : COARSE_NS;
		if (r->heard_ns != 0 && watch(r, r->at_ns[next]) == 0 &&
			r->rest.done == REST_WINDOWS)
			return;
	}
}

// All hear of it at once, as when a link's loss is certain; and that nothing names it any more.
static void die(struct run *r)
{
	struct replica_world *w = &r->world;
	w->nodes[r->lost].dead = w->nodes[r->lost].lost = true;
	w->whole[r->lost] = false;
	w->losses = 1;
	for (uint32_t i = 0; i < w->node_workers; i++)
		w->wire.ports[r->lost * w->node_workers + i].off = true;
	begin_to_watch(r);
	for (uint32_t n = 0; n < w->node_count; n++)
		engine_lose(w->nodes[n].engine, r->lost * w->node_workers, w->node_workers,
			REPLICA_INCARNATION + 1, true);
}

static void touch(struct rte_mempool *pool, void *argument, void *object, unsigned index)
{
	struct rte_mbuf *mbuf = object;
	memset(mbuf->buf_addr, 0, mbuf->buf_len);
}

// As in production, where no memory is new when it is needed.
static void touch_pools(struct replica_world *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		rte_mempool_obj_iter(w->nodes[n].packets, touch, NULL);
		for (uint32_t i = 0; i < w->node_workers; i++)
			if (w->nodes[n].engine->workers[i].frames != NULL)
				rte_mempool_obj_iter(w->nodes[n].engine->workers[i].frames, touch,
					NULL);
	}
}

static bool run_world(struct run *r)
{
	struct replica_world *w = &r->world;
	touch_pools(w);
	w->wire.faults.delay_ns = LINK_NS;
	r->clock_ns = clock_cost();
	r->lost = (uint32_t)random_in(&w->random, 0, w->place_count - 1);
	int64_t death_ns = (int64_t)random_in(&w->random, 20 * MS, 150 * MS);
	for (uint32_t i = 0; i < w->planned.plan.worker_count; i++)
		r->at_ns[i] = 1 + (int64_t)random_in(&w->random, 0, COARSE_NS);
	run_until(r, death_ns - CHARGED_NS, false);
	run_until(r, death_ns, true);
	r->heard_ns = w->now_ns;
	rest_begin(&r->rest, w, r->lost);
	if (!r->spared)
		die(r);
	run_until(r, death_ns + WAIT_NS, true);
	return keep(r);
}

static bool run_once(uint64_t seed, bool spared, bool verbose, struct takeover_rest *ret_rest)
{
	static struct run run;
	struct scenario scenario;
	run = (struct run){.load = (uint32_t)(seed % LOADS), .spared = spared};
	scenario_draw_takeover(&scenario, seed, paces[run.load]);
	bool good = replica_world_create(&run.world, &scenario) && run_world(&run);
	if (!good)
		replica_world_dump(&run.world);
	if (!good || verbose)
		fprintf(stderr, "seed %" PRIu64 ", takeover%s%s, job:\n%s", seed,
			spared ? ", nothing dies" : "", good ? "" : " did not end", scenario.job);
	replica_world_destroy(&run.world);
	*ret_rest = run.rest;
	return good && !run.world.violated;
}

static void keep_rest(uint32_t load, const struct takeover_rest *with,
	const struct takeover_rest *without)
{
	enum { LONGEST = REST_WINDOWS - 1 };
	for (uint32_t i = 0; i < REST_WINDOWS; i++) {
		atomic_fetch_add(&samples->rest[load][i], with->items[i]);
		atomic_fetch_add(&samples->undisturbed[load][i], without->items[i]);
	}
	atomic_fetch_add(&samples->bad[load], with->items[LONGEST] < without->items[LONGEST] / 2);
	atomic_fetch_add(&samples->seeds[load], 1);
}

bool takeover_run_seed(uint64_t seed, bool verbose)
{
	struct takeover_rest with, without;
	if (!run_once(seed, true, false, &without) || !run_once(seed, false, verbose, &with))
		return false;
	keep_rest((uint32_t)(seed % LOADS), &with, &without);
	return true;
}

// ---- the table

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void print_times(const char *what, int64_t *times, uint32_t count)
{
	qsort(times, count, sizeof(*times), compare);
	if (count == 0)
		return;
	printf("  %s of %u tasks: p50 %.1f, p90 %.1f, p99 %.1f, max %.1f us\n", what, count,
		(double)times[count / 2] / US, (double)times[(uint64_t)count * 90 / 100] / US,
		(double)times[(uint64_t)count * 99 / 100] / US, (double)times[count - 1] / US);
}

static void print_rest(uint32_t load)
{
	for (uint32_t i = 0; i < REST_WINDOWS; i++) {
		uint64_t without = atomic_load(&samples->undisturbed[load][i]);
		if (without != 0)
			printf("  the rest in the first %" PRId64 " ms: %.2f %% of %" PRIu64
			       " items without a death\n",
				rest_windows_ns[i] / MS,
				100.0 * (double)atomic_load(&samples->rest[load][i]) /
					(double)without,
				without);
	}
	printf("  seeds in which it was less than half: %u\n", atomic_load(&samples->bad[load]));
}

static void print_load(uint32_t load)
{
	static int64_t ready[SAMPLES_MAX], first[SAMPLES_MAX];
	uint32_t all = atomic_load(&samples->count), readies = 0, firsts = 0;
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < all && i < SAMPLES_MAX; i++) {
		const struct sample *s = &samples->samples[i];
		if (s->load != load)
			continue;
		bytes = s->state_bytes > bytes ? s->state_bytes : bytes;
		ready[readies++] = s->ready_ns;
		if (s->first_ns != 0)
			first[firsts++] = s->first_ns;
	}
	printf("%" PRIu64 " events/s, %u seeds, state of a worker up to %" PRIu64 " KiB:\n",
		paces[load], atomic_load(&samples->seeds[load]), bytes >> 10);
	print_times("ready", ready, readies);
	print_times("first item of a source taken", first, firsts);
	print_rest(load);
}

void takeover_print(void)
{
	for (uint32_t load = 0; load < LOADS; load++)
		print_load(load);
}
