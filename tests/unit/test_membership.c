// Who counts as dead: traces of reports and of progress, as a crowded host makes them, must not
// make a living node dead; one that is silent or hangs must not stay alive.
#include "controller_fixture.h"

enum { HEARTBEAT_MS = 10, SILENCE_MS = 100, TICK_MS = 5 };

static struct {
	uint64_t progress, starved_ns, late_ns;
	bool reports, moves, starves;
} speakers[2];
static bool suspected; // node 1, by node 0 being told

static void speak(uint32_t node)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Report body = WEIR__REPORT__INIT;
	Weir__Part part = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	Weir__Part *parts = &part;
	speakers[node].progress += speakers[node].moves;
	speakers[node].starved_ns =
		speakers[node].starves ? speakers[node].starved_ns + HEARTBEAT_MS * MS : 0;
	part.progress = speakers[node].progress;
	part.starved_ns = speakers[node].starved_ns;
	body.late_ns = speakers[node].late_ns;
	speakers[node].late_ns = 0;
	body.seen = UINT64_MAX;
	body.n_parts = 1;
	body.parts = &parts;
	message.body_case = WEIR__MESSAGE__BODY_REPORT;
	message.report = &body;
	receive(peer_of(node), &message);
}

// Node 0 is well; node 1 does what its speaker says.
static void pass(int64_t ms)
{
	for (int64_t i = 0; i < ms / TICK_MS; i++) {
		now_ns += TICK_MS * MS;
		for (uint32_t n = 0; n < 2 && now_ns / MS % HEARTBEAT_MS == 0; n++)
			if (speakers[n].reports)
				speak(n);
		settle();
		suspected |= told(0, 1, false) > 0;
		forget_sent();
	}
}

static void calm(int64_t ms)
{
	speakers[1].reports = speakers[1].moves = true;
	speakers[1].starves = false;
	pass(ms);
}

static void be_silent(int64_t ms)
{
	speakers[1].reports = false;
	pass(ms);
	calm(2000);
}

static void stand_still(int64_t ms)
{
	speakers[1].moves = false;
	pass(ms);
	calm(2000);
}

static int set_up(void **state)
{
	now_ns = 1000 * MS;
	heartbeat_ms = HEARTBEAT_MS;
	silence_ms = SILENCE_MS;
	lead();
	run_job(2, false);
	suspected = false;
	memset(speakers, 0, sizeof(speakers));
	speakers[0].reports = speakers[0].moves = true;
	calm(2000);
	assert_false(suspected);
	return 0;
}

static int tear_down(void **state)
{
	stop_leading();
	return 0;
}

static void test_a_quiet_node_is_dead_after_the_silence_configured(void **state)
{
	speakers[1].reports = false;
	pass(SILENCE_MS - 2 * TICK_MS);
	assert_false(suspected);
	pass(6 * TICK_MS);
	assert_true(suspected);
}

static void test_a_quiet_node_hangs_after_twice_that(void **state)
{
	speakers[1].moves = false;
	pass(2 * SILENCE_MS - 2 * TICK_MS);
	assert_false(suspected);
	pass(SILENCE_MS);
	assert_true(suspected);
}

// Seconds lie between the bursts. Up to 50 ms were measured at a load of 20 of agents without any
// priority; from there on each is longer than those before.
static void test_the_threshold_grows_with_the_load(void **state)
{
	static const int64_t bursts_ms[] = {20, 30, 50, 20, 70, 95, 140, 60, 200, 50, 300};
	for (uint32_t i = 0; i < sizeof(bursts_ms) / sizeof(*bursts_ms); i++)
		be_silent(bursts_ms[i]);
	assert_false(suspected);
}

static void test_the_threshold_comes_back_when_the_load_has_gone(void **state)
{
	be_silent(60);
	be_silent(150);
	calm(150000);
	assert_false(suspected);
	speakers[1].reports = false;
	pass(SILENCE_MS + 4 * TICK_MS);
	assert_true(suspected);
}

