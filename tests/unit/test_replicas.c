// Jobs planned with replicas: which tasks get one and where, what joins the instances, and what the
// loss of a node then means.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/replicas.h"
#include "control/spread.h"
#include "job_kinds.h"
#include "plan_check.h"

enum { NODES_MAX = 8 };

struct fixture {
	struct job job;
	struct planned_job planned;
	const struct job_plan *plan;
	uint32_t count;
	struct workload_participant nodes[NODES_MAX];
	char names[NODES_MAX][8];
};

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

static void add_node(struct fixture *f, uint32_t workers, const char *host, const char *rack)
{
	struct workload_participant *node = &f->nodes[f->count];
	snprintf(f->names[f->count], sizeof(f->names[0]), "n%u", f->count);
	*node = (struct workload_participant){
		.node = f->names[f->count], .workers = workers, .host = host, .rack = rack};
	if (f->count > 0)
		node->first_worker = node[-1].first_worker + node[-1].workers;
	f->count++;
}

static void load(struct fixture *f, const char *operators, const char *recovery)
{
	char text[4096];
	int bytes = snprintf(text, sizeof(text), "version: 1\njob: test\n%soperators:\n%s",
		recovery, operators);
	assert_in_range(bytes, 1, sizeof(text) - 1);
	struct job_source source = {
		.file = "f.yaml", .text = text, .bytes = (size_t)bytes, .kinds = job_kinds};
	job_load(&f->job, &source);
	errors_print(&f->job.errors, stderr);
	assert_int_equal(f->job.errors.count, 0);
	const struct workload_participant *last = &f->nodes[f->count - 1];
	uint32_t workers = last->first_worker + last->workers;
	assert_int_equal(planner_plan(&f->job, workers, &f->planned), 0);
	spread_tasks(&f->planned, &f->job.heap, workers);
	f->plan = &f->planned.plan;
}

static void assert_sound(const struct fixture *f)
{
	struct plan_check check;
	const char *problem = plan_problem(&check, f->plan);
	if (problem != NULL)
		fail_msg("%s", problem);
}

static void plan_job(struct fixture *f, const char *operators, const char *recovery)
{
	load(f, operators, recovery);
	assert_sound(f); // the plan of before
	assert_int_equal(replicas_plan(&f->job, &f->planned, f->nodes, f->count), 0);
	assert_sound(f);
}

static const struct workload_cover *covers(struct fixture *f)
{
	return replicas_cover(f->plan, &f->job.heap, f->nodes, f->count);
}

static uint32_t count_standing(const struct fixture *f, enum plan_standing standing)
{
	uint32_t count = 0;
	for (uint32_t t = 0; t < f->plan->task_count; t++)
		count += f->plan->tasks[t].standing == standing;
	return count;
}

static void assert_refused(struct fixture *f, const char *expected)
{
	assert_int_equal(replicas_plan(&f->job, &f->planned, f->nodes, f->count), -EINVAL);
	assert_int_equal(f->job.errors.count, 1);
	assert_string_equal(f->job.errors.lines[0].text, expected);
	assert_false(f->plan->hot);
}

// With two workers: sources 0 and 1, sums 2 and 3 that hash feeds, one sink 4 behind both.
static const char three_stages[] = "- {id: source, kind: numbers}\n"
				   "- {id: sum, kind: sum, input: source, key: b}\n"
				   "- {id: sink, kind: swallow, input: sum, tasks_max: 1}\n";

static void two_nodes(struct fixture *f)
{
	add_node(f, 1, "h0", "r0");
	add_node(f, 1, "h1", "r1");
}

