// The sources of NEXMark events, each run as the head of a chain that collects what it emits.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dataplane/chain.h"
#include "dataplane/nexmark.h"
#include "dataplane/operators/nexmark_walk.h"
#include "dataplane/operators/source_memory.h"
#include "dataplane/operators/source_nexmark.h"
#include "numa/arena.h"
#include "state/snapshot.h"

#define EVENTS 5000

// ---- a planned source

static struct weir_value values[2][8], *items[2][8], maps[2];
static char complaint[512];
static const struct weir_value *complained_about;

static void map_clear(int map)
{
	maps[map] = (struct weir_value){.kind = WEIR_VALUE_MAP, .items = items[map]};
}

static void map_set(int map, const char *name, int64_t integer)
{
	uint32_t i = maps[map].count++;
	values[map][i] = (struct weir_value){.name = name, .integer = integer, .text = ""};
	items[map][i] = &values[map][i];
}

static void plan_complain(struct weir_plan *plan, const struct weir_value *at, const char *text)
{
	snprintf(complaint, sizeof(complaint), "%s", text);
	complained_about = at;
}

struct source {
	const struct weir_operator *kind;
	struct weir_plan plan;
	void *memory;
};

// `events`, `rate`, `group` stand in a map of their own for the memory source.
static void sequence_set(const struct weir_operator *kind, int64_t events, int64_t group)
{
	bool inner = kind == &source_memory;
	map_clear(0);
	map_clear(1);
	map_set(inner, "events", events);
	map_set(inner, "rate", 10000);
	map_set(inner, "group", group);
	if (inner) {
		maps[1].name = "from";
		maps[1].text = "nexmark";
		items[0][maps[0].count++] = &maps[1];
	}
}

static int source_try(struct source *s, const struct weir_operator *kind)
{
	*s = (struct source){.kind = kind, .plan = {.params = &maps[0], .error = plan_complain}};
	int error = kind->plan(&s->plan);
	if (!error && kind->share) {
		s->memory = aligned_alloc(64, (s->plan.shared_bytes + 63) & ~(size_t)63);
		assert_non_null(s->memory);
		error = kind->share(&s->plan, s->memory);
		s->plan.shared = s->memory;
	}
	return error;
}

static void source_forget(struct source *s)
{
	s->kind->unplan(&s->plan);
	free(s->memory);
}

// ---- what it emits

struct collected {
	uint32_t count;
	bool *seen;
	uint64_t numbers[EVENTS]; // in the order they came
	int64_t watermark;
	uint32_t marks;
	uint32_t full_every; // 0: never full
	uint32_t calls;
	bool full;
};

static struct collected got;
static const struct nexmark *expected;

static int64_t time_of(const uint8_t *record)
{
	static const uint32_t offsets[NEXMARK_KINDS] = {64, 56, 40};
	return record_int64(record, offsets[record_variant(record)]);
}

static uint64_t number_of(const uint8_t *record)
{
	static _Alignas(8) uint8_t own[NEXMARK_RECORD_ROOM];
	for (uint64_t number = 0; number < expected->events; number++) {
		uint32_t length = got.seen[number] ? 0 : nexmark_record(expected, number, own);
		if (length == record_length(record) && memcmp(own, record, length) == 0)
			return number;
	}
	fail_msg("a record that is none of the sequence's");
	return 0;
}

static enum weir_flow collect(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	assert_int_equal(in->form, WEIR_PACKED);
	assert_false(got.full);
	while (in->first != in->limit) {
		assert_true(got.count < EVENTS);
		assert_true(time_of(in->first) >= got.watermark);
		uint64_t number = number_of(in->first);
		got.seen[number] = true;
		got.numbers[got.count++] = number;
		in->first += record_length(in->first);
		if (got.count % expected->events == 0) // the next loop has them all again
			memset(got.seen, 0, expected->events);
	}
	got.full = got.full_every != 0 && ++got.calls % got.full_every == 0;
	return got.full ? WEIR_FULL : WEIR_DONE;
}

static enum weir_flow collect_mark(void *self, struct weir_context *ctx, int64_t watermark_ns)
{
	assert_false(got.full);
	assert_true(watermark_ns >= got.watermark);
	got.watermark = watermark_ns;
	got.marks++;
	got.full = got.full_every != 0 && ++got.calls % got.full_every == 0;
	return got.full ? WEIR_FULL : WEIR_DONE;
}

static const struct weir_operator collector = {.process = collect, .watermark = collect_mark};

