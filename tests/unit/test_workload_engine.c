// The real workload: a whole job run as the only participant, what it says on the way, and how it
// ends well, badly or early.
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/workload_engine.h"
#include "numa/clock.h"

static const int cpus[] = {0, 0}; // one core must do, waiting by yielding
static struct node *node;
static struct workload *workload;
static char folder[] = "/tmp/weir-workload-XXXXXX";
static char text[1024];

static const struct workload_participant alone = {
	.node = "a", .incarnation = 1, .first_worker = 0, .workers = 2};

static struct workload_part *prepare(const char *source)
{
	struct workload_part *part = NULL;
	snprintf(text, sizeof(text),
		"version: 1\njob: test\nworkers: {state_memory: 16MiB}\noperators:\n"
		"  - {id: source, kind: nexmark, %s}\n"
		"  - {id: hot, kind: window_aggregate, input: source.bid, key: [auction],\n"
		"     window: {tumbling: 2s}, aggregates: [num: count()]}\n"
		"  - {id: sink, kind: csv, input: hot, path: %s/out.csv}\n",
		source, folder);
	const struct workload_request request = {.job = "test-1",
		.text = text,
		.text_bytes = strlen(text),
		.plan_version = 1,
		.incarnation = 7,
		.participant_count = 1,
		.participants = &alone};
	assert_int_equal(workload->ops->prepare(workload, &request, &part), 0);
	return part;
}

static struct workload_status status_of(const struct workload_part *part)
{
	struct workload_status status;
	workload->ops->status(workload, part, &status);
	return status;
}

// Step until the part leaves `state`.
static enum workload_state leave(struct workload_part *part, enum workload_state state)
{
	while (status_of(part).state == state) {
		workload->ops->step(workload, clock_now_ns());
		usleep(300);
	}
	return status_of(part).state;
}

static bool output_exists(void)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/out.csv", folder);
	bool there = access(path, F_OK) == 0;
	unlink(path);
	return there;
}

static void test_a_part_runs_and_publishes_when_told(void **state)
{
	struct workload_part *part = prepare("events: 20000, rate: 10000");
	assert_int_equal(leave(part, WORKLOAD_PREPARING), WORKLOAD_PREPARED);
	assert_true(status_of(part).plan_hash != 0);
	workload->ops->publish(workload, part); // not yet
	assert_int_equal(status_of(part).state, WORKLOAD_PREPARED);
	workload->ops->start(workload, part);
	assert_int_equal(leave(part, WORKLOAD_RUNNING), WORKLOAD_FINISHED);
	struct workload_status status = status_of(part);
	assert_string_equal(status.operators[0].id, "source");
	assert_int_equal(status.operators[0].figures.counters.records_out, 20000);
	assert_true(status.progress > 0);
	assert_false(output_exists());
	workload->ops->publish(workload, part);
	assert_int_equal(leave(part, WORKLOAD_PUBLISHING), WORKLOAD_PUBLISHED);
	assert_true(output_exists());
	workload->ops->discard(workload, part);
}

static void test_an_interrupted_part_ends_early(void **state)
{
	struct workload_part *part = prepare("events: 100000000, pace: 1000/s");
	assert_int_equal(leave(part, WORKLOAD_PREPARING), WORKLOAD_PREPARED);
	workload->ops->start(workload, part);
	workload->ops->interrupt(workload, part);
	assert_int_equal(leave(part, WORKLOAD_RUNNING), WORKLOAD_INTERRUPTED);
	workload->ops->discard(workload, part);
	assert_false(output_exists());
}

static void test_figures_grow_while_a_part_runs(void **state)
{
	struct workload_part *part = prepare("events: 100000000");
	assert_int_equal(leave(part, WORKLOAD_PREPARING), WORKLOAD_PREPARED);
	workload->ops->start(workload, part);
	uint64_t last = 0;
	for (uint32_t grew = 0; grew < 2;) {
		workload->ops->step(workload, clock_now_ns());
		struct workload_status status = status_of(part);
		assert_int_equal(status.state, WORKLOAD_RUNNING);
		uint64_t records = status.operator_count == 0
			? 0
			: status.operators[0].figures.counters.records_out;
		grew += records > last;
		last = records;
		usleep(300);
	}
	workload->ops->discard(workload, part);
}

static void test_what_is_wrong_is_said_with_its_line(void **state)
{
	struct workload_part *part = prepare("event: 5");
	assert_int_equal(leave(part, WORKLOAD_PREPARING), WORKLOAD_FAILED);
	assert_non_null(strstr(status_of(part).error, "test-1:5: "));
	assert_non_null(strstr(status_of(part).error, "events"));
	workload->ops->discard(workload, part);
}

