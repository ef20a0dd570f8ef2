#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/session_parts.h"
#include "numa/assert.h"

void session_deliver(struct session *s)
{
	uint32_t count = s->in_count;
	s->in_count = 0;
	if (count != 0)
		s->config.events->deliver(s->config.context, s, s->in, count);
}

// ---- the handshake

void session_greet(struct session *s, enum session_type type, int64_t now_ns)
{
	struct session_greeting greeting = {
		.boot = s->config.boot, .peer = s->peer_boot, .window = s->config.window};
	struct rte_mbuf *packet = session_packet_new(s, sizeof(greeting));
	if (packet == NULL)
		return;
	memcpy(rte_pktmbuf_mtod(packet, void *), &greeting, sizeof(greeting));
	session_post(s, packet, type, now_ns);
}

// The other end has begun anew, or is heard of first.
static void meet(struct session *s, const struct session_greeting *greeting)
{
	session_deliver(s);
	s->stats.resets += s->peer_boot != 0;
	session_reset(s);
	s->peer_boot = greeting->boot;
	s->incarnation = s->config.leads ? session_incarnation(s->config.boot, s->peer_boot)
					 : session_incarnation(s->peer_boot, s->config.boot);
	s->window = greeting->window < s->config.window ? greeting->window : s->config.window;
	s->config.events->begin(s->config.context, s);
}

// Only an end that knows us as we are now has opened the session; until then it gets no data, and
// none of it is taken.
static void open_session(struct session *s, int64_t now_ns)
{
	if (s->state == SESSION_OPENED)
		return;
	s->state = SESSION_OPENED;
	s->said_ns = s->armed_ns = s->peer_progress_ns = now_ns;
}

static enum session_drop take_greeting(struct session *s, const struct session_header *h,
	int64_t now_ns)
{
	struct session_greeting greeting;
	memcpy(&greeting, h + 1, sizeof(greeting));
	if (greeting.boot == 0 || greeting.window == 0 || greeting.window > SESSION_WINDOW_MAX ||
		greeting.reserved != 0)
		return SESSION_DROP_VERSION;
	if (greeting.boot < s->peer_boot || greeting.boot < s->config.peer_boot ||
		greeting.peer > s->config.boot)
		return SESSION_DROP_STALE;
	if (greeting.boot > s->peer_boot)
		meet(s, &greeting);
	s->heard_ns = now_ns;
	if (greeting.peer == s->config.boot)
		open_session(s, now_ns);
	if (h->type == SESSION_HELLO)
		session_greet(s, SESSION_HELLO_ACK, now_ns);
	return SESSION_DROP_COUNT;
}

// ---- numbered packets

static void hand_messages(struct session *s, struct rte_mbuf *packet)
{
	const struct session_header *h = rte_pktmbuf_mtod(packet, const struct session_header *);
	const uint8_t *at = (const uint8_t *)(h + 1);
	for (uint32_t i = 0; i < h->length; i += sizeof(struct session_message)) {
		struct session_message message;
		memcpy(&message, at + i, sizeof(message));
		s->config.events->message(s->config.context, s, &message);
	}
	rte_pktmbuf_free(packet);
}

// The next in order.
static void hand_over(struct session *s, struct rte_mbuf *packet)
{
	const struct session_header *h = rte_pktmbuf_mtod(packet, const struct session_header *);
	s->expected++;
	if (h->type == SESSION_MESSAGES) {
		hand_messages(s, packet);
		return;
	}
	s->stats.frames_received++;
	packet->data_off += SESSION_HEADER_BYTES;
	packet->data_len -= SESSION_HEADER_BYTES;
	packet->pkt_len = packet->data_len;
	s->in[s->in_count++] = packet;
	if (s->in_count == SESSION_BURST)
		session_deliver(s);
}

static void note_arrival(struct session *s, uint32_t stamp, int64_t now_ns)
{
	if (s->unacked++ == 0)
		s->ack_at_ns = now_ns + s->config.timing.ack_delay_ns;
	s->echo = stamp;
	s->echo_ns = now_ns;
}

