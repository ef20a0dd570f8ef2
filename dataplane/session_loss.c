// What acknowledgements say: what has come, how long it took, and what by now must be lost
// (RFC 8985, "RACK-TLP": by time, so that resends and reordering are judged alike).
#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/session_parts.h"
#include "numa/assert.h"

enum { REORDER_STEPS_MAX = 16, LOSSES_FORGET = 64 };

// Acknowledged frames on their way back to one owner.
struct returns {
	void *owner;
	uint32_t count;
	struct rte_mbuf *frames[SESSION_BURST];
};

static void returns_flush(struct session *s, struct returns *r)
{
	if (r->count != 0)
		session_give_back(s, r->frames, r->count, r->owner);
	r->count = 0;
}

static void returns_add(struct session *s, struct returns *r, struct session_slot *slot)
{
	if (r->count == SESSION_BURST || r->owner != slot->owner)
		returns_flush(s, r);
	slot->mbuf->data_off = slot->data_off;
	r->owner = slot->owner;
	r->frames[r->count++] = slot->mbuf;
	slot->mbuf = NULL;
}

// It was sent again for nothing: packets may be later than we thought.
static void came_after_all(struct session *s)
{
	s->stats.spurious++;
	s->true_losses = 0;
	if (s->reorder_steps < REORDER_STEPS_MAX)
		s->reorder_steps++;
	congestion_lost(&s->congestion, true);
}

static void note_delivered(struct session *s, uint64_t number, const struct session_slot *slot,
	bool taken_as_lost, int64_t now_ns)
{
	int64_t took = now_ns - slot->sent_ns;
	bool of_earlier = slot->sends > 1 && took < congestion_least_ns(&s->congestion) * 3 / 4;
	if (of_earlier || taken_as_lost) {
		came_after_all(s);
		return; // it says nothing of when the last one was sent
	}
	if (slot->sent_ns > s->delivered_ns ||
		(slot->sent_ns == s->delivered_ns && number > s->delivered_number)) {
		s->delivered_ns = slot->sent_ns;
		s->delivered_number = number;
		s->delivered_rtt_ns = took;
	}
}

static void delivered(struct session *s, struct returns *r, uint64_t number, int64_t now_ns)
{
	struct session_slot *slot = session_slot(s, number);
	bool lost = session_bit(s, s->lost, number);
	if (lost) {
		session_bit_clear(s, s->lost, number);
		s->lost_count--;
	}
	note_delivered(s, number, slot, lost, now_ns);
	returns_add(s, r, slot);
}

// Nothing beyond `first` is acknowledged or lost, so all below `ack` come back in order. Of those
// sent once only the last can be the one sent last.
static uint32_t advance_all(struct session *s, struct returns *r, uint64_t ack, int64_t now_ns)
{
	uint32_t count = (uint32_t)(ack - s->first);
	const struct session_slot *last = NULL;
	uint64_t last_number = 0;
	for (; s->first < ack; s->first++) {
		struct session_slot *slot = session_slot(s, s->first);
		if (UNLIKELY(slot->sends != 1)) {
			note_delivered(s, s->first, slot, false, now_ns);
		} else {
			last = slot;
			last_number = s->first;
		}
		returns_add(s, r, slot);
	}
	if (last != NULL)
		note_delivered(s, last_number, last, false, now_ns);
	return count;
}

// Everything below `ack` has come.
static uint32_t advance(struct session *s, struct returns *r, uint64_t ack, int64_t now_ns)
{
	uint32_t count = 0;
	if (LIKELY(s->acked_count == 0 && s->lost_count == 0))
		return advance_all(s, r, ack, now_ns);
	for (; s->first < ack; s->first++) {
		if (session_bit(s, s->acked, s->first)) {
			session_bit_clear(s, s->acked, s->first);
			s->acked_count--;
			continue;
		}
		delivered(s, r, s->first, now_ns);
		count++;
	}
	return count;
}

// Of the 64 packets from `number` on, `bits` have come.
static uint32_t acknowledge_bits(struct session *s, struct returns *r, uint64_t number,
	uint64_t bits, int64_t now_ns)
{
	uint32_t count = 0;
	bits &= ~session_bits(s, s->acked, number);
	for (; bits != 0; bits &= bits - 1, count++) {
		uint64_t one = number + (uint32_t)__builtin_ctzll(bits);
		delivered(s, r, one, now_ns);
		session_bit_set(s, s->acked, one);
		s->acked_count++;
	}
	return count;
}

