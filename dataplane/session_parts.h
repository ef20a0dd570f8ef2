// What the files of a session share with each other and with nothing else.
#pragma once

#include "dataplane/session.h"

static inline bool session_bit(const struct session *s, const uint64_t *bits, uint64_t number)
{
	uint64_t at = number & (s->room - 1);
	return bits[at / 64] >> (at % 64) & 1;
}

static inline void session_bit_set(const struct session *s, uint64_t *bits, uint64_t number)
{
	uint64_t at = number & (s->room - 1);
	bits[at / 64] |= (uint64_t)1 << (at % 64);
}

static inline void session_bit_clear(const struct session *s, uint64_t *bits, uint64_t number)
{
	uint64_t at = number & (s->room - 1);
	bits[at / 64] &= ~((uint64_t)1 << (at % 64));
}

// The 64 bits from `number` on.
static inline uint64_t session_bits(const struct session *s, const uint64_t *bits, uint64_t number)
{
	uint64_t at = number & (s->room - 1);
	uint32_t words = s->room / 64, shift = at % 64;
	uint64_t low = bits[at / 64] >> shift;
	return shift == 0 ? low : low | bits[(at / 64 + 1) % words] << (64 - shift);
}

static inline struct session_slot *session_slot(const struct session *s, uint64_t number)
{
	return &s->slots[number & (s->room - 1)];
}

static inline uint32_t session_stamp(int64_t now_ns)
{
	return (uint32_t)(now_ns >> SESSION_STAMP_SHIFT) | 1;
}

static inline void session_drop(struct session *s, enum session_drop reason)
{
	s->stats.dropped[reason]++;
}

static inline bool session_is_in_flight(const struct session *s, uint64_t number)
{
	return !session_bit(s, s->acked, number) && !session_bit(s, s->lost, number);
}

// session.c: begin anew under another incarnation, or with none.
void session_reset(struct session *s);
void session_greet(struct session *s, enum session_type type, int64_t now_ns);

// session_receive.c: hand over the frames in hand.
void session_deliver(struct session *s);

// session_send.c
struct rte_mbuf *session_packet_new(struct session *s, uint32_t length);
void session_post(struct session *s, struct rte_mbuf *packet, enum session_type type,
	int64_t now_ns);
void session_push(struct session *s);
uint32_t session_resend_room(struct session *s, int64_t now_ns);
void session_flush_messages(struct session *s, int64_t now_ns);
void session_resend(struct session *s, uint64_t number, int64_t now_ns);
void session_give_back(struct session *s, struct rte_mbuf **frames, uint32_t count, void *owner);

// session_loss.c: what an acknowledgement says; false when it is of something never sent.
bool session_acknowledge(struct session *s, const struct session_header *h, int64_t now_ns);
void session_lose(struct session *s, uint64_t number);
void session_detect_losses(struct session *s, int64_t now_ns);
