#include <errno.h>
#include <rte_ethdev.h>
#include <string.h>

#include "dataplane/link_port_parts.h"
#include "numa/assert.h"

const char *const link_port_counter_names[LINK_PORT_COUNTER_COUNT] = {
#define X(id, name) name,
	LINK_PORT_COUNTERS(X)
#undef X
};

enum { STATE_CHECK_NS = 1000 * 1000 };

// ---- sending

// A packet that the port would hand on or garble is sent as a copy.
static bool needs_copy(const struct link_port *port, const struct rte_mbuf *m)
{
	return (port->by_pointer && rte_mbuf_refcnt_read(m) > 1) ||
		(port->no_external && RTE_MBUF_HAS_EXTBUF(m));
}

static void header_take(struct rte_mbuf *m, uint32_t bytes)
{
	m->data_off -= bytes;
	m->data_len += bytes;
	m->pkt_len += bytes;
}

static void header_give(struct rte_mbuf *m, uint32_t bytes)
{
	m->data_off += bytes;
	m->data_len -= bytes;
	m->pkt_len -= bytes;
}

static void prepare(const struct link_port *port, const struct packet_template *t,
	const uint8_t *mac, struct rte_mbuf *m)
{
	ASSERT(m->nb_segs == 1 && m->pkt_len == m->data_len);
	ASSERT(m->data_len <= port->link.packet_max && m->data_off >= LINK_HEADROOM);
	packet_write(t, mac, rte_pktmbuf_mtod(m, uint8_t *), m->data_len, port->checksum);
	header_take(m, t->bytes);
	m->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
	m->ol_flags |= port->offload_flags;
	m->l2_len = PACKET_ETHER_BYTES;
	m->l3_len = t->bytes - PACKET_ETHER_BYTES - PACKET_UDP_BYTES;
}

// A burst in the making: what was given, and what goes to the port in its place.
struct burst {
	uint32_t count, bytes[LINK_BURST];
	struct rte_mbuf *out[LINK_BURST];
	bool kept[LINK_BURST]; // the caller still looks at it after it is sent
};

static void burst_prepare(struct link_port *port, struct port_queue *q, struct burst *b,
	const struct packet_template *t, const uint8_t *mac, struct rte_mbuf **packets,
	uint32_t count)
{
	for (b->count = 0; b->count < count; b->count++) {
		struct rte_mbuf *m = packets[b->count];
		b->kept[b->count] = rte_mbuf_refcnt_read(m) > 1;
		if (UNLIKELY(needs_copy(port, m))) {
			m = rte_pktmbuf_copy(m, port->pool, 0, UINT32_MAX);
			if (m == NULL) {
				q->dropped[PACKET_DROP_NO_BUFFER]++;
				return;
			}
		}
		prepare(port, t, mac, m);
		b->bytes[b->count] = m->data_len;
		b->out[b->count] = m;
	}
}

// What the caller still has, or has again, looks as it gave it.
static void burst_settle(struct port_queue *q, struct burst *b, uint32_t header_bytes,
	struct rte_mbuf **packets, uint32_t sent)
{
	for (uint32_t i = 0; i < b->count; i++) {
		bool copied = b->out[i] != packets[i];
		if (i < sent)
			q->counted[LINK_PORT_SENT_BYTES] += b->bytes[i];
		if (copied)
			rte_pktmbuf_free(i < sent ? packets[i] : b->out[i]);
		else if (i >= sent || b->kept[i])
			header_give(packets[i], header_bytes);
	}
	q->counted[LINK_PORT_SENT] += sent;
	q->counted[LINK_PORT_FULL] += b->count - sent;
}

static uint32_t transmit(struct link_port *port, uint32_t queue, struct rte_mbuf **packets,
	uint32_t count)
{
	struct port_queue *q = &port->queues[queue];
	uint32_t sent = 0;
	if (LIKELY(link_port_enter(port, q)))
		sent = rte_eth_tx_burst(port->port_id, (uint16_t)queue, packets, (uint16_t)count);
	link_port_leave(q);
	return sent;
}

