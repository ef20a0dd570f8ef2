#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/engine.h"
#include "numa/assert.h"
#include "perf/cores.h"
#include "perf/engine_job.h"
#include "perf/modes.h"
#include "perf/results.h"
#include "perf/sink_latency.h"

enum {
	WORKERS = 2,
	ROWS_MAX = 8000000,
	KEYS = 1 << 18, // of a task: more than any run has
};

struct span {
	int64_t from_ns, to_ns;
};

// What one run has given, all tasks together.
struct observed {
	struct latency_log logs[TEAM_THREADS_MAX];
	struct span *gaps; // by start; each with the time it disturbs; to_ns never decreases
	uint64_t gap_count, gaps_seen;
	int64_t start_ns;
	int64_t *latencies; // room for all samples
};

static int ascending_span(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	return (x->from_ns > y->from_ns) - (x->from_ns < y->from_ns);
}

static int ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

// A gap disturbs for as long again: what has piled up must be worked off.
static void gaps_take(const struct engine *engine, const struct node *node, void *argument)
{
	struct observed *o = argument;

	o->start_ns = engine_started_ns(engine);
	o->gap_count = o->gaps_seen = 0;
	for (uint32_t w = 0; w < WORKERS; w++) {
		const struct node_gap *gaps;
		uint64_t seen = node_gaps(node, w, &gaps);
		o->gaps_seen += seen;
		for (uint64_t i = 0; i < seen && i < NODE_GAPS_MAX; i++)
			o->gaps[o->gap_count++] =
				(struct span){gaps[i].from_ns, 2 * gaps[i].to_ns - gaps[i].from_ns};
	}
	qsort(o->gaps, o->gap_count, sizeof(o->gaps[0]), ascending_span);
	for (uint64_t i = 1; i < o->gap_count; i++)
		if (o->gaps[i].to_ns < o->gaps[i - 1].to_ns)
			o->gaps[i].to_ns = o->gaps[i - 1].to_ns;
}

// Whether a record alive in the span lived through any gap or its aftermath.
static bool disturbed(const struct observed *o, int64_t from_ns, int64_t to_ns)
{
	uint64_t low = 0, high = o->gap_count; // gaps that begin before the record's end

	while (low < high) {
		uint64_t middle = (low + high) / 2;
		if (o->gaps[middle].from_ns < to_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && o->gaps[low - 1].to_ns > from_ns;
}

// Latencies of all records, or of the undisturbed ones, ascending.  Returns how many.
static uint64_t latencies_collect(struct observed *o, bool all)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < TEAM_THREADS_MAX; i++)
		for (uint64_t k = 0; k < o->logs[i].count; k++) {
			const struct latency_sample *s = &o->logs[i].samples[k];
			int64_t due_ns = o->start_ns + s->due_ns;
			if (all || !disturbed(o, due_ns, s->done_ns))
				o->latencies[count++] = s->done_ns - due_ns;
		}
	qsort(o->latencies, count, sizeof(o->latencies[0]), ascending);
	return count;
}

static double percentile_us(const struct observed *o, uint64_t count, double share)
{
	return (double)o->latencies[(uint64_t)(share * (double)(count - 1))] / 1000;
}

static struct engine_job *job_open(int64_t events, int64_t pace, int64_t keys,
	const struct team *cores)
{
	struct engine_job *job;
	char text[1024];

	snprintf(text, sizeof(text),
		"version: 1\njob: latency\nworkers: {state_memory: 64MiB}\noperators:\n"
		"  - {id: source, kind: memory, pace: %" PRId64 "/s, scheduled: true, block: 64, "
		"from: {kind: nexmark, events: %" PRId64 "}}\n"
		"  - {id: sink, kind: latency, input: source.bid, key: auction, keys: %" PRId64
		"}\n",
		pace, events, keys);
	return engine_job_open(text, cores, &job) == 0 ? job : NULL;
}

// Run at a pace.  Returns 0 and events a second.
static int paced_run(int64_t events, int64_t pace, int64_t keys, const struct team *cores,
	struct observed *o, double *ret_rate)
{
	const struct engine_watch watch = {gaps_take, o};
	struct engine_outcome outcome;
	struct arena arena;
	struct engine_job *job = job_open(events, pace, keys, cores);
	int err = job == NULL ? -1 : engine_job_lay(job, &arena);

