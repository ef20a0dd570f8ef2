// Planned jobs, structurally: which operators share a task, what crosses between tasks, and who
// gets which worker.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "control/planner.h"
#include "control/spread.h"
#include "job_kinds.h"

struct fixture {
	struct job job;
	struct planned_job planned;
	const struct job_plan *plan;
};

static void plan_job(struct fixture *f, const char *operators, uint32_t workers)
{
	char text[4096];
	snprintf(text, sizeof(text), "version: 1\njob: test\noperators:\n%s", operators);
	struct job_source source = {
		.file = "f.yaml", .text = text, .bytes = strlen(text), .kinds = job_kinds};
	job_load(&f->job, &source);
	errors_print(&f->job.errors, stderr);
	assert_int_equal(f->job.errors.count, 0);
	assert_int_equal(planner_plan(&f->job, workers, &f->planned), 0);
	f->plan = &f->planned.plan;
}

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	job_destroy(&f->job);
	free(f);
	return 0;
}

// What a chain is, as text: "source+sum".
static void assert_chain(const struct fixture *f, uint32_t task, const char *expected)
{
	char text[256] = "";
	const struct plan_task *t = &f->plan->tasks[task];
	for (uint32_t i = 0; i < t->step_count; i++) {
		strcat(text, i ? "+" : "");
		strcat(text, f->plan->operator_ids[t->steps[i].operator_index]);
	}
	assert_string_equal(text, expected);
}

static void assert_fields(const struct weir_schema *schema, const char *expected)
{
	char text[256] = "";
	for (uint32_t i = 0; i < schema->field_count; i++) {
		strcat(text, i ? "," : "");
		strcat(text, schema->fields[i].name);
	}
	assert_string_equal(text, expected);
}

static const char line_of_keeps[] = "- {id: source, kind: numbers}\n"
				    "- {id: keep, kind: keep, input: source}\n"
				    "- {id: sink, kind: swallow, input: keep}\n";

static void unkeyed_chains_are_fused_and_spread(void **state)
{
	struct fixture *f = *state;
	plan_job(f, line_of_keeps, 3);
	assert_int_equal(f->plan->task_count, 3);
	assert_int_equal(f->plan->channel_count, 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_chain(f, i, "source+keep+sink");
		assert_int_equal(f->plan->tasks[i].index, i);
		assert_int_equal(f->plan->tasks[i].count, 3);
	}
	assert_int_equal(f->plan->frame_bytes, 8192);
	assert_int_equal(f->plan->channel_frames, 32);
	assert_int_equal(f->plan->worker_state_bytes, 256 << 20);
	assert_false(f->plan->recovery);
}

static const char keyed[] = "- {id: source, kind: numbers}\n"
			    "- {id: sum, kind: sum, input: source, key: b, of: time}\n"
			    "- {id: best, kind: best, input: sum}\n"
			    "- {id: sink, kind: swallow, input: best}\n";

static void with_one_worker_all_is_one_task(void **state)
{
	struct fixture *f = *state;
	plan_job(f, keyed, 1);
	assert_int_equal(f->plan->task_count, 1);
	assert_chain(f, 0, "source+sum+best+sink");
	assert_int_equal(f->plan->operator_count, 4);
}

static void a_keyed_operator_gets_only_the_fields_it_reads(void **state)
{
	struct fixture *f = *state;
	plan_job(f, keyed, 2);
	assert_int_equal(f->plan->task_count, 5);
	assert_chain(f, 0, "source");
	assert_chain(f, 2, "sum+best.partial");
	assert_chain(f, 4, "best+sink");
	assert_int_equal(f->plan->operator_count, 5);
	assert_int_equal(f->plan->channel_count, 4 + 2);
	const struct plan_edge *edge = &f->plan->tasks[1].edges[0];
	assert_int_equal(edge->exchange, EXCHANGE_HASH);
	assert_fields(edge->input, "time,a,b,c");
	assert_fields(edge->output, "time,b");
	assert_int_equal(edge->fields[0], 0);
	assert_int_equal(edge->fields[1], 2);
	assert_int_equal(edge->key_count, 1);
	assert_int_equal(edge->keys[0], 2); // b, as the producer has it
	const struct plan_step *sum = &f->plan->tasks[2].steps[0];
	assert_ptr_equal(sum->input, edge->output);
	assert_int_equal(sum->plan->keys[0], 1); // b, as it arrives
	assert_int_equal(weir_param_int(sum->plan->params, "key", -1), 1);
}

