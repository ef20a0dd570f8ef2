#include "dataplane/session.h"

#include <errno.h>
#include <rte_common.h>
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/session_parts.h"
#include "numa/arena.h"
#include "numa/assert.h"

enum { BITS_MIN = 64 };

static uint32_t room_for(uint32_t window)
{
	uint32_t room = rte_align32pow2(window);
	return room < BITS_MIN ? BITS_MIN : room;
}

uint64_t session_bytes(uint32_t window)
{
	uint64_t room = room_for(window);
	return room * (sizeof(struct session_slot) + sizeof(struct rte_mbuf *)) + 3 * room / 8 +
		5 * 64;
}

const struct session_timing session_site_timing = {
	.keepalive_ns = 5000000,
	.ack_delay_ns = 50000,
	.hello_ns = 2000000,
	.queue_target_ns = 200000,
	.rto_min_ns = 1000000,
	.rto_max_ns = 200000000,
};

static struct congestion_config congestion_of(const struct session_config *config)
{
	return (struct congestion_config){.window_max = config->window,
		.queue_target_ns = config->timing.queue_target_ns,
		.rto_min_ns = config->timing.rto_min_ns,
		.rto_max_ns = config->timing.rto_max_ns,
		.ack_delay_ns = config->timing.ack_delay_ns};
}

int session_create(struct session *s, uint32_t window, struct arena *arena)
{
	VERIFY(window >= 1 && window <= SESSION_WINDOW_MAX);
	*s = (struct session){.room = room_for(window), .deadline_ns = INT64_MAX};
	s->slots = arena_alloc(arena, s->room * sizeof(*s->slots), 64);
	s->held = arena_alloc(arena, s->room * sizeof(struct rte_mbuf *), 64);
	s->acked = arena_alloc(arena, s->room / 8, 64);
	s->lost = arena_alloc(arena, s->room / 8, 64);
	s->came = arena_alloc(arena, s->room / 8, 64);
	return s->slots == NULL || s->held == NULL || s->acked == NULL || s->lost == NULL ||
			s->came == NULL
		? -ENOMEM
		: 0;
}

// ---- beginning and end

static void release_all(struct session *s)
{
	for (uint64_t number = s->first; number < s->next; number++) {
		struct session_slot *slot = session_slot(s, number);
		if (slot->mbuf == NULL)
			continue;
		slot->mbuf->data_off = slot->data_off;
		session_give_back(s, &slot->mbuf, 1, slot->owner);
		slot->mbuf = NULL;
	}
	for (uint64_t number = s->expected; number < s->beyond; number++)
		if (session_bit(s, s->came, number))
			rte_pktmbuf_free(s->held[number & (s->room - 1)]);
	for (uint32_t i = 0; i < s->out_count; i++)
		rte_pktmbuf_free(s->out[i]);
	rte_pktmbuf_free(s->messages);
}

void session_reset(struct session *s)
{
	release_all(s);
	memset(s->acked, 0, s->room / 8);
	memset(s->lost, 0, s->room / 8);
	memset(s->came, 0, s->room / 8);
	s->state = SESSION_CLOSED;
	s->first = s->next = s->expected = s->beyond = 0;
	s->acked_count = s->lost_count = s->held_count = s->unacked = 0;
	s->messages = NULL;
	s->message_count = s->out_count = s->echo = 0;
	s->delivered_number = 0;
	s->delivered_ns = s->delivered_rtt_ns = 0;
	s->reorder_steps = 1;
	s->true_losses = 0;
	s->reorder_at_ns = s->blocked_ns = INT64_MAX;
	s->burst_full = s->probed = s->ack_now = s->link_full = s->told = s->frame_waits = false;
	s->peer_progress = 0;
	congestion_restart(&s->congestion);
}

void session_start(struct session *s, const struct session_config *config)
{
	struct congestion_config congestion = congestion_of(config);
	VERIFY(config->boot != 0 && config->link != NULL);
	VERIFY(config->window >= 1 && config->window <= s->room);
	ASSERT(s->config.boot == 0);
	s->config = *config;
	s->peer_boot = s->incarnation = 0;
	s->hello_at_ns = s->deadline_ns = INT64_MIN;
	s->stats = (struct session_stats){.resets = 0};
	congestion_create(&s->congestion, &congestion);
	session_reset(s);
}

void session_stop(struct session *s)
{
	if (s->config.boot == 0)
		return;
	session_deliver(s);
	session_reset(s);
	s->config.boot = 0;
	s->deadline_ns = INT64_MAX;
}

// ---- timers

