// A worker's transport: sessions, outlets and inlets together, over a wire with every fault.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/credit.h"
#include "transport_fixture.h"

static void pump(struct fixture *f, uint64_t items, uint32_t rounds_max)
{
	for (uint32_t round = 0; f->received < items && round < rounds_max; round++) {
		while (f->sent < items && fixture_send(f))
			;
		sender_flush(&f->sender);
		fixture_step(f, 2000);
		fixture_receive(f);
	}
	assert_int_equal(f->received, items);
}

static void test_items_arrive_over_a_good_wire(void **state)
{
	struct fixture *f = fixture_create(1, 32, 0);
	pump(f, 20000, 100000);
	assert_int_equal(f->ends[0].session->stats.resends, 0);
	assert_int_equal(f->ends[0].session->stats.timeouts, 0);
	for (int d = 0; d < SESSION_DROP_COUNT; d++) {
		assert_int_equal(f->ends[0].session->stats.dropped[d], 0);
		assert_int_equal(f->ends[1].session->stats.dropped[d], 0);
	}
	fixture_destroy(f);
}

static void test_items_arrive_whatever_the_wire_does(void **state)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct fixture *f = fixture_create(seed, seed % 3 == 0 ? 1 : 64, 0);
		f->wire.faults.loss = (uint32_t)(seed * 25);
		f->wire.faults.twice = (uint32_t)(seed * 40);
		f->wire.faults.late = (uint32_t)(seed * 40);
		f->wire.faults.late_ns = 200000;
		f->wire.faults.corrupt = 20;
		f->wire.faults.refused = (uint32_t)(seed * 10);
		f->wire.ports[0].holds = seed % 2 == 0;
		pump(f, 6000, 2000000);
		fixture_destroy(f);
	}
}

// Where a round trip is no longer than a step, pacing cuts every burst off at half the window: that
// too says that the window is in the way.
static void test_a_window_grows_though_a_step_is_a_round_trip(void **state)
{
	struct fixture *f = fixture_create(1, 256, 0);
	f->wire.faults.delay_ns = 0;
	for (uint32_t round = 0; round < 3000; round++) {
		for (uint32_t i = 0; i < LINK_BURST && fixture_send(f); i++)
			sender_flush(&f->sender);
		fixture_step(f, 3000);
		fixture_receive(f);
	}
	assert_true(f->ends[0].session->congestion.window >= 2 * LINK_BURST);
	pump(f, f->sent, 1000);
	fixture_destroy(f);
}

// One that has an earlier boot number than whoever is to be met, as it was replaced.
static void test_who_had_the_place_before_is_stale(void **state)
{
	struct fixture *f = fixture_create(1, 32, 0);
	struct session_config after = fixture_session(f, 1, 5);
	f->ends[0].session->config.peer_boot = 5;
	for (uint32_t round = 0; round < 5000; round++)
		fixture_step(f, 2000);
	assert_true(f->ends[0].session->stats.dropped[SESSION_DROP_STALE] != 0);
	assert_int_equal(f->ends[0].session->state, SESSION_CLOSED);
	assert_true(f->ends[0].session->peer_boot == 0);
	transport_disconnect(&f->ends[1].transport, f->ends[1].session);
	transport_connect(&f->ends[1].transport, &after);
	pump(f, 1000, 100000);
	fixture_destroy(f);
}

// Frames under way when the other end goes are credit again, and nothing of it is remembered.
static void test_a_channel_is_renewed(void **state)
{
	struct fixture *f = fixture_create(1, 8, 0);
	while (fixture_send(f))
		;
	sender_flush(&f->sender);
	sender_push(&f->sender);
	atomic_store(&f->sending.answered, 7);
	atomic_store(&f->sending.snapshot_number, 3);
	channel_renew_sending(&f->sending);
	credit_poll(&f->sender.credit, &f->sending);
	assert_int_equal(f->sender.credit.count, 8);
	assert_int_equal(atomic_load(&f->sending.answered), 0);
	assert_int_equal(atomic_load(&f->sending.snapshot_number), 0);
	channel_renew_receiving(&f->receiving);
	fixture_destroy(f);
}

static int setup_eal(void **state)
{
	bool huge;
	return engine_eal_start(64u << 20, &huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items_arrive_over_a_good_wire),
		cmocka_unit_test(test_items_arrive_whatever_the_wire_does),
		cmocka_unit_test(test_a_window_grows_though_a_step_is_a_round_trip),
		cmocka_unit_test(test_who_had_the_place_before_is_stale),
		cmocka_unit_test(test_a_channel_is_renewed),
	};
	return cmocka_run_group_tests(tests, setup_eal, NULL);
}
