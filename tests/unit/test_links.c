// Several links as one: load is shared, the loss of one survived, and every packet comes to its
// worker, also where a link has fewer queues than there are workers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/engine.h"
#include "dataplane/links.h"
#include "pipe_link.h"

enum { PACKETS = 255, BURST = 16, MEMBERS = 2, PEERS = 64 };

static struct rte_mempool *pool;
static struct pipe_link members[MEMBERS];

static struct link *make(uint32_t queues, uint32_t workers)
{
	struct link *link, *list[MEMBERS] = {&members[0].link, &members[1].link};
	enum link_event event;
	for (int i = 0; i < MEMBERS; i++)
		pipe_init(&members[i], queues);
	members[1].link.packet_max = 900;
	assert_int_equal(links_create(list, MEMBERS, workers, &link), 0);
	assert_int_equal(link->packet_max, 900);
	assert_int_equal(link->queue_count, workers);
	assert_true(link->steers);
	link->ops->tick(link, 0, &event);
	assert_int_equal(event, LINK_WENT_UP);
	for (uint32_t i = 0; i < PEERS; i++) {
		uint32_t numbers[MEMBERS] = {i, 1000 + i}, peer;
		assert_int_equal(links_peer(link, numbers, &peer), 0);
		assert_int_equal(peer, i);
		assert_int_equal(links_peer(link, numbers, &peer), 0);
		assert_int_equal(peer, i);
	}
	return link;
}

static void finish(struct link *link)
{
	link->ops->destroy(link);
	assert_int_equal(rte_mempool_avail_count(pool), PACKETS);
}

static uint32_t send_to(struct link *link, uint32_t from, uint32_t peer, uint8_t to)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t bytes[4] = {1, 2, to, 0};
	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, sizeof(bytes)), bytes, sizeof(bytes));
	uint32_t sent = link->ops->send(link, from, peer, &m, 1);
	if (sent == 0)
		rte_pktmbuf_free(m);
	return sent;
}

static uint32_t receive_all(struct link *link, uint32_t worker)
{
	struct rte_mbuf *packets[BURST];
	uint32_t all = 0, count;
	while ((count = link->ops->receive(link, worker, packets, BURST)) > 0) {
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(rte_pktmbuf_mtod(packets[i], uint8_t *)[2], worker);
		rte_pktmbuf_free_bulk(packets, count);
		all += count;
	}
	return all;
}

static enum link_event set_up(struct link *link, int member, bool up)
{
	enum link_event event;
	members[member].up = up;
	link->ops->tick(link, 0, &event);
	return event;
}

