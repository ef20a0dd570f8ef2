#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/session_parts.h"
#include "numa/assert.h"

static const uint64_t UNNUMBERED = UINT64_MAX;

static_assert(RTE_PKTMBUF_HEADROOM >= SESSION_HEADROOM, "a frame's mbuf has room for all headers");

struct rte_mbuf *session_packet_new(struct session *s, uint32_t length)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(s->config.pool);
	if (packet == NULL || rte_pktmbuf_tailroom(packet) < length) {
		rte_pktmbuf_free(packet);
		session_drop(s, SESSION_DROP_NO_MBUF);
		return NULL;
	}
	packet->data_len = (uint16_t)length;
	packet->pkt_len = length;
	return packet;
}

static uint32_t echo(const struct session *s, int64_t now_ns)
{
	if (s->echo == 0)
		return 0;
	return (s->echo + (uint32_t)((now_ns - s->echo_ns) >> SESSION_STAMP_SHIFT)) | 1;
}

// What is the same in all packets of a step; number and length are each one's own.
static void fill_header(const struct session *s, struct session_header *h, enum session_type type,
	int64_t now_ns)
{
	bool greeting = type == SESSION_HELLO || type == SESSION_HELLO_ACK;
	*h = (struct session_header){
		.version = SESSION_VERSION,
		.type = (uint8_t)type,
		.worker = s->config.peer_worker,
		.session = s->config.peer_index,
		.incarnation = greeting ? 0 : s->incarnation,
		.ack = (uint32_t)s->expected,
		.sack = s->held_count == 0 ? 0 : session_bits(s, s->came, s->expected + 1),
		.stamp = session_stamp(now_ns),
		.echo = echo(s, now_ns),
		.progress = s->progress,
	};
}

// Before the data of `packet`, which then begins at it. Its CRC is added when it leaves.
static void write_header(struct rte_mbuf *packet, const struct session_header *filled,
	uint64_t number)
{
	ASSERT(packet->data_off >= SESSION_HEADROOM);
	uint32_t length = packet->data_len;
	packet->data_off -= SESSION_HEADER_BYTES;
	packet->data_len = (uint16_t)(length + SESSION_HEADER_BYTES);
	packet->pkt_len = packet->data_len;
	struct session_header *h = rte_pktmbuf_mtod(packet, struct session_header *);
	*h = *filled;
	h->number = (uint32_t)number;
	h->length = length;
}

static void put(struct session *s, struct rte_mbuf *packet, uint64_t number)
{
	s->out[s->out_count] = packet;
	s->out_numbers[s->out_count++] = number;
	if (s->out_count == SESSION_BURST)
		session_push(s);
}

void session_post(struct session *s, struct rte_mbuf *packet, enum session_type type,
	int64_t now_ns)
{
	struct session_header h;
	fill_header(s, &h, type, now_ns);
	write_header(packet, &h, 0);
	s->touched = true;
	s->said_ns = now_ns;
	put(s, packet, UNNUMBERED);
}

// What the link did not take is to be sent again; that is no loss.
static void take_back(struct session *s, uint32_t at)
{
	uint64_t number = s->out_numbers[at];
	rte_pktmbuf_free(s->out[at]);
	if (number == UNNUMBERED || number < s->first || session_bit(s, s->acked, number) ||
		session_bit(s, s->lost, number))
		return;
	session_bit_set(s, s->lost, number);
	s->lost_count++;
}

// One after the other: each is a chain of instructions that wait for each other, and so the core
// works at several at a time.
static void set_checksums(struct session *s)
{
	for (uint32_t i = 0; i < s->out_count; i++) {
		struct session_header *h = rte_pktmbuf_mtod(s->out[i], struct session_header *);
		h->crc32c = session_packet_crc(h);
	}
}

void session_push(struct session *s)
{
	struct link *link = s->config.link;
	if (s->out_count == 0)
		return;
	uint32_t sent = 0;
	if (!s->link_full)
		set_checksums(s);
	if (!s->link_full)
		sent = link->ops->send(link, s->config.queue, s->config.peer, s->out, s->out_count);
	ASSERT(sent <= s->out_count);
	s->stats.packets_sent += sent;
	if (sent < s->out_count) {
		s->link_full = true;
		s->ack_now = true; // what was said of it may have been left behind
		s->unacked += s->unacked == 0;
	}
	for (uint32_t i = sent; i < s->out_count; i++)
		take_back(s, i);
	s->out_count = 0;
}

// Any packet with a number tells what has come, unless more has than its header holds.
static void acknowledged(struct session *s)
{
	if (s->beyond > s->expected + 65)
		return;
	s->unacked = 0;
	s->ack_now = false;
}

// `count` numbered packets are about to leave, besides the others in flight.
static void begin_numbered(struct session *s, uint32_t count, uint32_t others, int64_t now_ns)
{
	if (others == 0)
		s->armed_ns = now_ns;
	s->sent_ns = s->said_ns = now_ns;
	s->touched = true;
	s->paced_ns += s->congestion.pace_ns * count;
	acknowledged(s);
}

// A new packet, kept until it is acknowledged.
static void send_new(struct session *s, struct rte_mbuf *packet, const struct session_header *h,
	void *owner, int64_t now_ns)
{
	struct session_slot *slot = session_slot(s, s->next);
	ASSERT(s->next - s->first < s->window && slot->mbuf == NULL);
	*slot = (struct session_slot){.mbuf = packet,
		.owner = owner,
		.sent_ns = now_ns,
		.bytes = packet->data_len,
		.data_off = packet->data_off,
		.type = h->type,
		.sends = 1};
	rte_mbuf_refcnt_update(packet, 1);
	write_header(packet, h, s->next);
	put(s, packet, s->next++);
}