static void all_tasks_stand_twice(void **state)
{
	struct fixture *f = *state;
	two_nodes(f);
	plan_job(f, three_stages, "recovery: {}\n");
	assert_true(f->plan->hot);
	assert_int_equal(f->plan->task_count, 10);
	assert_int_equal(f->plan->channel_count, 6 * 4 + 2 * 5);
	assert_int_equal(count_standing(f, PLAN_PRIMARY), 5);
	for (uint32_t t = 0; t < 5; t++) {
		const struct plan_task *task = &f->plan->tasks[t];
		assert_int_equal(task->standing, PLAN_PRIMARY);
		assert_int_equal(task->twin, 5 + t);
		assert_int_equal(f->plan->tasks[5 + t].worker, 1 - task->worker);
	}
	assert_int_equal(plan_beside_twin(f->plan, f->nodes, false), PLAN_NONE);
	for (uint32_t p = 0; p < 2; p++) {
		assert_true(covers(f)[p].whole);
		assert_int_equal(covers(f)[p].by_count, 1);
		assert_int_equal(covers(f)[p].by[0], 1 - p);
	}
}

static void instances_are_joined_four_times(void **state)
{
	struct fixture *f = *state;
	two_nodes(f);
	plan_job(f, three_stages, "recovery: {}\n");
	const struct plan_task *source = &f->plan->tasks[1], *replica = &f->plan->tasks[6];
	const struct plan_edge *edge = &source->edges[0], *standby = &replica->edges[0];
	assert_int_equal(edge->exchange, EXCHANGE_HASH);
	assert_int_equal(edge->channels[1], 3); // keeps its number
	assert_int_equal(f->plan->channels[edge->channels[1]].to, 3);
	assert_int_equal(f->plan->channels[edge->twins[1]].to, 8);
	assert_int_equal(f->plan->channels[standby->channels[1]].to, 3);
	assert_int_equal(f->plan->channels[standby->twins[1]].to, 8);
	const struct plan_task *sum = &f->plan->tasks[3], *twin = &f->plan->tasks[8];
	assert_int_equal(sum->inputs[1], edge->channels[1]);
	assert_int_equal(sum->standby_inputs[1], standby->channels[1]);
	assert_int_equal(twin->inputs[1], edge->twins[1]);
	assert_int_equal(twin->standby_inputs[1], standby->twins[1]);
	assert_null(f->plan->channels[sum->log].schema);
	assert_int_equal(f->plan->channels[sum->log].from, 3);
	assert_int_equal(f->plan->channels[sum->log].to, 8);
	assert_null(f->plan->channels[twin->log].schema);
	assert_int_equal(f->plan->channels[twin->log].from, 8);
	assert_int_equal(f->plan->channels[twin->log].to, 3);
	assert_int_equal(f->plan->tasks[2].edges[0].exchange, EXCHANGE_FORWARD);
	assert_int_equal(f->plan->tasks[7].edges[0].channel_count, 1);
}

static void some_operators_are_enough(void **state)
{
	struct fixture *f = *state;
	two_nodes(f);
	plan_job(f, three_stages, "recovery: {operators: [sum]}\n");
	assert_int_equal(count_standing(f, PLAN_SINGLE), 3);
	assert_int_equal(f->plan->task_count, 7);
	// A source towards two instances of each sum; two of each sum towards the sink; logs.
	assert_int_equal(f->plan->channel_count, 4 * 2 + 2 * 2 + 2 * 2);
	assert_non_null(f->plan->tasks[0].edges[0].twins);
	assert_null(f->plan->tasks[0].standby_inputs);
	assert_null(f->plan->tasks[2].standby_inputs);
	assert_null(f->plan->tasks[2].edges[0].twins);
	assert_non_null(f->plan->tasks[4].standby_inputs);
	assert_int_equal(f->plan->tasks[4].input_count, 2);
	assert_false(covers(f)[0].whole); // its source is single
	assert_false(covers(f)[1].whole);
	assert_int_equal(covers(f)[0].by[0], 1);
}

