#include "tests/sim/scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/capture.h"

const struct scenario_stream scenario_streams[NEXMARK_KINDS] = {
	[NEXMARK_PERSON] = {"person", {"city", "state"}, "id", "time", {4, 5}, 0, 6, true},
	[NEXMARK_AUCTION] = {"auction", {"seller", "category"}, "initial_bid", "time", {7, 8}, 3, 5,
		false},
	[NEXMARK_BID] = {"bid", {"auction", "bidder"}, "price", "time", {0, 1}, 2, 3, false},
};

enum { REPLICAS_PACE = 20, REPLICAS_EVENTS = 15000 };

static void add(struct scenario *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct scenario *s, const char *format, ...)
{
	size_t used = strlen(s->job);
	va_list args;
	va_start(args, format);
	vsnprintf(s->job + used, sizeof(s->job) - used, format, args);
	va_end(args);
}

static void write_window(struct scenario *s, uint32_t i, const char *input)
{
	static const char *const aggregate_text[] = {"count()", "sum(%s)", "min(%s)", "max(%s)"};
	const struct query *q = &s->queries[i];
	const struct scenario_stream *stream = &scenario_streams[q->stream];
	add(s, "  - id: windows%u\n    kind: window_aggregate\n    input: %s\n    key: [%s%s%s]\n",
		i, input, q->keys[0] ? stream->keys[0] : "", q->keys[0] && q->keys[1] ? ", " : "",
		q->keys[1] ? stream->keys[1] : "");
	if (q->size_ns == q->slide_ns)
		add(s, "    window: {tumbling: %lldms}\n", (long long)(q->size_ns / 1000000));
	else
		add(s, "    window: {hopping: %lldms, slide: %lldms}\n",
			(long long)(q->size_ns / 1000000), (long long)(q->slide_ns / 1000000));
	add(s, "    aggregates: [");
	for (uint32_t j = 0; j < q->aggregate_count; j++) {
		char text[32];
		snprintf(text, sizeof(text), aggregate_text[q->aggregates[j]], stream->value);
		add(s, "%sa%u: %s", j == 0 ? "" : ", ", j, text);
	}
	add(s, "]\n");
	if (q->top != 0)
		add(s, "  - {id: best%u, kind: top, input: windows%u, by: a0, n: %u}\n", i, i,
			q->top);
}

static void write_query(struct scenario *s, uint32_t i)
{
	const struct query *q = &s->queries[i];
	const struct scenario_stream *stream = &scenario_streams[q->stream];
	char input[32];
	snprintf(input, sizeof(input), "source.%s", stream->name);
	if (q->keep_modulo != 1 || q->merged) {
		add(s, "  - {id: keep%u, kind: filter, input: %s, where: \"%s %% %u = 0\"%s}\n", i,
			input, stream->value, q->keep_modulo, q->merged ? ", parallelism: 1" : "");
		snprintf(input, sizeof(input), "keep%u", i);
	}
	if (q->raise != 0) {
		add(s,
			"  - {id: raised%u, kind: project, input: %s, fields: "
			"[%s, %s: \"%s + %lld\", %s, %s]}\n",
			i, input, stream->keys[1], stream->value, stream->value,
			(long long)q->raise, stream->time, stream->keys[0]);
		snprintf(input, sizeof(input), "raised%u", i);
	}
	if (q->window) {
		write_window(s, i, input);
		snprintf(input, sizeof(input), q->top != 0 ? "best%u" : "windows%u", i);
	}
	if (s->folder[0] != 0)
		add(s, "  - {id: sink%u, kind: csv, path: %s/%u.csv, header: true, input: %s}\n", i,
			s->folder, i, input);
	else
		add(s, "  - {id: sink%u, kind: capture, slot: %u, input: %s%s}\n", i, i, input,
			q->one_sink ? ", parallelism: 1" : "");
}

// Which operators have replicas: all, or all but the sinks.
static void write_replicas(struct scenario *s)
{
	add(s, "recovery:\n  survive: 1 %s\n  retention: %uKiB\n", s->racks ? "rack" : "host",
		s->retention_kib);
	if (s->sinks_single)
		add(s, "  operators: [source");
	for (uint32_t i = 0; i < s->query_count && s->sinks_single; i++) {
		const struct query *q = &s->queries[i];
		if (q->keep_modulo != 1 || q->merged)
			add(s, ", keep%u", i);
		if (q->raise != 0)
			add(s, ", raised%u", i);
		if (q->window)
			add(s, ", windows%u", i);
		if (q->top != 0)
			add(s, ", best%u", i);
	}
	if (s->sinks_single)
		add(s, "]\n");
}

static void write_job(struct scenario *s)
{
	s->job[0] = 0;
	add(s, "version: 1\njob: sim\nworkers: {count: %u, state_memory: 64MiB}\n", s->workers);
	add(s, "exchange: {frame: %uB, credit: %u}\n", s->frame_bytes, s->credit);
	if (s->replicas)
		write_replicas(s);
	else
		add(s, "checkpoint: {interval: 1s, retention: 16MiB, snapshot: 8MiB}\n");
	add(s, "operators:\n");
	add(s,
		"  - {id: source, kind: nexmark, events: %llu, rate: %llu/s, group: %llu, "
		"pace: %llu/s}\n",
		(unsigned long long)s->events, (unsigned long long)s->rate,
		(unsigned long long)s->group, (unsigned long long)s->pace);
	for (uint32_t i = 0; i < s->query_count; i++)
		write_query(s, i);
}