	if (err == 0) {
		for (uint32_t i = 0; i < TEAM_THREADS_MAX; i++)
			o->logs[i].count = 0;
		err = engine_job_run(job, &watch, &outcome);
		*ret_rate = (double)events / outcome.seconds;
		arena_destroy(&arena);
	}
	engine_job_close(job);
	return err;
}

struct series {
	const char *name;
	int64_t keys; // room for them is made at the start; 0: the table grows
	struct measure p50, p9999, p50_all, p9999_all, left_out;
	double rate;
};

static void run_summarise(struct observed *o, struct series *s)
{
	uint64_t all = latencies_collect(o, true);

	if (all == 0)
		return;
	measure_add(&s->p50_all, percentile_us(o, all, 0.5));
	measure_add(&s->p9999_all, percentile_us(o, all, 0.9999));
	uint64_t clean = latencies_collect(o, false);
	measure_add(&s->left_out, 1 - (double)clean / (double)all);
	if (clean == 0)
		return;
	measure_add(&s->p50, percentile_us(o, clean, 0.5));
	measure_add(&s->p9999, percentile_us(o, clean, 0.9999));
}

static void report_one(struct results *results, const struct series *s, const char *what,
	const struct measure *values)
{
	char name[64];

	if (values->count == 0)
		return;
	snprintf(name, sizeof(name), "%s/%s", s->name, what);
	struct result *r = results_add(results, name, WORKERS, "us", values, NULL, 1);
	snprintf(r->note, sizeof(r->note),
		"at %.1f M events/s, half load; %.1f %% of records lived during or just after a "
		"clock gap over 10 us and count only under /all",
		s->rate / 1e6, 100 * measure_median(&s->left_out));
}

static void report(struct results *results, const struct series *s)
{
	report_one(results, s, "p50", &s->p50);
	report_one(results, s, "p99.99", &s->p9999);
	report_one(results, s, "p50/all", &s->p50_all);
	report_one(results, s, "p99.99/all", &s->p9999_all);
}

static int series_measure(struct observed *o, int64_t events, uint32_t rounds,
	const struct team *cores, struct series *s)
{
	double capacity, rate;

	// As fast as possible first: half of that is the load.
	if (paced_run(events, 2000000000, s->keys, cores, o, &capacity) != 0)
		return 1;
	s->rate = capacity / 2;
	for (uint32_t i = 0; i < rounds; i++) {
		int64_t second = s->rate < (double)events ? (int64_t)s->rate : events;
		if (paced_run(second, (int64_t)s->rate, s->keys, cores, o, &rate) != 0)
			return 1;
		run_summarise(o, s);
		fprintf(stderr, "bench: %s round %u of %u\n", s->name, i + 1, rounds);
	}
	return 0;
}

// Room for all keys at the start, and a table that grows with them.
static int both_measure(struct results *results, struct observed *o, int64_t events,
	uint32_t rounds, const struct team *cores)
{
	struct series series[] = {
		{.name = "latency", .keys = KEYS},
		{.name = "latency/growing", .keys = 0},
	};
	int code = 0;

	for (size_t i = 0; i < sizeof(series) / sizeof(series[0]) && code == 0; i++) {
		code = series_measure(o, events, rounds, cores, &series[i]);
		if (code == 0)
			report(results, &series[i]);
	}
	return code;
}

int latency_measure(struct results *results, int64_t events, uint32_t rounds, bool share)
{
	struct observed o = {.gap_count = 0};
	struct team cores;

	if (cores_team(WORKERS, share, &cores) != 0)
		return 2;
	events = events < ROWS_MAX ? events : ROWS_MAX;
	for (uint32_t i = 0; i < TEAM_THREADS_MAX; i++) {
		o.logs[i].room = i < WORKERS ? (uint64_t)events : 0;
		o.logs[i].samples = calloc(o.logs[i].room + 1, sizeof(struct latency_sample));
	}
	o.gaps = calloc((size_t)WORKERS * NODE_GAPS_MAX, sizeof(*o.gaps));
	o.latencies = calloc((size_t)events, sizeof(*o.latencies));
	sink_latency_use(o.logs);
	int code = both_measure(results, &o, events, rounds, &cores);
	for (uint32_t i = 0; i < TEAM_THREADS_MAX; i++)
		free(o.logs[i].samples);
	free(o.gaps);
	free(o.latencies);
	return code;
}

int mode_latency(const struct options *o)
{
	static struct results results;
	bool huge;

	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	int code = latency_measure(&results, o->events, o->rounds, false);
	if (code == 0)
		results_print(&results);
	return code;
}