static void a_fused_operator_takes_its_task_along(void **state)
{
	struct fixture *f = *state;
	two_nodes(f);
	plan_job(f,
		"- {id: source, kind: numbers}\n"
		"- {id: keep, kind: keep, input: source}\n"
		"- {id: best, kind: best, input: keep}\n"
		"- {id: sink, kind: swallow, input: best}\n",
		"recovery: {operators: [best]}\n");
	assert_int_equal(f->plan->tasks[0].step_count, 3); // source, keep, best on its part
	assert_int_equal(count_standing(f, PLAN_PRIMARY), 3);
	assert_int_equal(count_standing(f, PLAN_SINGLE), 0);
}

static void what_acts_at_once_stands_apart(void **state)
{
	struct fixture *f = *state;
	two_nodes(f);
	plan_job(f,
		"- {id: source, kind: numbers}\n"
		"- {id: sum, kind: sum, input: source, key: b}\n"
		"- {id: show, kind: show, input: sum}\n",
		"recovery: {operators: [source, sum]}\n");
	assert_int_equal(f->plan->tasks[2].edge_count, 1);
	assert_int_equal(f->plan->tasks[2].standing, PLAN_PRIMARY);
	assert_int_equal(f->plan->tasks[4].standing, PLAN_SINGLE);
	assert_int_equal(f->plan->tasks[4].steps[0].kind->immediate, true);
	assert_non_null(f->plan->tasks[4].standby_inputs);
}

// Three nodes of two workers each: a circle, and what a worker has stays together.
static void each_worker_has_a_buddy(void **state)
{
	struct fixture *f = *state;
	for (uint32_t i = 0; i < 3; i++)
		add_node(f, 2, i == 0 ? "h0" : i == 1 ? "h1" : "h2", "r0");
	plan_job(f,
		"- {id: source, kind: numbers}\n"
		"- {id: sum, kind: sum, input: source, key: b}\n"
		"- {id: sink, kind: swallow, input: sum}\n",
		"recovery: {}\n");
	uint32_t buddies[6];
	memset(buddies, 0xff, sizeof(buddies));
	for (uint32_t t = 0; t < 12; t++) {
		const struct plan_task *task = &f->plan->tasks[t];
		uint32_t worker = f->plan->tasks[task->twin].worker;
		if (buddies[task->worker] == UINT32_MAX)
			buddies[task->worker] = worker;
		assert_int_equal(buddies[task->worker], worker);
		assert_int_equal(worker, (task->worker + 2) % 6);
	}
	for (uint32_t p = 0; p < 3; p++) {
		assert_true(covers(f)[p].whole);
		assert_int_equal(covers(f)[p].by_count,
			2); // whose replicas it has, and who has its own
	}
}

static void racks_are_told_apart(void **state)
{
	struct fixture *f = *state;
	static const char *const hosts[] = {"h0", "h1", "h2", "h3"};
	for (uint32_t i = 0; i < 4; i++)
		add_node(f, 1, hosts[i], i < 2 ? "r0" : "r1");
	plan_job(f, three_stages, "recovery: {survive: 1 rack}\n");
	assert_int_equal(plan_beside_twin(f->plan, f->nodes, true), PLAN_NONE);
	// The load of a rack is shared by the nodes of the other.
	bool used[4] = {false};
	for (uint32_t t = 0; t < f->plan->task_count; t++)
		if (f->plan->tasks[t].standing == PLAN_REPLICA)
			used[f->plan->tasks[t].worker] = true;
	assert_true(used[0] && used[1] && used[2] && used[3]);
}

static void hosts_of_a_rack_do_for_a_host(void **state)
{
	struct fixture *f = *state;
	add_node(f, 1, "h0", "r0");
	add_node(f, 1, "h0", "r0");
	add_node(f, 1, "h1", "r0");
	plan_job(f, three_stages, "recovery: {}\n");
	assert_int_equal(plan_beside_twin(f->plan, f->nodes, false), PLAN_NONE);
	for (uint32_t t = 0; t < f->plan->task_count; t++)
		if (f->plan->tasks[t].standing == PLAN_PRIMARY && f->plan->tasks[t].worker < 2)
			assert_int_equal(f->plan->tasks[f->plan->tasks[t].twin].worker, 2);
}

