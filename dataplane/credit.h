// Credit to send over a channel: its mbufs, as far as they are not under way. Those for data and
// the few that are kept for control marks are told apart, so that data can never starve a mark.
// Thread of everything here: the sending task's worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/channel.h"

struct rte_mbuf;
struct rte_mempool;

// Take all of the channel's mbufs from `pool`.  Returns 0 or -ENOMEM.
int credit_create(struct credit *c, struct channel *channel, struct rte_mempool *pool);
void credit_drain(struct credit *c); // give those in hand back to their pool

// Take in what the receiver gave back.
void credit_poll(struct credit *c, struct channel *channel);

// An mbuf to send data in, or NULL. Not polled: what came back first is used first.
struct rte_mbuf *credit_take(struct credit *c);
// One taken that was not needed.
void credit_put(struct credit *c, struct rte_mbuf *mbuf);
// An mbuf for a control mark, or NULL.
struct rte_mbuf *credit_take_control(struct credit *c);

// The mbuf that credit_take will give next; there must be one.
static inline struct rte_mbuf *credit_next(const struct credit *c)
{
	return c->data[c->first % CHANNEL_FRAMES_MAX];
}
