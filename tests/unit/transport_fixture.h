// Two endpoints with one session and one channel from the first to the second, joined by the
// simulator's wire, in virtual time.
#pragma once

#include <stdalign.h>
#include <string.h>

#include <rte_mbuf.h>

#include "dataplane/engine.h"
#include "dataplane/transport.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "state/record.h"
#include "tests/sim/wire.h"

enum {
	FRAME_BYTES = 1024,
	WINDOW = 256,
	POOL_MBUFS = 2048,
	PACKET_BYTES = SESSION_HEADER_BYTES + FRAME_BYTES,
	ROOM = RTE_PKTMBUF_HEADROOM + PACKET_BYTES + 64,
};

struct endpoint {
	struct rte_mempool *pool; // what it receives and sends of its own
	struct arena arena;
	struct transport transport;
	struct session *session;
};

struct fixture {
	struct wire wire;
	struct endpoint ends[2];
	struct rte_mempool *frames; // the sender's
	struct channel sending, receiving;
	struct sender sender;
	struct receiver receiver, unused_receiver;
	struct sender unused_sender;
	struct outlet outlet;
	struct inlet inlet;
	int64_t now_ns;
	uint64_t sent, received; // items
};

static inline struct session_config fixture_session(struct fixture *f, uint32_t end, uint64_t boot)
{
	return (struct session_config){
		.boot = boot,
		.leads = end == 0,
		.peer_worker = (uint16_t)(1 - end),
		.window = WINDOW,
		.frame_crc = true,
		.pool = f->ends[end].pool,
		.timing = session_site_timing,
		.peer = 1 - end,
	};
}

static inline void fixture_end(struct fixture *f, uint32_t end)
{
	struct endpoint *e = &f->ends[end];
	e->pool = rte_pktmbuf_pool_create(end == 0 ? "left" : "right", POOL_MBUFS, 0, 0, ROOM,
		SOCKET_ID_ANY);
	VERIFY(e->pool != NULL);
	struct transport_config config = {.worker = (uint16_t)end,
		.session_max = 1,
		.channel_max = 4,
		.window_max = WINDOW,
		.link = wire_add(&f->wire, e->pool, PACKET_BYTES)};
	VERIFY(arena_create(&e->arena, transport_bytes(&config) + (1 << 20), -1, false) == 0);
	VERIFY(transport_create(&e->transport, &config, &e->arena) == 0);
	struct session_config session = fixture_session(f, end, 1);
	e->session = transport_connect(&e->transport, &session);
}

static inline struct fixture *fixture_create(uint64_t seed, uint32_t frames,
	uint64_t retention_bytes)
{
	static struct fixture f;
	memset(&f, 0, sizeof(f));
	wire_create(&f.wire, seed);
	f.wire.faults.delay_ns = 10000;
	f.now_ns = 1000;
	fixture_end(&f, 0);
	fixture_end(&f, 1);
	struct channel_config config = {.id = 5,
		.job = 7,
		.plan_version = 2,
		.frame_bytes = FRAME_BYTES,
		.frames = frames,
		.retention_bytes = retention_bytes};
	f.frames = rte_pktmbuf_pool_create("frames", frames + CHANNEL_CONTROL_FRAMES, 0, 0, ROOM,
		SOCKET_ID_ANY);
	VERIFY(f.frames != NULL);
	VERIFY(channel_create(&f.sending, &config, &f.ends[0].arena) == 0);
	VERIFY(channel_create(&f.receiving, &config, &f.ends[1].arena) == 0);
	VERIFY(sender_create(&f.sender, &f.sending, f.frames, &f.ends[0].arena) == 0);
	receiver_create(&f.receiver, &f.receiving);
	outlet_create(&f.outlet, &f.sending, f.ends[0].session);
	inlet_create(&f.inlet, &f.receiving, &f.receiver, f.ends[1].session);
	VERIFY(transport_add_outlet(&f.ends[0].transport, &f.outlet));
	VERIFY(transport_add_inlet(&f.ends[1].transport, &f.inlet));
	return &f;
}

// Whatever happened, every mbuf is back.
static inline void fixture_destroy(struct fixture *f)
{
	for (uint32_t end = 0; end < 2; end++)
		transport_destroy(&f->ends[end].transport);
	VERIFY(transport_remove_outlet(&f->ends[0].transport, &f->outlet));
	transport_remove_inlet(&f->ends[1].transport, &f->inlet);
	channel_drain(&f->sending, &f->sender, &f->unused_receiver);
	channel_drain(&f->receiving, &f->unused_sender, &f->receiver);
	wire_clear(&f->wire);
	VERIFY(rte_mempool_full(f->frames));
	rte_mempool_free(f->frames);
	for (uint32_t end = 0; end < 2; end++) {
		VERIFY(rte_mempool_full(f->ends[end].pool));
		rte_mempool_free(f->ends[end].pool);
		arena_destroy(&f->ends[end].arena);
	}
	wire_destroy(&f->wire);
}

// ---- items: item n is a record of its number, every 16th a mark

static inline bool fixture_is_mark(uint64_t number)
{
	return number % 16 == 15;
}

static inline bool fixture_send(struct fixture *f)
{
	enum { BYTES = 96 };
	if (fixture_is_mark(f->sent)) {
		if (!sender_mark(&f->sender, FRAME_WATERMARK, (int64_t)f->sent, 0))
			return false;
	} else {
		uint8_t *out = sender_reserve(&f->sender, BYTES, f->now_ns);
		if (out == NULL)
			return false;
		uint32_t bytes = BYTES;
		memset(out, (int)f->sent, BYTES);
		memcpy(out, &bytes, sizeof(bytes));
		memcpy(out + 8, &f->sent, sizeof(f->sent));
		sender_commit(&f->sender, BYTES);
	}
	f->sent++;
	return true;
}

// Take what is there, which must be the next items.
static inline void fixture_receive(struct fixture *f)
{
	struct receiver *r = &f->receiver;
	const struct frame_header *h;
	while ((h = receiver_peek(r)) != NULL) {
		for (; r->items != 0; r->items--, r->next_number++, f->received++) {
			VERIFY(r->next_number == f->received);
			VERIFY(fixture_is_mark(f->received) == (h->type != FRAME_DATA));
			if (h->type != FRAME_DATA) {
				VERIFY(h->watermark == (int64_t)f->received);
				continue;
			}
			uint64_t number;
			memcpy(&number, r->first + 8, sizeof(number));
			VERIFY(number == f->received);
			r->first += record_length(r->first);
		}
		receiver_release(r);
	}
	receiver_return(r);
}

// Both ends once, `ns` later.
static inline void fixture_step(struct fixture *f, int64_t ns)
{
	f->now_ns += ns;
	f->wire.now_ns = f->now_ns;
	sender_push(&f->sender);
	transport_step(&f->ends[0].transport, f->now_ns);
	transport_step(&f->ends[1].transport, f->now_ns);
}
