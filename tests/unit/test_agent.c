// An agent by itself: when it gives a controller up.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/agent.h"
#include "control/message.h"

#define MS 1000000LL

static struct {
	struct bus bus;
	uint64_t peer;
	uint32_t connects, closes, reports;
	uint64_t late_ns; // as last reported
} bus;
static struct agent *agent;
static int64_t now_ns;

static uint64_t bus_connect(struct bus *self, const char *address)
{
	bus.connects++;
	return ++bus.peer;
}

static int bus_send(struct bus *self, uint64_t peer, const void *data, size_t bytes)
{
	Weir__Message *message = message_read(data, bytes);
	assert_non_null(message);
	if (message->body_case == WEIR__MESSAGE__BODY_REPORT) {
		bus.reports++;
		bus.late_ns = message->report->late_ns;
	}
	message_free(message);
	return 0;
}

static void bus_close(struct bus *self, uint64_t peer)
{
	bus.closes++;
}

static int64_t work_step(struct workload *self, int64_t at_ns)
{
	return INT64_MAX;
}

static void say(Weir__Message *message)
{
	size_t bytes;
	message->version = MESSAGE_VERSION;
	message->term = 1;
	void *data = record_pack(message, &bytes);
	bus.bus.events.received(agent, bus.peer, data, bytes);
	free(data);
}

static void welcome_of(uint32_t protocol)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Welcome body = WEIR__WELCOME__INIT;
	body.incarnation = 7;
	body.heartbeat_ns = 10 * MS;
	body.silence_ns = 100 * MS;
	body.lease_ns = 3000 * MS;
	body.protocol = protocol;
	message.body_case = WEIR__MESSAGE__BODY_WELCOME;
	message.welcome = &body;
	say(&message);
}

static void welcome(void)
{
	welcome_of(CLUSTER_PROTOCOL);
}

static void acknowledge(void)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Acknowledge body = WEIR__ACKNOWLEDGE__INIT;
	message.body_case = WEIR__MESSAGE__BODY_ACKNOWLEDGE;
	message.acknowledge = &body;
	say(&message);
}

// As the loop steps it: when it asked for, for so long.
static void run(int64_t ms)
{
	int64_t until_ns = now_ns + ms * MS;
	int64_t next_ns = agent_step(agent, now_ns);
	while (next_ns <= until_ns) {
		now_ns = next_ns > now_ns ? next_ns : now_ns + 1;
		next_ns = agent_step(agent, now_ns);
	}
	now_ns = until_ns;
}

static int set_up(void **state)
{
	static const struct bus_ops bus_ops = {bus_connect, bus_send, bus_close, NULL};
	static const struct workload_ops work_ops = {.step = work_step};
	static struct workload workload = {&work_ops};
	static const char *const controllers[] = {"c"};
	memset(&bus, 0, sizeof(bus));
	bus.bus.ops = &bus_ops;
	now_ns = 1000 * MS;
	const struct agent_config config = {.name = "n",
		.host = "h",
		.rack = "r",
		.boot = 3,
		.workers = 1,
		.controllers = controllers,
		.controller_count = 1,
		.bus = &bus.bus,
		.workload = &workload};
	agent = agent_create(&config);
	agent_step(agent, now_ns);
	bus.bus.events.opened(agent, bus.peer, "c");
	agent_step(agent, now_ns);
	welcome();
	run(20);
	acknowledge();
	run(20);
	assert_true(bus.reports > 0);
	return 0;
}

static int tear_down(void **state)
{
	agent_destroy(agent);
	return 0;
}

// A leader whose lease still runs may be late, and would take whoever leaves it for dead.
static void test_a_leader_is_not_left_within_its_lease(void **state)
{
	run(2800);
	assert_int_equal(bus.closes, 0);
	run(400);
	assert_int_equal(bus.closes, 1);
}

// It was not run, and had sent nothing that could have been answered.
static void test_its_own_lateness_is_not_the_leaders_silence(void **state)
{
	now_ns += 5000 * MS;
	agent_step(agent, now_ns);
	assert_int_equal(bus.closes, 0);
	assert_true(bus.late_ns > 4900 * MS);
	acknowledge();
	run(2800);
	assert_int_equal(bus.closes, 0);
}

static void test_lateness_is_told_once(void **state)
{
	now_ns += 50 * MS;
	agent_step(agent, now_ns);
	assert_true(bus.late_ns > 30 * MS);
	run(30);
	assert_int_equal(bus.late_ns, 0);
}

// One of before there were protocols takes any node, and says none.
static void test_a_controller_of_another_protocol_is_not_obeyed(void **state)
{
	static const uint32_t others[] = {0, CLUSTER_PROTOCOL + 1};
	for (uint32_t i = 0; i < 2; i++) {
		bus.bus.events.closed(agent, bus.peer, "connection reset");
		run(2000);
		bus.bus.events.opened(agent, bus.peer, "c");
		run(1);
		welcome_of(others[i]);
		bus.reports = 0;
		run(1);
		assert_int_equal(bus.closes, i + 1);
		assert_int_equal(bus.reports, 0);
		assert_non_null(strstr(agent_state(agent), "c speaks protocol "));
		assert_non_null(strstr(agent_state(agent), "this node protocol 2; run one"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_a_leader_is_not_left_within_its_lease),
		TEST(test_its_own_lateness_is_not_the_leaders_silence),
		TEST(test_lateness_is_told_once),
		TEST(test_a_controller_of_another_protocol_is_not_obeyed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
