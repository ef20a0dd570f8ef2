// A chain whose operators run full at random: what reaches its end, in which order, is the same as
// when none ever does.
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/chain.h"
#include "random_row.h"

enum { LINKS_MAX = 5, RECORD_BYTES = 16, EVENTS = 200, ROWS_MAX = 12, TRACE_MAX = 1 << 16 };

enum trace_kind { TRACE_RECORD = 1, TRACE_WATERMARK, TRACE_FINISH };

struct trace {
	uint32_t count;
	uint64_t entries[TRACE_MAX];
};

// An operator that passes on what it gets in pieces, holds every third record back until the next
// mark, and may find its output full before any step.
struct holder {
	uint64_t *seed;
	uint32_t full_percent;
	uint32_t fail_in; // calls until it fails; 0: never
	uint64_t seen;
	uint32_t held_count, held_at;
	uint64_t held[EVENTS * ROWS_MAX];
	alignas(8) uint8_t record[RECORD_BYTES];
	struct trace *trace; // the last link's
};

static struct weir_schema schema;
static struct chain_link links[LINKS_MAX];
static struct holder holders[LINKS_MAX];

static bool is_full(struct holder *h)
{
	return random_below(h->seed, 100) < h->full_percent;
}

static void trace_add(struct trace *t, enum trace_kind kind, uint64_t value)
{
	assert_true(t->count < TRACE_MAX);
	t->entries[t->count++] = (uint64_t)kind << 56 ^ value;
}

static uint64_t value_of(const uint8_t *record)
{
	uint64_t value;
	memcpy(&value, record + 8, sizeof(value));
	return value;
}

static void write_record(uint8_t *out, uint64_t value)
{
	const uint64_t record[2] = {RECORD_BYTES, value};
	memcpy(out, record, sizeof(record));
}

// Pass on the records up to, not including, the next one to hold back, or up to a random cut.
static enum weir_flow pass_some(struct holder *h, struct weir_context *ctx, struct weir_batch *in)
{
	const uint8_t *at = in->first;
	while (at < in->limit && (h->seen + 1) % 3 != 0 && random_below(h->seed, 4) != 0) {
		at += RECORD_BYTES;
		h->seen++;
	}
	struct weir_batch out = {.form = WEIR_PACKED, .first = in->first, .limit = at};
	in->first = at;
	return out.first == out.limit ? WEIR_DONE : weir_emit(ctx, &out);
}

static enum weir_flow holder_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct holder *h = self;
	assert_ptr_equal(in->schema, &schema);
	while (in->first < in->limit) {
		if (h->fail_in != 0 && --h->fail_in == 0)
			return weir_fail(ctx, "%s", "planted");
		if (is_full(h))
			return WEIR_FULL;
		if (h->trace != NULL) {
			trace_add(h->trace, TRACE_RECORD, value_of(in->first));
			in->first += RECORD_BYTES;
		} else if ((h->seen + 1) % 3 == 0) {
			h->held[h->held_count++] = value_of(in->first);
			in->first += RECORD_BYTES;
			h->seen++;
		} else {
			enum weir_flow flow = pass_some(h, ctx, in);
			if (flow != WEIR_DONE)
				return flow;
		}
	}
	return WEIR_DONE;
}

static enum weir_flow release(struct holder *h, struct weir_context *ctx)
{
	while (h->held_at < h->held_count) {
		if (is_full(h))
			return WEIR_FULL;
		write_record(h->record, h->held[h->held_at++]);
		struct weir_batch out = {
			.form = WEIR_PACKED, .first = h->record, .limit = h->record + RECORD_BYTES};
		enum weir_flow flow = weir_emit(ctx, &out);
		if (flow != WEIR_DONE)
			return flow;
	}
	h->held_at = h->held_count = 0;
	return is_full(h) ? WEIR_FULL : WEIR_DONE;
}

static enum weir_flow holder_watermark(void *self, struct weir_context *ctx, int64_t watermark_ns)
{
	struct holder *h = self;
	enum weir_flow flow = release(h, ctx);
	if (flow == WEIR_DONE && h->trace != NULL)
		trace_add(h->trace, TRACE_WATERMARK, (uint64_t)watermark_ns);
	return flow;
}

static enum weir_flow holder_finish(void *self, struct weir_context *ctx)
{
	struct holder *h = self;
	enum weir_flow flow = release(h, ctx);
	if (flow == WEIR_DONE && h->trace != NULL)
		trace_add(h->trace, TRACE_FINISH, 0);
	return flow;
}

