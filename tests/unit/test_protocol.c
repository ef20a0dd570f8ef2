// A cluster whose processes are of different versions: who is refused, and what is said of it.
#include "controller_fixture.h"

static int set_up(void **state)
{
	now_ns = 1000 * MS;
	nodes = 2;
	node_workers = 1;
	protocol = CLUSTER_PROTOCOL;
	lead();
	return 0;
}

static int tear_down(void **state)
{
	protocol = CLUSTER_PROTOCOL;
	stop_leading();
	return 0;
}

static const char *reason_told(uint32_t node)
{
	const char *reason = NULL;
	for (uint32_t i = 0; i < bus.count; i++)
		if (bus.sent[i].peer == peer_of(node) &&
			bus.sent[i].message->body_case == WEIR__MESSAGE__BODY_REDIRECT)
			reason = bus.sent[i].message->redirect->reason;
	assert_non_null(reason);
	return reason;
}

static size_t events(void)
{
	Weir__Request request = WEIR__REQUEST__INIT;
	request.what_case = WEIR__REQUEST__WHAT_EVENTS;
	return ask(&request)->n_events;
}

static void join_as(uint32_t node, uint32_t with)
{
	protocol = with;
	boots[node] = 10 + node;
	join(node, NULL);
}

static void assert_refused(uint32_t with, const char *said)
{
	join_as(0, with);
	assert_int_equal(sent(0, WEIR__MESSAGE__BODY_WELCOME), 0);
	assert_non_null(strstr(reason_told(0), "node n0 on host n0 speaks "));
	assert_non_null(strstr(reason_told(0), said));
	assert_non_null(strstr(reason_told(0), "controller c protocol 2; run one version"));
}

static void test_a_node_from_before_protocols_is_refused(void **state)
{
	assert_refused(0, "speaks protocol 1,");
}

static void test_a_newer_node_is_refused(void **state)
{
	assert_refused(CLUSTER_PROTOCOL + 1, "speaks protocol 3,");
}

static void test_a_node_of_the_same_one_is_welcome(void **state)
{
	join_as(0, CLUSTER_PROTOCOL);
	assert_int_equal(sent(0, WEIR__MESSAGE__BODY_WELCOME), 1);
	assert_int_equal(sent(0, WEIR__MESSAGE__BODY_REDIRECT), 0);
}

static void test_it_is_noted_once_for_each_process(void **state)
{
	size_t before = events();
	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t n = 0; n < 2; n++)
			join_as(n, 1);
	assert_int_equal(events(), before + 2);
}

static void test_no_job_is_planned_over_one_that_is_refused(void **state)
{
	join_as(0, 1);
	join_as(1, CLUSTER_PROTOCOL);
	Weir__JobRecord *found = submit_text("version: 1\njob: j\nworkers: {count: 2}\noperators:\n"
					     "  - {id: s, kind: nexmark, events: 10}\n"
					     "  - {id: n, kind: 'null', input: s.bid}\n");
	assert_int_equal(found->state, WEIR__JOB_STATE__JOB_SUBMITTED);
	record_free(found);
}

// Another leader comes after a job was begun with that one.
static void begin_with(uint32_t with, Weir__JobState state)
{
	run_job(2, false);
	Weir__JobRecord *found = record();
	assert_int_equal(found->protocol, CLUSTER_PROTOCOL);
	found->protocol = with;
	found->state = state;
	char name[META_KEY_MAX];
	snprintf(name, sizeof(name), "weir/jobs/%s", job);
	struct key *key = key_of(name);
	free(key->value);
	key->value = record_pack(found, &key->bytes);
	record_free(found);
	lose_leader_to(stand);
}

static void test_nobody_leads_nodes_that_he_would_refuse(void **state)
{
	begin_with(0, WEIR__JOB_STATE__JOB_RUNNING);
	assert_int_equal(controller_term(controller), 0);
	assert_true(controller_has_resigned(controller));
	const char *why = controller_refusal(controller);
	assert_non_null(why);
	assert_non_null(strstr(why, job));
	assert_non_null(strstr(why, "protocol 1, this controller speaks protocol 2; run "));
	assert_null(key_of("weir/election/leader")->value); // another one may, at once
}

static void test_what_has_ended_hinders_nobody(void **state)
{
	begin_with(0, WEIR__JOB_STATE__JOB_FINISHED);
	assert_true(controller_term(controller) > 0);
	assert_null(controller_refusal(controller));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_a_node_from_before_protocols_is_refused),
		TEST(test_a_newer_node_is_refused),
		TEST(test_a_node_of_the_same_one_is_welcome),
		TEST(test_it_is_noted_once_for_each_process),
		TEST(test_no_job_is_planned_over_one_that_is_refused),
		TEST(test_nobody_leads_nodes_that_he_would_refuse),
		TEST(test_what_has_ended_hinders_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
