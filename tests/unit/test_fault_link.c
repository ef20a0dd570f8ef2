// The fault link: rates are met, a seed repeats itself, nothing leaks, and no packet comes before
// its time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/engine.h"
#include "dataplane/fault_link.h"
#include "pipe_link.h"

enum { PACKETS = 4095, BURST = 16, BYTES = 12 };

static struct rte_mempool *pool;
static struct pipe_link inner;

static struct link *make(const struct fault_rates *rates, uint64_t seed)
{
	struct link *link;
	pipe_init(&inner, 1);
	assert_int_equal(fault_link_create(&inner.link, rates, seed, &link), 0);
	assert_int_equal(link->packet_max, 1000);
	return link;
}

static void finish(struct link *link)
{
	link->ops->destroy(link);
	assert_int_equal(rte_mempool_avail_count(pool), PACKETS);
}

static void pass_time(struct link *link, int64_t now_ns)
{
	enum link_event event;
	link->ops->tick(link, now_ns, &event);
}

static bool send_one(struct link *link, uint64_t number)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	assert_non_null(m);
	rte_pktmbuf_append(m, BYTES);
	uint8_t *at = rte_pktmbuf_mtod(m, uint8_t *);
	memset(at, 0, BYTES);
	memcpy(at, &number, sizeof(number));
	return link->ops->send(link, 0, 7, &m, 1) == 1;
}

// Sums up the numbers received so that order and content count; returns how many came.
static uint32_t receive_all(struct link *link, uint64_t *digest, uint64_t *last)
{
	struct rte_mbuf *packets[BURST];
	uint32_t all = 0, count;
	while ((count = link->ops->receive(link, 0, packets, BURST)) > 0) {
		all += count;
		for (uint32_t i = 0; i < count; i++) {
			memcpy(last, rte_pktmbuf_mtod(packets[i], void *), sizeof(*last));
			*digest = (*digest * 0x100000001b3) ^ *last;
			rte_pktmbuf_free(packets[i]);
		}
	}
	return all;
}

struct outcome {
	uint32_t received;
	uint64_t digest, counted[FAULT_COUNTER_COUNT];
};

static struct outcome run(const struct fault_rates *rates, uint64_t seed, uint32_t sent)
{
	struct outcome out = {0};
	uint64_t last;
	struct link *link = make(rates, seed);
	for (uint32_t i = 0; i < sent; i++) {
		pass_time(link, i * 1000);
		assert_true(send_one(link, i));
		out.received += receive_all(link, &out.digest, &last);
	}
	pass_time(link, INT64_MAX / 2);
	out.received += receive_all(link, &out.digest, &last);
	fault_link_report(link, out.counted);
	finish(link);
	return out;
}

static void check_near(uint64_t counted, uint32_t sent, uint32_t rate)
{
	uint64_t wanted = (uint64_t)sent * rate / FAULT_ONE;
	assert_in_range(counted, wanted * 8 / 10, wanted * 12 / 10);
}

static void test_rates_are_met(void **state)
{
	enum { SENT = 20000 };
	struct fault_rates rates = {.loss = 100000,
		.duplicate = 50000,
		.reorder = 30000,
		.corrupt = 20000,
		.reorder_ns = 20000};
	struct outcome out = run(&rates, 1, SENT);
	check_near(out.counted[FAULT_LOST], SENT, 100000);
	check_near(out.counted[FAULT_DUPLICATED], SENT, 45000);
	check_near(out.counted[FAULT_REORDERED], SENT, 27000);
	check_near(out.counted[FAULT_CORRUPTED], SENT, 18000);
	assert_int_equal(out.received,
		SENT - out.counted[FAULT_LOST] + out.counted[FAULT_DUPLICATED]);
}

static void test_a_seed_repeats_itself(void **state)
{
	struct fault_rates rates = {.loss = 300000,
		.duplicate = 200000,
		.reorder = 500000,
		.corrupt = 10000,
		.delay_ns = 5000,
		.jitter_ns = 9000,
		.reorder_ns = 20000};
	struct outcome first = run(&rates, 42, 2000), again = run(&rates, 42, 2000);
	struct outcome other = run(&rates, 43, 2000);
	assert_memory_equal(&first, &again, sizeof(first));
	assert_int_not_equal(first.digest, other.digest);
}

