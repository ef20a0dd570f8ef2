// The engine on real threads: a keyed exchange between two sources and two sinks, whatever the
// frame size and the credit; interruption; failure; recovery switched on.
#include <errno.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/engine.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "state/key.h"
#include "state/snapshot.h"

enum { ROWS_A_TASK = 20000, ROW_BYTES = 40, CHUNK = 100, MARK_EVERY = 1000 };

static struct weir_schema schema;
static uint64_t fail_at; // row at which a source fails; 0: never
static bool endless;

// ---- a source of rows {key, value, time}; values of task t are t, t + 2, t + 4 …

struct numbers {
	uint64_t next;
	bool mark_due;
	alignas(8) uint8_t rows[CHUNK * ROW_BYTES];
};

static int numbers_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	*ret_self = arena_alloc(ctx->arena, sizeof(struct numbers), 64);
	return *ret_self == NULL ? -1 : 0;
}

static enum weir_flow numbers_emit(struct numbers *n, struct weir_context *ctx, uint64_t count)
{
	struct weir_batch batch = {.form = WEIR_PACKED, .first = n->rows};
	uint8_t *at = n->rows;
	for (uint64_t i = 0; i < count; i++, n->next++) {
		struct record_builder b;
		record_begin(&b, &schema, at, ROW_BYTES);
		int64_t value = (int64_t)(n->next * ctx->task_count + ctx->task_index);
		record_set_int64(&b, 0, value * 7919);
		record_set_int64(&b, 1, value);
		record_set_int64(&b, 2, (int64_t)n->next);
		at += record_end(&b);
	}
	batch.limit = at;
	ctx->produced += count;
	n->mark_due = n->next % MARK_EVERY == 0;
	return weir_emit(ctx, &batch);
}

static enum weir_flow numbers_produce(void *self, struct weir_context *ctx, uint64_t records_max)
{
	struct numbers *n = self;
	if (n->mark_due) {
		n->mark_due = false;
		return weir_emit_watermark(ctx, (int64_t)n->next);
	}
	if (fail_at != 0 && n->next >= fail_at)
		return weir_fail(ctx, "row %llu is bad", (unsigned long long)n->next);
	if (n->next == ROWS_A_TASK && !endless)
		return WEIR_END;
	uint64_t count = MARK_EVERY - n->next % MARK_EVERY;
	count = count < CHUNK ? count : CHUNK;
	return numbers_emit(n, ctx, count < records_max ? count : records_max);
}

static void numbers_snapshot(const void *self, struct snapshot_writer *w)
{
	const struct numbers *n = self;
	snapshot_u64(w, n->next);
	snapshot_u32(w, n->mark_due);
}

static const struct weir_operator numbers_operator = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "numbers",
	.role = WEIR_SOURCE,
	.create = numbers_create,
	.produce = numbers_produce,
	.snapshot = numbers_snapshot,
};

// ---- a sink that adds up, and checks that keys are its own and that watermarks hold

struct adder {
	uint64_t sum, count, foreign, late;
	int64_t watermark;
	uint32_t task_index, task_count;
};

static int adder_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct adder *a = arena_alloc(ctx->arena, sizeof(*a), 64);
	a->watermark = INT64_MIN;
	a->task_index = ctx->task_index;
	a->task_count = ctx->task_count;
	*ret_self = a;
	return 0;
}

static enum weir_flow adder_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct adder *a = self;
	for (; in->first < in->limit; in->first += record_length(in->first)) {
		int64_t key = record_int64(in->first, schema.fields[0].offset);
		uint32_t group = key_group(key_hash_int64(key), KEY_GROUP_BITS_DEFAULT);
		a->foreign += group * a->task_count >> KEY_GROUP_BITS_DEFAULT != a->task_index;
		a->late += record_int64(in->first, schema.fields[2].offset) < a->watermark;
		a->sum += (uint64_t)record_int64(in->first, schema.fields[1].offset);
		a->count++;
	}
	return WEIR_DONE;
}

static enum weir_flow adder_watermark(void *self, struct weir_context *ctx, int64_t watermark_ns)
{
	struct adder *a = self;
	a->late += watermark_ns <= a->watermark; // each is an advance
	a->watermark = watermark_ns;
	return WEIR_DONE;
}

static void adder_report(const void *self, struct weir_reporter *reporter)
{
	const struct adder *a = self;
	reporter->add(reporter, "sum", a->sum);
	reporter->add(reporter, "count", a->count);
	reporter->add(reporter, "wrong", a->foreign + a->late);
}