static void without_a_host_a_node_is_one(void **state)
{
	struct fixture *f = *state;
	add_node(f, 1, NULL, NULL);
	add_node(f, 1, NULL, NULL);
	plan_job(f, three_stages, "recovery: {}\n");
	assert_true(covers(f)[0].whole && covers(f)[1].whole);
}

static void one_host_is_refused(void **state)
{
	struct fixture *f = *state;
	add_node(f, 1, "h0", "r0");
	add_node(f, 1, "h0", "r1");
	load(f, three_stages, "recovery: {}\n");
	assert_refused(f,
		"recovery: the job's nodes are all on host h0, and no replica outlives it; give "
		"the job more workers, or nodes on another host, or leave the section out");
	assert_int_equal(f->job.errors.lines[0].line, 3);
}

static void one_rack_is_refused(void **state)
{
	struct fixture *f = *state;
	add_node(f, 1, "h0", "r0");
	add_node(f, 1, "h1", "r0");
	load(f, three_stages, "recovery: {survive: 1 rack}\n");
	assert_refused(f,
		"recovery: the job's nodes are all in rack r0, and no replica outlives it; give "
		"the job more workers, or nodes in another rack, or write survive: 1 host");
}

static void too_many_channels_are_refused(void **state)
{
	struct fixture *f = *state;
	two_nodes(f);
	load(f,
		"- {id: source, kind: numbers, parallelism: 200}\n"
		"- {id: sum, kind: sum, input: source, key: b, parallelism: 100}\n"
		"- {id: sink, kind: swallow, input: sum}\n",
		"recovery: {}\n");
	assert_refused(f,
		"recovery: with replicas the job would have over 4096 tasks or 65536 channels; "
		"give its operators less parallelism, or list fewer in operators");
}

static void retention_is_bounded(void **state)
{
	struct fixture *f = *state;
	two_nodes(f);
	plan_job(f, three_stages, "recovery: {}\n");
	assert_int_equal(f->plan->channel_retention_bytes, 16 << 20);
	job_destroy(&f->job);
	plan_job(f, three_stages, "recovery: {retention: 1MiB}\n");
	assert_int_equal(f->plan->channel_retention_bytes, 1 << 20);
	job_destroy(&f->job);
	plan_job(f,
		"- {id: source, kind: numbers, parallelism: 8}\n"
		"- {id: sum, kind: sum, input: source, key: b, parallelism: 8}\n"
		"- {id: sink, kind: swallow, input: sum}\n",
		"recovery: {}\n");
	assert_in_range(f->plan->channel_retention_bytes, 1 << 20, (512 << 20) / (4 * 64));
	job_destroy(&f->job);
	plan_job(f,
		"- {id: source, kind: numbers, parallelism: 16}\n"
		"- {id: sum, kind: sum, input: source, key: b, parallelism: 16}\n"
		"- {id: sink, kind: swallow, input: sum}\n",
		"recovery: {}\n");
	assert_int_equal(f->plan->channel_retention_bytes, 1 << 20);
}