static void hand_over_held(struct session *s)
{
	while (s->held_count != 0 && session_bit(s, s->came, s->expected)) {
		session_bit_clear(s, s->came, s->expected);
		s->held_count--;
		hand_over(s, s->held[s->expected & (s->room - 1)]);
	}
}

static enum session_drop place(struct session *s, struct rte_mbuf *packet, bool frame_good,
	int64_t now_ns)
{
	const struct session_header *h = rte_pktmbuf_mtod(packet, const struct session_header *);
	int32_t ahead = (int32_t)(h->number - (uint32_t)s->expected);
	uint64_t number = s->expected + (uint64_t)ahead;
	if (ahead >= (int32_t)s->window)
		return SESSION_DROP_WINDOW;
	if (ahead < 0 || session_bit(s, s->came, number)) {
		s->unacked++;
		s->ack_now = true; // the sender seems not to know
		return SESSION_DROP_REPEATED;
	}
	if (!frame_good)
		return SESSION_DROP_FRAME;
	note_arrival(s, h->stamp, now_ns);
	if (number >= s->beyond)
		s->beyond = number + 1;
	if (ahead == 0) {
		s->ack_now |= s->held_count != 0;
		hand_over(s, packet);
		hand_over_held(s);
		return SESSION_DROP_COUNT;
	}
	s->held[number & (s->room - 1)] = packet;
	session_bit_set(s, s->came, number);
	s->held_count++;
	s->ack_now = true;
	return SESSION_DROP_COUNT;
}

static void note_progress(struct session *s, uint64_t progress, int64_t now_ns)
{
	s->heard_ns = now_ns;
	if (progress <= s->peer_progress)
		return;
	s->peer_progress = progress;
	s->peer_progress_ns = now_ns;
}

// What it acknowledges is known, as of most packets of a burst.
static bool says_nothing(const struct session *s, const struct session_header *h)
{
	return h->ack == (uint32_t)s->first && h->sack == 0 && h->type != SESSION_ACK;
}

// `*ret_kept`: the packet is no longer the caller's to free.
static enum session_drop take(struct session *s, struct rte_mbuf *packet,
	const struct session_verdict *verdict, int64_t now_ns, bool *ret_kept)
{
	const struct session_header *h = rte_pktmbuf_mtod(packet, const struct session_header *);
	if (verdict->reason != SESSION_DROP_COUNT)
		return verdict->reason;
	if (h->type == SESSION_HELLO || h->type == SESSION_HELLO_ACK)
		return take_greeting(s, h, now_ns);
	if (s->peer_boot == 0)
		return SESSION_DROP_NOT_OPEN;
	if (h->incarnation != s->incarnation)
		return SESSION_DROP_FENCED;
	open_session(s, now_ns); // it knows our boot number, or it could not have known this
	if (!says_nothing(s, h) && !session_acknowledge(s, h, now_ns))
		return SESSION_DROP_ACK;
	note_progress(s, h->progress, now_ns);
	if (h->type == SESSION_ACK)
		return SESSION_DROP_COUNT;
	enum session_drop reason = place(s, packet, verdict->frame_good, now_ns);
	*ret_kept = reason == SESSION_DROP_COUNT;
	return reason;
}

static void take_one(struct session *s, struct rte_mbuf *packet,
	const struct session_verdict *verdict, int64_t now_ns)
{
	bool kept = false;
	enum session_drop reason = take(s, packet, verdict, now_ns, &kept);
	if (reason != SESSION_DROP_COUNT)
		session_drop(s, reason);
	if (!kept)
		rte_pktmbuf_free(packet);
}

void session_receive(struct session *s, struct rte_mbuf **packets, uint32_t count, int64_t now_ns)
{
	struct session_verdict verdicts[LINK_BURST];
	ASSERT(count <= LINK_BURST);
	session_packet_judge(packets, count, s->config.frame_crc, verdicts);
	for (uint32_t i = 0; i < count; i++)
		take_one(s, packets[i], &verdicts[i], now_ns);
	s->touched = true;
	s->stats.packets_received += count;
	session_deliver(s);
}
