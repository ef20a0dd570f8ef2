// New replicas that are not to be: how they are given up, whatever fails at whatever step.
#include "repair_fixture.h"

static void test_its_node_may_die_at_any_step(void **state)
{
	for (enum phase phase = CHOSEN; phase <= FED; phase++) {
		repair_until(phase);
		die(SPARE);
		if (phase == CHOSEN)
			assert_forgotten();
		else
			assert_given_up();
		assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
		tear_down(NULL);
		set_up(NULL);
	}
}

static void drop_spares_part(void)
{
	models[SPARE].state = WEIR__PART_STATE__PART_NONE;
	say(SPARE);
	settle();
}

static void test_another_one_may_die_at_any_step(void **state)
{
	for (enum phase phase = CHOSEN; phase <= FED; phase++) {
		repair_until(phase);
		Weir__JobRecord *before = record();
		models[3].up = false;
		close_peer(peer_of(3));
		step(); // no time has passed, metadata has not answered
		assert_int_equal(told(2, 3, false), 1);
		assert_int_equal(last_of(2, WEIR__MESSAGE__BODY_LOSE)->lose->successor,
			before->participants[3]->successor);
		assert_int_equal(told(0, LOST, true), phase == CHOSEN ? 0 : 1);
		settle();
		assert_true(is_lost(LOST) && is_lost(3));
		assert_int_equal(repair_boot(), 0);
		assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
		assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_ABORT),
			phase == CHOSEN ? sent(SPARE, WEIR__MESSAGE__BODY_ABORT) : 1);
		drop_spares_part();
		say_lost(0, LOST);
		say_lost(0, 3);
		say_lost(2, LOST);
		say_lost(2, 3);
		assert_true(repair_boot() != 0); // the next one begins, no time has passed
		record_free(before);
		tear_down(NULL);
		set_up(NULL);
	}
}

static void test_a_place_that_is_not_whole_saves_nobody(void **state)
{
	repair_until(FED);
	say_repaired(0);
	say_repaired(2);
	die(0);
	assert_error_names("n0", "n1");
	assert_int_equal(told(SPARE, 0, false), 0);
}

// Under which incarnation, and who takes over, is what the write decides.
static void test_while_it_is_written_that_it_is_whole_nobody_is_told_of_a_loss(void **state)
{
	static const uint32_t victims[] = {0, 3}, twins[] = {SPARE, 2};
	for (uint32_t i = 0; i < 2; i++) {
		repair_until(FED);
		Weir__JobRecord *before = record();
		say_repaired(0);
		say_repaired(2);
		begin_whole(3);
		close_peer(peer_of(victims[i]));
		step();
		assert_int_equal(sent(2, WEIR__MESSAGE__BODY_LOSE), 0);
		settle();
		assert_true(is_lost(victims[i]) && !is_lost(LOST));
		assert_int_equal(told(twins[i], victims[i], true), 1);
		assert_int_equal(last_of(2, WEIR__MESSAGE__BODY_LOSE)->lose->successor,
			before->participants[victims[i]]->next_successor);
		record_free(before);
		tear_down(NULL);
		set_up(NULL);
	}
}

static void test_a_new_leader_gives_it_up_and_begins_anew(void **state)
{
	for (enum phase phase = CHOSEN; phase <= FED; phase++) {
		repair_until(phase);
		uint64_t boot = repair_boot();
		lose_leader();
		forget_sent();
		for (uint32_t i = 0; i < SPARE; i++) {
			Weir__Part part = model_part(i);
			if (i != LOST)
				join_and_report(i, &part);
		}
		assert_given_up();
		assert_int_equal(admits(0, false) + admits(0, true), 0);
		Weir__Part part = model_part(SPARE);
		join(SPARE, phase == CHOSEN ? NULL : &part);
		say(SPARE);
		settle();
		assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_ABORT), phase != CHOSEN);
		drop_spares_part();
		for (uint32_t i = 0; i < SPARE; i++)
			if (i != LOST)
				say_lost(i, LOST);
		assert_true(repair_boot() != 0 && repair_boot() != boot); // no time has passed
		tear_down(NULL);
		set_up(NULL);
	}
}

