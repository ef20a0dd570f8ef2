// Jobs that have replicas, message by message: what a controller tells whom when a participant is
// gone, what it waits for first, and what a leader behind it finds out.
#include "controller_fixture.h"

static int set_up(void **state)
{
	now_ns = 1000 * MS;
	lead();
	return 0;
}

static int tear_down(void **state)
{
	stop_leading();
	return 0;
}

static void test_a_death_is_told_in_the_same_step(void **state)
{
	run_job(3, true);
	close_peer(peer_of(1));
	step(); // no time has passed, metadata has not answered
	assert_int_equal(told(0, 1, false), 1);
	assert_int_equal(told(2, 1, false), 1);
	assert_int_equal(store.asked, ASKED_TXN);
	assert_false(is_lost(1));
	step();
	assert_int_equal(told(0, 1, true) + told(2, 1, true), 0);
	assert_int_equal(told(0, 1, false), 1);
	assert_true(answer());
	assert_true(is_lost(1));
	step();
	assert_int_equal(told(0, 1, true), 1);
	assert_int_equal(told(2, 1, true), 1);
}

static void assert_survives(const char *text)
{
	assert_string_equal(status()->survives, text);
}

static void test_status_says_what_may_die(void **state)
{
	run_job(4, false);
	assert_survives("survives 1 host");
	close_peer(peer_of(1));
	settle();
	assert_survives("survives not every further death: tasks of node n0 have no other "
			"instance: that was on node n1");
	close_peer(peer_of(3));
	settle();
	assert_survives("survives no further death: tasks of node n2 have no other instance: that "
			"was on node n3");
}

// One of them may have died unheard, and the record know nothing of it.
static void test_status_promises_nothing_of_whom_a_new_leader_has_not_heard(void **state)
{
	run_job(4, false);
	lose_leader();
	Weir__Part running = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	assert_non_null(strstr(status()->survives, "survives no further death"));
	join_and_report(0, &running);
	join_and_report(1, &running);
	join_and_report(2, &running);
	assert_survives("survives not every further death: tasks of node n2 have no other "
			"instance that was heard of yet: it is on node n3");
	join(3, &running);
	assert_non_null(strstr(status()->survives, "survives not every further death"));
	report(3, &running);
	settle();
	assert_survives("survives 1 host");
}

static void test_a_write_under_way_delays_nothing(void **state)
{
	run_job(3, true);
	ask_to_end(true);
	step();
	assert_int_equal(store.asked, ASKED_TXN);
	close_peer(peer_of(1));
	step();
	assert_int_equal(told(0, 1, false), 1);
	assert_int_equal(told(0, 1, true), 0);
	answer(); // of the interrupt
	assert_false(is_lost(1));
	step();
	assert_int_equal(told(0, 1, true), 0);
	settle();
	assert_true(is_lost(1));
	assert_int_equal(told(0, 1, true), 1);
}

static void test_the_job_ends_well_without_it(void **state)
{
	uint32_t lost = 1;
	run_job(3, true);
	close_peer(peer_of(1));
	settle();
	report_state(0, WEIR__PART_STATE__PART_FINISHED, &lost, 1);
	report_state(2, WEIR__PART_STATE__PART_FINISHED, NULL, 0); // before it knew
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
	report_state(2, WEIR__PART_STATE__PART_FINISHED, &lost, 1);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PUBLISHING);
	report_state(0, WEIR__PART_STATE__PART_PUBLISHED, &lost, 1);
	report_state(2, WEIR__PART_STATE__PART_PUBLISHED, &lost, 1);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_FINISHED);
}

static void test_it_is_told_again_over_a_new_connection(void **state)
{
	run_job(4, false);
	close_peer(peer_of(1));
	settle();
	forget_sent();
	Weir__Part part = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	join(0, &part);
	assert_int_equal(told(0, 1, false), 1);
	assert_int_equal(told(0, 1, true), 1);
	assert_int_equal(told(2, 1, false), 0);
}

static void test_a_second_death_fails_the_job(void **state)
{
	run_job(3, true);
	close_peer(peer_of(1));
	settle();
	close_peer(peer_of(2));
	settle();
	assert_error_names("n1", "n2");
}

static void test_two_that_do_not_need_each_other_may_die(void **state)
{
	run_job(4, false);
	close_peer(peer_of(1));
	close_peer(peer_of(2));
	settle();
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
	assert_true(is_lost(1) && is_lost(2));
	assert_int_equal(told(0, 1, true), 1);
	assert_int_equal(told(3, 2, true), 1);
}

static void test_a_part_that_fails_is_taken_over_and_swept(void **state)
{
	run_job(3, true);
	report_state(1, WEIR__PART_STATE__PART_FAILED, NULL, 0);
	assert_true(is_lost(1));
	assert_int_equal(told(0, 1, true), 1);
	assert_int_equal(sent(1, WEIR__MESSAGE__BODY_ABORT), 1);
}

