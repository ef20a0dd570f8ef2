#include <inttypes.h>
#include <stdio.h>

#include "dataplane/engine.h"
#include "perf/baseline/baseline.h"
#include "perf/cores.h"
#include "perf/modes.h"
#include "perf/results.h"
#include "perf/rows_nexmark.h"

static int run(const char *name, const struct rows *rows, uint32_t threads, struct tally *ret_tally)
{
	struct team team;
	int64_t ns;
	int err = cores_team(threads, true, &team);

	if (err == 0)
		err = baseline_run(baseline_find(name), rows, &team, ret_tally, &ns);
	if (err == 0)
		printf("%s threads %u loops %u: %" PRIu64 " records out, hash %016" PRIx64 "\n",
			name, threads, rows->loops, ret_tally->records, ret_tally->hash);
	return err;
}

// Every loop, on one thread and on two, gives what the first of its query gave on one.
static int smoke_query(const char *const *names, const struct rows *rows)
{
	struct tally first = {0, 0};
	int wrong = 0;

	for (uint32_t i = 0; names[i] != NULL; i++)
		for (uint32_t threads = 1; threads <= 3; threads++) {
			struct tally tally;
			if (run(names[i], rows, threads, &tally) != 0)
				return 1;
			if (first.records == 0)
				first = tally;
			wrong |= tally.records != first.records || tally.hash != first.hash;
		}
	return wrong | (first.records == 0);
}

// The engine's runs compare themselves with the hand-written loops.
static int smoke_engine(void)
{
	static struct results results;
	bool huge;

	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	const struct options tiny = {.events = 100000, .rounds = 1};
	int wrong = nexmark_measure(&results, tiny.events, tiny.rounds, true) |
		recovery_measure(&results, &tiny, true) |
		exchange_measure(&results, 1000, 1, true) |
		latency_measure(&results, 20000, 1, true);
	results_print(&results);
	return wrong;
}

int mode_smoke(const struct options *o)
{
	static const char *const q0[] = {"q0", NULL}, *const q5[] = {"q5", "q5_table", NULL};
	int wrong = 0;

	for (uint32_t loops = 1; loops <= 2; loops++) {
		struct arena arena;
		struct rows rows;
		if (rows_nexmark_create(100000, o->rate, loops, &arena, &rows) != 0)
			return 1;
		wrong |= smoke_query(q0, &rows) | smoke_query(q5, &rows);
		arena_destroy(&arena);
	}
	if (wrong)
		fprintf(stderr, "bench: hashes differ\n");
	return wrong | smoke_engine();
}