void session_send(struct session *s, struct rte_mbuf **frames, uint32_t count, void *owner,
	int64_t now_ns)
{
	struct session_header h;
	ASSERT(s->state == SESSION_OPENED && owner != NULL);
	fill_header(s, &h, SESSION_FRAME, now_ns);
	begin_numbered(s, count, session_in_flight(s), now_ns);
	for (uint32_t i = 0; i < count; i++)
		send_new(s, frames[i], &h, owner, now_ns);
	s->burst_full |= count >= s->burst_room;
	s->stats.frames_sent += count;
	s->told = false;
}

// A packet that a link still holds is not to be touched: then a copy goes.
static struct rte_mbuf *again(struct session *s, struct session_slot *slot)
{
	if (rte_mbuf_refcnt_read(slot->mbuf) == 1) {
		slot->mbuf->data_off = slot->data_off;
		slot->mbuf->data_len = (uint16_t)slot->bytes;
		rte_mbuf_refcnt_update(slot->mbuf, 1);
		return slot->mbuf;
	}
	struct rte_mbuf *copy = session_packet_new(s, slot->bytes);
	if (copy == NULL)
		return NULL;
	s->stats.copies++;
	memcpy(rte_pktmbuf_mtod(copy, void *), (uint8_t *)slot->mbuf->buf_addr + slot->data_off,
		slot->bytes);
	return copy;
}

void session_resend(struct session *s, uint64_t number, int64_t now_ns)
{
	struct session_slot *slot = session_slot(s, number);
	ASSERT(number >= s->first && number < s->next && slot->mbuf != NULL);
	struct rte_mbuf *packet = again(s, slot);
	if (packet == NULL) // in flight as far as anyone knows; the timer sees to it
		return;
	struct session_header h;
	fill_header(s, &h, slot->type, now_ns);
	begin_numbered(s, 1, session_in_flight(s) - 1, now_ns);
	s->stats.resends++;
	slot->sent_ns = now_ns;
	slot->sends += slot->sends != UINT8_MAX;
	write_header(packet, &h, number);
	put(s, packet, number);
}

// ---- how much may leave

// Pacing: a burst of what the window allows in half a round trip, then one by one.
static uint32_t paced(struct session *s, uint32_t wanted, int64_t now_ns)
{
	enum { BURST_MIN = 16 };
	int64_t pace = s->congestion.pace_ns;
	s->burst_room = UINT32_MAX;
	if (pace == 0)
		return wanted;
	int64_t burst = (int64_t)s->congestion.window / 2;
	burst = burst < BURST_MIN ? BURST_MIN : burst;
	bool whole = s->paced_ns < now_ns - burst * pace;
	if (whole)
		s->paced_ns = now_ns - burst * pace;
	int64_t allowed = s->paced_ns > now_ns ? 0 : (now_ns - s->paced_ns) / pace + 1;
	if (allowed == 0)
		s->blocked_ns = s->paced_ns;
	if (allowed >= wanted)
		return wanted;
	if (whole)
		s->burst_room = (uint32_t)allowed;
	return (uint32_t)allowed;
}

uint32_t session_resend_room(struct session *s, int64_t now_ns)
{
	uint32_t window = (uint32_t)s->congestion.window, in_flight = session_in_flight(s);
	if (s->link_full || in_flight >= window)
		return 0;
	return paced(s, window - in_flight, now_ns);
}

// What is lost goes before what is new.
static uint32_t new_room(struct session *s, int64_t now_ns)
{
	uint32_t used = (uint32_t)(s->next - s->first) + (s->messages != NULL);
	if (s->lost_count != 0 || used >= s->window)
		return 0;
	uint32_t room = session_resend_room(s, now_ns);
	return room < s->window - used ? room : s->window - used;
}

uint32_t session_room(struct session *s, int64_t now_ns)
{
	uint32_t room = s->state == SESSION_OPENED ? new_room(s, now_ns) : 0;
	s->frame_waits |= room == 0;
	return room;
}

// ---- messages

bool session_tell(struct session *s, const struct session_message *message, int64_t now_ns)
{
	if (s->state != SESSION_OPENED)
		return false;
	if (s->messages == NULL) {
		if (s->told && s->frame_waits) // frames and messages take turns where room is short
			return false;
		if (s->next - s->first >= s->window || s->link_full)
			return false;
		s->messages = session_packet_new(s, 0);
		if (s->messages == NULL)
			return false;
	}
	uint8_t *at = rte_pktmbuf_mtod_offset(s->messages, uint8_t *, s->messages->data_len);
	memcpy(at, message, sizeof(*message));
	s->messages->data_len += sizeof(*message);
	s->touched = true;
	if (++s->message_count == SESSION_MESSAGES_MAX)
		session_flush_messages(s, now_ns);
	return true;
}

void session_flush_messages(struct session *s, int64_t now_ns)
{
	if (s->messages == NULL)
		return;
	struct rte_mbuf *packet = s->messages;
	s->messages = NULL;
	s->message_count = 0;
	s->told = true;
	struct session_header h;
	fill_header(s, &h, SESSION_MESSAGES, now_ns);
	begin_numbered(s, 1, session_in_flight(s), now_ns);
	send_new(s, packet, &h, NULL, now_ns);
}

void session_give_back(struct session *s, struct rte_mbuf **frames, uint32_t count, void *owner)
{
	if (owner != NULL)
		s->config.events->release(s->config.context, owner, frames, count);
	else
		for (uint32_t i = 0; i < count; i++)
			rte_pktmbuf_free(frames[i]);
}
