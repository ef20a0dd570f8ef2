// Packets from outside against a live session: after any of them, alone or mixed with good ones,
// the session has taken nothing that the other end did not send.
#include <rte_mbuf.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/engine.h"
#include "dataplane/frame.h"
#include "dataplane/session.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "tests/fuzz/fuzz.h"

enum { WINDOW = 64, ROOM = 2304, PACKET_MAX = 2048, BOOT = 100, PEER_BOOT = 200 };

static struct rte_mempool *pool;
static struct session session;
static uint64_t delivered, messages, begun;

static void deliver(void *context, struct session *s, struct rte_mbuf **frames, uint32_t count)
{
	delivered += count;
	rte_pktmbuf_free_bulk(frames, count);
}

static void message(void *context, struct session *s, const struct session_message *m)
{
	messages++;
}

static void release(void *context, void *owner, struct rte_mbuf **frames, uint32_t count)
{
	rte_pktmbuf_free_bulk(frames, count);
}

static void begin(void *context, struct session *s)
{
	begun++;
}

static uint32_t swallow(struct link *link, uint32_t queue, uint32_t peer, struct rte_mbuf **packets,
	uint32_t count)
{
	rte_pktmbuf_free_bulk(packets, count);
	return count;
}

static const struct session_events events = {deliver, message, release, begin};
static const struct link_ops ops = {.send = swallow};
static struct link hole = {.ops = &ops, .packet_max = PACKET_MAX};

static uint64_t incarnation(void)
{
	return session_incarnation(BOOT, PEER_BOOT);
}

static uint32_t finish(uint8_t *packet, enum session_type type, uint32_t length)
{
	struct session_header *h = (struct session_header *)packet;
	bool greeting = type == SESSION_HELLO || type == SESSION_HELLO_ACK;
	*h = (struct session_header){.version = SESSION_VERSION,
		.type = (uint8_t)type,
		.incarnation = greeting ? 0 : incarnation(),
		.length = length};
	h->crc32c = session_packet_crc(h);
	return SESSION_HEADER_BYTES + length;
}

static uint32_t make_frame(uint8_t *packet)
{
	enum { RECORD = 24 };
	struct frame_header *f = (struct frame_header *)(packet + SESSION_HEADER_BYTES);
	memset(packet, 0, SESSION_HEADER_BYTES + sizeof(*f) + RECORD);
	*f = (struct frame_header){.version = FRAME_VERSION,
		.type = FRAME_DATA,
		.length = sizeof(*f) + RECORD,
		.item_count = 1,
		.job = 1,
		.channel = 2};
	*(uint8_t *)(f + 1) = RECORD;
	f->crc32c = frame_crc(f, f->length);
	return finish(packet, SESSION_FRAME, f->length);
}

static uint32_t make_messages(uint8_t *packet)
{
	struct session_message m = {.kind = MESSAGE_GRANT, .job = 1, .data_limit = 8};
	memcpy(packet + SESSION_HEADER_BYTES, &m, sizeof(m));
	return finish(packet, SESSION_MESSAGES, sizeof(m));
}

static uint32_t make_greeting(uint8_t *packet, enum session_type type)
{
	struct session_greeting g = {.boot = PEER_BOOT, .peer = BOOT, .window = WINDOW};
	memcpy(packet + SESSION_HEADER_BYTES, &g, sizeof(g));
	return finish(packet, type, sizeof(g));
}

static uint32_t make(unsigned index, uint8_t *packet)
{
	memset(packet, 0, 256);
	switch (index) {
	case 0:
		return make_frame(packet);
	case 1:
		return make_messages(packet);
	case 2:
		return make_greeting(packet, SESSION_HELLO);
	case 3:
		return make_greeting(packet, SESSION_HELLO_ACK);
	case 4:
		return finish(packet, SESSION_ACK, 16);
	}
	return 0;
}

// The first byte says what is set right before the packet is taken.
size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	alignas(8) uint8_t packet[256];
	uint32_t bytes = index < 10 && bytes_max > 256 ? make(index % 5, packet) : 0;
	data[0] = index >= 5;
	memcpy(data + 1, packet, bytes);
	return bytes == 0 ? 0 : bytes + 1;
}

static void give(const uint8_t *packet, size_t bytes)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	VERIFY(mbuf != NULL);
	mbuf->data_off += 42; // as behind a link's headers
	bytes = bytes > PACKET_MAX ? PACKET_MAX : bytes;
	memcpy(rte_pktmbuf_append(mbuf, (uint16_t)bytes), packet, bytes);
	session_receive(&session, &mbuf, 1, 2000);
	session_tick(&session, 3000);
	session_flush(&session, 3000);
}

static void create(void)
{
	static struct arena arena;
	bool huge;
	VERIFY(engine_eal_start(64u << 20, &huge) == 0);
	pool = rte_pktmbuf_pool_create("fuzz", 511, 0, 0, ROOM, SOCKET_ID_ANY);
	VERIFY(pool != NULL && arena_create(&arena, 1 << 20, -1, false) == 0);
	VERIFY(session_create(&session, WINDOW, &arena) == 0);
}

// An open session with one frame on its way.
static void open_session(void)
{
	struct session_config config = {.boot = BOOT,
		.leads = true,
		.window = WINDOW,
		.frame_crc = true,
		.pool = pool,
		.timing = session_site_timing,
		.link = &hole,
		.events = &events};
	alignas(8) uint8_t packet[256];
	session_start(&session, &config);
	give(packet, make(3, packet));
	VERIFY(session.state == SESSION_OPENED);
	struct rte_mbuf *frame = rte_pktmbuf_alloc(pool);
	VERIFY(frame != NULL && rte_pktmbuf_append(frame, FRAME_HEADER_BYTES) != NULL);
	session_send(&session, &frame, 1, &session, 1000);
	session_flush(&session, 1000);
	delivered = messages = begun = 0;
}

// Packets as they are, or with the checksum set right: those pass for the peer's only if they name
// the incarnation, which no one else knows.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	alignas(8) uint8_t packet[FUZZ_INPUT_BYTES_MAX], good[256];
	if (bytes == 0)
		return 0;
	if (pool == NULL)
		create();
	open_session();
	bytes--;
	memcpy(packet, data + 1, bytes);
	struct session_header *h = (struct session_header *)packet;
	bool forged = data[0] % 2 == 1 && bytes >= SESSION_HEADER_BYTES;
	if (forged && h->length == bytes - SESSION_HEADER_BYTES)
		h->crc32c = session_packet_crc(h);
	bool peer = false; // is it, byte for byte, what the peer could have said?
	for (unsigned i = 0; i < 5; i++) {
		uint32_t length = make(i, good);
		peer |= length == bytes && memcmp(good, packet, bytes) == 0;
	}
	bool authentic = forged &&
		(h->incarnation == incarnation() || h->type == SESSION_HELLO ||
			h->type == SESSION_HELLO_ACK);
	give(packet, bytes);
	if (!peer && !authentic)
		VERIFY(delivered == 0 && messages == 0 && begun == 0 && session.first == 0 &&
			session.expected == 0 && session.held_count == 0);
	VERIFY(session.held_count <= 1 && session.next - session.first <= WINDOW);
	session_stop(&session);
	VERIFY(rte_mempool_full(pool));
	return 0;
}
