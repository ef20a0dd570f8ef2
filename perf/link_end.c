// One end of a link in a process of its own: sends as fast as the link takes, or counts what comes.
// perf/links.py starts two, and dpdk-testpmd in their place, and compares.
#include <argp.h>
#include <inttypes.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/engine.h"
#include "dataplane/link_port.h"
#include "numa/clock.h"
#include "numa/pin.h"

enum { PORT = 4200, POOL = 8191, POOL_CACHE = 256, WARM_UP_NS = 500000000 };

struct end {
	struct link_config config;
	struct packet_address to;
	uint32_t bytes; // of the frame on the wire, FCS not counted
	double seconds;
	unsigned cpu;
	bool sends;
	struct link *link;
	uint32_t peer;
	struct rte_mempool *pool;
};

static error_t option_parse(int key, char *text, struct argp_state *state)
{
	struct end *e = state->input;
	switch (key) {
	case 'd':
		e->config.device = text;
		break;
	case 'b':
		e->bytes = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 's':
		e->seconds = strtod(text, NULL);
		break;
	case 'c':
		e->cpu = (unsigned)strtoul(text, NULL, 10);
		break;
	case 't':
		e->sends = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option options[] = {
	{"device", 'd', "ARGUMENTS", 0, "DPDK's device arguments", 0},
	{"bytes", 'b', "N", 0, "of a frame, without FCS (64)", 0},
	{"seconds", 's', "S", 0, "to count for (2)", 0},
	{"cpu", 'c', "N", 0, "to run on (0)", 0},
	{"transmit", 't', NULL, 0, "send; else receive", 0},
	{0},
};

static uint64_t send_burst(struct end *e)
{
	struct rte_mbuf *packets[LINK_BURST];
	if (rte_pktmbuf_alloc_bulk(e->pool, packets, LINK_BURST) != 0)
		return 0;
	for (uint32_t i = 0; i < LINK_BURST; i++)
		packets[i]->data_len =
			(uint16_t)(packets[i]->pkt_len = e->bytes - PACKET_IPV4_HEADERS);
	uint32_t sent = e->link->ops->send(e->link, 0, e->peer, packets, LINK_BURST);
	rte_pktmbuf_free_bulk(packets + sent, LINK_BURST - sent);
	return sent;
}

static uint64_t receive_burst(struct end *e)
{
	struct rte_mbuf *packets[LINK_BURST];
	uint32_t count = e->link->ops->receive(e->link, 0, packets, LINK_BURST);
	rte_pktmbuf_free_bulk(packets, count);
	return count;
}

// Frames in `ns`; the clock is read every 64 bursts. Both ends receive: questions come to each.
static uint64_t run_for(struct end *e, int64_t ns)
{
	enum link_event event;
	uint64_t frames = 0;
	for (int64_t end_ns = clock_now_ns() + ns, now_ns; (now_ns = clock_now_ns()) < end_ns;) {
		e->link->ops->tick(e->link, now_ns, &event);
		for (int i = 0; i < 64; i++)
			frames += e->sends ? send_burst(e) : receive_burst(e);
		if (e->sends)
			receive_burst(e);
	}
	return frames;
}

static bool wait_up(struct end *e)
{
	enum link_event event;
	for (int64_t end_ns = clock_now_ns() + 10000000000; clock_now_ns() < end_ns;) {
		e->link->ops->tick(e->link, clock_now_ns(), &event);
		if ((e->sends ? send_burst(e) : receive_burst(e)) > 0)
			return true;
		if (e->sends)
			receive_burst(e);
	}
	return false;
}

int main(int argc, char **argv)
{
	static struct end e = {.config = {.prefix = 24,
				       .port = PORT,
				       .mtu = 1500,
				       .buffers = 4096,
				       .address = {{10, 0, 0, 1}, false}},
		.to = {{10, 0, 0, 1}, false},
		.bytes = 64,
		.seconds = 2};
	struct argp argp = {options, option_parse, NULL, "One end of a link.", NULL, NULL, NULL};
	struct link_problem problem;
	bool huge;
	argp_parse(&argp, argc, argv, 0, NULL, &e);
	e.config.address.bytes[3] = e.sends ? 1 : 2;
	e.to.bytes[3] = e.sends ? 2 : 1;
	if (e.bytes <= PACKET_IPV4_HEADERS || engine_eal_start(256 << 20, &huge) != 0)
		return 2;
	e.pool = rte_pktmbuf_pool_create("sent", POOL, POOL_CACHE, 0, 2048 + RTE_PKTMBUF_HEADROOM,
		SOCKET_ID_ANY);
	if (e.pool == NULL || link_port_create(&e.config, 1, &problem, &e.link) != 0 ||
		link_port_peer(e.link, &e.to, PORT, &e.peer) != 0) {
		fprintf(stderr, "link_end: the link does not start\n");
		return 2;
	}
	if (pin_thread(e.cpu) != 0 || !wait_up(&e)) {
		fprintf(stderr, "link_end: nothing comes through\n");
		return 1;
	}
	run_for(&e, WARM_UP_NS);
	int64_t start_ns = clock_now_ns();
	uint64_t frames = run_for(&e, (int64_t)(e.seconds * 1e9));
	printf("%.0f\n", (double)frames * 1e9 / (double)(clock_now_ns() - start_ns));
	e.link->ops->destroy(e.link);
	return 0;
}