static void test_a_zombie_is_swept_when_it_is_back(void **state)
{
	run_job(3, true);
	close_peer(peer_of(1));
	settle();
	forget_sent();
	Weir__Part part = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	join(1, &part);
	assert_int_equal(sent(1, WEIR__MESSAGE__BODY_ABORT), 1);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
}

static void test_a_new_leader_learns_who_is_lost(void **state)
{
	uint32_t lost = 1;
	run_job(3, true);
	close_peer(peer_of(1));
	step(); // told, and the write does not take place
	lose_leader();
	forget_sent();
	Weir__Part running = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	Weir__Part told_so = part_of(WEIR__PART_STATE__PART_RUNNING, &lost, 1);
	join_and_report(1, &running); // alive
	join_and_report(0, &running);
	assert_false(is_lost(1));
	join_and_report(2, &told_so);
	assert_true(is_lost(1));
	assert_int_equal(told(0, 1, true), 1);
	assert_int_equal(sent(1, WEIR__MESSAGE__BODY_ABORT), 1);
}

// Nobody lists whom it may have replaced, so nobody has taken what rests on that.
static void test_one_that_dies_unheard_is_done_without(void **state)
{
	run_job(3, true);
	lose_leader();
	Weir__Part running = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	join(0, &running);
	join(1, &running);
	for (uint32_t i = 0; i < 100 && !is_lost(2); i++) {
		now_ns += 100 * MS;
		running.progress++;
		report(0, &running);
		report(1, &running);
		settle();
	}
	assert_true(is_lost(2));
	assert_int_equal(told(0, 2, true), 1);
	assert_int_equal(told(1, 2, true), 1);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
}

// One that lives and lists whom it had replaced as well: then neither instance is left.
static void test_whom_one_replaced_that_dies_unheard_is_not_lost_unless_listed(void **state)
{
	uint32_t lost = 0;
	run_job(3, true);
	lose_leader();
	Weir__Part running = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	Weir__Part told_so = part_of(WEIR__PART_STATE__PART_RUNNING, &lost, 1);
	boots[2] = 99; // its host is gone with the leader, and started again
	join(2, NULL);
	join_and_report(0, &running);
	assert_false(is_lost(2));
	join_and_report(1, &told_so);
	settle();
	assert_error_names("n0", "n2");
}

static void test_all_others_are_heard_before(void **state)
{
	run_job(4, false);
	lose_leader();
	Weir__Part running = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	boots[3] = 99; // its host is gone with the leader, and started again
	join(3, NULL);
	join_and_report(0, &running);
	join_and_report(1, &running);
	assert_false(is_lost(3));
	assert_int_equal(told(0, 3, false), 0);
	join(2, &running); // may not have been welcomed yet
	assert_false(is_lost(3));
	report(2, &running);
	settle();
	assert_true(is_lost(3));
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
}

// One that joined, and was lost before it was welcomed, may have obeyed an older leader since.
static void test_a_join_does_not_say_for_whom_it_has_begun(void **state)
{
	run_job(4, false);
	lose_leader();
	Weir__Part running = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	join(3, &running);
	close_peer(peer_of(3));
	join_and_report(0, &running);
	join_and_report(1, &running);
	assert_false(is_lost(3));
	assert_int_equal(told(2, 3, false), 0);
	join_and_report(2, &running);
	assert_true(is_lost(3));
	assert_int_equal(told(2, 3, true), 1);
}

static void test_one_that_is_listed_is_not_asked_whom_it_replaced(void **state)
{
	uint32_t lost = 1;
	run_job(3, true);
	close_peer(peer_of(1));
	step(); // told, and the write does not take place
	lose_leader();
	Weir__Part told_so = part_of(WEIR__PART_STATE__PART_RUNNING, &lost, 1);
	join_and_report(2, &told_so);
	assert_false(is_lost(1)); // another may list one of the others
	join_and_report(0, &told_so);
	assert_true(is_lost(1));
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
}

static void test_a_death_while_publishing_is_taken_over(void **state)
{
	uint32_t lost = 1;
	run_job(3, true);
	for (uint32_t i = 0; i < 3; i++)
		report_state(i, WEIR__PART_STATE__PART_FINISHED, NULL, 0);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PUBLISHING);
	report_state(0, WEIR__PART_STATE__PART_PUBLISHED, NULL, 0);
	report_state(2, WEIR__PART_STATE__PART_PUBLISHED, NULL, 0);
	close_peer(peer_of(1));
	settle();
	assert_true(is_lost(1));
	assert_int_equal(told(2, 1, true), 1);
	report_state(0, WEIR__PART_STATE__PART_PUBLISHED, &lost, 1);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PUBLISHING);
	report_state(2, WEIR__PART_STATE__PART_PUBLISHED, &lost, 1);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_FINISHED);
}

