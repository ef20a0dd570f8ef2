// New replicas in the place of a lost participant, message by message: when one is made, and what
// is written before what is told.
#include "repair_fixture.h"

static void test_it_is_written_before_anybody_is_told(void **state)
{
	lose_one();
	Weir__JobRecord *before = record();
	boots[SPARE] = 14;
	join(SPARE, NULL); // settles
	forget_sent();
	Weir__JobRecord *is = record();
	const Weir__Participant *p = is->participants[LOST];
	assert_string_equal(p->repair->node, "n4");
	assert_true(p->lost);
	assert_true(is->repair_incarnation > incarnation);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(is->participants[i]->successor,
			before->participants[i]->successor);
		for (uint32_t k = 0; k < 4; k++)
			assert_true(is->participants[i]->next_successor >
				before->participants[k]->successor);
	}
	record_free(before);
	record_free(is);
}

static void test_its_node_plans_the_job_as_it_was(void **state)
{
	lose_one();
	boots[SPARE] = 14;
	models[SPARE].up = true;
	Weir__Part *none = NULL;
	join(SPARE, none);
	const Weir__Message *m = last_of(SPARE, WEIR__MESSAGE__BODY_PREPARE);
	assert_non_null(m);
	Weir__JobRecord *is = record();
	const Weir__Participant *p = m->prepare->participants[LOST];
	assert_int_equal(m->prepare->self, LOST);
	assert_int_equal(m->prepare->repair, is->repair_incarnation);
	assert_int_equal(m->prepare->incarnation, incarnation);
	assert_string_equal(p->node, "n4");
	assert_string_equal(p->host, "n4");
	assert_string_equal(p->planned_host, "n1");
	assert_string_equal(p->planned_rack, "rack");
	assert_int_equal(p->boot, is->repair_incarnation);
	assert_int_equal(m->prepare->participants[0]->successor,
		is->participants[0]->next_successor);
	assert_int_equal(m->prepare->participants[0]->boot, 0);
	record_free(is);
}

static void test_a_write_that_is_not_answered_has_nobody_told(void **state)
{
	lose_one();
	boots[SPARE] = 14;
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Join body = WEIR__JOIN__INIT;
	Weir__NodeRecord node = WEIR__NODE_RECORD__INIT;
	node.format = MESSAGE_VERSION;
	node.name = (char *)"n4";
	node.boot = 14;
	node.workers = 1;
	body.node = &node;
	body.protocol = protocol;
	message.body_case = WEIR__MESSAGE__BODY_JOIN;
	message.join = &body;
	receive(peer_of(SPARE), &message);
	step();
	assert_true(answer()); // the node is written
	step();
	assert_int_equal(store.asked, ASKED_TXN); // the choice is being
	step();
	assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_PREPARE), 0);
	answer_unknown(false);
	settle(); // written again
	assert_true(repair_boot() != 0);
	assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_PREPARE), 1);
}

static void test_all_admit_it_before_any_feeds_it(void **state)
{
	repair_until(CHOSEN);
	say_state(SPARE, WEIR__PART_STATE__PART_PREPARING);
	assert_int_equal(admits(0, false), 0);
	say_state(SPARE, WEIR__PART_STATE__PART_PREPARED);
	assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_START), 1);
	assert_int_equal(admits(0, false) + admits(2, false) + admits(3, false), 3);
	assert_int_equal(admits(SPARE, false), 0);
	const Weir__Admit *admit = last_of(0, WEIR__MESSAGE__BODY_ADMIT)->admit;
	assert_int_equal(admit->place, LOST);
	assert_int_equal(admit->boot, repair_boot());
	assert_string_equal(admit->as->node, "n4");
	say_state(SPARE, WEIR__PART_STATE__PART_RUNNING);
	say_admitted(3);
	say_admitted(2);
	assert_int_equal(admits(0, true) + admits(2, true) + admits(3, true), 0);
	say_admitted(0);
	assert_int_equal(admits(0, true) + admits(2, true) + admits(3, true), 3);
	assert_int_equal(admits(0, false) + admits(2, false) + admits(3, false), 3);
}

