// Steering: every packet comes to the worker it names, once and in order, or is counted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "dataplane/engine.h"
#include "dataplane/steer.h"

enum { PACKETS = 127, BURST = 8, CAPACITY = 15 };

static struct rte_mempool *pool;

static struct rte_mbuf *make_packet(uint32_t worker, uint8_t number)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	assert_non_null(m);
	uint8_t bytes[5] = {0xaa, 0xbb, (uint8_t)worker, (uint8_t)(worker >> 8), number};
	memcpy(rte_pktmbuf_append(m, sizeof(bytes)), bytes, sizeof(bytes));
	return m;
}

static uint8_t number_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, const uint8_t *)[4];
}

static void finish(struct steer *s)
{
	steer_destroy(s);
	assert_int_equal(rte_mempool_avail_count(pool), PACKETS);
}

static void test_packets_come_to_their_worker_in_order(void **state)
{
	struct steer s;
	struct rte_mbuf *packets[BURST], *came[BURST];
	assert_int_equal(steer_create(&s, 3, CAPACITY), 0);
	for (uint8_t i = 0; i < BURST; i++)
		packets[i] = make_packet(i % 3, i);
	assert_int_equal(steer_sort(&s, 1, packets, BURST), 3); // 1, 4, 7
	for (uint8_t i = 0; i < 3; i++) {
		assert_int_equal(number_of(packets[i]), 1 + 3 * i);
		rte_pktmbuf_free(packets[i]);
	}
	assert_int_equal(steer_take(&s, 1, came, BURST), 0);
	for (uint32_t worker = 0; worker < 3; worker += 2) {
		uint32_t count = steer_take(&s, worker, came, BURST);
		assert_int_equal(count, worker == 0 ? 3 : 2);
		for (uint32_t i = 0; i < count; i++) {
			assert_int_equal(number_of(came[i]), worker + 3 * i);
			rte_pktmbuf_free(came[i]);
		}
	}
	assert_int_equal(s.counts[1].counted[STEER_PASSED], 5);
	finish(&s);
}

static void test_full_ring_drops_and_counts(void **state)
{
	struct steer s;
	struct rte_mbuf *packets[BURST];
	assert_int_equal(steer_create(&s, 2, CAPACITY), 0);
	for (int round = 0; round < 3; round++) {
		for (uint8_t i = 0; i < BURST; i++)
			packets[i] = make_packet(1, i);
		assert_int_equal(steer_sort(&s, 0, packets, BURST), 0);
	}
	assert_int_equal(s.counts[0].counted[STEER_PASSED], CAPACITY);
	assert_int_equal(s.counts[0].counted[STEER_FULL], 3 * BURST - CAPACITY);
	assert_int_equal(rte_mempool_avail_count(pool), PACKETS - CAPACITY);
	assert_int_equal(steer_take(&s, 1, packets, 3), 3); // no more than asked for
	rte_pktmbuf_free_bulk(packets, 3);
	finish(&s);
}

static void test_packets_for_nobody_are_dropped(void **state)
{
	struct steer s;
	assert_int_equal(steer_create(&s, 2, CAPACITY), 0);
	struct rte_mbuf *packets[4] = {make_packet(2, 0), make_packet(0xffff, 0),
		make_packet(0x100, 0), make_packet(0, 0)};
	rte_pktmbuf_trim(packets[3], 2); // ends before the worker
	assert_int_equal(steer_sort(&s, 0, packets, 4), 0);
	assert_int_equal(s.counts[0].counted[STEER_NO_WORKER], 4);
	finish(&s);
}

int main(void)
{
	bool huge;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_come_to_their_worker_in_order),
		cmocka_unit_test(test_full_ring_drops_and_counts),
		cmocka_unit_test(test_packets_for_nobody_are_dropped),
	};
	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	pool = rte_pktmbuf_pool_create("test", PACKETS, 0, 0, 256 + RTE_PKTMBUF_HEADROOM,
		SOCKET_ID_ANY);
	return pool == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
