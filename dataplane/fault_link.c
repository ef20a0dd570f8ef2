#include "dataplane/fault_link.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

const char *const fault_counter_names[FAULT_COUNTER_COUNT] = {
#define X(id, name) name,
	FAULT_COUNTERS(X)
#undef X
};

struct held {
	int64_t due_ns;
	uint64_t number; // among equals the first comes first
	struct rte_mbuf *packet;
};

struct fault_queue {
	alignas(64) uint64_t random;
	uint64_t number;
	uint32_t held_count;
	struct held held[FAULT_HELD_MAX + 1]; // a heap from 1 on, the earliest on top
	uint64_t counted[FAULT_COUNTER_COUNT];
};

// Rates: agent: write (relaxed), queues: read (relaxed); each by itself, none depends on another.
struct fault_link {
	struct link link;
	struct link *inner;
	atomic_uint loss, duplicate, reorder, corrupt;
	atomic_int_least64_t delay_ns, jitter_ns, reorder_ns;
	atomic_int cut;
	atomic_bool cut_peers[FAULT_PEERS_MAX];
	alignas(64) atomic_int_least64_t now_ns; // queue 0: write (relaxed), queues: read (relaxed)
	struct fault_queue queues[];
};

static struct fault_link *fault_of(struct link *link)
{
	return (struct fault_link *)link;
}

#define READ(place) atomic_load_explicit(&(place), memory_order_relaxed)
#define WRITE(place, value) atomic_store_explicit(&(place), (value), memory_order_relaxed)