static void time_out(struct session *s, int64_t now_ns)
{
	for (uint64_t number = s->first; number < s->next; number++)
		if (session_is_in_flight(s, number) &&
			session_slot(s, number)->sent_ns + s->congestion.srtt_ns <= now_ns)
			session_lose(s, number);
	s->stats.timeouts++;
	s->armed_ns = now_ns;
	congestion_timeout(&s->congestion);
}

// A tail-loss probe (RFC 8985, section 7): the last packet again, so that an answer shows what of
// those before it is missing.
static void probe(struct session *s, int64_t now_ns)
{
	uint64_t number = s->next - 1;
	while (number > s->first && !session_is_in_flight(s, number))
		number--;
	s->probed = true;
	s->stats.probes++;
	if (session_is_in_flight(s, number))
		session_resend(s, number, now_ns);
}

static int64_t probe_at(const struct session *s)
{
	if (s->probed || s->lost_count != 0 || s->congestion.srtt_ns == 0)
		return INT64_MAX;
	int64_t last = s->sent_ns > s->armed_ns ? s->sent_ns : s->armed_ns;
	return last + 2 * s->congestion.srtt_ns + 2 * s->config.timing.ack_delay_ns;
}

static int64_t timer_at(const struct session *s)
{
	if (session_in_flight(s) == 0)
		return INT64_MAX;
	int64_t rto = s->armed_ns + congestion_rto_ns(&s->congestion), early = probe_at(s);
	return early < rto ? early : rto;
}

static void resend_lost(struct session *s, int64_t now_ns)
{
	uint64_t number = s->first;
	while (s->lost_count != 0 && number < s->next && session_resend_room(s, now_ns) != 0) {
		uint64_t bits = session_bits(s, s->lost, number);
		if (bits == 0) {
			number += 64;
			continue;
		}
		number += (uint32_t)__builtin_ctzll(bits);
		ASSERT(number < s->next);
		session_bit_clear(s, s->lost, number);
		s->lost_count--;
		session_resend(s, number++, now_ns);
	}
}

void session_tick(struct session *s, int64_t now_ns)
{
	s->link_full = s->frame_waits = false;
	s->blocked_ns = INT64_MAX;
	if (s->state == SESSION_CLOSED) {
		if (now_ns >= s->hello_at_ns) {
			s->hello_at_ns = now_ns + s->config.timing.hello_ns;
			session_greet(s, SESSION_HELLO, now_ns);
		}
		return;
	}
	if (now_ns >= s->reorder_at_ns)
		session_detect_losses(s, now_ns);
	if (now_ns >= timer_at(s)) {
		if (now_ns >= probe_at(s))
			probe(s, now_ns);
		else
			time_out(s, now_ns);
	}
	resend_lost(s, now_ns);
}

static int64_t lesser(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void acknowledge_if_due(struct session *s, int64_t now_ns)
{
	enum { UNACKED_MAX = 16 };
	bool due = s->unacked != 0 &&
		(s->ack_now || s->unacked >= UNACKED_MAX || now_ns >= s->ack_at_ns);
	if (!due && now_ns < s->said_ns + s->config.timing.keepalive_ns)
		return;
	// The header holds 64 bits of what has come; the rest follows it.
	uint64_t span = s->beyond > s->expected ? s->beyond - s->expected : 0;
	uint32_t words = span > 65 ? (uint32_t)((span - 65 + 63) / 64) : 0;
	struct rte_mbuf *packet = session_packet_new(s, words * 8);
	if (packet == NULL)
		return;
	for (uint32_t i = 0; i < words; i++) {
		uint64_t bits = session_bits(s, s->came, s->expected + 65 + i * 64);
		memcpy(rte_pktmbuf_mtod_offset(packet, void *, i * 8), &bits, sizeof(bits));
	}
	session_post(s, packet, SESSION_ACK, now_ns);
	s->unacked = 0;
	s->ack_now = false;
}

void session_flush(struct session *s, int64_t now_ns)
{
	if (s->state == SESSION_OPENED) {
		session_flush_messages(s, now_ns);
		acknowledge_if_due(s, now_ns);
	}
	session_push(s);
	s->touched = false;
	if (s->state == SESSION_CLOSED) {
		s->deadline_ns = s->hello_at_ns;
		return;
	}
	int64_t at = lesser(timer_at(s), s->reorder_at_ns);
	at = lesser(at, s->said_ns + s->config.timing.keepalive_ns);
	at = lesser(at, s->blocked_ns);
	if (s->unacked != 0)
		at = lesser(at, s->ack_now ? now_ns : s->ack_at_ns);
	s->deadline_ns = s->link_full ? now_ns : at;
}