static void test_a_new_leader_finds_it_whole_or_gives_it_up(void **state)
{
	for (int done = 0; done < 2; done++) {
		repair_until(FED);
		say_repaired(0);
		say_repaired(2);
		begin_whole(3);
		if (done)
			answer();
		lose_leader();
		forget_sent();
		for (uint32_t i = 0; i <= SPARE; i++) {
			Weir__Part part = model_part(i);
			if (i != LOST)
				join_and_report(i, &part);
		}
		if (done)
			assert_int_equal(told(0, LOST, false) + is_lost(LOST), 0);
		else
			assert_given_up();
		assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_ABORT), !done);
		tear_down(NULL);
		set_up(NULL);
	}
}

static void test_an_unanswered_write_of_its_end_is_found_out(void **state)
{
	for (int done = 0; done < 2; done++) {
		repair_until(FED);
		say_repaired(0);
		say_repaired(2);
		begin_whole(3);
		answer_unknown(done);
		step();
		assert_int_equal(told(0, LOST, false) + told(0, LOST, true), 0);
		settle();
		assert_false(is_lost(LOST));
		assert_string_equal(status()->survives, "survives 1 host");
		tear_down(NULL);
		set_up(NULL);
	}
}

static void test_one_that_cannot_feed_it_has_it_given_up(void **state)
{
	for (enum phase phase = ADMITTED; phase <= FED; phase++) {
		repair_until(phase);
		models[2].admitted_count = 0;
		say_lost(2, LOST);
		assert_given_up();
		assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_ABORT), 1);
		tear_down(NULL);
		set_up(NULL);
	}
}

static void test_one_that_plans_otherwise_is_given_up(void **state)
{
	repair_until(CHOSEN);
	models[SPARE].plan_hash = 6;
	say_state(SPARE, WEIR__PART_STATE__PART_PREPARED);
	assert_forgotten();
	assert_int_equal(admits(0, false), 0);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
}

static void test_it_does_not_last_for_ever(void **state)
{
	repair_until(ADMITTED);
	say_state(SPARE, WEIR__PART_STATE__PART_RUNNING);
	pass(19900);
	assert_true(repair_boot() != 0);
	pass(300);
	assert_given_up();
}

static void test_it_is_tried_again_later_and_later(void **state)
{
	static const int64_t pauses_ms[] = {5000, 10000, 20000, 40000, 60000, 60000};
	lose_one();
	join_spare(SPARE);
	for (uint32_t i = 0; i < 6; i++) {
		assert_true(repair_boot() != 0);
		say_state(SPARE, WEIR__PART_STATE__PART_FAILED);
		assert_int_equal(repair_boot(), 0);
		models[SPARE].state = WEIR__PART_STATE__PART_NONE;
		pass(pauses_ms[i] - 200);
		assert_int_equal(repair_boot(), 0);
		assert_non_null(strstr(status()->waiting, "another try"));
		pass(400);
	}
	assert_true(repair_boot() != 0);
}

static void test_another_node_is_tried_then(void **state)
{
	static const uint32_t tried[] = {SPARE, SPARE + 1, SPARE};
	lose_one();
	join_spare(SPARE);
	join_spare(SPARE + 1);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(sent(tried[i], WEIR__MESSAGE__BODY_PREPARE) > 0);
		say_state(tried[i], WEIR__PART_STATE__PART_FAILED);
		models[tried[i]].state = WEIR__PART_STATE__PART_NONE;
		forget_sent();
		pass(5200 << i);
	}
}