// SplitMix64 (Steele, Lea, Flood 2014).
static uint64_t random_next(struct fault_queue *q)
{
	uint64_t z = q->random += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static bool befalls(struct fault_queue *q, uint32_t rate)
{
	return rate != 0 && random_next(q) % FAULT_ONE < rate;
}

static int64_t random_up_to(struct fault_queue *q, int64_t limit)
{
	return limit <= 0 ? 0 : (int64_t)(random_next(q) % ((uint64_t)limit + 1));
}

// ---- packets held back

static bool comes_before(const struct held *a, const struct held *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void hold(struct fault_queue *q, struct rte_mbuf *packet, int64_t due_ns)
{
	struct held entry = {due_ns, q->number++, packet};
	uint32_t at = ++q->held_count;
	ASSERT(at <= FAULT_HELD_MAX);
	for (; at > 1 && comes_before(&entry, &q->held[at / 2]); at /= 2)
		q->held[at] = q->held[at / 2];
	q->held[at] = entry;
}

static struct rte_mbuf *release(struct fault_queue *q)
{
	struct rte_mbuf *packet = q->held[1].packet;
	struct held last = q->held[q->held_count--];
	uint32_t at = 1, child;
	while ((child = at * 2) <= q->held_count) {
		if (child < q->held_count && comes_before(&q->held[child + 1], &q->held[child]))
			child++;
		if (!comes_before(&q->held[child], &last))
			break;
		q->held[at] = q->held[child];
		at = child;
	}
	q->held[at] = last;
	return packet;
}

// ---- faults

static void corrupt(struct fault_queue *q, struct rte_mbuf *m)
{
	uint64_t bit = random_next(q) % (m->data_len * 8u);
	rte_pktmbuf_mtod(m, uint8_t *)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	q->counted[FAULT_CORRUPTED]++;
}

// How long a packet is held back; 0: not at all.
static int64_t delay_of(struct fault_link *f, struct fault_queue *q)
{
	int64_t delay_ns = READ(f->delay_ns) + random_up_to(q, READ(f->jitter_ns));
	q->counted[FAULT_DELAYED] += delay_ns > 0;
	if (befalls(q, READ(f->reorder))) {
		q->counted[FAULT_REORDERED]++;
		delay_ns += 1 + random_up_to(q, READ(f->reorder_ns));
	}
	return delay_ns;
}

// Hold a packet back, or leave it in `packets`.  Returns whether it was left.
static bool pass(struct fault_link *f, struct fault_queue *q, struct rte_mbuf *m, int64_t now_ns)
{
	int64_t delay_ns = delay_of(f, q);
	if (delay_ns == 0)
		return true;
	if (q->held_count == FAULT_HELD_MAX) {
		q->counted[FAULT_CROWDED]++;
		return true;
	}
	hold(q, m, now_ns + delay_ns);
	return false;
}

// The second of a pair is always held back, so that there is room for it.
static void duplicate(struct fault_link *f, struct fault_queue *q, struct rte_mbuf *m,
	int64_t now_ns)
{
	struct rte_mbuf *copy = NULL;
	if (q->held_count < FAULT_HELD_MAX)
		copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
	if (copy == NULL) {
		q->counted[FAULT_NO_BUFFER]++;
		return;
	}
	hold(q, copy, now_ns + READ(f->delay_ns) + random_up_to(q, READ(f->jitter_ns)));
	q->counted[FAULT_DUPLICATED]++;
}

static void lose(struct fault_queue *q, enum fault_counter why, struct rte_mbuf *m)
{
	q->counted[why]++;
	rte_pktmbuf_free(m);
}

// Returns whether the packet is left to the caller.
static bool befall(struct fault_link *f, struct fault_queue *q, struct rte_mbuf *m, int64_t now_ns)
{
	if (READ(f->cut) & FAULT_RECEIVED) {
		lose(q, FAULT_CUT, m);
		return false;
	}
	if (befalls(q, READ(f->loss))) {
		lose(q, FAULT_LOST, m);
		return false;
	}
	if (befalls(q, READ(f->duplicate)))
		duplicate(f, q, m, now_ns);
	if (befalls(q, READ(f->corrupt)))
		corrupt(q, m);
	return pass(f, q, m, now_ns);
}

// ---- the link

static uint32_t fault_receive(struct link *link, uint32_t queue, struct rte_mbuf **packets,
	uint32_t count)
{
	struct fault_link *f = fault_of(link);
	struct fault_queue *q = &f->queues[queue];
	int64_t now_ns = READ(f->now_ns);
	uint32_t kept = 0;
	ASSERT(queue < link->queue_count);
	while (q->held_count > 0 && q->held[1].due_ns <= now_ns && kept < count)
		packets[kept++] = release(q);
	if (kept == count)
		return kept;
	uint32_t first = kept;
	uint32_t came = f->inner->ops->receive(f->inner, queue, packets + first, count - first);
	for (uint32_t i = first; i < first + came; i++)
		if (befall(f, q, packets[i], now_ns))
			packets[kept++] = packets[i];
	return kept;
}

static uint32_t fault_send(struct link *link, uint32_t queue, uint32_t peer,
	struct rte_mbuf **packets, uint32_t count)
{
	struct fault_link *f = fault_of(link);
	bool cut =
		(READ(f->cut) & FAULT_SENT) || (peer < FAULT_PEERS_MAX && READ(f->cut_peers[peer]));
	if (!cut)
		return f->inner->ops->send(f->inner, queue, peer, packets, count);
	for (uint32_t i = 0; i < count; i++)
		lose(&f->queues[queue], FAULT_CUT, packets[i]);
	return count;
}

static int64_t fault_tick(struct link *link, int64_t now_ns, enum link_event *ret_event)
{
	struct fault_link *f = fault_of(link);
	WRITE(f->now_ns, now_ns);
	int64_t next_ns = f->inner->ops->tick(f->inner, now_ns, ret_event);
	struct fault_queue *q = &f->queues[0];
	return q->held_count > 0 && q->held[1].due_ns < next_ns ? q->held[1].due_ns : next_ns;
}

static void fault_destroy(struct link *link)
{
	struct fault_link *f = fault_of(link);
	if (f == NULL)
		return;
	for (uint32_t queue = 0; queue < link->queue_count; queue++)
		while (f->queues[queue].held_count > 0)
			rte_pktmbuf_free(release(&f->queues[queue]));
	f->inner->ops->destroy(f->inner);
	free(f);
}

static const struct link_ops fault_ops = {fault_send, fault_receive, fault_tick, fault_destroy};

int fault_link_create(struct link *inner, const struct fault_rates *rates, uint64_t seed,
	struct link **ret_link)
{
	size_t bytes = sizeof(struct fault_link) + inner->queue_count * sizeof(struct fault_queue);
	struct fault_link *f = aligned_alloc(64, bytes);
	if (f == NULL)
		return -ENOMEM;
	memset(f, 0, bytes);
	f->link = *inner;
	f->link.ops = &fault_ops;
	f->inner = inner;
	for (uint32_t queue = 0; queue < inner->queue_count; queue++)
		f->queues[queue].random = seed + queue * 0xd1342543de82ef95;
	fault_link_set(&f->link, rates);
	*ret_link = &f->link;
	return 0;
}

void fault_link_set(struct link *link, const struct fault_rates *rates)
{
	struct fault_link *f = fault_of(link);
	WRITE(f->loss, rates->loss);
	WRITE(f->duplicate, rates->duplicate);
	WRITE(f->reorder, rates->reorder);
	WRITE(f->corrupt, rates->corrupt);
	WRITE(f->delay_ns, rates->delay_ns);
	WRITE(f->jitter_ns, rates->jitter_ns);
	WRITE(f->reorder_ns, rates->reorder_ns);
}

void fault_link_cut(struct link *link, enum fault_direction direction)
{
	WRITE(fault_of(link)->cut, (int)direction);
}

void fault_link_cut_peer(struct link *link, uint32_t peer, bool cut)
{
	VERIFY(peer < FAULT_PEERS_MAX);
	WRITE(fault_of(link)->cut_peers[peer], cut);
}

void fault_link_report(const struct link *link, uint64_t ret_counted[FAULT_COUNTER_COUNT])
{
	const struct fault_link *f = (const struct fault_link *)link;
	memset(ret_counted, 0, FAULT_COUNTER_COUNT * sizeof(ret_counted[0]));
	for (uint32_t queue = 0; queue < link->queue_count; queue++)
		for (uint32_t i = 0; i < FAULT_COUNTER_COUNT; i++)
			ret_counted[i] += f->queues[queue].counted[i];
}
