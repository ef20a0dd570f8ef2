#include <inttypes.h>
#include <stdio.h>

#include "dataplane/engine.h"
#include "perf/cores.h"
#include "perf/micro/line.h"
#include "perf/micro/pair.h"
#include "perf/modes.h"
#include "perf/results.h"

// Items a frame: one; 32; and what 1,400 bytes hold.
static const uint32_t item_counts[] = {1, 32, 1400 / PAIR_ITEM_BYTES};

// Few, so that they end soon where other programs take turns on the cores.
enum { LINE_CROSSINGS = 200 };

struct series {
	struct measure ns[PAIR_KINDS]; // a frame
};

static int measure_round(uint32_t items, uint64_t frames, const int *cpus, struct series *s)
{
	uint64_t sum = 0;

	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		struct pair_result result;
		if (pair_run(kind, items, frames, cpus, &result) != 0)
			return 1;
		if (kind == PAIR_BARE)
			sum = result.sum;
		if (result.sum != sum) {
			fprintf(stderr, "bench: %s received other items than bare\n",
				pair_names[kind]);
			return 1;
		}
		measure_add(&s->ns[kind], (double)result.ns / (double)frames);
	}
	return 0;
}

static void report(struct results *results, uint32_t items, const struct series *s)
{
	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		char name[64];
		snprintf(name, sizeof(name), "exchange/%s/%u", pair_names[kind], items);
		struct result *r = results_add(results, name, 2, "ns/frame", &s->ns[kind],
			kind == PAIR_BARE ? NULL : &s->ns[PAIR_BARE], 1);
		struct measure over = {.count = 0};
		for (uint32_t i = 0; i < s->ns[kind].count; i++)
			measure_add(&over, s->ns[kind].values[i] - s->ns[PAIR_BARE].values[i]);
		if (kind != PAIR_BARE)
			snprintf(r->note, sizeof(r->note), "%.1f ns a frame over the bare ring",
				measure_median(&over));
	}
}

// In a virtual machine the two cores may share a cache or not, and that may change.
static void line_measure(struct results *results, uint32_t rounds, const int *cpus)
{
	struct measure ns = {.count = 0};

	for (uint32_t i = 0; i < rounds; i++)
		measure_add(&ns, line_crossing_ns(LINE_CROSSINGS, cpus));
	struct result *r = results_add(results, "exchange/line", 2, "ns", &ns, NULL, 1);
	snprintf(r->note, sizeof(r->note),
		"one cache line from core to core; 30 to 60 where both share a cache");
}

int exchange_measure(struct results *results, uint64_t frames, uint32_t rounds, bool share)
{
	struct team team;

	if (cores_team(2, share, &team) != 0)
		return 2;
	line_measure(results, rounds, team.cpus);
	for (size_t i = 0; i < sizeof(item_counts) / sizeof(item_counts[0]); i++) {
		struct series s = {0};
		for (uint32_t round = 0; round < rounds; round++)
			if (measure_round(item_counts[i], frames, team.cpus, &s) != 0)
				return 1;
		report(results, item_counts[i], &s);
	}
	return 0;
}

int mode_exchange(const struct options *o)
{
	static struct results results;
	bool huge;

	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	int code = exchange_measure(&results, 50000, o->rounds, false);
	if (code == 0)
		results_print(&results);
	return code;
}
