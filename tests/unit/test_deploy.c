// Which nodes a job gets: few and near ones, and two failure domains for one with replicas; how
// long it waits for them, and when they have done with it.
#include "controller_fixture.h"

static int set_up(void **state)
{
	now_ns = 1000 * MS;
	nodes = 3;
	node_workers = 2;
	lead();
	return 0;
}

static int tear_down(void **state)
{
	stop_leading();
	memset(hosts, 0, sizeof(hosts));
	return 0;
}

static void fill_text(char *text, size_t bytes, uint32_t workers, const char *more)
{
	snprintf(text, bytes,
		"version: 1\njob: j\nworkers: {count: %u}\n%soperators:\n"
		"  - {id: s, kind: nexmark, events: 10}\n"
		"  - {id: n, kind: 'null', input: s.bid}\n",
		workers, more);
}

static Weir__JobRecord *submit_with(uint32_t workers, const char *more)
{
	char text[320];
	for (uint32_t i = 0; i < nodes; i++) {
		boots[i] = 10 + i;
		join(i, NULL);
	}
	fill_text(text, sizeof(text), workers, more);
	return submit_text(text);
}

static void assert_shares(const Weir__JobRecord *found, uint32_t count, const uint32_t *workers)
{
	uint32_t first = 0;
	assert_int_equal(found->state, WEIR__JOB_STATE__JOB_PREPARING);
	assert_int_equal(found->n_participants, count);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(found->participants[i]->workers, workers[i]);
		assert_int_equal(found->participants[i]->first_worker, first);
		first += workers[i];
	}
}

static void test_without_replicas_few_nodes_do(void **state)
{
	Weir__JobRecord *found = submit_with(2, "");
	assert_shares(found, 1, (uint32_t[]){2});
	record_free(found);
}

static void test_replicas_need_two_hosts(void **state)
{
	Weir__JobRecord *found = submit_with(2, "recovery: {survive: 1 host}\n");
	assert_shares(found, 2, (uint32_t[]){1, 1});
	record_free(found);
}

static void test_one_worker_becomes_two(void **state)
{
	Weir__JobRecord *found = submit_with(1, "recovery: {survive: 1 host}\n");
	assert_shares(found, 2, (uint32_t[]){1, 1});
	record_free(found);
}

// n0 and n1 stand on one host, so that it gives two of four workers and n2 the others.
static void test_hosts_count_and_not_nodes(void **state)
{
	hosts[0] = hosts[1] = "box";
	Weir__JobRecord *found = submit_with(4, "recovery: {survive: 1 host}\n");
	assert_shares(found, 2, (uint32_t[]){2, 2});
	assert_string_equal(found->participants[1]->node, "n2");
	record_free(found);
}

static void test_one_domain_is_waited_with(void **state)
{
	hosts[0] = hosts[1] = hosts[2] = "box";
	Weir__JobRecord *found = submit_with(2, "recovery: {survive: 1 host}\n");
	assert_int_equal(found->state, WEIR__JOB_STATE__JOB_SUBMITTED);
	record_free(found);
}

static void test_one_rack_is_waited_with(void **state)
{
	Weir__JobRecord *found = submit_with(2, "recovery: {survive: 1 rack}\n");
	assert_int_equal(found->state, WEIR__JOB_STATE__JOB_SUBMITTED);
	record_free(found);
}

// ---- a node that is silent while a job is prepared

static void run_two(void)
{
	nodes = 2;
	for (uint32_t i = 0; i < nodes; i++) {
		boots[i] = 10 + i;
		join(i, NULL);
	}
	submit();
	report_prepared(0, false);
}

// Only the first one reports.
static void pass(int64_t ms)
{
	for (int64_t left = ms; left > 0; left -= heartbeat_ms) {
		now_ns += heartbeat_ms * MS;
		report_state(0, WEIR__PART_STATE__PART_PREPARED, NULL, 0);
	}
}

static void test_who_comes_back_in_time_prepares(void **state)
{
	node_workers = 1;
	run_two();
	pass(2 * silence_ms);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PREPARING);
	forget_sent();
	join(1, NULL);
	assert_int_equal(sent(1, WEIR__MESSAGE__BODY_PREPARE), 1);
	report_prepared(1, false);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
}

static void test_who_does_not_come_back_is_not_waited_for_long(void **state)
{
	node_workers = 1;
	run_two();
	pass(9000);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PREPARING);
	pass(2000);
	assert_error_names("did not prepare", "in time");
}

static void test_who_is_dead_for_certain_is_not_waited_for(void **state)
{
	node_workers = 1;
	run_two();
	close_peer(peer_of(1));
	settle();
	assert_error_names("n1", "connection reset");
}

static void test_another_process_is_not_waited_for(void **state)
{
	node_workers = 1;
	run_two();
	pass(2 * silence_ms);
	boots[1]++;
	join(1, NULL);
	assert_error_names("n1", "its process was replaced");
}

// ---- nodes that have done with a job

static void test_its_workers_are_taken_until_its_end_is_written(void **state)
{
	node_workers = 1;
	run_two();
	close_peer(peer_of(1));
	step();
	assert_int_equal(store.asked, ASKED_TXN);
	assert_int_equal(free_workers(0), 0);
	settle();
	assert_error_names("n1", "connection reset");
	assert_int_equal(free_workers(0), 1);
}

static void cancel_one(uint32_t number)
{
	char text[8];
	snprintf(text, sizeof(text), "%u", number);
	token = text;
	Weir__JobRecord *found = submit_with(1, "");
	incarnation = found->incarnation;
	record_free(found);
	token = "token";
	ask_to_end(false);
	settle();
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_CANCELLED);
}

// The record of a job that ended long ago makes room for another one.
static void test_a_part_of_a_job_that_is_being_forgotten_is_swept(void **state)
{
	char oldest[MESSAGE_NAME_MAX + 1], text[320];
	uint64_t oldest_incarnation = 0;
	nodes = 1;
	for (uint32_t i = 0; i < 9; i++) {
		now_ns += MS; // records are in the order of their submission
		cancel_one(i);
		if (i == 0)
			memcpy(oldest, job, sizeof(oldest));
		if (i == 0)
			oldest_incarnation = incarnation;
	}
	fill_text(text, sizeof(text), 1, "");
	send_submit(text);
	step();
	assert_int_equal(store.asked, ASKED_TXN);
	forget_sent();
	memcpy(job, oldest, sizeof(job));
	incarnation = oldest_incarnation;
	Weir__Part part = part_of(WEIR__PART_STATE__PART_FINISHED, NULL, 0);
	join(0, &part);
	assert_int_equal(sent(0, WEIR__MESSAGE__BODY_ABORT), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_without_replicas_few_nodes_do),
		TEST(test_replicas_need_two_hosts),
		TEST(test_one_worker_becomes_two),
		TEST(test_hosts_count_and_not_nodes),
		TEST(test_one_domain_is_waited_with),
		TEST(test_one_rack_is_waited_with),
		TEST(test_who_comes_back_in_time_prepares),
		TEST(test_who_does_not_come_back_is_not_waited_for_long),
		TEST(test_who_is_dead_for_certain_is_not_waited_for),
		TEST(test_another_process_is_not_waited_for),
		TEST(test_its_workers_are_taken_until_its_end_is_written),
		TEST(test_a_part_of_a_job_that_is_being_forgotten_is_swept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