static struct workload_part *prepare_replicas(const struct workload_participant *nodes,
	uint32_t count)
{
	struct workload_part *part = NULL;
	snprintf(text, sizeof(text),
		"version: 1\njob: test\nrecovery: {}\noperators:\n"
		"  - {id: source, kind: nexmark, events: 10}\n"
		"  - {id: sink, kind: 'null', input: source.bid}\n");
	const struct workload_request request = {.job = "test-3",
		.text = text,
		.text_bytes = strlen(text),
		.plan_version = 1,
		.incarnation = 7,
		.participant_count = count,
		.participants = nodes};
	assert_int_equal(workload->ops->prepare(workload, &request, &part), 0);
	return part;
}

static void test_replicas_need_a_second_host(void **state)
{
	struct workload_part *part = prepare_replicas(&alone, 1);
	assert_int_equal(leave(part, WORKLOAD_PREPARING), WORKLOAD_FAILED);
	assert_non_null(strstr(status_of(part).error,
		"test-3:3: recovery: the job's nodes are all "
		"on host a"));
	assert_int_equal(status_of(part).cover_count, 0);
	workload->ops->discard(workload, part);
	struct workload_participant nodes[] = {alone, alone};
	nodes[1].node = "b";
	nodes[1].first_worker = nodes[0].workers;
	nodes[0].host = nodes[1].host = "h";
	part = prepare_replicas(nodes, 2);
	assert_int_equal(leave(part, WORKLOAD_PREPARING), WORKLOAD_FAILED);
	assert_non_null(strstr(status_of(part).error, "all on host h,"));
	workload->ops->discard(workload, part);
}

// There are no links here, so it gets no further than its plan.
static void test_what_a_loss_means_is_known_from_the_plan(void **state)
{
	char host[2][8] = {"h0", "h1"}; // of the caller: they are copied
	struct workload_participant nodes[] = {alone, alone};
	nodes[1].node = "b";
	nodes[1].first_worker = nodes[0].workers;
	nodes[0].host = host[0];
	nodes[1].host = host[1];
	struct workload_part *part = prepare_replicas(nodes, 2);
	memset(host, 0, sizeof(host));
	assert_int_equal(leave(part, WORKLOAD_PREPARING), WORKLOAD_FAILED);
	struct workload_status status = status_of(part);
	assert_non_null(strstr(status.error, "links"));
	assert_int_equal(status.cover_count, 2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(status.covers[i].whole);
		assert_int_equal(status.covers[i].by_count, 1);
		assert_int_equal(status.covers[i].by[0], 1 - i);
	}
	workload->ops->discard(workload, part);
}

static void test_a_wrong_number_of_workers_is_refused(void **state)
{
	struct workload_participant other = alone;
	struct workload_part *part;
	other.workers = 3;
	const struct workload_request request = {
		.job = "test-2", .text = "", .participant_count = 1, .participants = &other};
	assert_int_equal(workload->ops->prepare(workload, &request, &part), -EINVAL);
}

static void test_discarding_at_any_time_is_safe(void **state)
{
	for (unsigned us = 0; us < 30000; us += 5000) {
		struct workload_part *part = prepare("events: 100000000");
		for (unsigned waited = 0; waited < us; waited += 1000) {
			workload->ops->start(workload, part); // once it is prepared
			workload->ops->step(workload, clock_now_ns());
			usleep(1000);
		}
		workload->ops->discard(workload, part);
	}
	assert_false(output_exists());
	test_a_part_runs_and_publishes_when_told(state);
}

static int setup(void **state)
{
	bool huge;
	int error = engine_eal_start(64 << 20, &huge);
	struct node_config config = {
		.worker_count = 2, .worker_cpus = cpus, .wait = NODE_WAIT_YIELD};
	if (error == 0)
		error = node_create(&config, &node);
	if (error == 0)
		error = node_start(node);
	struct workload_engine_config real = {
		.node = node, .worker_count = 2, .worker_cpus = cpus, .kinds = weir_operators};
	if (error == 0)
		error = background_create_thread("builder", &real.background);
	if (error == 0)
		error = workload_engine_create(&real, &workload);
	return error == 0 && mkdtemp(folder) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	workload->ops->destroy(workload);
	node_destroy(node);
	return rmdir(folder); // nothing was left behind
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_part_runs_and_publishes_when_told),
		cmocka_unit_test(test_an_interrupted_part_ends_early),
		cmocka_unit_test(test_figures_grow_while_a_part_runs),
		cmocka_unit_test(test_what_is_wrong_is_said_with_its_line),
		cmocka_unit_test(test_replicas_need_a_second_host),
		cmocka_unit_test(test_what_a_loss_means_is_known_from_the_plan),
		cmocka_unit_test(test_a_wrong_number_of_workers_is_refused),
		cmocka_unit_test(test_discarding_at_any_time_is_safe),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