static void every_channel_knows_both_ends(void **state)
{
	struct fixture *f = *state;
	plan_job(f, keyed, 2);
	for (uint32_t t = 0; t < f->plan->task_count; t++) {
		const struct plan_task *task = &f->plan->tasks[t];
		for (uint32_t i = 0; i < task->input_count; i++)
			assert_int_equal(f->plan->channels[task->inputs[i]].to, t);
		for (uint32_t e = 0; e < task->edge_count; e++) {
			const struct plan_edge *edge = &task->edges[e];
			for (uint32_t c = 0; c < edge->channel_count; c++) {
				const struct plan_channel *channel =
					&f->plan->channels[edge->channels[c]];
				assert_int_equal(channel->from, t);
				assert_ptr_equal(channel->schema, edge->output);
			}
		}
	}
	assert_int_equal(f->plan->tasks[2].input_count, 2);
	assert_int_equal(f->plan->tasks[3].input_count, 2);
	assert_int_equal(f->plan->tasks[4].input_count, 2);
	assert_int_equal(f->plan->tasks[0].edges[0].channel_count, 2);
	assert_int_equal(f->plan->tasks[2].edges[0].exchange, EXCHANGE_FORWARD);
	assert_int_equal(f->plan->tasks[2].edges[0].channel_count, 1);
}

static void a_partial_operator_needs_a_producer_of_its_own(void **state)
{
	struct fixture *f = *state;
	plan_job(f,
		"- {id: source, kind: numbers}\n"
		"- {id: best, kind: best, input: source}\n"
		"- {id: one, kind: swallow, input: best}\n"
		"- {id: two, kind: swallow, input: source}\n",
		2);
	assert_int_equal(f->plan->operator_count, 4);
	assert_chain(f, 0, "source");
	assert_chain(f, 2, "best+one");
	assert_chain(f, 3, "two");
	const struct plan_task *source = &f->plan->tasks[1];
	assert_int_equal(source->edge_count, 2);
	assert_int_equal(source->edges[0].exchange, EXCHANGE_FORWARD);
	assert_int_equal(f->plan->channels[source->edges[0].channels[0]].to, 2);
	assert_int_equal(f->plan->channels[source->edges[1].channels[0]].to, 4);
}

static const char one_source[] = "- {id: source, kind: numbers, parallelism: 1}\n"
				 "- {id: sum, kind: sum, input: source, key: b}\n"
				 "- {id: sink, kind: swallow, input: sum, tasks_max: 1}\n";

static void a_source_of_one_task_is_spread_by_key(void **state)
{
	struct fixture *f = *state;
	plan_job(f, one_source, 4);
	assert_int_equal(f->plan->task_count, 1 + 4 + 1);
	assert_int_equal(f->plan->tasks[0].edges[0].channel_count, 4);
	assert_chain(f, 5, "sink");
}

static void outputs_are_told_apart(void **state)
{
	struct fixture *f = *state;
	plan_job(f,
		"- {id: source, kind: numbers, outputs: true}\n"
		"- {id: sum, kind: sum, input: source.even, key: b, of: c}\n"
		"- {id: sink, kind: swallow, input: sum}\n",
		2);
	const struct plan_edge *edge = &f->plan->tasks[0].edges[0];
	assert_fields(edge->input, "a,b,c");
	assert_int_equal(edge->input->variant, 1);
	assert_int_equal(edge->output->variant, 1);
	assert_fields(edge->output, "b,c");
	assert_chain(f, 2, "sum+sink");
}

static void all_fields_cross_as_the_same_schema(void **state)
{
	struct fixture *f = *state;
	plan_job(f,
		"- {id: source, kind: numbers}\n"
		"- {id: sink, kind: swallow, input: source, parallelism: 1}\n",
		2);
	const struct plan_edge *edge = &f->plan->tasks[0].edges[0];
	assert_ptr_equal(edge->input, edge->output);
	assert_int_equal(edge->fields[3], 3);
}

