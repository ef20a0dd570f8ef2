#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/engine.h"
#include "numa/assert.h"
#include "perf/baseline/baseline.h"
#include "perf/cores.h"
#include "perf/engine_job.h"
#include "perf/modes.h"
#include "perf/results.h"

// Rows that are laid out once and read by all cases of the set.
struct rows_set {
	const char *name; // "" or what a case's name ends in
	int64_t events, rate;
	uint32_t loops;
};

struct query {
	const char *name;
	const char *operators; // behind `source`, down to `sink`
};

static const struct query queries[] = {
	{"q0", "  - {id: sink, kind: 'null', input: source.bid}\n"},
	{"q5",
		"  - id: counts\n    kind: window_aggregate\n    input: source.bid\n"
		"    key: [auction]\n    window: {hopping: 10s, slide: 2s}\n"
		"    aggregates: [num: count()]\n"
		"  - {id: hottest, kind: top, input: counts, by: num, per: [window_end]}\n"
		"  - {id: shape, kind: project, input: hottest, "
		"fields: [window_end, auction, num]}\n"
		"  - {id: sink, kind: 'null', input: shape}\n"},
};

// One figure: a query on some workers over a set's rows, beside a hand-written loop.
struct benchmark {
	char name[64];
	const struct query *query;
	const struct baseline *baseline;
	struct team cores;
	struct engine_job *job;
	struct measure engine, against; // events a second
};

enum { BENCHMARKS_MAX = 16 };

struct set_run {
	const struct rows_set *set;
	struct rows rows;
	uint32_t count;
	struct benchmark list[BENCHMARKS_MAX];
};

static struct engine_job *job_open(const struct rows_set *set, const struct benchmark *b)
{
	struct engine_job *job;
	char text[2048];

	snprintf(text, sizeof(text),
		"version: 1\njob: bench\nworkers: {state_memory: %s}\noperators:\n"
		"  - {id: source, kind: memory, loops: %u, from: {kind: nexmark, events: %" PRId64
		", rate: %" PRId64 "/s}}\n%s",
		set->rate > 100000 ? "256MiB" : "32MiB", set->loops, set->events, set->rate,
		b->query->operators);
	return engine_job_open(text, &b->cores, &job) == 0 ? job : NULL;
}

static int benchmark_add(struct set_run *run, const char *query, const char *baseline,
	uint32_t workers, bool share)
{
	VERIFY(run->count < BENCHMARKS_MAX);
	struct benchmark *b = &run->list[run->count];

	*b = (struct benchmark){.baseline = baseline_find(baseline)};
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++)
		if (strcmp(queries[i].name, query) == 0)
			b->query = &queries[i];
	snprintf(b->name, sizeof(b->name), "nexmark/%s%s", query, run->set->name);
	if (cores_team(workers, share, &b->cores) != 0)
		return 0; // said; the rest goes on
	b->job = job_open(run->set, b);
	if (b->job == NULL)
		return 1;
	run->count++;
	return 0;
}

static double events(const struct set_run *run)
{
	return (double)(run->rows.records * run->rows.loops);
}

static int engine_measure(const struct set_run *run, struct benchmark *b, struct measure *out,
	struct tally *ret_tally)
{
	struct engine_outcome outcome;
	int err = engine_job_run(b->job, NULL, &outcome);

	if (err != 0)
		return err;
	measure_add(out, events(run) / outcome.seconds);
	*ret_tally = outcome.tally;
	return 0;
}

static int baseline_measure(const struct set_run *run, struct benchmark *b, struct tally *ret_tally)
{
	int64_t ns;
	int err = baseline_run(b->baseline, &run->rows, &b->cores, ret_tally, &ns);

	if (err == 0)
		measure_add(&b->against, events(run) / (double)ns * 1e9);
	return err;
}

// One side, then the other; they must agree to the record.
static int round_measure(const struct set_run *run, struct benchmark *b)
{
	struct tally engine, against;
	int err = baseline_measure(run, b, &against);

	if (err == 0)
		err = engine_measure(run, b, &b->engine, &engine);
	if (err != 0)
		return err;
	if (engine.records == against.records && engine.hash == against.hash)
		return 0;
	fprintf(stderr,
		"bench: %s, %u workers: the engine gave %" PRIu64 " records, hash %016" PRIx64
		", the hand-written loop %" PRIu64 ", %016" PRIx64 "\n",
		b->name, b->cores.threads, engine.records, engine.hash, against.records,
		against.hash);
	return 1;
}

