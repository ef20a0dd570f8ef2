#include <inttypes.h>
#include <stdio.h>

#include "perf/baseline/baseline.h"
#include "perf/cores.h"
#include "perf/measure.h"
#include "perf/modes.h"
#include "perf/rows_nexmark.h"

static int measure_rows(const struct baseline *baseline, const struct rows *rows,
	const struct team *team, uint32_t rounds)
{
	struct measure ns = {.count = 0};
	struct tally tally = {0, 0};

	for (uint32_t i = 0; i < rounds; i++) {
		int64_t run_ns;
		if (baseline_run(baseline, rows, team, &tally, &run_ns) != 0)
			return 1;
		measure_add(&ns, (double)run_ns / (double)(rows->records * rows->loops));
	}
	printf("%s threads %u: %.2f ns/event, least %.2f, spread %.3f, %.1f bytes/event, "
	       "%" PRIu64 " records out, hash %016" PRIx64 "\n",
		baseline->name, team->threads, measure_median(&ns), measure_least(&ns),
		measure_spread(&ns), (double)rows_bytes(rows) / (double)rows->records,
		tally.records, tally.hash);
	return 0;
}

int mode_baseline(const struct options *o)
{
	const struct baseline *baseline = o->name == NULL ? NULL : baseline_find(o->name);
	struct arena arena;
	struct team team;
	struct rows rows;

	if (baseline == NULL) {
		fprintf(stderr, "bench: baseline: one of");
		for (uint32_t i = 0; baselines[i] != NULL; i++)
			fprintf(stderr, " %s", baselines[i]->name);
		fprintf(stderr, "\n");
		return 2;
	}
	if (cores_team(o->threads, false, &team) != 0)
		return 2;
	if (rows_nexmark_create(o->events, o->rate, o->loops, &arena, &rows) != 0)
		return 1;
	int code = measure_rows(baseline, &rows, &team, o->rounds);
	arena_destroy(&arena);
	return code;
}
