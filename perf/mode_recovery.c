#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/engine.h"
#include "numa/assert.h"
#include "perf/cores.h"
#include "perf/engine_job.h"
#include "perf/modes.h"
#include "perf/results.h"

// What recovery costs, a part at a time: the same job on two workers over the same rows, each
// variant with one part more than the one before it.

enum { WORKERS = 2, JOB_TEXT_BYTES = 2048, VARIANTS = 4 };
enum { CACHED_EVENTS = 100000 }; // rows that stay in the cache

static const struct variant {
	const char *suffix, *note;
	enum engine_job_parts parts;
} variants[VARIANTS] = {
	{"", "without recovery", ENGINE_JOB_PLAIN},
	{"+log", "order log and running checksum, beside the same without", ENGINE_JOB_LOG},
	{"+retention", "and copies of all that is sent, beside the same without recovery",
		ENGINE_JOB_RETENTION},
	{"+checkpoint", "all of it with `checkpoint: {}`, beside the same without recovery",
		ENGINE_JOB_ALL},
};

struct case_of {
	const char *name, *operators;
	bool keeps_all; // what is sent in a run fits a retention that nothing ever trims
	// Rows in the cache: so many times as many. Nothing trims a log without checkpoints, and
	// each frame that is consumed, full or not, may be an entry of it.
	uint32_t cached_times;
};

static const struct case_of cases[] = {
	{"q5",
		"  - id: counts\n    kind: window_aggregate\n    input: source.bid\n"
		"    key: [auction]\n    window: {hopping: 10s, slide: 2s}\n"
		"    aggregates: [num: count()]\n"
		"  - {id: hottest, kind: top, input: counts, by: num, per: [window_end]}\n"
		"  - {id: sink, kind: 'null', input: hottest}\n",
		true, 10},
	{"q0_exchange", "  - {id: sink, kind: 'null', input: source.bid, parallelism: 1}\n", false,
		1},
};

struct run {
	struct engine_job *job[VARIANTS];
	struct measure speed[VARIANTS];
	struct engine_checkpoints checkpoints; // of the last run with all parts
	struct tally tally;
};

static struct engine_job *job_open(const struct case_of *c, int64_t events, uint32_t loops,
	enum engine_job_parts parts, const struct team *cores)
{
	char text[JOB_TEXT_BYTES];
	struct engine_job *job;

	snprintf(text, sizeof(text),
		"version: 1\njob: bench\nworkers: {state_memory: 32MiB}\n%soperators:\n"
		"  - {id: source, kind: memory, loops: %" PRIu32
		", from: {kind: nexmark, events: %" PRId64 ", rate: 10000/s}}\n%s",
		parts == ENGINE_JOB_PLAIN ? "" : "checkpoint: {}\n", loops, events, c->operators);
	if (engine_job_open(text, cores, &job) != 0)
		return NULL;
	engine_job_keep(job, parts);
	return job;
}

// All variants in turn, beginning with another one each round.
static int round_measure(const struct case_of *c, struct run *run, double records, uint32_t round)
{
	for (uint32_t i = 0; i < VARIANTS; i++) {
		uint32_t v = (i + round) % VARIANTS;
		struct engine_outcome outcome;
		if (run->job[v] == NULL)
			continue;
		if (engine_job_run(run->job[v], NULL, &outcome) != 0)
			return 1;
		measure_add(&run->speed[v], records / outcome.seconds);
		if (variants[v].parts == ENGINE_JOB_ALL)
			run->checkpoints = outcome.checkpoints;
		if (run->tally.records == 0)
			run->tally = outcome.tally;
		if (outcome.tally.records == run->tally.records &&
			outcome.tally.hash == run->tally.hash)
			continue;
		fprintf(stderr, "bench: %s%s gave another result than without recovery\n", c->name,
			variants[v].suffix);
		return 1;
	}
	return 0;
}

static void results_of(const struct case_of *c, const char *rows, struct run *run,
	struct results *results)
{
	char name[64];

	for (uint32_t v = 1; v < VARIANTS; v++) {
		if (run->job[v] == NULL)
			continue;
		snprintf(name, sizeof(name), "nexmark/%s%s%s", c->name, variants[v].suffix, rows);
		struct result *r = results_add(results, name, WORKERS, "records/s", &run->speed[v],
			&run->speed[0], 0);
		int used = snprintf(r->note, sizeof(r->note), "%s", variants[v].note);
		if (variants[v].parts == ENGINE_JOB_ALL)
			snprintf(r->note + used, sizeof(r->note) - (size_t)used,
				"; %" PRIu32 " checkpoints, %" PRIu32 " early, pause %.3f ms",
				run->checkpoints.committed, run->checkpoints.early,
				(double)run->checkpoints.pause_ns_max / 1e6);
	}
}

static int case_measure(const struct case_of *c, const char *rows, int64_t events, uint32_t loops,
	uint32_t rounds, bool share, struct results *results)
{
	struct run *run = calloc(1, sizeof(*run));
	struct team cores;
	struct arena arena;
	int wrong = 0;

	VERIFY(run != NULL);
	if (cores_team(WORKERS, share, &cores) != 0) {
		free(run);
		return 0; // said; the rest goes on
	}
	for (uint32_t v = 0; v < VARIANTS && !wrong; v++) {
		if (variants[v].parts == ENGINE_JOB_RETENTION && (!c->keeps_all || loops > 1))
			continue;
		run->job[v] = job_open(c, events, loops, variants[v].parts, &cores);
		wrong = run->job[v] == NULL;
	}
	if (!wrong && engine_job_lay(run->job[0], &arena) == 0) {
		for (uint32_t v = 1; v < VARIANTS; v++)
			if (run->job[v] != NULL)
				engine_job_adopt(run->job[v], run->job[0]);
		double records = (double)engine_job_rows(run->job[0]).records * loops;
		for (uint32_t round = 0; round < rounds && !wrong; round++)
			wrong = round_measure(c, run, records, round);
		if (!wrong)
			results_of(c, rows, run, results);
		arena_destroy(&arena);
	} else {
		wrong = 1;
	}
	fprintf(stderr, "bench: recovery %s%s\n", c->name, rows);
	for (uint32_t v = 0; v < VARIANTS; v++)
		engine_job_close(run->job[v]);
	free(run);
	return wrong;
}

int recovery_measure(struct results *results, const struct options *o, bool share)
{
	int64_t cached = o->events < CACHED_EVENTS ? o->events : CACHED_EVENTS;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (o->name != NULL && strcmp(o->name, cases[i].name) != 0)
			continue;
		wrong |= case_measure(&cases[i], "", o->events, 1, o->rounds, share, results);
		uint32_t loops = (uint32_t)(o->events / cached) * cases[i].cached_times;
		wrong |= case_measure(&cases[i], "/l3", cached, loops, o->rounds, share, results);
	}
	return wrong;
}

int mode_recovery(const struct options *o)
{
	static struct results results;
	bool huge;

	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	if (recovery_measure(&results, o, false) != 0)
		return 1;
	results_print(&results);
	return 0;
}
