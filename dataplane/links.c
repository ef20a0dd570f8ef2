#include "dataplane/links.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

enum { COPIES = 1023, COPY_CACHE = 32 };

// A packet on its way to the worker whose queue it is sent by.
struct handed {
	struct rte_mbuf *packet;
	uint32_t member, peer;
};
static_assert(sizeof(struct handed) == 16, "an element of a ring");

struct links_worker {
	alignas(64) uint32_t turn; // the member that is asked first
	uint64_t handed, refused;
	struct rte_ring *out; // from workers without a queue; those who share it are many
};

struct links {
	struct link link;
	uint32_t count, workers;
	struct link *members[LINKS_MAX];
	struct steer steer;
	struct rte_mempool *copies; // of packets that are sent by another worker
	alignas(64) atomic_uint up; // bit by member. queue 0: write (release); any: read (acquire)
	uint64_t downs[LINKS_MAX];
	atomic_uint peer_count; // agent: write (release); any: read (acquire)
	uint32_t peers[LINK_PEERS_MAX][LINKS_MAX];
	struct links_worker by_worker[];
};

static struct links *links_of(struct link *link)
{
	return (struct links *)link;
}

// Multiplicative hashing (Knuth, volume 3, 6.4).
static uint32_t choose(uint32_t worker, uint32_t peer, uint32_t count)
{
	uint64_t mixed = ((uint64_t)peer << 32 | worker) * 0x9e3779b97f4a7c15;
	return (uint32_t)(((mixed >> 32) * count) >> 32);
}

// ---- sending

// The owner of the queue may run at the same time, so what the caller keeps is copied.
static uint32_t hand_over(struct links *l, uint32_t worker, struct handed entry,
	struct rte_mbuf **packets, uint32_t count)
{
	struct links_worker *owner = &l->by_worker[worker % l->members[entry.member]->queue_count];
	for (uint32_t i = 0; i < count; i++) {
		bool kept = rte_mbuf_refcnt_read(packets[i]) > 1;
		entry.packet =
			kept ? rte_pktmbuf_copy(packets[i], l->copies, 0, UINT32_MAX) : packets[i];
		if (entry.packet == NULL)
			return i;
		if (rte_ring_mp_enqueue_elem(owner->out, &entry, sizeof(entry)) != 0) {
			if (kept)
				rte_pktmbuf_free(entry.packet);
			return i;
		}
		if (kept)
			rte_pktmbuf_free(packets[i]);
		l->by_worker[worker].handed++;
	}
	return count;
}

static void send_handed(struct links *l, uint32_t worker)
{
	struct handed entry;
	struct links_worker *w = &l->by_worker[worker];
	for (uint32_t i = 0; i < LINK_BURST; i++) {
		if (rte_ring_sc_dequeue_elem(w->out, &entry, sizeof(entry)) != 0)
			return;
		struct link *member = l->members[entry.member];
		if (member->ops->send(member, worker, entry.peer, &entry.packet, 1) == 0) {
			w->refused++;
			rte_pktmbuf_free(entry.packet);
		}
	}
}

static uint32_t links_send(struct link *link, uint32_t worker, uint32_t peer,
	struct rte_mbuf **packets, uint32_t count)
{
	struct links *l = links_of(link);
	uint32_t up = atomic_load_explicit(&l->up, memory_order_acquire), sent = 0;
	uint32_t first = choose(worker, peer, l->count);
	ASSERT(peer < atomic_load_explicit(&l->peer_count, memory_order_acquire));
	if (count > LINK_BURST)
		count = LINK_BURST;
	for (uint32_t i = 0; i < l->count && sent == 0; i++) {
		uint32_t at = (first + i) % l->count;
		struct handed entry = {.member = at, .peer = l->peers[peer][at]};
		struct link *member = l->members[at];
		if (!(up >> at & 1) || entry.peer == LINKS_NO_PEER)
			continue;
		if (worker < member->queue_count)
			sent = member->ops->send(member, worker, entry.peer, packets, count);
		else
			sent = hand_over(l, worker, entry, packets, count);
	}
	return sent;
}

// ---- receiving

static uint32_t links_receive(struct link *link, uint32_t worker, struct rte_mbuf **packets,
	uint32_t count)
{
	struct links *l = links_of(link);
	struct links_worker *w = &l->by_worker[worker];
	ASSERT(worker < l->workers);
	uint32_t taken = steer_take(&l->steer, worker, packets, count);
	if (w->out != NULL)
		send_handed(l, worker);
	w->turn++;
	for (uint32_t i = 0; i < l->count && taken < count; i++) {
		struct link *member = l->members[(w->turn + i) % l->count];
		if (worker >= member->queue_count)
			continue;
		uint32_t came =
			member->ops->receive(member, worker, packets + taken, count - taken);
		if (!member->steers)
			came = steer_sort(&l->steer, worker, packets + taken, came);
		taken += came;
	}
	return taken;
}

static int64_t links_tick(struct link *link, int64_t now_ns, enum link_event *ret_event)
{
	struct links *l = links_of(link);
	uint32_t before = atomic_load_explicit(&l->up, memory_order_relaxed), up = before;
	int64_t next_ns = INT64_MAX;
	for (uint32_t i = 0; i < l->count; i++) {
		enum link_event event;
		int64_t due_ns = l->members[i]->ops->tick(l->members[i], now_ns, &event);
		next_ns = due_ns < next_ns ? due_ns : next_ns;
		if (event == LINK_WENT_UP)
			up |= 1u << i;
		if (event != LINK_WENT_DOWN)
			continue;
		up &= ~(1u << i);
		l->downs[i]++;
	}
	if (up != before)
		atomic_store_explicit(&l->up, up, memory_order_release);
	*ret_event = !up == !before ? LINK_NOTHING : up ? LINK_WENT_UP : LINK_WENT_DOWN;
	return next_ns;
}