static int probe_measure(const struct set_run *run, const char *name, uint32_t rounds,
	struct results *results)
{
	struct measure gigabytes = {.count = 0};
	struct team team;
	char full[64];

	if (cores_team(1, true, &team) != 0)
		return 1;
	for (uint32_t i = 0; i < rounds; i++) {
		struct tally tally;
		int64_t ns;
		if (baseline_run(baseline_find(name), &run->rows, &team, &tally, &ns) != 0)
			return 1;
		measure_add(&gigabytes,
			(double)rows_bytes(&run->rows) * run->rows.loops / (double)ns);
	}
	snprintf(full, sizeof(full), "memory/%s%s", name, run->set->name);
	results_add(results, full, 1, "GB/s", &gigabytes, NULL, 0);
	return 0;
}

static int set_add(struct set_run *run, bool share)
{
	bool large = run->set->rate > 100000;
	int wrong = 0;

	for (uint32_t workers = 1; workers <= 2; workers++) {
		if (!large)
			wrong |= benchmark_add(run, "q0", "q0", workers, share);
		wrong |= benchmark_add(run, "q5", large ? "q5_table" : "q5", workers, share);
	}
	return wrong;
}

static int set_rounds(struct set_run *run, uint32_t rounds, struct results *results)
{
	static const char *const probes[] = {"scan", "memcpy_dram", "memcpy_8k"};
	int wrong = 0;

	for (uint32_t round = 0; round < rounds && !wrong; round++) {
		for (uint32_t i = 0; i < run->count && !wrong; i++)
			wrong = round_measure(run, &run->list[i]) != 0;
		fprintf(stderr, "bench: nexmark%s round %u of %u\n", run->set->name, round + 1,
			rounds);
	}
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]) && !wrong; i++)
		wrong = probe_measure(run, probes[i], rounds, results);
	for (uint32_t i = 0; i < run->count && !wrong; i++) {
		const struct benchmark *b = &run->list[i];
		struct result *r = results_add(results, b->name, b->cores.threads, "records/s",
			&b->engine, &b->against, 0);
		snprintf(r->note, sizeof(r->note), "beside %s", b->baseline->summary);
	}
	return wrong;
}

static int set_measure(const struct rows_set *set, uint32_t rounds, bool share,
	struct results *results)
{
	struct set_run *run = calloc(1, sizeof(*run));
	struct arena arena;

	VERIFY(run != NULL);
	run->set = set;
	int wrong = set_add(run, share);
	if (!wrong && run->count > 0 && engine_job_lay(run->list[0].job, &arena) == 0) {
		if (arena.pages != ARENA_PAGES_HUGE)
			fprintf(stderr,
				"bench: the rows lie in %s pages: figures are lower; "
				"`scripts/setup` prepares huge ones\n",
				arena.pages == ARENA_PAGES_SMALL ? "small" : "transparent huge");
		run->rows = engine_job_rows(run->list[0].job);
		for (uint32_t i = 1; i < run->count; i++)
			engine_job_adopt(run->list[i].job, run->list[0].job);
		wrong = set_rounds(run, rounds, results);
		arena_destroy(&arena);
	} else {
		wrong = 1;
	}
	for (uint32_t i = 0; i < run->count; i++)
		engine_job_close(run->list[i].job);
	free(run);
	return wrong;
}

int nexmark_measure(struct results *results, int64_t events, uint32_t rounds, bool share)
{
	const struct rows_set sets[] = {
		{"", events, 10000, 1},
		{"/l3", events < 100000 ? events : 100000, 10000,
			events < 100000 ? 2 : (uint32_t)(events / 100000)},
		{"/large", events, 1000000, 1},
	};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		if (set_measure(&sets[i], rounds, share, results) != 0)
			return 1;
	return 0;
}

int mode_nexmark(const struct options *o)
{
	static struct results results;
	bool huge;

	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	if (nexmark_measure(&results, o->events, o->rounds, false) != 0 ||
		recovery_measure(&results, o, false) != 0)
		return 1;
	results_print(&results);
	return 0;
}
