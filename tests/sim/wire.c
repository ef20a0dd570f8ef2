#include "tests/sim/wire.h"

#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/session_packet.h"
#include "numa/assert.h"

// What stands before a session packet on the wire: so it lies at an address that is only even.
enum { WIRE_HEADERS = 42 };

void wire_create(struct wire *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->random = (struct random){seed};
}

void wire_let_go(struct wire_port *p)
{
	for (uint32_t i = 0; i < p->held_count; i++)
		rte_pktmbuf_free(p->held[i]);
	p->held_count = 0;
}

void wire_clear(struct wire *w)
{
	for (uint32_t p = 0; p < w->port_count; p++) {
		for (uint32_t i = 0; i < w->ports[p].flight_count; i++)
			free(w->ports[p].flights[i].data);
		w->ports[p].flight_count = 0;
		wire_let_go(&w->ports[p]);
	}
}

void wire_destroy(struct wire *w)
{
	wire_clear(w);
	for (uint32_t p = 0; p < w->port_count; p++)
		free(w->ports[p].flights);
}

// ---- packets under way, a heap by time

static bool before(const struct wire_flight *a, const struct wire_flight *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void swap(struct wire_flight *a, struct wire_flight *b)
{
	struct wire_flight c = *a;
	*a = *b;
	*b = c;
}

static void heap_add(struct wire_port *p, const struct wire_flight *flight)
{
	uint32_t at = p->flight_count++;
	p->flights[at] = *flight;
	for (; at != 0 && before(&p->flights[at], &p->flights[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&p->flights[at], &p->flights[(at - 1) / 2]);
}

static struct wire_flight heap_take(struct wire_port *p)
{
	struct wire_flight first = p->flights[0];
	p->flights[0] = p->flights[--p->flight_count];
	for (uint32_t at = 0, child; (child = 2 * at + 1) < p->flight_count; at = child) {
		if (child + 1 < p->flight_count &&
			before(&p->flights[child + 1], &p->flights[child]))
			child++;
		if (!before(&p->flights[child], &p->flights[at]))
			break;
		swap(&p->flights[child], &p->flights[at]);
	}
	return first;
}

int64_t wire_next(const struct wire_port *p)
{
	return p->flight_count == 0 ? INT64_MAX : p->flights[0].at_ns;
}

// ---- sending

// When it is through the bottleneck; -1: it does not fit.
static int64_t pass(struct wire *w, uint32_t bytes)
{
	if (w->byte_ps == 0)
		return w->now_ns;
	if (w->busy_ns < w->now_ns)
		w->busy_ns = w->now_ns;
	int64_t waited = w->busy_ns - w->now_ns;
	if (waited > w->queue_ns) {
		w->overflowed++;
		return -1;
	}
	if (waited > w->waited_ns)
		w->waited_ns = waited;
	w->busy_ns += bytes * w->byte_ps / 1000;
	return w->busy_ns;
}

static bool opens(const struct rte_mbuf *packet)
{
	const struct session_header *h = rte_pktmbuf_mtod(packet, const struct session_header *);
	const struct session_message *m = (const struct session_message *)(h + 1);
	bool found = false;
	for (uint32_t i = 0; h->type == SESSION_MESSAGES && i < h->length / sizeof(*m); i++)
		found |= m[i].kind == MESSAGE_OPEN && m[i].incarnation != 0;
	return found;
}

static bool is_cut(const struct wire *w, uint32_t from, uint32_t to, const struct rte_mbuf *packet)
{
	return w->cut_until_ns[from][to] > w->now_ns ||
		(w->mute_until_ns[from][to] > w->now_ns && opens(packet));
}

static void launch(struct wire *w, uint32_t from, uint32_t to, const struct rte_mbuf *packet)
{
	const struct wire_faults *f = &w->faults;
	struct random *r = &w->random;
	int64_t through = pass(w, packet->data_len);
	if (through < 0 || is_cut(w, from, to, packet) || random_chance(r, f->loss) ||
		w->ports[to].flight_count == WIRE_FLIGHT_MAX) {
		w->lost++;
		return;
	}
	struct wire_flight flight = {
		.at_ns = through + f->delay_ns, .order = w->order++, .bytes = packet->data_len};
	VERIFY(flight.bytes <= WIRE_PACKET_MAX);
	if (random_chance(r, f->late))
		flight.at_ns += (int64_t)random_in(r, 0, (uint64_t)f->late_ns);
	flight.data = malloc(flight.bytes);
	VERIFY(flight.data != NULL);
	memcpy(flight.data, rte_pktmbuf_mtod(packet, void *), flight.bytes);
	if (random_chance(r, f->corrupt))
		flight.data[random_in(r, 0, flight.bytes - 1)] ^= (uint8_t)random_in(r, 1, 255);
	heap_add(&w->ports[to], &flight);
}

// The mbuf is the port's now: it lets go of it at once or later, as a card does.
static void finish(struct wire_port *p, struct rte_mbuf *packet)
{
	struct random *r = &p->wire->random;
	memset(rte_pktmbuf_mtod_offset(packet, uint8_t *, -LINK_HEADROOM), 0xEE, LINK_HEADROOM);
	if (!p->holds) {
		rte_pktmbuf_free(packet);
		return;
	}
	if (p->held_count == WIRE_HELD_MAX || random_chance(r, 50))
		wire_let_go(p);
	p->held[p->held_count++] = packet;
}

static uint32_t wire_send(struct link *link, uint32_t queue, uint32_t peer,
	struct rte_mbuf **packets, uint32_t count)
{
	struct wire_port *p = (struct wire_port *)link;
	struct wire *w = p->wire;
	uint32_t taken = 0;
	for (; taken < count && !random_chance(&w->random, w->faults.refused); taken++) {
		struct rte_mbuf *packet = packets[taken];
		VERIFY(packet->nb_segs == 1 && packet->data_len <= link->packet_max);
		VERIFY(packet->data_off >= LINK_HEADROOM && packet->pkt_len == packet->data_len);
		w->sent++;
		launch(w, p->index, peer, packet);
		if (random_chance(&w->random, w->faults.twice))
			launch(w, p->index, peer, packet);
		finish(p, packet);
	}
	return taken;
}

// ---- receiving

static struct rte_mbuf *land(struct wire_port *p, const struct wire_flight *flight)
{
	struct rte_mbuf *packet = p->off ? NULL : rte_pktmbuf_alloc(p->pool);
	if (packet == NULL) {
		p->wire->no_mbuf += !p->off;
		return NULL;
	}
	packet->data_off += WIRE_HEADERS;
	VERIFY(rte_pktmbuf_append(packet, (uint16_t)flight->bytes) != NULL);
	memcpy(rte_pktmbuf_mtod(packet, void *), flight->data, flight->bytes);
	return packet;
}

static uint32_t wire_receive(struct link *link, uint32_t queue, struct rte_mbuf **packets,
	uint32_t count)
{
	struct wire_port *p = (struct wire_port *)link;
	uint32_t got = 0;
	while (got < count && wire_next(p) <= p->wire->now_ns) {
		struct wire_flight flight = heap_take(p);
		packets[got] = land(p, &flight);
		got += packets[got] != NULL;
		free(flight.data);
	}
	return got;
}

static int64_t wire_tick(struct link *link, int64_t now_ns, enum link_event *ret_event)
{
	return INT64_MAX;
}

static void wire_port_destroy(struct link *link)
{
	if (link != NULL)
		wire_let_go((struct wire_port *)link);
}

static const struct link_ops wire_ops = {wire_send, wire_receive, wire_tick, wire_port_destroy};

struct link *wire_add(struct wire *w, struct rte_mempool *pool, uint32_t packet_max)
{
	VERIFY(w->port_count < WIRE_PORTS_MAX);
	struct wire_port *p = &w->ports[w->port_count];
	*p = (struct wire_port){.wire = w, .index = w->port_count++, .pool = pool};
	p->flights = calloc(WIRE_FLIGHT_MAX, sizeof(*p->flights));
	VERIFY(p->flights != NULL);
	p->link = (struct link){
		.ops = &wire_ops, .packet_max = packet_max, .queue_count = 1, .steers = true};
	return &p->link;
}
