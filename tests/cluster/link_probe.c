// One end of a link in a process of its own, for test_links.py: sends numbered packets until all
// have come back, or sends back what comes, or sends and receives as fast as it can. Says on stdout
// when the link goes up and down.
#include <argp.h>
#include <arpa/inet.h>
#include <inttypes.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/engine.h"
#include "dataplane/link_port.h"
#include "dataplane/link_set.h"
#include "numa/clock.h"

enum {
	COUNT_MAX = 4096,
	RESEND_NS = 20000000,
	PACKETS = 1023,
	BYTES_MIN = 12,
	PORT = 4100,
	FLOWING = 20000
};

struct probe {
	struct link_config config;
	struct packet_address to;
	uint32_t count, bytes, workers;
	double seconds;
	bool echo, flood;
	struct link_set set;
	struct link *link; // of all workers
	uint32_t peer;
	struct rte_mempool *pool;
	uint32_t back; // of the numbers sent, how many have come back
	bool came[COUNT_MAX];
	int64_t sent_ns;
};

static struct packet_address parse_address(char *text, uint32_t *ret_prefix)
{
	struct packet_address a = {.six = strchr(text, ':') != NULL};
	char *slash = strchr(text, '/');
	if (slash != NULL) {
		*slash = '\0';
		*ret_prefix = (uint32_t)strtoul(slash + 1, NULL, 10);
	}
	if (inet_pton(a.six ? AF_INET6 : AF_INET, text, a.bytes) != 1) {
		fprintf(stderr, "link_probe: %s is no address\n", text);
		exit(2);
	}
	return a;
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
	struct probe *p = state->input;
	uint32_t none;
	switch (key) {
	case 'd':
		p->config.device = text;
		break;
	case 'a':
		p->config.address = parse_address(text, &p->config.prefix);
		break;
	case 'g':
		p->config.gateway = parse_address(text, &none);
		p->config.has_gateway = true;
		break;
	case 't':
		p->to = parse_address(text, &none);
		break;
	case 'm':
		p->config.mtu = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 'c':
		p->count = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 'b':
		p->bytes = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 'w':
		p->workers = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 's':
		p->seconds = strtod(text, NULL);
		break;
	case 'l':
		p->config.faulty = true;
		p->config.fault_seed = 1;
		p->config.faults.loss = (uint32_t)strtoul(text, NULL, 10);
		break;
	case 'e':
		p->echo = true;
		break;
	case 'f':
		p->flood = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option options[] = {
	{"device", 'd', "ARGUMENTS", 0, "DPDK's device arguments", 0},
	{"address", 'a', "ADDRESS/PREFIX", 0, "this end's", 0},
	{"to", 't', "ADDRESS", 0, "the other end's", 0},
	{"gateway", 'g', "ADDRESS", 0, "a router", 0},
	{"mtu", 'm', "BYTES", 0, "(1500)", 0},
	{"count", 'c', "N", 0, "numbers to send (1000)", 0},
	{"bytes", 'b', "N", 0, "of a packet (1000)", 0},
	{"workers", 'w', "N", 0, "all played by one thread (1)", 0},
	{"seconds", 's', "S", 0, "give up then (20)", 0},
	{"loss", 'l', "PARTS", 0, "of a million packets received, lost", 0},
	{"flood", 'f', NULL, 0, "send and receive at the full rate", 0},
	{"echo", 'e', NULL, 0, "send back what comes, until the time is up", 0},
	{0},
};

// ---- packets: two bytes, the worker they are for, the number, and its low byte throughout

static void send_number(struct probe *p, uint32_t number)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
	if (m == NULL || rte_pktmbuf_append(m, (uint16_t)p->bytes) == NULL)
		return;
	uint8_t *at = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t worker = (uint16_t)(number % p->workers);
	memset(at, (uint8_t)number, p->bytes);
	memcpy(at + STEER_WORKER_OFFSET, &worker, sizeof(worker));
	memcpy(at + 8, &number, sizeof(number));
	if (p->link->ops->send(p->link, number % p->workers, p->peer, &m, 1) == 0)
		rte_pktmbuf_free(m);
}

// What has not come back is sent again now and then: links may lose packets.
static void send_missing(struct probe *p, int64_t now_ns)
{
	if (now_ns < p->sent_ns + RESEND_NS)
		return;
	p->sent_ns = now_ns;
	for (uint32_t i = 0, sent = 0; i < p->count && sent < PACKETS / 2; i++)
		if (!p->came[i]) {
			send_number(p, i);
			sent++;
		}
}

static void take_number(struct probe *p, uint32_t worker, const struct rte_mbuf *m)
{
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t number;
	memcpy(&number, at + 8, sizeof(number));
	if (m->data_len != p->bytes || number >= p->count || number % p->workers != worker ||
		at[m->data_len - 1] != (uint8_t)number) {
		fprintf(stderr, "link_probe: a packet came back changed\n");
		exit(1);
	}
	p->back += !p->came[number];
	p->came[number] = true;
}

static void say(const char *line)
{
	puts(line);
	fflush(stdout);
}

static bool tell_event(struct probe *p, int64_t now_ns)
{
	enum link_event event;
	p->link->ops->tick(p->link, now_ns, &event);
	if (event != LINK_NOTHING)
		say(event == LINK_WENT_UP ? "up" : "down");
	return event != LINK_NOTHING;
}

static void step_worker(struct probe *p, uint32_t worker)
{
	struct rte_mbuf *packets[LINK_BURST];
	uint32_t count = p->link->ops->receive(p->link, worker, packets, LINK_BURST), sent = 0;
	if (p->echo && count > 0)
		sent = p->link->ops->send(p->link, worker, p->peer, packets, count);
	for (uint32_t i = 0; i < count && !p->echo; i++)
		take_number(p, worker, packets[i]);
	rte_pktmbuf_free_bulk(packets + sent, count - sent);
}

// Both ways, whether or not the link is up. Says once, after it came up, that packets come.
static void run_flood(struct probe *p)
{
	int64_t end_ns = clock_now_ns() + (int64_t)(p->seconds * 1e9), now_ns;
	uint64_t since_up = 0;
	while ((now_ns = clock_now_ns()) < end_ns) {
		struct rte_mbuf *packets[LINK_BURST];
		uint32_t count, sent = 0;
		if (tell_event(p, now_ns))
			since_up = 0;
		count = p->link->ops->receive(p->link, 0, packets, LINK_BURST);
		rte_pktmbuf_free_bulk(packets, count);
		if (since_up < FLOWING && (since_up += count) >= FLOWING)
			say("flows");
		if (rte_pktmbuf_alloc_bulk(p->pool, packets, LINK_BURST) != 0)
			continue;
		for (uint32_t i = 0; i < LINK_BURST; i++)
			packets[i]->pkt_len = packets[i]->data_len = (uint16_t)p->bytes;
		sent = p->link->ops->send(p->link, 0, p->peer, packets, LINK_BURST);
		rte_pktmbuf_free_bulk(packets + sent, LINK_BURST - sent);
	}
}

static void show_counters(const struct probe *p)
{
	struct link_port_counters c;
	link_port_report(p->set.ports[0], &c);
	for (int i = 0; i < LINK_PORT_COUNTER_COUNT; i++)
		printf("%s=%" PRIu64 " ", link_port_counter_names[i], c.counted[i]);
	for (int i = 0; i < PACKET_DROP_COUNT; i++)
		if (c.dropped[i] != 0)
			printf("dropped.%s=%" PRIu64 " ", packet_drop_names[i], c.dropped[i]);
	for (int i = 0; i < NEIGHBOUR_COUNTER_COUNT; i++)
		if (c.neighbours[i] != 0)
			printf("%s=%" PRIu64 " ", neighbour_counter_names[i], c.neighbours[i]);
	printf("queues=%u steers=%d\n", p->set.ports[0]->queue_count, p->set.ports[0]->steers);
}

static int run(struct probe *p)
{
	int64_t end_ns = clock_now_ns() + (int64_t)(p->seconds * 1e9), now_ns;
	while ((now_ns = clock_now_ns()) < end_ns && (p->echo || p->back < p->count)) {
		tell_event(p, now_ns);
		for (uint32_t worker = 0; worker < p->workers; worker++)
			step_worker(p, worker);
		if (!p->echo)
			send_missing(p, now_ns);
		usleep(50);
	}
	show_counters(p);
	printf("back %u of %u\n", p->back, p->count);
	return p->echo || p->back == p->count ? 0 : 1;
}

static int open_link(struct probe *p)
{
	struct link_problem problem;
	uint32_t index;
	int error = link_set_create(&p->set, &p->config, 1, p->workers, &index, &problem);
	if (error != 0) {
		fprintf(stderr, "link_probe: %s: %s\n", problem.member, problem.text);
		return error;
	}
	p->link = p->set.link;
	const struct link_place place = {p->to, PORT};
	return link_set_peer(&p->set, &place, 1, 0, &p->peer);
}

int main(int argc, char **argv)
{
	static struct probe p = {.config = {.port = PORT, .mtu = 1500, .buffers = 1024},
		.count = 1000,
		.bytes = 1000,
		.workers = 1,
		.seconds = 20};
	struct argp argp = {options, option_parse, NULL, "One end of a link.", NULL, NULL, NULL};
	bool huge;
	argp_parse(&argp, argc, argv, 0, NULL, &p);
	if (p.count > COUNT_MAX || p.bytes < BYTES_MIN || engine_eal_start(128 << 20, &huge) != 0)
		return 2;
	p.pool = rte_pktmbuf_pool_create("probe", PACKETS, 0, 0, 9216 + RTE_PKTMBUF_HEADROOM,
		SOCKET_ID_ANY);
	if (p.pool == NULL || open_link(&p) != 0)
		return 2;
	int code = 0;
	if (p.flood)
		run_flood(&p);
	else
		code = run(&p);
	link_set_destroy(&p.set);
	return code;
}