// Its reports come evenly: only its workers are kept from their cores.
static void test_progress_has_a_jitter_of_its_own(void **state)
{
	static const int64_t stills_ms[] = {60, 100, 160, 190, 280, 90, 400};
	for (uint32_t i = 0; i < sizeof(stills_ms) / sizeof(*stills_ms); i++)
		stand_still(stills_ms[i]);
	assert_false(suspected);
}

static void test_what_an_agent_says_of_its_lateness_counts(void **state)
{
	speakers[1].late_ns = 40 * MS; // made up for: its report was in time nevertheless
	calm(20);
	be_silent(150);
	assert_false(suspected);
}

static void test_workers_without_a_core_do_not_hang(void **state)
{
	static const int64_t measured_ms[] = {50, 470, 1630, 3930, 9000}; // beside real-time agents
	for (uint32_t i = 0; i < sizeof(measured_ms) / sizeof(*measured_ms); i++) {
		speakers[1].moves = false;
		speakers[1].starves = true;
		pass(measured_ms[i]);
		assert_false(suspected);
		calm(100);
		assert_false(suspected);
	}
}

static void test_nobody_is_without_a_core_for_ever(void **state)
{
	speakers[1].moves = false;
	speakers[1].starves = true;
	pass(40000);
	assert_true(suspected);
}

// The controller itself was not run for a while: what it has not heard then says nothing.
static void test_a_late_controller_blames_nobody(void **state)
{
	speakers[1].reports = false;
	pass(60);
	now_ns += 400 * MS;
	step();
	assert_int_equal(told(0, 1, false), 0);
	calm(2000);
	assert_false(suspected);
}

// Nodes give up a leader that says nothing: after that long a connection that ends says nothing of
// its node, nor does one that was given up before the leader came to it.
static void test_who_has_given_up_a_leader_that_was_away_lives(void **state)
{
	Weir__Part part = part_of(WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	now_ns += 2000 * MS; // the lease
	speak(1);
	close_peer(peer_of(1));
	settle();
	join(1, &part);
	close_peer(peer_of(1));
	settle();
	assert_int_equal(told(0, 1, false), 0);
	pass(60);
	join_and_report(1, &part);
	calm(2000);
	assert_false(suspected);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
}

static void test_who_does_not_come_back_to_it_is_dead(void **state)
{
	now_ns += 2000 * MS;
	close_peer(peer_of(1));
	settle();
	speakers[1].reports = false;
	pass(1900);
	assert_false(suspected);
	pass(300);
	assert_true(suspected);
}

static void test_a_death_is_certain_when_the_leader_was_away_for_less(void **state)
{
	now_ns += 1900 * MS;
	close_peer(peer_of(1));
	settle();
	assert_int_equal(told(0, 1, false), 1);
}

static void test_a_death_is_certain_again_soon(void **state)
{
	now_ns += 2000 * MS;
	calm(SILENCE_MS + HEARTBEAT_MS);
	close_peer(peer_of(1));
	settle();
	assert_int_equal(told(0, 1, false), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_a_quiet_node_is_dead_after_the_silence_configured),
		TEST(test_a_quiet_node_hangs_after_twice_that),
		TEST(test_the_threshold_grows_with_the_load),
		TEST(test_the_threshold_comes_back_when_the_load_has_gone),
		TEST(test_progress_has_a_jitter_of_its_own),
		TEST(test_what_an_agent_says_of_its_lateness_counts),
		TEST(test_workers_without_a_core_do_not_hang),
		TEST(test_nobody_is_without_a_core_for_ever),
		TEST(test_a_late_controller_blames_nobody),
		TEST(test_who_has_given_up_a_leader_that_was_away_lives),
		TEST(test_who_does_not_come_back_to_it_is_dead),
		TEST(test_a_death_is_certain_when_the_leader_was_away_for_less),
		TEST(test_a_death_is_certain_again_soon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
