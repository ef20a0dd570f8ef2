#include "dataplane/credit.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "numa/assert.h"

// Which reserve an mbuf goes back to; kept in the mbuf, untouched by the receiver.
enum { RESERVE_DATA = 1, RESERVE_CONTROL = 2 };

static int take_mbufs(struct rte_mempool *pool, struct rte_mbuf **out, uint32_t count,
	uint32_t reserve)
{
	if (rte_pktmbuf_alloc_bulk(pool, out, count) != 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		out[i]->hash.usr = reserve;
	return 0;
}

int credit_create(struct credit *c, struct channel *channel, struct rte_mempool *pool)
{
	uint32_t frames = channel->config.frames;
	*c = (struct credit){0};
	int error = take_mbufs(pool, c->data, frames, RESERVE_DATA);
	if (error != 0)
		return error;
	c->count = frames;
	error = take_mbufs(pool, c->control, CHANNEL_CONTROL_FRAMES, RESERVE_CONTROL);
	if (error == 0)
		c->control_count = CHANNEL_CONTROL_FRAMES;
	return error;
}

void credit_drain(struct credit *c)
{
	for (; c->count != 0; c->count--)
		rte_pktmbuf_free(c->data[c->first++ % CHANNEL_FRAMES_MAX]);
	for (; c->control_count != 0; c->control_count--)
		rte_pktmbuf_free(c->control[c->control_count - 1]);
}

void credit_put(struct credit *c, struct rte_mbuf *mbuf)
{
	ASSERT(c->count < CHANNEL_FRAMES_MAX);
	c->data[(c->first + c->count++) % CHANNEL_FRAMES_MAX] = mbuf;
}

void credit_poll(struct credit *c, struct channel *channel)
{
	struct rte_mbuf *back[CHANNEL_BURST];
	uint32_t count =
		rte_ring_sc_dequeue_burst(channel->back, (void **)back, CHANNEL_BURST, NULL);
	for (uint32_t i = 0; i < count; i++) {
		if (back[i]->hash.usr == RESERVE_CONTROL) {
			ASSERT(c->control_count < CHANNEL_CONTROL_FRAMES);
			c->control[c->control_count++] = back[i];
		} else {
			ASSERT(c->count < channel->config.frames);
			credit_put(c, back[i]);
		}
	}
}

struct rte_mbuf *credit_take(struct credit *c)
{
	if (c->count == 0)
		return NULL;
	c->count--;
	return c->data[c->first++ % CHANNEL_FRAMES_MAX];
}

struct rte_mbuf *credit_take_control(struct credit *c)
{
	return c->control_count == 0 ? NULL : c->control[--c->control_count];
}
