#include "dataplane/channel.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/credit.h"
#include "numa/arena.h"
#include "numa/assert.h"

// A ring holds every mbuf of the channel, so that an enqueue never fails.
static struct rte_ring *ring_create(const char *name, uint32_t mbufs, struct arena *arena)
{
	uint32_t size = rte_align32pow2(mbufs + 1);
	ssize_t bytes = rte_ring_get_memsize(size);
	struct rte_ring *ring =
		bytes < 0 ? NULL : arena_alloc(arena, (size_t)bytes, RTE_CACHE_LINE_SIZE);
	if (ring == NULL || rte_ring_init(ring, name, size, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
		return NULL;
	return ring;
}

int channel_create(struct channel *channel, const struct channel_config *config,
	struct arena *arena)
{
	VERIFY(config->frames >= 1 && config->frames <= CHANNEL_FRAMES_MAX);
	uint32_t mbufs = config->frames + CHANNEL_CONTROL_FRAMES;
	*channel = (struct channel){.config = *config};
	channel->forward = ring_create("forward", mbufs, arena);
	channel->back = ring_create("back", mbufs, arena);
	return channel->forward == NULL || channel->back == NULL ? -ENOMEM : 0;
}

static void free_mbufs(struct rte_mbuf **mbufs, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		rte_pktmbuf_free(mbufs[i]);
}

static void drain_ring(struct rte_ring *ring)
{
	struct rte_mbuf *mbuf;
	while (ring != NULL && rte_ring_sc_dequeue(ring, (void **)&mbuf) == 0)
		rte_pktmbuf_free(mbuf);
}

static void forget_words(struct channel *channel)
{
	atomic_store_explicit(&channel->snapshot_number, 0, memory_order_relaxed);
	atomic_store_explicit(&channel->answered, 0, memory_order_relaxed);
	atomic_store_explicit(&channel->wanted, 0, memory_order_relaxed);
	atomic_store_explicit(&channel->opened, 0, memory_order_relaxed);
}

void channel_renew_sending(struct channel *channel)
{
	struct rte_mbuf *mbuf;
	while (rte_ring_sc_dequeue(channel->forward, (void **)&mbuf) == 0)
		VERIFY(rte_ring_sp_enqueue(channel->back, mbuf) == 0);
	forget_words(channel);
}

void channel_renew_receiving(struct channel *channel)
{
	drain_ring(channel->forward);
	drain_ring(channel->back);
	forget_words(channel);
}

static void drain_sender(struct sender *s)
{
	if (s == NULL)
		return;
	credit_drain(&s->credit);
	free_mbufs(s->out, s->out_count);
	rte_pktmbuf_free(s->open);
	s->open = NULL;
	s->write = s->limit = NULL;
	s->items = s->out_count = 0;
}

static void drain_receiver(struct receiver *r)
{
	if (r == NULL)
		return;
	free_mbufs(r->burst + r->burst_at, r->burst_count - r->burst_at);
	free_mbufs(r->returns, r->return_count);
	rte_pktmbuf_free(r->frame);
	r->frame = NULL;
	r->burst_at = r->burst_count = r->return_count = 0;
}

void channel_drain(struct channel *channel, struct sender *s, struct receiver *r)
{
	drain_ring(channel->forward);
	drain_ring(channel->back);
	drain_sender(s);
	drain_receiver(r);
}