static uint64_t word_at(const struct session_header *h, uint32_t word)
{
	uint64_t bits = h->sack;
	if (word != 0)
		memcpy(&bits, (const uint8_t *)(h + 1) + (word - 1) * 8, sizeof(bits));
	return bits;
}

// Only what was sent can have come.
static bool is_possible(const struct session *s, const struct session_header *h, uint64_t ack,
	uint32_t words)
{
	if (ack > s->next)
		return false;
	for (uint32_t i = words; i-- > 0;) {
		uint64_t bits = word_at(h, i);
		if (bits != 0)
			return ack + 1 + i * 64 + 63 - (uint32_t)__builtin_clzll(bits) < s->next;
	}
	return true;
}

bool session_acknowledge(struct session *s, const struct session_header *h, int64_t now_ns)
{
	int32_t behind = (int32_t)(h->ack - (uint32_t)s->first);
	uint32_t words = 1 + (h->type == SESSION_ACK ? h->length / 8 : 0);
	uint64_t ack = s->first + (uint64_t)behind;
	if (behind < 0)
		return s->first >= (uint64_t) - (int64_t)behind; // overtaken by a later one
	if (!is_possible(s, h, ack, words))
		return false;
	if (s->first == s->next) // nothing waits for it
		return true;
	uint32_t in_flight = session_in_flight(s);
	struct returns r; // not all of it cleared: that would cost more than the rest
	r.count = 0;
	r.owner = NULL;
	uint32_t count = advance(s, &r, ack, now_ns);
	for (uint32_t i = 0; i < words; i++)
		if (word_at(h, i) != 0)
			count += acknowledge_bits(s, &r, ack + 1 + i * 64, word_at(h, i), now_ns);
	returns_flush(s, &r);
	if (count == 0)
		return true;
	s->armed_ns = now_ns;
	s->probed = false;
	if (h->echo != 0)
		congestion_sample(&s->congestion,
			(int64_t)(int32_t)(session_stamp(now_ns) - h->echo) *
				(1 << SESSION_STAMP_SHIFT),
			now_ns);
	// Where a round trip is no longer than a step, pacing lets half of the window leave in it.
	congestion_advance(&s->congestion, count, s->first, s->next,
		s->burst_full || in_flight * 4 >= s->congestion.window * 3);
	s->burst_full = false;
	session_detect_losses(s, now_ns);
	return true;
}

// ---- losses

static int64_t reorder_window(const struct session *s)
{
	int64_t window = congestion_least_ns(&s->congestion) * s->reorder_steps / 4;
	int64_t most = s->congestion.srtt_ns * 2;
	return window < most ? window : most;
}

void session_lose(struct session *s, uint64_t number)
{
	session_bit_set(s, s->lost, number);
	s->lost_count++;
	congestion_lost(&s->congestion, false);
	if (++s->true_losses == LOSSES_FORGET) {
		s->true_losses = 0;
		s->reorder_steps -= s->reorder_steps > 1;
	}
}

static bool was_sent_before(const struct session *s, const struct session_slot *slot,
	uint64_t number)
{
	return slot->sent_ns < s->delivered_ns ||
		(slot->sent_ns == s->delivered_ns && number < s->delivered_number);
}

// What was sent a reordering window before something that has come is lost.
void session_detect_losses(struct session *s, int64_t now_ns)
{
	s->reorder_at_ns = INT64_MAX;
	if (s->first == s->next ||
		(s->acked_count == 0 && !was_sent_before(s, session_slot(s, s->first), s->first)))
		return;
	int64_t patience = s->delivered_rtt_ns + reorder_window(s);
	for (uint64_t number = s->first; number < s->next; number++) {
		const struct session_slot *slot = session_slot(s, number);
		if (!session_is_in_flight(s, number))
			continue;
		if (!was_sent_before(s, slot, number)) {
			if (slot->sends == 1)
				return; // and so is everything behind it
			continue;
		}
		if (slot->sent_ns + patience <= now_ns)
			session_lose(s, number);
		else if (slot->sent_ns + patience < s->reorder_at_ns)
			s->reorder_at_ns = slot->sent_ns + patience;
	}
}
