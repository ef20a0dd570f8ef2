#include "dataplane/steer.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

const char *const steer_counter_names[STEER_COUNTER_COUNT] = {
#define X(id, name) name,
	STEER_COUNTERS(X)
#undef X
};

static struct rte_ring *ring_create(uint32_t capacity)
{
	uint32_t size = rte_align32pow2(capacity + 1);
	struct rte_ring *ring = aligned_alloc(64, (size_t)rte_ring_get_memsize(size));
	if (ring != NULL)
		VERIFY(rte_ring_init(ring, "steer", size, RING_F_SP_ENQ | RING_F_SC_DEQ) == 0);
	return ring;
}

int steer_create(struct steer *s, uint32_t workers, uint32_t capacity)
{
	VERIFY(workers >= 1 && workers <= STEER_WORKERS_MAX && capacity > 0);
	*s = (struct steer){.workers = workers};
	s->rings = calloc((size_t)workers * workers, sizeof(struct rte_ring *));
	s->counts = aligned_alloc(64, workers * sizeof(*s->counts));
	if (s->rings == NULL || s->counts == NULL) {
		steer_destroy(s);
		return -ENOMEM;
	}
	memset(s->counts, 0, workers * sizeof(*s->counts));
	for (uint32_t i = 0; i < workers * workers; i++) {
		if (i / workers == i % workers)
			continue; // nobody passes on to itself
		s->rings[i] = ring_create(capacity);
		if (s->rings[i] == NULL) {
			steer_destroy(s);
			return -ENOMEM;
		}
	}
	return 0;
}

void steer_destroy(struct steer *s)
{
	struct rte_mbuf *m;
	if (s == NULL)
		return;
	for (uint32_t i = 0; s->rings != NULL && i < s->workers * s->workers; i++) {
		while (s->rings[i] != NULL && rte_ring_sc_dequeue(s->rings[i], (void **)&m) == 0)
			rte_pktmbuf_free(m);
		free(s->rings[i]);
	}
	free(s->rings);
	free(s->counts);
	*s = (struct steer){0};
}

static uint32_t worker_of(const struct rte_mbuf *m)
{
	if (m->data_len < STEER_WORKER_OFFSET + 2)
		return UINT32_MAX;
	const uint8_t *at = rte_pktmbuf_mtod_offset(m, const uint8_t *, STEER_WORKER_OFFSET);
	return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static void pass(struct steer *s, uint32_t self, uint32_t to, struct rte_mbuf *m)
{
	enum steer_counter what = STEER_PASSED;
	if (to >= s->workers)
		what = STEER_NO_WORKER;
	else if (rte_ring_sp_enqueue(s->rings[self * s->workers + to], m) != 0)
		what = STEER_FULL;
	s->counts[self].counted[what]++;
	if (what != STEER_PASSED)
		rte_pktmbuf_free(m);
}

uint32_t steer_sort(struct steer *s, uint32_t self, struct rte_mbuf **packets, uint32_t count)
{
	uint32_t kept = 0;
	ASSERT(self < s->workers);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t to = worker_of(packets[i]);
		if (to == self)
			packets[kept++] = packets[i];
		else
			pass(s, self, to, packets[i]);
	}
	return kept;
}

uint32_t steer_take(struct steer *s, uint32_t self, struct rte_mbuf **packets, uint32_t count)
{
	uint32_t taken = 0;
	ASSERT(self < s->workers);
	for (uint32_t from = 0; from < s->workers && taken < count; from++)
		if (from != self)
			taken += rte_ring_sc_dequeue_burst(s->rings[from * s->workers + self],
				(void **)(packets + taken), count - taken, NULL);
	return taken;
}
