// A task's step, with a source that promises time and a sink whose windows take several steps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/task.h"
#include "numa/arena.h"

enum { PARTS = 3 }; // that a watermark's work is done in

static struct {
	uint32_t parts; // of the watermark under way, done
	uint32_t marks; // passed on
	bool waits;     // for its output, instead of for the next step
} sink;

static int nothing_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	*ret_self = NULL;
	return 0;
}

static enum weir_flow marks_produce(void *self, struct weir_context *ctx, uint64_t records_max)
{
	return weir_emit_watermark(ctx, ctx->now_ns);
}

static enum weir_flow parts_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	return WEIR_DONE;
}

static enum weir_flow parts_watermark(void *self, struct weir_context *ctx, int64_t watermark_ns)
{
	if (++sink.parts < PARTS) {
		if (!sink.waits)
			ctx->goes_on = true;
		return WEIR_FULL;
	}
	sink.parts = 0;
	sink.marks++;
	return WEIR_DONE;
}

static const struct weir_operator marks = {.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "marks",
	.role = WEIR_SOURCE,
	.create = nothing_create,
	.produce = marks_produce};
static const struct weir_operator parts = {.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "parts",
	.role = WEIR_SINK,
	.create = nothing_create,
	.process = parts_process,
	.watermark = parts_watermark};

struct fixture {
	struct weir_plan source, sink;
	struct plan_step steps[2];
	struct plan_task plan;
	struct task_control control;
	struct arena arena;
	struct task task;
};

static int set_up(void **state)
{
	static struct fixture f;
	char error[256];
	memset(&f, 0, sizeof(f));
	memset(&sink, 0, sizeof(sink));
	f.sink.upstream = &f.source;
	f.steps[0] = (struct plan_step){.kind = &marks, .plan = &f.source};
	f.steps[1] = (struct plan_step){.kind = &parts, .plan = &f.sink};
	f.plan = (struct plan_task){.count = 1, .step_count = 2, .steps = f.steps};
	assert_int_equal(arena_create(&f.arena, 1 << 20, -1, false), 0);
	const struct task_config config = {
		.plan = &f.plan, .arena = &f.arena, .control = &f.control};
	assert_int_equal(task_create(&f.task, &config, error, sizeof(error)), 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	task_destroy(&f->task);
	arena_destroy(&f->arena);
	return 0;
}

// A worker that found nothing to do waits, and what counts as blocked counts as held up by others.
static void what_is_left_to_the_next_step_is_work(void **state)
{
	struct fixture *f = *state;
	for (uint32_t i = 1; i < PARTS; i++) {
		assert_int_equal(task_step(&f->task, i), 1);
		assert_false(f->task.blocked);
		assert_int_equal(sink.marks, 0);
	}
	task_step(&f->task, PARTS);
	assert_int_equal(sink.marks, 1);
}

static void what_waits_for_output_is_not(void **state)
{
	struct fixture *f = *state;
	sink.waits = true;
	for (uint32_t i = 1; i < PARTS; i++) {
		assert_int_equal(task_step(&f->task, i), 0);
		assert_true(f->task.blocked);
	}
}

// It waits for its output now, and did not in the step before.
static void it_is_asked_anew_in_every_step(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(task_step(&f->task, 1), 1);
	sink.waits = true;
	assert_int_equal(task_step(&f->task, 2), 0);
	assert_true(f->task.blocked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(what_is_left_to_the_next_step_is_work),
		TEST(what_waits_for_output_is_not),
		TEST(it_is_asked_anew_in_every_step),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