static void got_reset(const struct nexmark *n)
{
	free(got.seen);
	got = (struct collected){.watermark = INT64_MIN, .seen = calloc(n->events + 1, 1)};
	expected = n;
}

static int got_free(void **state)
{
	free(got.seen);
	got.seen = NULL;
	return 0;
}

// ---- a task

struct task_of_test {
	struct chain_link links[2];
	struct arena arena;
};

static void task_begin(struct task_of_test *t, const struct source *s, uint32_t index,
	uint32_t count)
{
	memset(t, 0, sizeof(*t));
	assert_int_equal(arena_create(&t->arena, 1 << 20, -1, false), 0);
	for (int i = 0; i < 2; i++)
		t->links[i].ctx = (struct weir_context){.task_index = index,
			.task_count = count,
			.arena = &t->arena,
			.counters = &t->links[i].counters,
			.link = &t->links[i]};
	t->links[0].kind = s->kind;
	t->links[0].next = &t->links[1];
	t->links[1].kind = &collector;
	assert_int_equal(s->kind->create(&t->links[0].ctx, &s->plan, &t->links[0].self), 0);
}

static enum weir_flow task_produce(struct task_of_test *t, uint64_t records_max)
{
	struct chain_link *l = &t->links[0];
	uint64_t before = l->produced_before = l->ctx.produced;
	uint32_t had = got.count;
	l->produced_before = before;
	enum weir_flow flow = l->kind->produce(l->self, &l->ctx, records_max);
	assert_true(l->ctx.produced - before <= records_max);
	assert_int_equal(l->ctx.produced - before, got.count - had);
	got.full = false;
	t->links[1].pending = PENDING_NONE; // what was taken is done
	return flow;
}

static void task_run(struct task_of_test *t, uint64_t records_max)
{
	enum weir_flow flow;
	do
		flow = task_produce(t, records_max);
	while (flow == WEIR_DONE || flow == WEIR_FULL);
	assert_int_equal(flow, WEIR_END);
	arena_destroy(&t->arena);
}

// ---- tests

static const struct weir_operator *const kinds[] = {&source_nexmark, &source_memory};

static void one_task_emits_in_order(void **state)
{
	static const uint64_t most[] = {1, 7, 64, 512, UINT64_MAX};
	for (int k = 0; k < 2; k++) {
		for (size_t m = 0; m < sizeof(most) / sizeof(most[0]); m++) {
			struct nexmark n;
			struct source s;
			assert_int_equal(nexmark_init(&n, 1000, 10000, 50), 0);
			sequence_set(kinds[k], 1000, 50);
			map_set(0, "block", 192);
			assert_int_equal(source_try(&s, kinds[k]), 0);
			got_reset(&n);
			got.full_every = m % 3;
			struct task_of_test t;
			task_begin(&t, &s, 0, 1);
			task_run(&t, most[m]);
			assert_int_equal(got.count, 1000);
			for (uint32_t i = 0; i < got.count; i++)
				assert_int_equal(got.numbers[i], i);
			assert_int_equal(got.marks, 5);
			assert_int_equal(got.watermark, nexmark_watermark_ns(&n, 960));
			source_forget(&s);
		}
	}
}

static void tasks_share_the_sequence(void **state)
{
	for (int k = 0; k < 2; k++) {
		struct nexmark n;
		struct source s;
		assert_int_equal(nexmark_init(&n, 1111, 10000, 1000), 0);
		sequence_set(kinds[k], 1111, 1000);
		map_set(0, "block", 64);
		assert_int_equal(source_try(&s, kinds[k]), 0);
		got_reset(&n);
		for (uint32_t index = 0; index < 3; index++) {
			struct task_of_test t;
			uint32_t before = got.count;
			got.watermark = INT64_MIN;
			task_begin(&t, &s, index, 3);
			task_run(&t, 100);
			for (uint32_t i = before; i < got.count; i++)
				assert_int_equal(got.numbers[i] / 64 % 3, index);
		}
		assert_int_equal(got.count, 1111);
		source_forget(&s);
	}
}

static void more_tasks_than_blocks(void **state)
{
	for (int k = 0; k < 2; k++) {
		struct nexmark n;
		struct source s;
		assert_int_equal(nexmark_init(&n, 65, 10000, 1), 0);
		sequence_set(kinds[k], 65, 1);
		map_set(0, "block", 64);
		assert_int_equal(source_try(&s, kinds[k]), 0);
		got_reset(&n);
		for (uint32_t index = 0; index < 4; index++) {
			struct task_of_test t;
			task_begin(&t, &s, index, 4);
			task_run(&t, 100);
		}
		assert_int_equal(got.count, 65);
		assert_int_equal(got.marks, 0);
		source_forget(&s);
	}
}