static void test_without_faults_nothing_changes(void **state)
{
	struct fault_rates none = {0};
	uint64_t digest = 0, last;
	struct link *link = make(&none, 1);
	for (uint64_t i = 0; i < 100; i++) {
		assert_true(send_one(link, i));
		assert_int_equal(receive_all(link, &digest, &last), 1);
		assert_int_equal(last, i);
	}
	finish(link);
}

static void test_delay_holds_back_until_its_time(void **state)
{
	struct fault_rates rates = {.delay_ns = 1000};
	uint64_t digest = 0, last;
	enum link_event event;
	struct link *link = make(&rates, 1);
	for (uint64_t i = 0; i < 10; i++) {
		pass_time(link, (int64_t)i * 10);
		assert_true(send_one(link, i));
		assert_int_equal(receive_all(link, &digest, &last), 0);
	}
	assert_int_equal(link->ops->tick(link, 999, &event), 1000); // its next deadline
	assert_int_equal(receive_all(link, &digest, &last), 0);
	for (uint64_t i = 0; i < 10; i++) { // all alike late: in order
		pass_time(link, 1000 + (int64_t)i * 10);
		assert_int_equal(receive_all(link, &digest, &last), 1);
		assert_int_equal(last, i);
	}
	finish(link);
}

static void test_what_is_held_back_is_bounded(void **state)
{
	struct fault_rates rates = {.delay_ns = 1000};
	uint64_t digest = 0, last, counted[FAULT_COUNTER_COUNT];
	struct link *link = make(&rates, 1);
	uint32_t early = 0;
	for (uint64_t i = 0; i < FAULT_HELD_MAX + 50; i++) {
		assert_true(send_one(link, i));
		early += receive_all(link, &digest, &last);
	}
	fault_link_report(link, counted);
	assert_int_equal(early, 50);
	assert_int_equal(counted[FAULT_CROWDED], 50);
	finish(link); // with all of it held back
}

static void test_partitions(void **state)
{
	struct fault_rates none = {0};
	uint64_t digest = 0, last, counted[FAULT_COUNTER_COUNT];
	struct link *link = make(&none, 1);
	fault_link_cut(link, FAULT_SENT);
	assert_true(send_one(link, 1));
	assert_int_equal(inner.sent, 0);
	fault_link_cut(link, FAULT_RECEIVED);
	assert_true(send_one(link, 2));
	assert_int_equal(inner.sent, 1);
	assert_int_equal(receive_all(link, &digest, &last), 0);
	fault_link_cut(link, FAULT_NEITHER);
	fault_link_cut_peer(link, 7, true);
	assert_true(send_one(link, 3));
	assert_int_equal(inner.sent, 1);
	fault_link_cut_peer(link, 7, false);
	assert_true(send_one(link, 4));
	assert_int_equal(receive_all(link, &digest, &last), 1);
	assert_int_equal(last, 4);
	fault_link_report(link, counted);
	assert_int_equal(counted[FAULT_CUT], 3);
	finish(link);
}

static void test_rates_change_while_running(void **state)
{
	struct fault_rates none = {0}, all = {.loss = FAULT_ONE};
	uint64_t digest = 0, last;
	struct link *link = make(&none, 1);
	assert_true(send_one(link, 1));
	assert_int_equal(receive_all(link, &digest, &last), 1);
	fault_link_set(link, &all);
	assert_true(send_one(link, 2));
	assert_int_equal(receive_all(link, &digest, &last), 0);
	fault_link_set(link, &none);
	assert_true(send_one(link, 3));
	assert_int_equal(receive_all(link, &digest, &last), 1);
	finish(link);
}

int main(void)
{
	bool huge;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates_are_met),
		cmocka_unit_test(test_a_seed_repeats_itself),
		cmocka_unit_test(test_without_faults_nothing_changes),
		cmocka_unit_test(test_delay_holds_back_until_its_time),
		cmocka_unit_test(test_what_is_held_back_is_bounded),
		cmocka_unit_test(test_partitions),
		cmocka_unit_test(test_rates_change_while_running),
	};
	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	pool = rte_pktmbuf_pool_create("test", PACKETS, 0, 0, 256 + RTE_PKTMBUF_HEADROOM,
		SOCKET_ID_ANY);
	return pool == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