static const struct weir_operator adder_operator = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "adder",
	.role = WEIR_SINK,
	.create = adder_create,
	.process = adder_process,
	.watermark = adder_watermark,
	.report = adder_report,
};

// ---- the job: 2 sources → hash on key → 2 sinks, on 2 workers

static struct weir_plan source_plan, sink_plan;
static const uint16_t keys[] = {0}, fields[] = {0, 1, 2};
static const uint32_t channels[2][2] = {{0, 1}, {2, 3}}, inputs[2][2] = {{0, 2}, {1, 3}};
static const char *const ids[] = {"source", "sink"};
static const struct plan_step source_steps[] = {{&numbers_operator, &source_plan, NULL, 0}};
static const struct plan_step sink_steps[] = {{&adder_operator, &sink_plan, &schema, 1}};
static const struct plan_channel plan_channels[] = {
	{0, 2, &schema}, {0, 3, &schema}, {1, 2, &schema}, {1, 3, &schema}};
static struct plan_edge edges[2];
static struct plan_task tasks[4];

static struct job_plan make_plan(uint32_t frame_bytes, uint32_t credit, bool recovery)
{
	for (uint32_t i = 0; i < 2; i++) {
		edges[i] = (struct plan_edge){
			EXCHANGE_HASH, &schema, &schema, fields, keys, 1, 2, channels[i]};
		tasks[i] = (struct plan_task){i, i, 2, 1, source_steps, 1, &edges[i], 0, NULL};
		tasks[2 + i] = (struct plan_task){i, i, 2, 1, sink_steps, 0, NULL, 2, inputs[i]};
	}
	return (struct job_plan){.name = "test",
		.id = 1,
		.version = 1,
		.group_bits = KEY_GROUP_BITS_DEFAULT,
		.worker_count = 2,
		.operator_count = 2,
		.operator_ids = ids,
		.task_count = 4,
		.tasks = tasks,
		.channel_count = 4,
		.channels = plan_channels,
		.frame_bytes = frame_bytes,
		.channel_frames = credit,
		.worker_state_bytes = 1 << 20,
		.recovery = recovery,
		.checkpoint_interval_ns = recovery ? 1000000 : 0,
		.channel_retention_bytes = 4 << 20,
		.task_snapshot_bytes = 1 << 20};
}

struct results {
	struct weir_reporter reporter;
	uint64_t sum, count, wrong;
};

static void collect(struct weir_reporter *reporter, const char *name, uint64_t value)
{
	struct results *r = (struct results *)reporter;
	*(name[0] == 's' ? &r->sum : name[0] == 'c' ? &r->count : &r->wrong) += value;
}

static const int cpus[] = {0, 0}; // one core must do, waiting by yielding
static struct node *node;         // one for all: jobs come and go

static struct engine *start(const struct job_plan *plan)
{
	struct engine_config config = {.plan = plan, .worker_cpus = cpus, .node = node};
	char error[256] = "";
	struct engine *e = NULL;
	if (engine_create(&config, error, sizeof(error), &e) != 0)
		fail_msg("%s", error);
	assert_int_equal(engine_start(e), 0);
	return e;
}

static enum engine_state wait_for_end(struct engine *e)
{
	enum engine_state state;
	while ((state = engine_poll(e)) == ENGINE_RUNNING)
		usleep(500);
	return state;
}

static void run_whole(uint32_t frame_bytes, uint32_t credit, bool recovery)
{
	struct job_plan plan = make_plan(frame_bytes, credit, recovery);
	struct engine *e = start(&plan);
	struct results r = {{collect}, 0, 0, 0};
	uint64_t rows = 2 * ROWS_A_TASK;
	assert_int_equal(wait_for_end(e), ENGINE_FINISHED);
	engine_report(e, 1, &r.reporter);
	assert_int_equal(r.count, rows);
	assert_int_equal(r.sum, rows * (rows - 1) / 2);
	assert_int_equal(r.wrong, 0);
	struct engine_figures figures;
	engine_figures(e, 0, &figures);
	assert_int_equal(figures.counters.records_out, rows);
	assert_int_equal(figures.tasks, 2);
	engine_destroy(e);
}

static void test_all_rows_arrive_once_at_their_task(void **state)
{
	static const uint32_t frames[] = {128, 512, 8192}, credits[] = {1, 2, 64};
	for (int f = 0; f < 3; f++)
		for (int c = 0; c < 3; c++)
			run_whole(frames[f], credits[c], false);
}

static void test_the_same_with_log_retention_and_checkpoints(void **state)
{
	run_whole(512, 2, true);
	run_whole(8192, 64, true);
}