// A full disk, say: it would most likely fail again.
static void test_whose_part_failed_is_tried_after_others(void **state)
{
	run_job(4, false);
	for (uint32_t i = 0; i < 4; i++) {
		models[i].up = true;
		models[i].state = WEIR__PART_STATE__PART_RUNNING;
	}
	join_spare(SPARE);
	say_state(LOST, WEIR__PART_STATE__PART_FAILED);
	say_state(LOST, WEIR__PART_STATE__PART_NONE);
	say_lost(0, LOST);
	say_lost(2, LOST);
	say_lost(3, LOST);
	assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_PREPARE), 1);
	say_state(SPARE, WEIR__PART_STATE__PART_FAILED);
	models[SPARE].state = WEIR__PART_STATE__PART_NONE;
	forget_sent();
	pass(5200);
	assert_true(sent(LOST, WEIR__MESSAGE__BODY_PREPARE) > 0); // better than none
}

static void test_another_place_is_tried_then(void **state)
{
	lose_one();
	die(3); // whose tasks n2 has
	say_lost(0, 3);
	say_lost(2, 3);
	join_spare(SPARE);
	Weir__JobRecord *first = record();
	assert_non_null(first->participants[LOST]->repair);
	say_state(SPARE, WEIR__PART_STATE__PART_FAILED);
	models[SPARE].state = WEIR__PART_STATE__PART_NONE;
	pass(5200);
	Weir__JobRecord *then = record();
	assert_null(then->participants[LOST]->repair);
	assert_non_null(then->participants[3]->repair);
	record_free(first);
	record_free(then);
}

static void test_a_job_that_ends_early_gives_it_up(void **state)
{
	repair_until(FED);
	ask_to_end(true);
	settle();
	assert_given_up();
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
	assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_ABORT), 1);
	pass(6000);
	assert_int_equal(repair_boot(), 0);
}

static void test_a_job_that_is_cancelled_gives_it_up(void **state)
{
	repair_until(FED);
	ask_to_end(false);
	settle();
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_CANCELLED);
	assert_int_equal(repair_boot(), 0);
	assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_ABORT), 1);
	assert_int_equal(sent(0, WEIR__MESSAGE__BODY_ABORT), 1);
}

static void test_it_is_told_again_over_a_new_connection(void **state)
{
	repair_until(FED);
	Weir__Part part = model_part(0);
	join(0, &part);
	assert_int_equal(admits(0, false), 1);
	assert_int_equal(admits(0, true), 1);
	assert_int_equal(told(0, LOST, false) + told(0, LOST, true), 0);
}

// What else is being written of the job is no reason to leave it its workers.
static void test_its_node_is_rid_of_it_when_it_comes_late(void **state)
{
	repair_until(ADMITTED);
	lose_leader();
	for (uint32_t i = 0; i < 4; i++) {
		Weir__Part part = model_part(i);
		if (i != LOST)
			join_and_report(i, &part);
	}
	assert_forgotten();
	ask_to_end(true);
	step();
	assert_int_equal(store.asked, ASKED_TXN);
	forget_sent();
	Weir__Part part = model_part(SPARE);
	join(SPARE, &part);
	assert_int_equal(sent(SPARE, WEIR__MESSAGE__BODY_ABORT), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_its_node_may_die_at_any_step),
		TEST(test_another_one_may_die_at_any_step),
		TEST(test_a_place_that_is_not_whole_saves_nobody),
		TEST(test_while_it_is_written_that_it_is_whole_nobody_is_told_of_a_loss),
		TEST(test_a_new_leader_gives_it_up_and_begins_anew),
		TEST(test_a_new_leader_finds_it_whole_or_gives_it_up),
		TEST(test_an_unanswered_write_of_its_end_is_found_out),
		TEST(test_one_that_cannot_feed_it_has_it_given_up),
		TEST(test_one_that_plans_otherwise_is_given_up),
		TEST(test_it_does_not_last_for_ever),
		TEST(test_it_is_tried_again_later_and_later),
		TEST(test_another_node_is_tried_then),
		TEST(test_whose_part_failed_is_tried_after_others),
		TEST(test_another_place_is_tried_then),
		TEST(test_a_job_that_ends_early_gives_it_up),
		TEST(test_a_job_that_is_cancelled_gives_it_up),
		TEST(test_it_is_told_again_over_a_new_connection),
		TEST(test_its_node_is_rid_of_it_when_it_comes_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