static void channels_share_retention_by_default(void **state)
{
	struct fixture *f = *state;
	plan_job(f,
		"- {id: source, kind: numbers}\n"
		"- {id: sink, kind: swallow, input: source, parallelism: 1}\n"
		"checkpoint: {}\n",
		4);
	assert_true(f->plan->channel_count != 0);
	assert_int_equal(f->plan->channel_retention_bytes,
		4 * ((uint64_t)256 << 20) / f->plan->channel_count);
}

static void settings_reach_the_plan(void **state)
{
	struct fixture *f = *state;
	plan_job(f,
		"- {id: source, kind: numbers}\n"
		"- {id: sink, kind: swallow, input: source}\n"
		"checkpoint: {interval: 50ms, retention: 1MiB, snapshot: 2MiB}\n"
		"exchange: {frame: 512B, credit: 2}\n"
		"workers: {state_memory: 4MiB}\n",
		1);
	assert_true(f->plan->recovery);
	assert_int_equal(f->plan->checkpoint_interval_ns, 50000000);
	assert_int_equal(f->plan->channel_retention_bytes, 1 << 20);
	assert_int_equal(f->plan->task_snapshot_bytes, 2 << 20);
	assert_int_equal(f->plan->frame_bytes, 512);
	assert_int_equal(f->plan->channel_frames, 2);
	assert_int_equal(f->plan->worker_state_bytes, 4 << 20);
	assert_string_equal(f->plan->name, "test");
}

static void a_chain_that_is_too_long_is_cut(void **state)
{
	struct fixture *f = *state;
	char text[4000] = "- {id: k0, kind: numbers}\n";
	for (int i = 1; i < PLAN_STEPS_MAX + 3; i++) {
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "- {id: k%d, kind: keep, input: k%d}\n",
			i, i - 1);
	}
	snprintf(text + strlen(text), 100, "- {id: sink, kind: swallow, input: k%d}\n",
		PLAN_STEPS_MAX + 2);
	plan_job(f, text, 2);
	assert_int_equal(f->plan->task_count, 4);
	assert_int_equal(f->plan->tasks[1].step_count, PLAN_STEPS_MAX);
	assert_int_equal(f->plan->tasks[3].step_count, 4);
	assert_int_equal(f->plan->channel_count, 2);
	assert_int_equal(f->plan->channels[f->plan->tasks[1].edges[0].channels[0]].to, 3);
}

static void too_many_channels_are_refused(void **state)
{
	struct fixture *f = *state;
	const char *text = "version: 1\njob: test\noperators:\n"
			   "- {id: source, kind: numbers, parallelism: 512}\n"
			   "- {id: sum, kind: sum, input: source, key: b, parallelism: 512}\n"
			   "- {id: sink, kind: swallow, input: sum}\n";
	struct job_source source = {
		.file = "f.yaml", .text = text, .bytes = strlen(text), .kinds = job_kinds};
	job_load(&f->job, &source);
	assert_int_equal(f->job.errors.count, 0);
	assert_int_equal(planner_plan(&f->job, 1, &f->planned), -EINVAL);
	assert_int_equal(f->job.errors.count, 1);
}

static void workers_without_tasks_are_left_out(void **state)
{
	struct fixture *f = *state;
	plan_job(f, line_of_keeps, 3);
	struct placement_worker workers[] = {
		{.pu = 3, .node = 0}, {.pu = 5, .node = 1}, {.pu = 7, .node = 2}};
	struct placement_assignment tasks[] = {{.worker = 2}, {.worker = 1}, {.worker = 2}};
	struct placement placement = {
		.workers = workers, .tasks = tasks, .worker_count = 3, .task_count = 3};
	planner_place(&f->job, &f->planned, &placement);
	assert_int_equal(f->plan->worker_count, 2);
	assert_int_equal(f->plan->tasks[0].worker, 1);
	assert_int_equal(f->plan->tasks[1].worker, 0);
	assert_int_equal(f->plan->tasks[2].worker, 1);
	assert_int_equal(f->planned.worker_cpus[0], 5);
	assert_int_equal(f->planned.worker_cpus[1], 7);
	assert_int_equal(f->planned.worker_nodes[1], 2);
	assert_false(f->planned.shares_cpu);
	workers[2].seat = PLACEMENT_SHARED;
	planner_place(&f->job, &f->planned, &placement);
	assert_true(f->planned.shares_cpu);
}