// ---- life

static void parts_destroy(struct links *l)
{
	struct handed entry;
	for (uint32_t w = 0; w < l->workers; w++) {
		struct rte_ring *out = l->by_worker[w].out;
		while (out != NULL && rte_ring_sc_dequeue_elem(out, &entry, sizeof(entry)) == 0)
			rte_pktmbuf_free(entry.packet);
		free(out);
	}
	steer_destroy(&l->steer);
	rte_mempool_free(l->copies);
	free(l);
}

static void links_destroy(struct link *link)
{
	struct links *l = links_of(link);
	if (l == NULL)
		return;
	// First what packets lie in: they go back to the members' pools.
	struct link *members[LINKS_MAX];
	uint32_t count = l->count;
	memcpy(members, l->members, sizeof(members));
	parts_destroy(l);
	for (uint32_t i = 0; i < count; i++)
		members[i]->ops->destroy(members[i]);
}

static const struct link_ops links_ops = {links_send, links_receive, links_tick, links_destroy};

static struct rte_ring *out_create(void)
{
	uint32_t size = rte_align32pow2(LINKS_RING_PACKETS + 1);
	struct rte_ring *ring =
		aligned_alloc(64, (size_t)rte_ring_get_memsize_elem(sizeof(struct handed), size));
	if (ring != NULL)
		VERIFY(rte_ring_init(ring, "out", size, RING_F_SC_DEQ) == 0);
	return ring;
}

// What workers without a queue of their own need.
static int sharing_create(struct links *l, uint32_t queues_min)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	uint32_t room = RTE_PKTMBUF_HEADROOM + l->link.packet_max;
	snprintf(name, sizeof(name), "links_%lx", (unsigned long)(uintptr_t)l & 0xffffffffff);
	l->copies =
		rte_pktmbuf_pool_create(name, COPIES, COPY_CACHE, 0, (uint16_t)room, SOCKET_ID_ANY);
	for (uint32_t w = 0; w < queues_min; w++) {
		l->by_worker[w].out = out_create();
		if (l->by_worker[w].out == NULL)
			return -ENOMEM;
	}
	return l->copies == NULL ? -ENOMEM : 0;
}

int links_create(struct link *const *members, uint32_t count, uint32_t workers,
	struct link **ret_link)
{
	size_t bytes = sizeof(struct links) + workers * sizeof(struct links_worker);
	struct links *l = aligned_alloc(64, bytes);
	uint32_t queues_min = workers, queues_max = 0;
	VERIFY(count >= 1 && count <= LINKS_MAX);
	if (l == NULL)
		return -ENOMEM;
	memset(l, 0, bytes);
	l->count = count;
	l->workers = workers;
	l->link = (struct link){.ops = &links_ops,
		.packet_max = UINT32_MAX,
		.queue_count = workers,
		.steers = true};
	for (uint32_t i = 0; i < count; i++) {
		l->members[i] = members[i];
		l->link.packet_max = RTE_MIN(l->link.packet_max, members[i]->packet_max);
		queues_min = RTE_MIN(queues_min, members[i]->queue_count);
		queues_max = RTE_MAX(queues_max, members[i]->queue_count);
	}
	int error = steer_create(&l->steer, workers, LINKS_RING_PACKETS);
	if (error == 0 && queues_min < workers)
		error = sharing_create(l, RTE_MIN(queues_max, workers));
	if (error != 0) {
		parts_destroy(l);
		return error;
	}
	*ret_link = &l->link;
	return 0;
}

int links_peer(struct link *link, const uint32_t *member_peers, uint32_t *ret_peer)
{
	struct links *l = links_of(link);
	uint32_t count = atomic_load_explicit(&l->peer_count, memory_order_relaxed);
	size_t bytes = l->count * sizeof(member_peers[0]);
	for (uint32_t i = 0; i < count; i++)
		if (memcmp(l->peers[i], member_peers, bytes) == 0) {
			*ret_peer = i;
			return 0;
		}
	if (count == LINK_PEERS_MAX)
		return -ENOSPC;
	memcpy(l->peers[count], member_peers, bytes);
	atomic_store_explicit(&l->peer_count, count + 1, memory_order_release);
	*ret_peer = count;
	return 0;
}

void links_report(const struct link *link, struct links_report *ret_report)
{
	const struct links *l = (const struct links *)link;
	uint32_t up = atomic_load_explicit(&l->up, memory_order_acquire);
	*ret_report = (struct links_report){0};
	for (uint32_t w = 0; w < l->workers; w++) {
		for (uint32_t i = 0; i < STEER_COUNTER_COUNT; i++)
			ret_report->steered[i] += l->steer.counts[w].counted[i];
		ret_report->handed += l->by_worker[w].handed;
		ret_report->refused += l->by_worker[w].refused;
	}
	for (uint32_t i = 0; i < l->count; i++)
		ret_report->members[i] =
			(struct links_member_report){(up >> i & 1) != 0, l->downs[i]};
}