static void test_none_feeds_it_before_it_runs(void **state)
{
	repair_until(ADMITTED);
	say_admitted(0);
	say_admitted(2);
	say_admitted(3);
	assert_int_equal(admits(0, true), 0);
	say_state(SPARE, WEIR__PART_STATE__PART_RUNNING);
	assert_int_equal(admits(0, true), 1);
}

static void test_it_is_whole_once_all_have_fed_it_and_that_is_written(void **state)
{
	repair_until(FED);
	Weir__JobRecord *before = record();
	say_repaired(3);
	say_repaired(2);
	assert_true(is_lost(LOST));
	begin_whole(0);
	assert_int_equal(store.asked, ASKED_TXN);
	assert_true(is_lost(LOST));
	assert_non_null(strstr(status()->survives, "not every further death"));
	assert_true(answer());
	assert_false(is_lost(LOST));
	settle();
	assert_string_equal(status()->survives, "survives 1 host");
	Weir__JobRecord *is = record();
	assert_string_equal(is->participants[LOST]->node, "n4");
	assert_int_equal(is->participants[LOST]->boot, before->repair_incarnation);
	assert_string_equal(is->participants[LOST]->planned_host, "n1");
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(is->participants[i]->successor,
			before->participants[i]->next_successor);
	assert_int_equal(repair_boot(), 0);
	assert_int_equal(told(0, LOST, false) + told(0, LOST, true), 0);
	record_free(before);
	record_free(is);
}

static void test_what_took_over_may_die_then(void **state)
{
	be_whole();
	Weir__JobRecord *is = record();
	die(0);
	assert_true(is_lost(0) && !is_lost(LOST));
	assert_int_equal(told(SPARE, 0, true), 1);
	const Weir__Message *m = last_of(SPARE, WEIR__MESSAGE__BODY_LOSE);
	assert_int_equal(m->lose->successor, is->participants[0]->successor);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
	record_free(is);
}

static void test_it_may_die_again_and_be_made_again(void **state)
{
	be_whole();
	die(SPARE);
	assert_true(is_lost(LOST));
	assert_int_equal(told(0, LOST, false), 1);
	assert_int_equal(told(0, LOST, true), 1);
	models[0].admitted_count = models[0].repaired_count = 0;
	models[2].admitted_count = models[2].repaired_count = 0;
	models[3].admitted_count = models[3].repaired_count = 0;
	join_spare(5);
	assert_int_equal(repair_boot(), 0); // not all know yet
	say_lost(0, LOST);
	say_lost(2, LOST);
	say_lost(3, LOST);
	assert_true(repair_boot() != 0);
	assert_int_equal(sent(5, WEIR__MESSAGE__BODY_PREPARE), 1);
}

static void test_its_part_counts_only_when_it_is_whole(void **state)
{
	repair_until(FED);
	for (uint32_t i = 0; i < status()->n_parts; i++)
		assert_int_not_equal(status()->parts[i]->participant, LOST);
	for (uint32_t i = 0; i < 4; i++)
		if (i != LOST)
			say_state(i, WEIR__PART_STATE__PART_FINISHED);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PUBLISHING);
	assert_given_up();
}

static void test_the_end_waits_for_it_once_it_is_whole(void **state)
{
	be_whole();
	for (uint32_t i = 0; i < 4; i++)
		if (i != LOST)
			say_state(i, WEIR__PART_STATE__PART_FINISHED);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
	say_state(SPARE, WEIR__PART_STATE__PART_FINISHED);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PUBLISHING);
	assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_PUBLISH), 1);
	for (uint32_t i = 0; i < 4; i++)
		if (i != LOST)
			say_state(i, WEIR__PART_STATE__PART_PUBLISHED);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PUBLISHING);
	say_state(SPARE, WEIR__PART_STATE__PART_PUBLISHED);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_FINISHED);
}

// ---- when it begins

static void test_all_must_have_done_what_they_were_told(void **state)
{
	lose_one();
	deaf = true;
	say(0);
	say(2);
	say(3);
	join_spare(SPARE);
	assert_int_equal(repair_boot(), 0);
	deaf = false;
	say(0);
	say(2);
	settle();
	assert_int_equal(repair_boot(), 0);
	say(3);
	settle();
	assert_true(repair_boot() != 0);
}