static void test_whose_output_others_published_is_lost(void **state)
{
	uint32_t lost = 1;
	run_job(4, false);
	for (uint32_t i = 0; i < 4; i++)
		report_state(i, WEIR__PART_STATE__PART_FINISHED, NULL, 0);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PUBLISHING);
	close_peer(peer_of(1));
	step(); // told, and the write does not take place
	lose_leader();
	Weir__Part published = part_of(WEIR__PART_STATE__PART_PUBLISHED, NULL, 0);
	Weir__Part for_both = part_of(WEIR__PART_STATE__PART_PUBLISHED, &lost, 1);
	join_and_report(1, &published);
	join_and_report(2, &published);
	join_and_report(3, &published);
	assert_false(is_lost(1));
	join_and_report(0, &for_both);
	assert_true(is_lost(1));
	assert_int_equal(sent(1, WEIR__MESSAGE__BODY_ABORT), 1);
	report_state(0, WEIR__PART_STATE__PART_PUBLISHED, &lost, 1);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_FINISHED);
	assert_true(is_lost(1));
}

// It has what another one did that is lost: both outputs of its own are there, and are the same.
static void test_one_that_cannot_be_spared_publishes_as_well(void **state)
{
	uint32_t lost[] = {2, 1};
	run_job(3, true);
	for (uint32_t i = 0; i < 3; i++)
		report_state(i, WEIR__PART_STATE__PART_FINISHED, NULL, 0);
	close_peer(peer_of(1));
	step();
	lose_leader();
	Weir__Part published = part_of(WEIR__PART_STATE__PART_PUBLISHED, NULL, 0);
	Weir__Part for_both = part_of(WEIR__PART_STATE__PART_PUBLISHED, lost, 2);
	join_and_report(1, &published);
	boots[2] = 99;
	join(2, NULL);
	assert_true(is_lost(2));
	join_and_report(0, &for_both);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_PUBLISHING);
	report_state(1, WEIR__PART_STATE__PART_PUBLISHED, lost, 1);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_FINISHED);
	assert_false(is_lost(1));
}

// No leader before had anything to tell anybody.
static void test_who_dies_under_the_first_leader_had_begun_for_nobody(void **state)
{
	nodes = 3;
	for (uint32_t i = 0; i < nodes; i++) {
		boots[i] = 10 + i;
		join(i, NULL);
	}
	submit();
	report_prepared(0, true);
	report_prepared(1, true);
	lose_leader();
	Weir__Part prepared = part_of(WEIR__PART_STATE__PART_PREPARED, NULL, 0);
	for (uint32_t i = 0; i < nodes; i++)
		join(i, i == 2 ? &prepared : NULL);
	report_prepared(0, true);
	report_prepared(1, true);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
	close_peer(peer_of(2)); // before it reports
	settle();
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
	assert_true(is_lost(2));
	assert_int_equal(told(0, 2, false), 1);
}

// What it decides with what it then reads could be contradicted by that write.
static void test_a_leader_bars_its_own_write_that_was_not_answered(void **state)
{
	run_job(3, true);
	int64_t revision = key_of("weir/election/leader")->revision;
	uint64_t term = controller_term(controller);
	close_peer(peer_of(1));
	step();
	store.meta.events.lease(store.meta.events.owner, now_ns);
	step();
	answer_unknown(false); // it may land yet, if the leader's key is as it was
	store.meta.events.lease(store.meta.events.owner, INT64_MAX);
	settle();
	assert_true(key_of("weir/election/leader")->revision > revision);
	assert_true(controller_term(controller) > term);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_a_death_is_told_in_the_same_step),
		TEST(test_a_write_under_way_delays_nothing),
		TEST(test_the_job_ends_well_without_it),
		TEST(test_it_is_told_again_over_a_new_connection),
		TEST(test_a_second_death_fails_the_job),
		TEST(test_two_that_do_not_need_each_other_may_die),
		TEST(test_a_part_that_fails_is_taken_over_and_swept),
		TEST(test_a_zombie_is_swept_when_it_is_back),
		TEST(test_status_says_what_may_die),
		TEST(test_status_promises_nothing_of_whom_a_new_leader_has_not_heard),
		TEST(test_a_new_leader_learns_who_is_lost),
		TEST(test_one_that_dies_unheard_is_done_without),
		TEST(test_whom_one_replaced_that_dies_unheard_is_not_lost_unless_listed),
		TEST(test_all_others_are_heard_before),
		TEST(test_a_join_does_not_say_for_whom_it_has_begun),
		TEST(test_one_that_is_listed_is_not_asked_whom_it_replaced),
		TEST(test_a_death_while_publishing_is_taken_over),
		TEST(test_whose_output_others_published_is_lost),
		TEST(test_one_that_cannot_be_spared_publishes_as_well),
		TEST(test_who_dies_under_the_first_leader_had_begun_for_nobody),
		TEST(test_a_leader_bars_its_own_write_that_was_not_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