static void draw_window(struct query *q, struct random *r)
{
	static const int64_t slides_ms[] = {100, 500, 1000, 2000, 5000, 20000};
	static const int64_t times[] = {1, 1, 2, 3, 5, 8};
	q->slide_ns = slides_ms[random_in(r, 0, 5)] * 1000000;
	q->size_ns = q->slide_ns * times[random_in(r, 0, 5)];
	uint32_t keys = (uint32_t)random_in(r, 1, 3);
	q->keys[0] = keys & 1;
	q->keys[1] = keys & 2;
	q->aggregate_count = (uint32_t)random_in(r, 1, SCENARIO_AGGREGATES_MAX);
	for (uint32_t i = 0; i < q->aggregate_count; i++)
		q->aggregates[i] = (enum scenario_aggregate)random_in(r, 0, OF_MAX);
	q->top = random_chance(r, 400) ? (uint32_t)random_in(r, 1, 3) : 0;
	if (random_chance(r, 200))
		q->raise = (int64_t)random_in(r, 1, 1000);
}

static void draw_query(struct query *q, struct random *r, uint32_t bids_of_thousand)
{
	*q = (struct query){.keep_modulo = 1};
	q->window = random_chance(r, 900);
	q->stream = !q->window || random_chance(r, bids_of_thousand) ? NEXMARK_BID
		: random_chance(r, 500)                              ? NEXMARK_PERSON
								     : NEXMARK_AUCTION;
	if (random_chance(r, 400))
		q->keep_modulo = (uint32_t)random_in(r, 2, 7);
	if (q->window)
		draw_window(q, r);
	q->one_sink = random_chance(r, 500);
}

void scenario_draw(struct scenario *s, uint64_t seed)
{
	static const uint64_t groups[] = {1, 1, 7, 50, 977, 1000};
	static const uint32_t frames[] = {512, 600, 1024, 2048, 8192};
	struct random random = {seed * 0x2545F4914F6CDD1DULL + 1}, *r = &random;
	*s = (struct scenario){.seed = seed, .rate = 1000, .pace = 1000, .events = 60000};
	s->group = groups[random_in(r, 0, 5)];
	s->workers = (uint32_t)random_in(r, 1, 3);
	s->frame_bytes = frames[random_in(r, 0, 4)];
	s->credit = (uint32_t)random_in(r, 1, random_chance(r, 500) ? 3 : 32);
	draw_query(&s->queries[s->query_count++], r, 800);
	if (random_chance(r, 300))
		draw_query(&s->queries[s->query_count++], r, 300);
	for (uint32_t i = 0; i < s->query_count; i++)
		if (s->queries[i].stream == NEXMARK_AUCTION && s->frame_bytes < 1024)
			s->frame_bytes = 1024; // no smaller one holds them all
	s->kills = random_chance(r, 750) ? (uint32_t)random_in(r, 1, 6) : 0;
	if (random_chance(r, 100))
		s->interrupt_ns = (int64_t)random_in(r, 1, 60) * 1000000000;
	write_job(s);
}

void scenario_draw_replicas(struct scenario *s, uint64_t seed)
{
	struct random random = {seed * 0x9E3779B97F4A7C15ULL + 7};
	scenario_draw(s, seed);
	s->replicas = true;
	s->retention_kib = 4096;
	s->events = REPLICAS_EVENTS;
	s->pace = REPLICAS_PACE * s->rate;
	s->node_workers = random_chance(&random, 250) ? 2 : 1;
	s->workers = s->node_workers * (uint32_t)random_in(&random, 2, SCENARIO_NODES_MAX);
	if (s->workers > 4 && s->credit > 8)
		s->credit = 8; // of many channels
	s->sinks_single = random_chance(&random, 150);
	for (uint32_t i = 0; i < s->query_count && s->sinks_single; i++)
		s->queries[i].one_sink = true; // or no node can be spared
	for (uint32_t i = 0; i < s->query_count; i++)
		s->queries[i].merged = s->queries[i].window && random_chance(&random, 600);
	s->interrupt_ns = s->interrupt_ns == 0 ? 0 : (int64_t)random_in(&random, 1, 700000000);
	write_job(s);
}

void scenario_draw_whole(struct scenario *s, uint64_t seed, uint32_t node_workers,
	uint32_t places_max, bool racks)
{
	struct random random = {seed * 0xD1B54A32D192ED03ULL + 3};
	scenario_draw_replicas(s, seed);
	s->events = random_in(&random, 1000, 6000);
	s->pace = 1500;
	s->interrupt_ns = 0;
	s->node_workers = node_workers;
	s->workers = node_workers * (uint32_t)random_in(&random, 2, places_max);
	s->racks = racks && random_chance(&random, 300);
	s->retention_kib = random_chance(&random, 500) ? 64 : 4096;
	if (s->frame_bytes > 2048)
		s->frame_bytes = 2048;
	if (s->credit > 8)
		s->credit = 8;
	write_job(s);
}

void scenario_to_files(struct scenario *s, const char *folder)
{
	snprintf(s->folder, sizeof(s->folder), "%s", folder);
	s->interrupt_ns = 0;
	write_job(s);
}

void scenario_draw_takeover(struct scenario *s, uint64_t seed, uint64_t pace)
{
	scenario_draw_replicas(s, seed);
	s->timed = true;
	s->sinks_single = false;
	s->interrupt_ns = 0;
	s->pace = pace;
	s->events = pace; // a second's, of which it sees a part
	s->group = 1;     // in order, and evenly
	s->frame_bytes = s->frame_bytes < 2048 ? 2048 : s->frame_bytes;
	s->credit = 32;
	s->query_count = 2; // items that never pause, and one with state
	s->queries[1] = s->queries[0];
	if (!s->queries[1].window)
		draw_window(&s->queries[1], &(struct random){seed});
	s->queries[1].window = true;
	s->queries[0] = (struct query){.stream = NEXMARK_BID, .keep_modulo = 1, .one_sink = true};
	write_job(s);
}
