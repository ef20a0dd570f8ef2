// Which nodes a job gets: few and near ones, and two failure domains for one with replicas; and how
// long it waits for them.
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

static Weir__JobRecord *submit_with(uint32_t workers, const char *more)
{
	char text[320];
	for (uint32_t i = 0; i < nodes; i++) {
		boots[i] = 10 + i;
		join(i, NULL);
	}
	snprintf(text, sizeof(text),
		"version: 1\njob: j\nworkers: {count: %u}\n%soperators:\n"
		"  - {id: s, kind: nexmark, events: 10}\n"
		"  - {id: n, kind: 'null', input: s.bid}\n",
		workers, more);
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
