// A link to itself for tests: what is sent on a queue is received on it, in order, until it is full
// or down.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/link.h"

enum { PIPE_QUEUES = 4, PIPE_PACKETS = 64 };

struct pipe_link {
	struct link link;
	bool up, told_up, refuses;
	uint32_t counts[PIPE_QUEUES], sent;
	struct rte_mbuf *packets[PIPE_QUEUES][PIPE_PACKETS];
};

static uint32_t pipe_send(struct link *link, uint32_t queue, uint32_t peer,
	struct rte_mbuf **packets, uint32_t count)
{
	struct pipe_link *p = (struct pipe_link *)link;
	uint32_t i = 0;
	for (; !p->refuses && i < count && p->counts[queue] < PIPE_PACKETS; i++)
		p->packets[queue][p->counts[queue]++] = packets[i];
	p->sent += i;
	return i;
}

static uint32_t pipe_receive(struct link *link, uint32_t queue, struct rte_mbuf **packets,
	uint32_t count)
{
	struct pipe_link *p = (struct pipe_link *)link;
	uint32_t taken = 0;
	for (; taken < count && taken < p->counts[queue]; taken++)
		packets[taken] = p->packets[queue][taken];
	p->counts[queue] -= taken;
	for (uint32_t i = 0; i < p->counts[queue]; i++)
		p->packets[queue][i] = p->packets[queue][i + taken];
	return taken;
}

static int64_t pipe_tick(struct link *link, int64_t now_ns, enum link_event *ret_event)
{
	struct pipe_link *p = (struct pipe_link *)link;
	*ret_event = p->up == p->told_up ? LINK_NOTHING : p->up ? LINK_WENT_UP : LINK_WENT_DOWN;
	p->told_up = p->up;
	return now_ns + 1000000;
}

// Frees what is in it; itself it is the test's.
static void pipe_destroy(struct link *link)
{
	struct pipe_link *p = (struct pipe_link *)link;
	for (uint32_t queue = 0; queue < PIPE_QUEUES; queue++)
		for (; p->counts[queue] > 0; p->counts[queue]--)
			rte_pktmbuf_free(p->packets[queue][p->counts[queue] - 1]);
}

static void pipe_init(struct pipe_link *p, uint32_t queues)
{
	static const struct link_ops ops = {pipe_send, pipe_receive, pipe_tick, pipe_destroy};
	*p = (struct pipe_link){.link = {&ops, 1000, queues, false}, .up = true};
}