static void no_events_end_at_once(void **state)
{
	for (int k = 0; k < 2; k++) {
		struct nexmark n;
		struct source s;
		assert_int_equal(nexmark_init(&n, 0, 10000, 1), 0);
		sequence_set(kinds[k], 0, 1);
		assert_int_equal(source_try(&s, kinds[k]), 0);
		got_reset(&n);
		struct task_of_test t;
		task_begin(&t, &s, 0, 1);
		task_run(&t, 100);
		assert_int_equal(got.count + got.marks, 0);
		source_forget(&s);
	}
}

// At 1,000 a second the first is due after 10 ms, then one every ms.
static void pace_limits(void **state)
{
	for (int k = 0; k < 2; k++) {
		struct nexmark n;
		struct source s;
		assert_int_equal(nexmark_init(&n, 200, 10000, 1), 0);
		sequence_set(kinds[k], 200, 1);
		map_set(0, "pace", 1000);
		map_set(0, "block", 64);
		assert_int_equal(source_try(&s, kinds[k]), 0);
		got_reset(&n);
		struct task_of_test t;
		task_begin(&t, &s, 0, 1);
		struct weir_context *ctx = &t.links[0].ctx;
		ctx->start_ns = 5000000000;
		ctx->now_ns = ctx->start_ns + 9999999;
		assert_int_equal(task_produce(&t, 100), WEIR_IDLE);
		assert_int_equal(ctx->deadline_ns, ctx->start_ns + 10000000);
		ctx->now_ns = ctx->deadline_ns;
		assert_int_equal(task_produce(&t, 100), WEIR_DONE);
		assert_int_equal(got.count, 1);
		assert_int_equal(task_produce(&t, 100), WEIR_IDLE);
		assert_int_equal(ctx->deadline_ns, ctx->start_ns + 11000000);
		ctx->now_ns = ctx->start_ns + 20500000;
		assert_int_equal(task_produce(&t, 100), WEIR_DONE);
		assert_int_equal(got.count, 11);
		ctx->now_ns = ctx->start_ns + 1000000000;
		task_run(&t, 100);
		assert_int_equal(got.count, 200);
		source_forget(&s);
	}
}

static void due_count_agrees_with_due_time(void **state)
{
	static const uint64_t paces[] = {1, 3, 1000, 999983, 5000000, 2147483647};
	for (size_t p = 0; p < sizeof(paces) / sizeof(paces[0]); p++) {
		for (uint64_t number = 0; number < 5000; number++) {
			uint64_t far = number * 1000003;
			int64_t due_ns = nexmark_due_ns(paces[p], far);
			assert_true(nexmark_due_count(paces[p], due_ns) > far);
			assert_true(nexmark_due_count(paces[p], due_ns - 1) <= far);
		}
	}
	assert_int_equal(nexmark_due_count(1000, -5), 0);
}

static void scheduled_records_tell_when(void **state)
{
	sequence_set(&source_memory, 500, 1);
	map_set(0, "pace", 1000000);
	map_set(0, "scheduled", 1);
	struct source s;
	assert_int_equal(source_try(&s, &source_memory), 0);
	const uint8_t *at = (const uint8_t *)s.memory + 128; // behind the index of 9 entries
	for (uint64_t number = 0; number < 500; number++) {
		const struct weir_output *output = &s.plan.outputs[record_variant(at)];
		int field = schema_find(&output->schema, "scheduled");
		assert_int_equal(field, output->schema.field_count - 1);
		assert_int_equal(record_validate(&output->schema, at, record_length(at)), 0);
		assert_int_equal(record_int64(at, output->schema.fields[field].offset),
			10000000 + number * 1000);
		at += record_length(at);
	}
	source_forget(&s);
}

static void loops_repeat_the_rows(void **state)
{
	static const uint64_t most[] = {1, 64, 512};
	for (size_t m = 0; m < sizeof(most) / sizeof(most[0]); m++) {
		struct nexmark n;
		struct source s;
		struct task_of_test t;
		assert_int_equal(nexmark_init(&n, 500, 10000, 1), 0);
		sequence_set(&source_memory, 500, 1);
		map_set(0, "block", 192);
		map_set(0, "loops", 3);
		assert_int_equal(source_try(&s, &source_memory), 0);
		got_reset(&n);
		task_begin(&t, &s, 0, 1);
		task_run(&t, most[m]);
		assert_int_equal(got.count, 1500);
		for (uint32_t i = 0; i < got.count; i++)
			assert_int_equal(got.numbers[i], i % 500);
		// Blocks end at 192, 384 …, 1344; only 1152 and 1344 lie in the last loop.
		assert_int_equal(got.marks, 2);
		assert_int_equal(got.watermark, nexmark_watermark_ns(&n, 344));
		source_forget(&s);
	}
}

