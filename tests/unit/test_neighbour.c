// Neighbours: two tables that talk to each other in virtual time find each other, keep on, notice
// a loss, and are not led astray by what is malformed or comes too often.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/neighbour.h"

enum { MS = 1000000 };

static struct neighbour_table tables[2];
static int64_t now_ns;
static bool cut; // what is sent is lost

static struct packet_local local_of(int end, bool six)
{
	struct packet_local local = {.mac = {2, 0, 0, 0, 0, (uint8_t)(end + 1)}};
	local.address.six = six;
	local.address.bytes[0] = six ? 0xfd : 10;
	local.address.bytes[six ? 15 : 3] = (uint8_t)(end + 1);
	return local;
}

static void setup(bool six)
{
	now_ns = 0;
	cut = false;
	for (int i = 0; i < 2; i++) {
		struct packet_local local = local_of(i, six);
		neighbour_init(&tables[i], &local, six ? 64 : 24, NULL);
	}
}

static uint32_t add(int end, const struct packet_address *to)
{
	uint32_t index;
	assert_int_equal(neighbour_add(&tables[end], to, NULL, &index), 0);
	return index;
}

// Carry messages to and fro for a time; the parser must call them what they are.
static void run_for(int64_t ns)
{
	uint8_t message[NEIGHBOUR_MESSAGE_MAX];
	struct packet_view view;
	uint32_t bytes;
	for (int64_t end_ns = now_ns + ns; now_ns < end_ns; now_ns += MS)
		for (int i = 0; i < 2; i++) {
			neighbour_step(&tables[i], now_ns);
			while ((bytes = neighbour_take(&tables[i], message)) > 0) {
				if (cut)
					continue;
				const struct packet_local *to = &tables[1 - i].local;
				enum packet_drop drop = packet_parse(to, message, bytes, 0, &view);
				if (drop == PACKET_DROP_IP_DESTINATION || drop == PACKET_DROP_MAC)
					continue; // to another
				assert_int_equal(drop, PACKET_DROP_COUNT);
				assert_int_equal(view.kind,
					to->address.six ? PACKET_ND : PACKET_ARP);
				assert_int_equal(neighbour_receive(&tables[1 - i], message, bytes,
							 now_ns),
					PACKET_DROP_COUNT);
			}
		}
}

static void check_life(bool six)
{
	uint8_t mac[PACKET_MAC_BYTES];
	setup(six);
	uint32_t index = add(0, &tables[1].local.address);
	assert_int_equal(add(0, &tables[1].local.address), index);
	assert_false(neighbour_mac(&tables[0], index, mac));
	run_for(5 * MS);
	assert_true(neighbour_mac(&tables[0], index, mac));
	assert_memory_equal(mac, tables[1].local.mac, PACKET_MAC_BYTES);
	uint64_t asked = tables[0].counters[NEIGHBOUR_ASKED];
	assert_int_equal(asked, 1);
	run_for(NEIGHBOUR_REFRESH_NS * 3);
	assert_in_range(tables[0].counters[NEIGHBOUR_ASKED], 3, 4); // asked again, and no more
	assert_int_equal(tables[0].counters[NEIGHBOUR_LOST], 0);
	cut = true;
	run_for(NEIGHBOUR_REFRESH_NS + (NEIGHBOUR_TRIES + 1) * NEIGHBOUR_RETRY_MAX_NS);
	assert_false(neighbour_mac(&tables[0], index, mac));
	assert_int_equal(tables[0].counters[NEIGHBOUR_LOST], 1);
	cut = false;
	run_for(NEIGHBOUR_RETRY_MAX_NS + MS);
	assert_true(neighbour_mac(&tables[0], index, mac));
}

static void test_life_with_arp(void **state)
{
	check_life(false);
}

static void test_life_with_neighbour_discovery(void **state)
{
	check_life(true);
}

static void test_asking_slows_down(void **state)
{
	struct packet_address nobody = {{10, 0, 0, 99}, false};
	setup(false);
	add(0, &nobody);
	run_for(10000 * (int64_t)MS); // 10, 20 … 640 ms, then every second
	assert_in_range(tables[0].counters[NEIGHBOUR_ASKED], 14, 17);
}

static void test_a_new_station_is_announced(void **state)
{
	uint8_t mac[PACKET_MAC_BYTES];
	for (int six = 0; six < 2; six++) {
		setup(six);
		uint32_t index = add(0, &tables[1].local.address);
		run_for(5 * MS);
		tables[1].local.mac[5] = 77; // another card, or a new process
		neighbour_restart(&tables[1], now_ns);
		run_for(MS);
		assert_true(neighbour_mac(&tables[0], index, mac));
		assert_int_equal(mac[5], 77);
		assert_int_equal(tables[0].counters[NEIGHBOUR_LEARNED], 2);
	}
}

