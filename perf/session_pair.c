#include "perf/session_pair.h"

#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>

#include "numa/assert.h"
#include "numa/clock.h"

enum {
	PORT = 4300,
	WINDOW = 256,
	OWN_PACKETS = 2047,
	BUFFERS = 4096,
	FRAMES = CHANNEL_FRAMES_MAX,
	ITEM_BYTES = 24,
	TICK_STEPS = 64,
};

static const char *const roles[] = {"client", "server"};

// ---- set-up

static int open_links(struct pair_end *e, const struct pair_options *o)
{
	struct link_config config = {.device = e->device,
		.prefix = 24,
		.port = PORT,
		.mtu = 1500,
		.buffers = BUFFERS,
		.address = {{10, 0, 0, (uint8_t)(1 + e->index)}, false},
		.faulty = o->loss != 0,
		.faults = {.loss = o->loss},
		.fault_seed = 1 + e->index};
	const struct link_place place = {
		.address = {{10, 0, 0, (uint8_t)(2 - e->index)}, false}, .port = PORT};
	struct link_problem problem;
	uint32_t which;
	snprintf(e->device, sizeof(e->device), o->device, roles[e->index], roles[e->index]);
	int error = link_set_create(&e->links, &config, 1, 1, &which, &problem);
	if (error == 0)
		error = link_set_peer(&e->links, &place, 1, 0, &e->peer);
	else
		fprintf(stderr, "session_end: %s: %s\n", problem.member, problem.text);
	return error;
}

static int open_session(struct pair_end *e)
{
	struct transport_config config = {
		.session_max = 1, .channel_max = 4, .window_max = WINDOW, .link = e->links.link};
	uint16_t room = (uint16_t)(RTE_PKTMBUF_HEADROOM + e->links.link->packet_max);
	e->own = rte_pktmbuf_pool_create(e->index == 0 ? "own0" : "own1", OWN_PACKETS, 64, 0, room,
		SOCKET_ID_ANY);
	e->frames = rte_pktmbuf_pool_create(e->index == 0 ? "frames0" : "frames1",
		FRAMES + CHANNEL_CONTROL_FRAMES, 0, 0, room, SOCKET_ID_ANY);
	if (e->own == NULL || e->frames == NULL)
		return -ENOMEM;
	int error = arena_create(&e->arena, transport_bytes(&config) + (2 << 20), -1, false);
	if (error == 0)
		error = transport_create(&e->transport, &config, &e->arena);
	if (error != 0)
		return error;
	const struct session_config session = {.boot = (uint64_t)clock_now_ns(),
		.leads = e->index == 0,
		.window = WINDOW,
		.frame_crc = true,
		.pool = e->own,
		.timing = session_site_timing,
		.peer = e->peer};
	e->session = transport_connect(&e->transport, &session);
	return 0;
}

static int open_channels(struct pair_end *e)
{
	struct channel_config config = {.id = 1 + e->index,
		.job = 1,
		.frame_bytes = FRAME_HEADER_BYTES + e->items * ITEM_BYTES,
		.frames = FRAMES,
		.record_bytes = ITEM_BYTES};
	int error = channel_create(&e->out_channel, &config, &e->arena);
	config.id = 2 - e->index;
	if (error == 0)
		error = channel_create(&e->in_channel, &config, &e->arena);
	if (error == 0)
		error = sender_create(&e->sender, &e->out_channel, e->frames, &e->arena);
	if (error != 0)
		return error;
	receiver_create(&e->receiver, &e->in_channel);
	outlet_create(&e->outlet, &e->out_channel, e->session);
	inlet_create(&e->inlet, &e->in_channel, &e->receiver, e->session);
	VERIFY(transport_add_outlet(&e->transport, &e->outlet));
	VERIFY(transport_add_inlet(&e->transport, &e->inlet));
	return 0;
}

int pair_end_create(struct pair_end *e, uint32_t index, const struct pair_options *o)
{
	const uint32_t headers = PACKET_IPV4_HEADERS + SESSION_HEADER_BYTES + FRAME_HEADER_BYTES;
	*e = (struct pair_end){.index = index};
	e->items = o->wire_bytes > headers ? (o->wire_bytes - headers) / ITEM_BYTES : 0;
	e->items = e->items == 0 ? 1 : e->items;
	e->wire_bytes = headers + e->items * ITEM_BYTES;
	int error = open_links(e, o);
	if (error == 0)
		error = open_session(e);
	return error == 0 ? open_channels(e) : error;
}

void pair_end_destroy(struct pair_end *e)
{
	if (e->links.link == NULL)
		return;
	transport_destroy(&e->transport);
	if (e->outlet.channel != NULL) {
		transport_remove_outlet(&e->transport, &e->outlet);
		transport_remove_inlet(&e->transport, &e->inlet);
		channel_drain(&e->out_channel, &e->sender, &e->unused_receiver);
		channel_drain(&e->in_channel, &e->unused_sender, &e->receiver);
	}
	link_set_destroy(&e->links);
	rte_mempool_free(e->frames);
	rte_mempool_free(e->own);
	arena_destroy(&e->arena);
}