static void test_all_must_have_reported_to_this_leader(void **state)
{
	lose_one();
	lose_leader();
	boots[SPARE] = 14;
	join(SPARE, NULL);
	for (uint32_t i = 0; i < 4; i++) {
		Weir__Part part = model_part(i);
		if (i != LOST)
			join(i, &part);
	}
	say(0);
	say(2);
	settle();
	assert_int_equal(repair_boot(), 0);
	say(3);
	settle();
	assert_true(repair_boot() != 0);
}

static void test_a_host_of_its_own_is_waited_for(void **state)
{
	hosts[SPARE] = "n0"; // where what took over is
	lose_one();
	join_spare(SPARE);
	assert_int_equal(repair_boot(), 0);
	assert_string_equal(status()->waiting,
		"a host other than n0 with 1 free worker and no part in the job, for a new "
		"replica of what node n1 did");
	boots[LOST] = 77; // the same node, started again
	models[LOST].up = true;
	join(LOST, NULL);
	assert_true(repair_boot() != 0);
	assert_string_equal(status()->waiting, "");
	assert_int_equal(sent(LOST, WEIR__MESSAGE__BODY_PREPARE), 1);
}

static void test_status_says_that_none_is_made_near_the_end(void **state)
{
	lose_one();
	say_state(3, WEIR__PART_STATE__PART_FINISHED);
	join_spare(SPARE);
	assert_int_equal(repair_boot(), 0);
	assert_non_null(strstr(status()->waiting, "no new replica is made any more"));
}

static void test_its_workers_are_taken_until_it_is_given_up(void **state)
{
	repair_until(ADMITTED);
	assert_int_equal(free_workers(SPARE), 0);
	say_state(SPARE, WEIR__PART_STATE__PART_FAILED);
	assert_given_up();
	assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_ABORT), 1);
	assert_int_equal(free_workers(SPARE), 1);
}

static void test_status_says_what_is_being_made(void **state)
{
	repair_until(FED);
	pass(300);
	const Weir__RepairStatus *repair = status()->repair;
	assert_non_null(repair);
	assert_string_equal(repair->node, "n4");
	assert_int_equal(repair->place, LOST);
	assert_int_equal(repair->for_ns, 300 * MS);
	say_repaired(0);
	say_repaired(2);
	say_repaired(3);
	assert_null(status()->repair);
}

static uint32_t events_with(const char *text)
{
	Weir__Request request = WEIR__REQUEST__INIT;
	request.what_case = WEIR__REQUEST__WHAT_EVENTS;
	const Weir__Reply *reply = ask(&request);
	uint32_t found = 0;
	for (size_t i = 0; i < reply->n_events; i++)
		found += strstr(reply->events[i]->text, text) != NULL;
	return found;
}

static void test_events_say_once_that_it_runs(void **state)
{
	be_whole();
	assert_int_equal(events_with(" is submitted"), 1);
	assert_int_equal(events_with(" is running"), 1);
	assert_int_equal(events_with(" goes on without node n1"), 1);
	assert_int_equal(events_with(" has a new replica, on node n4"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_it_is_written_before_anybody_is_told),
		TEST(test_its_node_plans_the_job_as_it_was),
		TEST(test_a_write_that_is_not_answered_has_nobody_told),
		TEST(test_all_admit_it_before_any_feeds_it),
		TEST(test_none_feeds_it_before_it_runs),
		TEST(test_it_is_whole_once_all_have_fed_it_and_that_is_written),
		TEST(test_what_took_over_may_die_then),
		TEST(test_it_may_die_again_and_be_made_again),
		TEST(test_its_part_counts_only_when_it_is_whole),
		TEST(test_the_end_waits_for_it_once_it_is_whole),
		TEST(test_all_must_have_done_what_they_were_told),
		TEST(test_all_must_have_reported_to_this_leader),
		TEST(test_a_host_of_its_own_is_waited_for),
		TEST(test_status_says_that_none_is_made_near_the_end),
		TEST(test_its_workers_are_taken_until_it_is_given_up),
		TEST(test_status_says_what_is_being_made),
		TEST(test_events_say_once_that_it_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
