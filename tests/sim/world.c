#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/capture.h"

// Without any work for so many rounds the job is stuck.
enum { ROUNDS_STUCK = 20000, ROUND_NS_MAX = 20000000 };

static void violate(struct world *w, const char *what)
{
	fprintf(stderr, "seed %" PRIu64 ", step %" PRIu64 ", %.3f s: %s\n", w->scenario->seed,
		w->steps, (double)w->now_ns / 1e9, what);
	if (!w->violated)
		world_dump(w);
	w->violated = true;
}

static void expect(struct world *w, const char *broken)
{
	if (broken != NULL && !w->violated)
		violate(w, broken);
}

// Every draw that must not change what comes out: cuts, waits and when retention is trimmed.
static void cut_anew(struct world *w, struct task *t)
{
	static const uint64_t cuts[] = {UINT64_MAX, UINT64_MAX, 1, 2, 7, 100};
	struct random *r = &w->random;
	t->items_max = cuts[random_in(r, 0, 5)];
	t->part_keys = t->items_max == UINT64_MAX ? SNAPSHOT_PART_KEYS : (uint32_t)t->items_max;
	t->flush_age_ns = random_chance(r, 500) ? 0 : (int64_t)random_in(r, 0, 50000000);
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		struct sender *s = &t->exchange.senders[i];
		uint32_t most = s->channel->config.frame_bytes - FRAME_HEADER_BYTES;
		s->payload_max = random_chance(r, 700) ? most : (uint32_t)random_in(r, 64, most);
		if (random_chance(r, 300)) // long before it is full
			sender_trim(s);
	}
}

static void follow(struct world *w, const struct task *t)
{
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		const struct sender *s = &t->exchange.senders[i];
		expect(w, ledger_follow(&w->ledger, s->channel->config.id, s));
	}
	expect(w, check_watermark(t));
}

static uint32_t step_worker(struct world *w, uint32_t index)
{
	struct worker *worker = &w->engine->workers[index].worker;
	for (uint32_t i = worker->task_count; i > 1; i--) { // another order every time
		uint32_t j = (uint32_t)random_in(&w->random, 0, i - 1);
		struct task *swapped = worker->tasks[i - 1];
		worker->tasks[i - 1] = worker->tasks[j];
		worker->tasks[j] = swapped;
	}
	for (uint32_t i = 0; i < worker->task_count; i++)
		if (random_chance(&w->random, 100))
			cut_anew(w, worker->tasks[i]);
	uint32_t work = worker_step(worker, w->now_ns);
	for (uint32_t i = 0; i < worker->task_count; i++)
		follow(w, worker->tasks[i]);
	return work;
}

static void maybe_kill(struct world *w, uint64_t rounds_left_guess)
{
	if (w->kills >= w->scenario->kills || random_next(&w->random) % rounds_left_guess != 0)
		return;
	uint32_t victims =
		random_chance(&w->random, 700) ? 1 : (uint32_t)random_in(&w->random, 2, 3);
	w->kills++;
	for (uint32_t i = 0; i < victims && !w->violated; i++)
		world_kill(w, (uint32_t)random_in(&w->random, 0, w->engine->task_count - 1));
}

static void maybe_stall(struct world *w)
{
	if (!random_chance(&w->random, 2))
		return;
	uint32_t worker = (uint32_t)random_in(&w->random, 0, w->engine->worker_count - 1);
	w->stalled_until_ns[worker] = w->now_ns + (int64_t)random_in(&w->random, 0, 3000000000);
}

static uint32_t round_once(struct world *w)
{
	uint32_t work = 0;
	for (uint32_t i = 0; i < w->engine->worker_count; i++) {
		uint32_t index = (uint32_t)random_in(&w->random, 0, w->engine->worker_count - 1);
		if (w->stalled_until_ns[index] <= w->now_ns)
			work += step_worker(w, index);
	}
	checkpoint_drive(&w->engine->checkpoint, w->now_ns);
	if (w->scenario->interrupt_ns != 0 && w->now_ns >= w->scenario->interrupt_ns)
		engine_interrupt(w->engine);
	maybe_stall(w);
	expect(w, check_credit(w));
	return work;
}

// How many tasks still run; a failed one is a violation.
static uint32_t running(struct world *w)
{
	uint32_t count = 0;
	for (uint32_t t = 0; t < w->engine->task_count; t++) {
		count += w->engine->tasks[t].outcome == TASK_RUNNING;
		if (w->engine->tasks[t].outcome == TASK_FAILED)
			violate(w, task_error(&w->engine->tasks[t]));
	}
	return count;
}

void world_run(struct world *w)
{
	uint32_t idle = 0;
	uint64_t kill_one_in = 60ULL * 1000000000 / (ROUND_NS_MAX / 2) / (w->scenario->kills + 1);
	while (!w->violated && running(w) != 0) {
		uint32_t work = round_once(w);
		idle = work == 0 ? idle + 1 : 0;
		if (idle == ROUNDS_STUCK)
			violate(w, "no progress: the job is stuck");
		maybe_kill(w, kill_one_in);
		w->steps++;
		w->now_ns += (int64_t)random_in(&w->random, 0, ROUND_NS_MAX);
	}
	if (!w->violated && w->scenario->folder[0] != 0 && engine_publish(w->engine) != 0)
		violate(w, engine_error(w->engine));
	if (!w->violated)
		expect(w, check_end(w));
}

bool world_create(struct world *w, const struct scenario *scenario)
{
	static const int cpus[16];
	*w = (struct world){.scenario = scenario,
		.random = {scenario->seed ^ 0xD1B54A32D192ED03},
		.paces = {scenario->seed ^ 0x9E3779B97F4A7C15},
		.now_ns = 1};
	const struct job_source source = {.file = "sim.yaml",
		.text = scenario->job,
		.bytes = strlen(scenario->job),
		.kinds = capture_kinds()};
	job_load(&w->job, &source);
	if (w->job.errors.count != 0 ||
		planner_plan(&w->job, scenario->workers, &w->planned) != 0) {
		errors_print(&w->job.errors, stderr);
		fprintf(stderr, "%s", scenario->job);
		return false;
	}
	struct job_plan *plan = &w->planned.plan;
	plan->worker_count = scenario->workers;
	for (uint32_t t = 0; t < plan->task_count; t++) // any placement must do
		w->planned.tasks[t].worker =
			(uint32_t)random_in(&w->random, 0, scenario->workers - 1);
	struct engine_config config = {.plan = plan, .worker_cpus = cpus, .lazy = true};
	char error[256];
	if (engine_create(&config, error, sizeof(error), &w->engine) != 0) {
		fprintf(stderr, "seed %" PRIu64 ": %s\n", scenario->seed, error);
		return false;
	}
	w->engine->checkpoint.next_ns = plan->checkpoint_interval_ns;
	ledger_create(&w->ledger, plan);
	return true;
}

void world_destroy(struct world *w)
{
	if (w->engine != NULL) {
		ledger_destroy(&w->ledger);
		engine_destroy(w->engine);
	}
	for (uint32_t i = 0; i < w->deaths; i++)
		arena_destroy(&w->afterlives[i].arena);
	job_destroy(&w->job);
	capture_clear(&captured);
}