// ---- records

static void item_write(uint8_t *out, uint64_t number)
{
	const uint64_t head[2] = {ITEM_BYTES, 0}, value = number * 0x9E3779B97F4A7C15ULL;
	memcpy(out, &head[0], 8);
	memcpy(out + 8, &head[1], 8);
	memcpy(out + 16, &value, 8);
}

static uint64_t items_read(const uint8_t *first, uint32_t items)
{
	uint64_t sum = 0, word;
	for (uint32_t i = 0; i < items; i++) {
		memcpy(&word, first + i * ITEM_BYTES + 16, sizeof(word));
		sum += word;
	}
	return sum;
}

// ---- with the transport

static bool send_items(struct pair_end *e, uint32_t items)
{
	for (uint32_t i = 0; i < items; i++) {
		uint8_t *out = sender_reserve(&e->sender, ITEM_BYTES, e->now_ns);
		if (out == NULL)
			return false;
		item_write(out, e->number++);
		sender_commit(&e->sender, ITEM_BYTES);
	}
	return true;
}

// A frame that was begun without enough credit is finished later.
uint64_t end_send(struct pair_end *e, uint32_t frames)
{
	uint64_t before = e->sender.next_number;
	for (uint32_t f = 0; f < frames && send_items(e, e->items); f++)
		;
	sender_push(&e->sender);
	return (e->sender.next_number - before) / e->items;
}

bool end_send_one(struct pair_end *e)
{
	if (!send_items(e, 1))
		return false;
	sender_flush(&e->sender);
	sender_push(&e->sender);
	return true;
}

uint64_t end_receive(struct pair_end *e)
{
	struct receiver *r = &e->receiver;
	uint64_t frames = 0;
	while (receiver_peek(r) != NULL) {
		e->sum += items_read(r->first, r->items);
		r->next_number += r->items;
		r->first = r->limit;
		r->items = 0;
		receiver_release(r);
		frames++;
	}
	receiver_return(r);
	return frames;
}

// ---- without

static uint64_t bare_send_count(struct pair_end *e, uint32_t count, uint32_t items)
{
	struct rte_mbuf *packets[LINK_BURST];
	uint32_t bytes = e->wire_bytes - PACKET_IPV4_HEADERS - (e->items - items) * ITEM_BYTES;
	if (rte_pktmbuf_alloc_bulk(e->own, packets, count) != 0)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *at = rte_pktmbuf_mtod(packets[i], uint8_t *);
		memset(at, 0, bytes - items * ITEM_BYTES);
		for (uint32_t item = 0; item < items; item++)
			item_write(at + bytes - (items - item) * ITEM_BYTES, e->number++);
		packets[i]->pkt_len = packets[i]->data_len = (uint16_t)bytes;
	}
	uint32_t sent = e->links.link->ops->send(e->links.link, 0, e->peer, packets, count);
	rte_pktmbuf_free_bulk(packets + sent, count - sent);
	return sent;
}

uint64_t bare_send(struct pair_end *e)
{
	return bare_send_count(e, LINK_BURST, e->items);
}

bool bare_send_one(struct pair_end *e)
{
	return bare_send_count(e, 1, 1) == 1;
}

uint64_t bare_receive(struct pair_end *e)
{
	const uint32_t headers = SESSION_HEADER_BYTES + FRAME_HEADER_BYTES;
	struct rte_mbuf *packets[LINK_BURST];
	uint32_t count = e->links.link->ops->receive(e->links.link, 0, packets, LINK_BURST);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = rte_pktmbuf_mtod(packets[i], const uint8_t *);
		if (packets[i]->data_len < headers) // a session's last word from before
			continue;
		e->sum += items_read(at + headers, (packets[i]->data_len - headers) / ITEM_BYTES);
	}
	rte_pktmbuf_free_bulk(packets, count);
	return count;
}

// ---- a round

int64_t end_step(struct pair_end *e, bool bare)
{
	enum link_event event;
	e->now_ns = e->step_ns != 0 ? e->now_ns + e->step_ns : clock_now_ns();
	if (!bare)
		transport_step(&e->transport, e->now_ns);
	else if (e->now_ns >= e->transport.tick_at_ns)
		e->transport.tick_at_ns =
			e->links.link->ops->tick(e->links.link, e->now_ns, &event);
	return e->now_ns;
}

void end_drain(struct pair_end *from, struct pair_end *to)
{
	int64_t limit_ns = clock_now_ns() + PAIR_PATIENCE_NS;
	sender_flush(&from->sender);
	sender_push(&from->sender);
	while (to->receiver.next_number < from->sender.next_number ||
		session_in_flight(from->session) != 0) {
		VERIFY(clock_now_ns() < limit_ns);
		end_step(from, false);
		end_step(to, false);
		end_receive(to);
	}
}