static void test_interruption_ends_without_the_last_watermark(void **state)
{
	struct job_plan plan = make_plan(1024, 8, false);
	struct results r = {{collect}, 0, 0, 0};
	endless = true;
	struct engine *e = start(&plan);
	usleep(20000);
	assert_int_equal(engine_poll(e), ENGINE_RUNNING);
	engine_interrupt(e);
	assert_int_equal(wait_for_end(e), ENGINE_INTERRUPTED);
	engine_report(e, 1, &r.reporter);
	struct engine_figures source;
	engine_figures(e, 0, &source);
	assert_int_equal(r.count, source.counters.records_out);
	assert_int_equal(r.wrong, 0);
	engine_destroy(e);
	endless = false;
}

static void test_failure_names_operator_and_reason(void **state)
{
	struct job_plan plan = make_plan(1024, 8, false);
	fail_at = 5000;
	struct engine *e = start(&plan);
	assert_int_equal(wait_for_end(e), ENGINE_FAILED);
	assert_string_equal(engine_error(e), "source: row 5000 is bad");
	engine_destroy(e);
	fail_at = 0;
}

static void test_abort_at_any_time_gives_everything_back(void **state)
{
	for (unsigned us = 0; us < 3000; us += 300) {
		struct job_plan plan = make_plan(512, 3, us % 600 == 0);
		struct engine *e = start(&plan);
		usleep(us);
		engine_destroy(e);
	}
	run_whole(512, 3, false);
}

static void test_two_jobs_share_the_workers(void **state)
{
	struct job_plan plan = make_plan(512, 4, false);
	struct engine *a = start(&plan), *b = start(&plan);
	struct results r = {{collect}, 0, 0, 0};
	assert_int_equal(wait_for_end(b), ENGINE_FINISHED);
	assert_int_equal(wait_for_end(a), ENGINE_FINISHED);
	engine_report(a, 1, &r.reporter);
	engine_report(b, 1, &r.reporter);
	assert_int_equal(r.count, 4 * ROWS_A_TASK);
	assert_int_equal(r.wrong, 0);
	engine_destroy(a);
	engine_destroy(b);
}

static void test_a_worker_has_room_for_so_many_shares(void **state)
{
	static struct worker shares[NODE_SHARES_MAX + 1];
	for (uint32_t i = 0; i < NODE_SHARES_MAX; i++)
		assert_int_equal(node_attach(node, 0, &shares[i]), 0);
	assert_int_equal(node_attach(node, 0, &shares[NODE_SHARES_MAX]), -ENOSPC);
	node_detach(node, 0, &shares[NODE_SHARES_MAX]); // not there: no error
	for (uint32_t i = 0; i < NODE_SHARES_MAX; i++)
		node_detach(node, 0, &shares[i]);
	assert_int_equal(node_attach(node, 0, &shares[0]), 0);
	node_detach(node, 0, &shares[0]);
	int64_t last_ns = shares[0].last_ns;
	usleep(2000);
	assert_true(last_ns == shares[0].last_ns); // nobody steps it any more
}

static void test_a_record_larger_than_a_frame_is_said(void **state)
{
	struct job_plan plan = make_plan(96, 8, false);
	struct engine *e = start(&plan);
	assert_int_equal(wait_for_end(e), ENGINE_FAILED);
	assert_non_null(strstr(engine_error(e), "raise exchange.frame"));
	engine_destroy(e);
}

static int setup(void **state)
{
	bool huge;
	schema_add(&schema, "key", WEIR_INT64, 0, 0);
	schema_add(&schema, "value", WEIR_INT64, 0, 0);
	schema_add(&schema, "time", WEIR_TIMESTAMP, 0, 0);
	schema_layout(&schema);
	int error = engine_eal_start(64 << 20, &huge);
	struct node_config config = {
		.worker_count = 2, .worker_cpus = cpus, .wait = NODE_WAIT_YIELD};
	if (error == 0)
		error = node_create(&config, &node);
	return error == 0 ? node_start(node) : error;
}

static int teardown(void **state)
{
	node_destroy(node);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_rows_arrive_once_at_their_task),
		cmocka_unit_test(test_the_same_with_log_retention_and_checkpoints),
		cmocka_unit_test(test_interruption_ends_without_the_last_watermark),
		cmocka_unit_test(test_failure_names_operator_and_reason),
		cmocka_unit_test(test_abort_at_any_time_gives_everything_back),
		cmocka_unit_test(test_two_jobs_share_the_workers),
		cmocka_unit_test(test_a_worker_has_room_for_so_many_shares),
		cmocka_unit_test(test_a_record_larger_than_a_frame_is_said),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