static void the_graph_weighs_what_flows(void **state)
{
	struct fixture *f = *state;
	plan_job(f, keyed, 2);
	const struct placement_graph *graph = &f->planned.graph;
	assert_int_equal(graph->task_count, 5);
	assert_int_equal(graph->edge_count, 6);
	assert_string_equal(graph->tasks[2].name, "sum+best/0");
	assert_true(graph->tasks[0].weight > graph->tasks[4].weight);
	assert_true(graph->edges[0].weight > graph->edges[5].weight);
	assert_int_equal(graph->edges[5].to, 4);
}

static void tasks_are_spread_over_nodes_workers(void **state)
{
	struct fixture *f = *state;
	plan_job(f, keyed, 4); // sources 0 to 3, sums and bests 4 to 7, one best behind them
	spread_tasks(&f->planned, &f->job.heap, 4);
	for (uint32_t t = 0; t < 8; t++)
		assert_int_equal(f->plan->tasks[t].worker, t % 4);
	assert_int_equal(f->plan->worker_count, 4);
	uint64_t hash = spread_plan_hash(f->plan);
	f->planned.tasks[8].worker = (f->plan->tasks[8].worker + 1) % 4;
	assert_true(spread_plan_hash(f->plan) != hash);
}

static void what_only_one_task_feeds_stays_beside_it(void **state)
{
	struct fixture *f = *state;
	plan_job(f,
		"- {id: source, kind: numbers}\n"
		"- {id: keep, kind: keep, input: source}\n"
		"- {id: sink, kind: swallow, input: keep}\n"
		"- {id: other, kind: swallow, input: keep}\n",
		3);
	assert_true(f->plan->channel_count > 0);
	spread_tasks(&f->planned, &f->job.heap, 3);
	for (uint32_t t = 0; t < f->plan->task_count; t++) {
		const struct plan_task *task = &f->plan->tasks[t];
		if (task->input_count == 1)
			assert_int_equal(task->worker,
				f->plan->tasks[f->plan->channels[task->inputs[0]].from].worker);
	}
}

static void one_source_feeds_keyed_tasks_everywhere(void **state)
{
	struct fixture *f = *state;
	plan_job(f, one_source, 3);
	spread_tasks(&f->planned, &f->job.heap, 3);
	uint32_t seen = 0;
	for (uint32_t t = 0; t < f->plan->task_count; t++)
		if (f->plan->tasks[t].count == 3)
			seen |= 1u << f->plan->tasks[t].worker;
	assert_int_equal(seen, 7);
}

#define PLANNER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLANNER_TEST(unkeyed_chains_are_fused_and_spread),
		PLANNER_TEST(with_one_worker_all_is_one_task),
		PLANNER_TEST(a_keyed_operator_gets_only_the_fields_it_reads),
		PLANNER_TEST(every_channel_knows_both_ends),
		PLANNER_TEST(a_partial_operator_needs_a_producer_of_its_own),
		PLANNER_TEST(a_source_of_one_task_is_spread_by_key),
		PLANNER_TEST(outputs_are_told_apart),
		PLANNER_TEST(all_fields_cross_as_the_same_schema),
		PLANNER_TEST(channels_share_retention_by_default),
		PLANNER_TEST(settings_reach_the_plan),
		PLANNER_TEST(a_chain_that_is_too_long_is_cut),
		PLANNER_TEST(too_many_channels_are_refused),
		PLANNER_TEST(workers_without_tasks_are_left_out),
		PLANNER_TEST(the_graph_weighs_what_flows),
		PLANNER_TEST(tasks_are_spread_over_nodes_workers),
		PLANNER_TEST(what_only_one_task_feeds_stays_beside_it),
		PLANNER_TEST(one_source_feeds_keyed_tasks_everywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