static void test_load_is_shared_and_a_session_keeps_its_link(void **state)
{
	struct link *link = make(1, 1);
	for (int round = 0; round < 3; round++) {
		for (uint32_t peer = 0; peer < PEERS; peer++)
			assert_int_equal(send_to(link, 0, peer, 0), 1);
		assert_int_equal(members[0].sent + members[1].sent, PEERS);
		assert_in_range(members[0].sent, PEERS / 4, PEERS * 3 / 4);
		assert_int_equal(receive_all(link, 0), PEERS);
		members[0].sent = members[1].sent = 0;
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(send_to(link, 0, 5, 0), 1);
	assert_true(members[0].sent == 0 || members[1].sent == 0);
	finish(link);
}

static void test_the_loss_of_a_link_is_survived(void **state)
{
	struct links_report report;
	struct link *link = make(1, 1);
	assert_int_equal(set_up(link, 0, false), LINK_NOTHING);
	for (uint32_t peer = 0; peer < PEERS / 2; peer++)
		assert_int_equal(send_to(link, 0, peer, 0), 1);
	assert_int_equal(members[0].sent, 0);
	links_report(link, &report);
	assert_false(report.members[0].up);
	assert_int_equal(report.members[0].downs, 1);
	assert_true(report.members[1].up);
	assert_int_equal(set_up(link, 1, false), LINK_WENT_DOWN);
	assert_int_equal(send_to(link, 0, 0, 0), 0);
	assert_int_equal(set_up(link, 0, true), LINK_WENT_UP);
	assert_int_equal(send_to(link, 0, 0, 0), 1);
	assert_int_equal(members[0].sent, 1);
	finish(link);
}

static void test_a_link_that_does_not_reach_the_peer_is_passed_over(void **state)
{
	struct link *link = make(1, 1);
	uint32_t numbers[MEMBERS] = {LINKS_NO_PEER, 3}, peer;
	assert_int_equal(links_peer(link, numbers, &peer), 0);
	assert_int_equal(send_to(link, 0, peer, 0), 1);
	assert_int_equal(members[1].sent, 1);
	members[1].refuses = true; // up, but finds the peer no longer
	assert_int_equal(send_to(link, 0, peer, 0), 0);
	for (uint32_t i = 0; i < PEERS / 2; i++)
		assert_int_equal(send_to(link, 0, i, 0), 1);
	assert_int_equal(members[0].sent, PEERS / 2);
	finish(link);
}

static void test_packets_for_other_workers_are_passed_on(void **state)
{
	struct links_report report;
	struct link *link = make(2, 2);
	for (uint8_t to = 0; to < 2; to++) // what worker 0 sends comes back to queue 0
		for (uint32_t peer = 0; peer < 10; peer++)
			assert_int_equal(send_to(link, 0, peer, to), 1);
	assert_int_equal(receive_all(link, 1), 0);
	assert_int_equal(receive_all(link, 0), 10);
	assert_int_equal(receive_all(link, 1), 10);
	links_report(link, &report);
	assert_int_equal(report.steered[STEER_PASSED], 10);
	finish(link);
}

static void test_workers_without_a_queue_send_through_another(void **state)
{
	struct links_report report;
	struct link *link = make(1, 3);
	struct rte_mbuf *kept = rte_pktmbuf_alloc(pool);
	memset(rte_pktmbuf_append(kept, 4), 0, 4);
	rte_mbuf_refcnt_update(kept, 1);
	assert_int_equal(link->ops->send(link, 2, 0, &kept, 1), 1); // to worker 0
	assert_int_equal(rte_mbuf_refcnt_read(kept), 1);
	assert_int_equal(send_to(link, 1, 1, 2), 1);
	assert_int_equal(members[0].sent + members[1].sent, 0); // waits for worker 0
	assert_int_equal(receive_all(link, 0), 1);
	assert_int_equal(members[0].sent + members[1].sent, 2);
	assert_int_equal(receive_all(link, 2), 1);
	assert_int_equal(receive_all(link, 1), 0);
	members[0].refuses = members[1].refuses = true;
	assert_int_equal(send_to(link, 1, 1, 2), 1);
	assert_int_equal(receive_all(link, 0), 0);
	links_report(link, &report);
	assert_int_equal(report.handed, 3);
	assert_int_equal(report.refused, 1);
	for (int i = 0; i < 5; i++) // left in the ring
		assert_int_equal(send_to(link, 1, 1, 2), 1);
	rte_pktmbuf_free(kept);
	finish(link);
}

static void test_peers_are_bounded(void **state)
{
	struct link *link = make(1, 1);
	uint32_t numbers[MEMBERS] = {0, 0}, peer;
	for (uint32_t i = PEERS; i < LINK_PEERS_MAX; i++) {
		numbers[0] = i;
		assert_int_equal(links_peer(link, numbers, &peer), 0);
	}
	numbers[0] = LINK_PEERS_MAX;
	assert_int_equal(links_peer(link, numbers, &peer), -ENOSPC);
	finish(link);
}

int main(void)
{
	bool huge;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_is_shared_and_a_session_keeps_its_link),
		cmocka_unit_test(test_the_loss_of_a_link_is_survived),
		cmocka_unit_test(test_a_link_that_does_not_reach_the_peer_is_passed_over),
		cmocka_unit_test(test_packets_for_other_workers_are_passed_on),
		cmocka_unit_test(test_workers_without_a_queue_send_through_another),
		cmocka_unit_test(test_peers_are_bounded),
	};
	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	pool = rte_pktmbuf_pool_create("test", PACKETS, 0, 0, 256 + RTE_PKTMBUF_HEADROOM,
		SOCKET_ID_ANY);
	return pool == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