static const struct weir_operator holder_operator = {
	.process = holder_process,
	.watermark = holder_watermark,
	.finish = holder_finish,
};
static const struct weir_operator markless_operator = {.process = holder_process};

// ---- running one

static void build(uint32_t count, uint64_t *seed, uint32_t full_percent, struct trace *trace)
{
	memset(holders, 0, sizeof(holders));
	memset(links, 0, sizeof(links));
	trace->count = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct chain_link *link = &links[i];
		holders[i].seed = seed;
		holders[i].full_percent = full_percent;
		holders[i].trace = i + 1 == count ? trace : NULL;
		link->kind = &holder_operator;
		link->self = &holders[i];
		link->input = &schema;
		link->next = i + 1 == count ? NULL : &links[i + 1];
		link->ctx.link = link;
		link->ctx.counters = &link->counters;
	}
}

static void drain(uint32_t count, enum weir_flow flow)
{
	for (uint32_t tries = 0; flow != WEIR_DONE; tries++) {
		assert_int_equal(flow, WEIR_FULL);
		assert_false(chain_is_drained(links, count));
		assert_true(tries < 100000);
		flow = chain_resume(links, count);
	}
	assert_true(chain_is_drained(links, count));
}

// The events follow from `events_seed` alone, what happens to them from the holders' seed too.
static void run(uint32_t count, uint64_t events_seed)
{
	alignas(8) static uint8_t packed[ROWS_MAX * RECORD_BYTES];
	uint64_t value = 1;
	for (int64_t event = 0; event < EVENTS; event++) {
		if (random_below(&events_seed, 4) == 0) {
			drain(count, chain_watermark(links, event));
			continue;
		}
		uint32_t records = random_below(&events_seed, ROWS_MAX + 1);
		for (uint32_t i = 0; i < records; i++)
			write_record(packed + i * RECORD_BYTES, value++);
		struct weir_batch batch = {.form = WEIR_PACKED,
			.first = packed,
			.limit = packed + records * RECORD_BYTES};
		drain(count, chain_batch(links, &batch));
		memset(packed, 0xEE, sizeof(packed)); // consumed: nobody may look again
	}
	drain(count, chain_finish(links));
}

static struct trace calm, rough;

static void test_running_full_changes_neither_records_nor_order(void **state)
{
	for (uint64_t seed = 0; seed < 60; seed++) {
		uint32_t count = 1 + (uint32_t)seed % LINKS_MAX;
		uint64_t cuts = seed, other_cuts = seed + 1000;
		build(count, &cuts, 0, &calm);
		run(count, seed);
		build(count, &other_cuts, 5 + (uint32_t)seed % 70, &rough);
		run(count, seed);
		assert_int_equal(rough.count, calm.count);
		assert_memory_equal(rough.entries, calm.entries, calm.count * sizeof(uint64_t));
		assert_int_equal(calm.entries[calm.count - 1], (uint64_t)TRACE_FINISH << 56);
	}
}

static void test_marks_pass_an_operator_that_takes_none(void **state)
{
	uint64_t cuts = 3;
	build(3, &cuts, 30, &rough);
	links[1].kind = &markless_operator;
	drain(3, chain_watermark(links, 17));
	drain(3, chain_finish(links));
	assert_int_equal(rough.count, 2);
	assert_int_equal(rough.entries[0], (uint64_t)TRACE_WATERMARK << 56 ^ 17);
	assert_int_equal(rough.entries[1], (uint64_t)TRACE_FINISH << 56);
}

static void test_failure_goes_up_to_the_caller(void **state)
{
	for (uint32_t at = 0; at < 3; at++) {
		uint64_t cuts = at;
		alignas(8) uint8_t packed[2 * RECORD_BYTES];
		build(3, &cuts, 0, &rough);
		holders[at].fail_in = 1;
		write_record(packed, 1);
		write_record(packed + RECORD_BYTES, 2);
		struct weir_batch batch = {
			.form = WEIR_PACKED, .first = packed, .limit = packed + sizeof(packed)};
		enum weir_flow flow = chain_batch(links, &batch);
		assert_int_equal(flow, WEIR_FAILED);
		assert_string_equal(links[at].ctx.error, "planted");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_running_full_changes_neither_records_nor_order),
		cmocka_unit_test(test_marks_pass_an_operator_that_takes_none),
		cmocka_unit_test(test_failure_goes_up_to_the_caller),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