static void test_router_and_fixed_entries(void **state)
{
	struct packet_address router = {{10, 0, 0, 254}, false}, far = {{10, 9, 0, 1}, false};
	struct packet_address near = {{10, 0, 0, 7}, false};
	const uint8_t fixed[PACKET_MAC_BYTES] = {2, 9, 9, 9, 9, 9};
	uint8_t mac[PACKET_MAC_BYTES];
	uint32_t index, other;
	setup(false);
	assert_int_equal(neighbour_add(&tables[0], &far, NULL, &index), -ENETUNREACH);
	struct packet_local local = local_of(0, false);
	neighbour_init(&tables[0], &local, 24, &router);
	assert_int_equal(neighbour_add(&tables[0], &far, NULL, &index), 0);
	assert_int_equal(neighbour_add(&tables[0], &router, NULL, &other), 0);
	assert_int_equal(index, other);
	assert_int_equal(neighbour_add(&tables[0], &near, fixed, &other), 0);
	assert_int_not_equal(index, other);
	run_for(NEIGHBOUR_REFRESH_NS * 4);
	assert_true(neighbour_mac(&tables[0], other, mac));
	assert_memory_equal(mac, fixed, PACKET_MAC_BYTES);
	assert_false(neighbour_mac(&tables[0], index, mac));
}

static void test_the_table_is_bounded(void **state)
{
	struct packet_local local = local_of(0, false);
	uint32_t index;
	neighbour_init(&tables[0], &local, 8, NULL);
	for (uint32_t i = 0; i <= NEIGHBOURS_MAX; i++) {
		struct packet_address to = {{10, 1, (uint8_t)(i >> 8), (uint8_t)i}, false};
		assert_int_equal(neighbour_add(&tables[0], &to, NULL, &index),
			i < NEIGHBOURS_MAX ? 0 : -ENOSPC);
	}
	neighbour_step(&tables[0], 0); // what does not fit the queue stays due
	assert_int_equal(tables[0].out_count, NEIGHBOUR_OUT_MAX);
	assert_true(neighbour_step(&tables[0], 0) <= 0);
}

// What table 1 would ask table 0.
static uint32_t make_request(uint8_t *message)
{
	add(1, &tables[0].local.address);
	neighbour_step(&tables[1], now_ns);
	return neighbour_take(&tables[1], message);
}

static void test_answers_are_limited(void **state)
{
	uint8_t message[NEIGHBOUR_MESSAGE_MAX], answer[NEIGHBOUR_MESSAGE_MAX];
	setup(false);
	uint32_t bytes = make_request(message), answers = 0;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(neighbour_receive(&tables[0], message, bytes, 5),
			PACKET_DROP_COUNT);
		answers += neighbour_take(&tables[0], answer) > 0;
	}
	assert_int_equal(answers, NEIGHBOUR_ANSWERS_PER_SECOND);
	assert_int_equal(tables[0].counters[NEIGHBOUR_LIMITED],
		1000 - NEIGHBOUR_ANSWERS_PER_SECOND);
	neighbour_receive(&tables[0], message, bytes, 1001 * (int64_t)MS);
	assert_true(neighbour_take(&tables[0], answer) > 0);
}

static void test_conflict_and_unwanted(void **state)
{
	uint8_t message[NEIGHBOUR_MESSAGE_MAX];
	setup(false);
	neighbour_restart(&tables[1], 0);
	uint32_t bytes = neighbour_take(&tables[1], message);
	neighbour_receive(&tables[0], message, bytes, 0); // nobody asked who that is
	assert_int_equal(tables[0].counters[NEIGHBOUR_UNWANTED], 1);
	message[31] = 1; // the sender's address is table 0's
	neighbour_receive(&tables[0], message, bytes, 0);
	assert_int_equal(tables[0].counters[NEIGHBOUR_CONFLICT], 1);
	message[11] = message[27] = 1; // its own, come back
	neighbour_receive(&tables[0], message, bytes, 0);
	assert_int_equal(tables[0].counters[NEIGHBOUR_CONFLICT], 1);
	assert_int_equal(atomic_load(&tables[0].count), 0);
}

// Any byte of a message changed to any value: either malformed, or something harmless.
static void check_malformed(bool six, uint32_t first, uint32_t limit)
{
	uint8_t message[NEIGHBOUR_MESSAGE_MAX];
	setup(six);
	uint32_t bytes = make_request(message);
	for (uint32_t at = first; at < limit; at++)
		for (uint32_t value = 0; value < 256; value++) {
			uint8_t before = message[at];
			message[at] = (uint8_t)value;
			enum packet_drop drop =
				neighbour_receive(&tables[0], message, bytes, now_ns);
			if (value != before)
				assert_int_not_equal(drop, PACKET_DROP_COUNT);
			message[at] = before;
		}
	for (uint32_t cut_bytes = 0; cut_bytes < bytes - 8; cut_bytes++)
		assert_int_equal(neighbour_receive(&tables[0], message, cut_bytes, now_ns),
			PACKET_DROP_NEIGHBOUR);
}

static void test_malformed_arp(void **state)
{
	check_malformed(false, 14, 20); // but for the kind of request
}

static void test_malformed_neighbour_discovery(void **state)
{
	check_malformed(true, 54, NEIGHBOUR_MESSAGE_MAX); // all is under the checksum
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_with_arp),
		cmocka_unit_test(test_life_with_neighbour_discovery),
		cmocka_unit_test(test_asking_slows_down),
		cmocka_unit_test(test_a_new_station_is_announced),
		cmocka_unit_test(test_router_and_fixed_entries),
		cmocka_unit_test(test_the_table_is_bounded),
		cmocka_unit_test(test_answers_are_limited),
		cmocka_unit_test(test_conflict_and_unwanted),
		cmocka_unit_test(test_malformed_arp),
		cmocka_unit_test(test_malformed_neighbour_discovery),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