static uint32_t port_send(struct link *link, uint32_t queue, uint32_t peer,
	struct rte_mbuf **packets, uint32_t count)
{
	struct link_port *port = link_port_of(link);
	struct port_queue *q = &port->queues[queue];
	uint8_t mac[PACKET_MAC_BYTES];
	struct burst b;
	ASSERT(queue < link->queue_count);
	ASSERT(peer < atomic_load_explicit(&port->peer_count, memory_order_acquire));
	if (UNLIKELY(!link_port_is_up(link))) {
		q->counted[LINK_PORT_DOWN] += count;
		return 0;
	}
	if (UNLIKELY(!neighbour_mac(&port->neighbours, port->hops[peer], mac))) {
		q->counted[LINK_PORT_UNRESOLVED] += count;
		return 0;
	}
	const struct packet_template *t = &q->templates[peer];
	burst_prepare(port, q, &b, t, mac, packets, count < LINK_BURST ? count : LINK_BURST);
	uint32_t sent = transmit(port, queue, b.out, b.count);
	burst_settle(q, &b, t->bytes, packets, sent);
	return sent;
}

// ---- receiving

static uint32_t checked_by_port(const struct rte_mbuf *m)
{
	uint32_t checked = 0;
	if ((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		checked |= PACKET_IP_CHECKED;
	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		checked |= PACKET_UDP_CHECKED;
	return checked;
}

static void drop(struct port_queue *q, enum packet_drop reason, struct rte_mbuf *m)
{
	q->dropped[reason]++;
	rte_pktmbuf_free(m);
}

// Returns whether the packet is one for the caller.
static bool take(struct link_port *port, struct port_queue *q, struct rte_mbuf *m)
{
	struct packet_view view;
	if (m->nb_segs != 1) {
		drop(q, PACKET_DROP_SEGMENTED, m);
		return false;
	}
	enum packet_drop reason = packet_parse(&port->local, rte_pktmbuf_mtod(m, uint8_t *),
		m->data_len, checked_by_port(m), &view);
	if (reason != PACKET_DROP_COUNT) {
		drop(q, reason, m);
		return false;
	}
	if (view.kind != PACKET_SESSION) {
		if (rte_ring_mp_enqueue(port->messages, m) != 0)
			drop(q, PACKET_DROP_NEIGHBOUR_BUSY, m);
		return false;
	}
	q->counted[LINK_PORT_RECEIVED_BYTES] += m->data_len;
	m->data_off += view.offset;
	m->data_len = (uint16_t)view.bytes;
	m->pkt_len = view.bytes;
	return true;
}

static void send_messages(struct link_port *port)
{
	uint8_t message[NEIGHBOUR_MESSAGE_MAX];
	uint32_t bytes;
	while ((bytes = neighbour_take(&port->neighbours, message)) != 0) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(port->pool);
		if (m == NULL) {
			port->queues[0].dropped[PACKET_DROP_NO_BUFFER]++;
			continue;
		}
		memcpy(rte_pktmbuf_append(m, (uint16_t)bytes), message, bytes);
		if (transmit(port, 0, &m, 1) == 0)
			drop(&port->queues[0], PACKET_DROP_NEIGHBOUR_BUSY, m);
	}
}

// Thread: that of queue 0.
static void take_messages(struct link_port *port)
{
	struct rte_mbuf *m;
	while (rte_ring_sc_dequeue(port->messages, (void **)&m) == 0) {
		enum packet_drop reason = neighbour_receive(&port->neighbours,
			rte_pktmbuf_mtod(m, uint8_t *), m->data_len, port->now_ns);
		if (reason != PACKET_DROP_COUNT)
			port->queues[0].dropped[reason]++;
		rte_pktmbuf_free(m);
	}
	send_messages(port);
}

static uint32_t port_receive(struct link *link, uint32_t queue, struct rte_mbuf **packets,
	uint32_t count)
{
	struct link_port *port = link_port_of(link);
	struct port_queue *q = &port->queues[queue];
	uint32_t kept = 0;
	ASSERT(queue < link->queue_count);
	if (count > LINK_BURST)
		count = LINK_BURST;
	uint32_t came = 0;
	if (LIKELY(link_port_enter(port, q)))
		came = rte_eth_rx_burst(port->port_id, (uint16_t)queue, packets, (uint16_t)count);
	link_port_leave(q);
	for (uint32_t i = 0; i < came; i++)
		rte_prefetch0(rte_pktmbuf_mtod(packets[i], void *));
	for (uint32_t i = 0; i < came; i++)
		if (take(port, q, packets[i]))
			packets[kept++] = packets[i];
	q->counted[LINK_PORT_RECEIVED] += kept;
	if (queue == 0 && UNLIKELY(!rte_ring_empty(port->messages)))
		take_messages(port);
	return kept;
}

// ---- the rest

static void ask_neighbours(struct link_port *port, int64_t now_ns, bool at_once)
{
	uint32_t count = atomic_load_explicit(&port->neighbours.count, memory_order_relaxed);
	if (now_ns < port->neighbours_due_ns && count == port->neighbours_seen && !at_once)
		return;
	port->neighbours_seen = count;
	port->neighbours_due_ns = neighbour_step(&port->neighbours, now_ns);
	send_messages(port);
}

static int64_t port_tick(struct link *link, int64_t now_ns, enum link_event *ret_event)
{
	struct link_port *port = link_port_of(link);
	bool up = atomic_load_explicit(&port->up, memory_order_acquire);
	*ret_event = up == port->told_up ? LINK_NOTHING : up ? LINK_WENT_UP : LINK_WENT_DOWN;
	port->now_ns = now_ns;
	if (*ret_event == LINK_WENT_UP)
		neighbour_restart(&port->neighbours, now_ns);
	port->told_up = up;
	if (up)
		ask_neighbours(port, now_ns, *ret_event == LINK_WENT_UP);
	int64_t next_ns = now_ns + STATE_CHECK_NS;
	return up && port->neighbours_due_ns < next_ns ? port->neighbours_due_ns : next_ns;
}

static void add_templates(struct link_port *port, uint32_t peer)
{
	struct packet_flow flow = {.from = port->local.address,
		.to = port->peers[peer],
		.to_port = port->udp_ports[peer]};
	memcpy(flow.from_mac, port->local.mac, PACKET_MAC_BYTES);
	for (uint32_t queue = 0; queue < port->link.queue_count; queue++) {
		flow.from_port = (uint16_t)(port->local.port_first + queue);
		packet_template_init(&port->queues[queue].templates[peer], &flow);
	}
}

int link_port_peer(struct link *link, const struct packet_address *address, uint16_t udp_port,
	uint32_t *ret_peer)
{
	struct link_port *port = link_port_of(link);
	uint32_t count = atomic_load_explicit(&port->peer_count, memory_order_relaxed);
	for (uint32_t i = 0; i < count; i++)
		if (port->udp_ports[i] == udp_port &&
			packet_address_equal(&port->peers[i], address)) {
			*ret_peer = i;
			return 0;
		}
	if (address->six != port->local.address.six || !packet_address_is_host(address) ||
		packet_address_equal(address, &port->local.address))
		return -ENETUNREACH;
	if (count == LINK_PEERS_MAX)
		return -ENOSPC;
	int error = neighbour_add(&port->neighbours, address, NULL, &port->hops[count]);
	if (error != 0)
		return error;
	port->peers[count] = *address;
	port->udp_ports[count] = udp_port;
	add_templates(port, count);
	atomic_store_explicit(&port->peer_count, count + 1, memory_order_release);
	*ret_peer = count;
	return 0;
}

bool link_port_is_near(const struct link *link, const struct packet_address *address)
{
	const struct neighbour_table *table = &((const struct link_port *)link)->neighbours;
	return packet_address_near(address, &table->local.address, table->prefix);
}

void link_port_report(const struct link *link, struct link_port_counters *ret_counters)
{
	const struct link_port *port = (const struct link_port *)link;
	struct rte_eth_stats stats;
	*ret_counters = (struct link_port_counters){0};
	for (uint32_t queue = 0; queue < link->queue_count; queue++) {
		const struct port_queue *q = &port->queues[queue];
		for (uint32_t i = 0; i < LINK_PORT_COUNTER_COUNT; i++)
			ret_counters->counted[i] += q->counted[i];
		for (uint32_t i = 0; i < PACKET_DROP_COUNT; i++)
			ret_counters->dropped[i] += q->dropped[i];
	}
	memcpy(ret_counters->neighbours, port->neighbours.counters,
		sizeof(ret_counters->neighbours));
	if (rte_eth_stats_get(port->port_id, &stats) == 0)
		ret_counters->missed = stats.imissed + stats.rx_nombuf;
}

bool link_port_is_up(const struct link *link)
{
	const struct link_port *port = (const struct link_port *)link;
	return atomic_load_explicit(&port->up, memory_order_acquire);
}

const struct link_ops link_port_ops = {port_send, port_receive, port_tick, link_port_destroy};