static void the_hash_covers_replicas(void **state)
{
	struct fixture *f = *state;
	two_nodes(f);
	load(f, three_stages, "recovery: {}\n");
	uint64_t before = spread_plan_hash(f->plan);
	assert_int_equal(replicas_plan(&f->job, &f->planned, f->nodes, f->count), 0);
	uint64_t hash = spread_plan_hash(f->plan);
	assert_true(hash != before);
	struct plan_task *task = &f->planned.tasks[2], kept = *task;
	const uint32_t others[] = {1, 2, 3, 4};
	task->standing = PLAN_REPLICA;
	assert_true(spread_plan_hash(f->plan) != hash);
	*task = kept;
	task->twin++;
	assert_true(spread_plan_hash(f->plan) != hash);
	*task = kept;
	task->log++;
	assert_true(spread_plan_hash(f->plan) != hash);
	*task = kept;
	task->inputs = others;
	assert_true(spread_plan_hash(f->plan) != hash);
	*task = kept;
	task->standby_inputs = others;
	assert_true(spread_plan_hash(f->plan) != hash);
	*task = kept;
	struct plan_edge edge = task->edges[0];
	task->edges = &edge;
	assert_true(spread_plan_hash(f->plan) == hash);
	edge.twins = others;
	assert_true(spread_plan_hash(f->plan) != hash);
	*task = kept;
	f->planned.plan.hot = false;
	assert_true(spread_plan_hash(f->plan) != hash);
	f->planned.plan.hot = true;
	f->planned.plan.channel_retention_bytes++;
	assert_true(spread_plan_hash(f->plan) != hash);
}

// As a user writes it wrongly: one line each, in the order of the file.
static void wrong_sections_are_said(void **state)
{
	static const struct {
		const char *recovery, *expected;
	} wrong[] = {
		{"{operators: [sum, sun]}",
			"recovery.operators[2]: there is no operator sun; did you "
			"mean sum?"},
		{"{operators: [sum, show]}",
			"recovery.operators[2]: show acts outside at once, which a replica cannot "
			"hold back; leave it out, or use a sink that publishes at the end, such "
			"as csv"},
		{"{}",
			"show.kind: show acts outside at once, which a replica cannot hold back; "
			"list the others in recovery.operators, or use a sink that publishes at "
			"the end, such as csv"},
		{"{operators: []}",
			"recovery.operators: is empty; list operators, or leave it out: "
			"all are then meant"},
		{"{operators: [sum], within: 0s}",
			"recovery.within: 0s is out of bounds; write at least 1ns"},
		{"{operators: [sum]}\ncheckpoint: {}",
			"checkpoint: barriers are not coordinated between nodes yet, and recovery "
			"has replicas on several; leave one of the two sections out"},
		{"{operators: [sum], survive: 2 hosts}",
			"recovery.survive: 2 hosts is not one of 1 host|1 rack; did you mean 1 "
			"host?"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[512];
		snprintf(text, sizeof(text),
			"version: 1\njob: test\nrecovery: %s\noperators:\n"
			"- {id: source, kind: numbers}\n"
			"- {id: sum, kind: sum, input: source, key: b}\n"
			"- {id: show, kind: show, input: sum}\n",
			wrong[i].recovery);
		struct job_source source = {
			.file = "f.yaml", .text = text, .bytes = strlen(text), .kinds = job_kinds};
		job_load(&f->job, &source);
		assert_int_equal(f->job.errors.count, 1);
		assert_string_equal(f->job.errors.lines[0].text, wrong[i].expected);
		job_destroy(&f->job);
	}
}

#define REPLICAS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REPLICAS_TEST(all_tasks_stand_twice),
		REPLICAS_TEST(instances_are_joined_four_times),
		REPLICAS_TEST(some_operators_are_enough),
		REPLICAS_TEST(a_fused_operator_takes_its_task_along),
		REPLICAS_TEST(what_acts_at_once_stands_apart),
		REPLICAS_TEST(each_worker_has_a_buddy),
		REPLICAS_TEST(racks_are_told_apart),
		REPLICAS_TEST(hosts_of_a_rack_do_for_a_host),
		REPLICAS_TEST(without_a_host_a_node_is_one),
		REPLICAS_TEST(one_host_is_refused),
		REPLICAS_TEST(one_rack_is_refused),
		REPLICAS_TEST(too_many_channels_are_refused),
		REPLICAS_TEST(retention_is_bounded),
		REPLICAS_TEST(the_hash_covers_replicas),
		REPLICAS_TEST(wrong_sections_are_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
