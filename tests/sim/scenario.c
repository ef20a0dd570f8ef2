#include "tests/sim/scenario.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const aggregate_text[] = {"count()", "sum(price)", "min(price)", "max(price)"};

static void add(struct scenario *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct scenario *s, const char *format, ...)
{
	size_t used = strlen(s->job);
	va_list args;
	va_start(args, format);
	vsnprintf(s->job + used, sizeof(s->job) - used, format, args);
	va_end(args);
}

static void write_window(struct scenario *s, const char *input)
{
	add(s, "  - id: windows\n    kind: window_aggregate\n    input: %s\n    key: [%s%s%s]\n",
		input, s->key_auction ? "auction" : "", s->key_auction && s->key_bidder ? ", " : "",
		s->key_bidder ? "bidder" : "");
	if (s->size_ns == s->slide_ns)
		add(s, "    window: {tumbling: %lldms}\n", (long long)(s->size_ns / 1000000));
	else
		add(s, "    window: {hopping: %lldms, slide: %lldms}\n",
			(long long)(s->size_ns / 1000000), (long long)(s->slide_ns / 1000000));
	add(s, "    aggregates: [");
	for (uint32_t i = 0; i < s->aggregate_count; i++)
		add(s, "%sa%u: %s", i == 0 ? "" : ", ", i, aggregate_text[s->aggregates[i]]);
	add(s, "]\n");
	if (s->top != 0)
		add(s, "  - {id: best, kind: top, input: windows, by: a0, n: %u}\n", s->top);
}

static void write_job(struct scenario *s)
{
	const char *input = "source.bid";
	s->job[0] = 0;
	add(s, "version: 1\njob: sim\nworkers: {count: %u, state_memory: 64MiB}\n", s->workers);
	add(s, "exchange: {frame: %uB, credit: %u}\n", s->frame_bytes, s->credit);
	add(s, "checkpoint: {interval: 1s, retention: 16MiB, snapshot: 8MiB}\noperators:\n");
	add(s,
		"  - {id: source, kind: nexmark, events: %llu, rate: %llu/s, group: %llu, "
		"pace: %llu/s}\n",
		(unsigned long long)s->events, (unsigned long long)s->rate,
		(unsigned long long)s->group, (unsigned long long)s->rate);
	if (s->keep_modulo != 1) {
		add(s, "  - {id: keep, kind: filter, input: %s, where: \"price %% %u = 0\"}\n",
			input, s->keep_modulo);
		input = "keep";
	}
	if (s->window)
		write_window(s, input);
	add(s, "  - {id: sink, kind: capture, input: %s%s}\n",
		s->top != 0         ? "best"
			: s->window ? "windows"
				    : input,
		s->one_sink ? ", parallelism: 1" : "");
}

static void draw_window(struct scenario *s, struct random *r)
{
	static const int64_t slides_ms[] = {100, 500, 1000, 2000, 5000, 20000};
	static const int64_t times[] = {1, 1, 2, 3, 5, 8};
	s->slide_ns = slides_ms[random_in(r, 0, 5)] * 1000000;
	s->size_ns = s->slide_ns * times[random_in(r, 0, 5)];
	uint32_t keys = (uint32_t)random_in(r, 1, 3);
	s->key_auction = keys & 1;
	s->key_bidder = keys & 2;
	s->aggregate_count = (uint32_t)random_in(r, 1, SCENARIO_AGGREGATES_MAX);
	for (uint32_t i = 0; i < s->aggregate_count; i++)
		s->aggregates[i] = (enum scenario_aggregate)random_in(r, 0, OF_MAX);
	s->top = random_chance(r, 400) ? (uint32_t)random_in(r, 1, 3) : 0;
}

void scenario_draw(struct scenario *s, uint64_t seed)
{
	static const uint64_t groups[] = {1, 1, 7, 50, 977, 1000};
	static const uint32_t frames[] = {512, 600, 1024, 2048, 8192};
	struct random random = {seed * 0x2545F4914F6CDD1DULL + 1}, *r = &random;
	*s = (struct scenario){.seed = seed, .rate = 1000, .events = 60000, .keep_modulo = 1};
	s->group = groups[random_in(r, 0, 5)];
	s->workers = (uint32_t)random_in(r, 1, 3);
	s->frame_bytes = frames[random_in(r, 0, 4)];
	s->credit = (uint32_t)random_in(r, 1, random_chance(r, 500) ? 3 : 32);
	s->window = random_chance(r, 900);
	if (random_chance(r, 400))
		s->keep_modulo = (uint32_t)random_in(r, 2, 7);
	if (s->window)
		draw_window(s, r);
	s->one_sink = random_chance(r, 500);
	s->kills = random_chance(r, 750) ? (uint32_t)random_in(r, 1, 6) : 0;
	if (random_chance(r, 100))
		s->interrupt_ns = (int64_t)random_in(r, 1, 60) * 1000000000;
	write_job(s);
}