static void goes_on_from_a_snapshot(void **state)
{
	static uint8_t image[2 * SNAPSHOT_BLOCK_BYTES];
	for (int k = 0; k < 2; k++) {
		for (uint32_t cut = 1; cut < 500; cut += 63) {
			struct nexmark n;
			struct source s;
			assert_int_equal(nexmark_init(&n, 500, 10000, 7), 0);
			sequence_set(kinds[k], 500, 7);
			map_set(0, "block", 64);
			assert_int_equal(source_try(&s, kinds[k]), 0);
			got_reset(&n);
			struct task_of_test first, second;
			task_begin(&first, &s, 0, 1);
			while (got.count < cut)
				task_produce(&first, cut - got.count);
			assert_int_equal(task_produce(&first, 0), WEIR_DONE);
			struct snapshot_writer w;
			size_t bytes;
			snapshot_begin(&w, image, sizeof(image));
			snapshot_section(&w, "source", 1);
			kinds[k]->snapshot(first.links[0].self, &w);
			assert_int_equal(snapshot_end(&w, &bytes), 0);
			arena_destroy(&first.arena);
			struct snapshot_reader r;
			uint32_t version;
			assert_int_equal(snapshot_open(&r, image, bytes), 0);
			assert_int_equal(snapshot_find(&r, "source", &version), 0);
			task_begin(&second, &s, 0, 1);
			assert_int_equal(kinds[k]->restore(second.links[0].self,
						 &second.links[0].ctx, &r),
				0);
			task_run(&second, 100);
			assert_int_equal(got.count, 500);
			assert_int_equal(got.marks, 7); // none lost, none doubled
			for (uint32_t i = 0; i < got.count; i++)
				assert_int_equal(got.numbers[i], i);
			source_forget(&s);
		}
	}
}

static void complains(const struct weir_operator *kind, const struct weir_value *at,
	const char *text)
{
	struct source s;
	complaint[0] = '\0';
	assert_int_equal(source_try(&s, kind), -EINVAL);
	assert_ptr_equal(complained_about, at);
	assert_non_null(strstr(complaint, text));
	source_forget(&s);
}

static void wrong_parameters_are_named(void **state)
{
	sequence_set(&source_nexmark, 10, 1);
	map_set(0, "block", 100);
	complains(&source_nexmark, &values[0][3], "100 is no multiple of 64");
	sequence_set(&source_nexmark, 10, 1);
	map_set(0, "scheduled", 1);
	complains(&source_nexmark, &values[0][3], "pace");
	sequence_set(&source_nexmark, NEXMARK_EVENTS_MAX, 1);
	complains(&source_nexmark, &values[0][0], "2262");
	sequence_set(&source_memory, NEXMARK_EVENTS_MAX, 1);
	complains(&source_memory, &values[1][0], "2262");
	sequence_set(&source_memory, 10, 1);
	maps[1].text = "csv";
	complains(&source_memory, &maps[1], "csv cannot");
	sequence_set(&source_memory, 10, 1);
	map_set(1, "pace", 100);
	complains(&source_memory, &values[1][3], "beside");
	sequence_set(&source_memory, 10, 1);
	map_set(1, "block", 64);
	complains(&source_memory, &values[1][3], "beside");
	sequence_set(&source_memory, 10, 1);
	map_set(0, "pace", 100);
	map_set(0, "scheduled", 1);
	map_set(0, "loops", 2);
	complains(&source_memory, &values[0][3], "scheduled");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_task_emits_in_order),
		cmocka_unit_test(tasks_share_the_sequence),
		cmocka_unit_test(more_tasks_than_blocks),
		cmocka_unit_test(no_events_end_at_once),
		cmocka_unit_test(pace_limits),
		cmocka_unit_test(due_count_agrees_with_due_time),
		cmocka_unit_test(scheduled_records_tell_when),
		cmocka_unit_test(loops_repeat_the_rows),
		cmocka_unit_test(goes_on_from_a_snapshot),
		cmocka_unit_test(wrong_parameters_are_named),
	};
	return cmocka_run_group_tests_name("source_nexmark", tests, NULL, got_free);
}
