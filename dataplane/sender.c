#include <errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/follower.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "state/record.h"

static struct frame_header *header_of(struct rte_mbuf *mbuf)
{
	return rte_pktmbuf_mtod(mbuf, struct frame_header *);
}

int sender_create(struct sender *s, struct channel *channel, struct rte_mempool *pool,
	struct arena *arena)
{
	const struct channel_config *config = &channel->config;
	*s = (struct sender){.channel = channel,
		.watermark = INT64_MIN,
		.payload_max = config->frame_bytes - FRAME_HEADER_BYTES};
	int error = retention_create(&s->retention, config->retention_bytes, arena);
	if (config->retention_bytes != 0)
		s->spare = arena_alloc(arena, config->frame_bytes, 64);
	if (error == 0 && config->retention_bytes != 0 && s->spare == NULL)
		error = -ENOMEM;
	return error == 0 ? credit_create(&s->credit, channel, pool) : error;
}

static struct rte_mbuf *take_credit(struct sender *s)
{
	if (s->credit.count == 0)
		credit_poll(&s->credit, s->channel);
	return credit_take(&s->credit);
}

// Beyond a whole frame, data leaves room for the marks that will let retention be trimmed.
static bool retention_allows(struct sender *s)
{
	if (s->retention.capacity == 0)
		return true;
	uint32_t bytes = s->channel->config.frame_bytes;
	if (!retention_has_room(&s->retention, 2 * bytes))
		sender_trim(s);
	return retention_has_room(&s->retention, 2 * bytes);
}

// The open frame's, in an mbuf or not.
static struct frame_header *open_header(const struct sender *s)
{
	return s->open != NULL ? header_of(s->open) : s->spare;
}

// The next frame to open: the first of its lines.
static void credit_prefetch(const struct sender *s)
{
	const uint8_t *frame = (const uint8_t *)header_of(credit_next(&s->credit));
	uint32_t length = s->length_last;
	uint32_t bytes = length < CHANNEL_AHEAD_BYTES ? length : CHANNEL_AHEAD_BYTES;
	for (uint32_t at = 0; at < bytes; at += 64)
		__builtin_prefetch(frame + at, 1);
}

static bool open_frame(struct sender *s, int64_t now_ns)
{
	if (!retention_allows(s))
		return false;
	s->open = s->runs_on ? NULL : take_credit(s);
	if (s->open == NULL && !s->runs_on)
		return false;
	s->write = (uint8_t *)(open_header(s) + 1);
	s->limit = s->write + s->payload_max;
	s->opened_ns = now_ns;
	s->ahead_limit = (const uint8_t *)open_header(s) + s->length_last;
	if (s->follower_count != 0)
		return true;
	if (s->credit.count == 0)
		credit_poll(&s->credit, s->channel);
	if (s->credit.count != 0)
		credit_prefetch(s);
	return true;
}

static void fill_header(const struct sender *s, struct frame_header *h, enum frame_type type,
	uint32_t length, uint32_t items, uint64_t first_number)
{
	const struct channel_config *config = &s->channel->config;
	*h = (struct frame_header){
		.version = FRAME_VERSION,
		.type = (uint8_t)type,
		.length = length,
		.item_count = items,
		.job = config->job,
		.channel = config->id,
		.plan_version = config->plan_version,
		.incarnation = s->incarnation,
		.first_number = first_number,
		.watermark = s->watermark,
		.epoch = s->epoch,
	};
}

void sender_push(struct sender *s)
{
	if (s->out_count == 0)
		return;
	uint32_t sent =
		rte_ring_sp_enqueue_bulk(s->channel->forward, (void **)s->out, s->out_count, NULL);
	VERIFY(sent == s->out_count); // the ring has room for all the channel's mbufs
	s->out_count = 0;
}

static void enqueue(struct sender *s, struct rte_mbuf *mbuf)
{
	struct frame_header *h = header_of(mbuf);
	if (s->channel->config.checksum)
		h->crc32c = frame_crc(h, h->length);
	s->out[s->out_count++] = mbuf;
	if (s->out_count == CHANNEL_BURST)
		sender_push(s);
}

// A new item run: number it, keep a copy where recovery needs one, send it.
static void send_new(struct sender *s, struct rte_mbuf *mbuf, enum frame_type type, uint32_t length,
	uint32_t items)
{
	struct frame_header *h = header_of(mbuf);
	fill_header(s, h, type, length, items, s->next_number);
	s->next_number += items;
	s->resend = s->next_number;
	if (s->retention.capacity != 0)
		retention_append(&s->retention, h);
	enqueue(s, mbuf);
}

// May what is new be sent, or kept to be sent in its turn?
static bool caught_up(struct sender *s)
{
	return s->runs_on || s->resend == s->next_number || sender_resend(s);
}

// The open frame's items are numbered and kept, to be sent when their turn comes: its mbuf may be
// all the credit there is.
static void retain_open(struct sender *s)
{
	if (s->write == NULL)
		return;
	if (s->items != 0) {
		struct frame_header *h = open_header(s);
		uint32_t length = (uint32_t)(s->write - (uint8_t *)h);
		fill_header(s, h, FRAME_DATA, length, s->items, s->next_number);
		s->next_number += s->items;
		retention_append(&s->retention, h);
	}
	if (s->open != NULL)
		credit_put(&s->credit, s->open);
	s->open = NULL;
	s->write = s->limit = NULL;
	s->items = 0;
}

static void retain_mark(struct sender *s, enum frame_type type)
{
	struct frame_header h;
	fill_header(s, &h, type, FRAME_HEADER_BYTES, 1, s->next_number++);
	retention_append(&s->retention, &h);
}

bool sender_flush(struct sender *s)
{
	if (s->items == 0)
		return true;
	if (!caught_up(s))
		return false;
	if (s->runs_on) {
		retain_open(s);
		return true;
	}
	struct rte_mbuf *mbuf = s->open;
	uint32_t length = (uint32_t)(s->write - (uint8_t *)header_of(mbuf));
	uint32_t items = s->items;
	s->length_last = length;
	s->open = NULL;
	s->write = s->limit = NULL;
	s->items = 0;
	send_new(s, mbuf, FRAME_DATA, length, items);
	return true;
}

uint8_t *sender_reserve_slow(struct sender *s, uint32_t bytes, int64_t now_ns)
{
	ASSERT(sender_fits(s, bytes));
	if (!sender_flush(s) || !caught_up(s))
		return NULL;
	if (s->write == NULL && !open_frame(s, now_ns))
		return NULL;
	if ((size_t)(s->limit - s->write) < bytes) // cut shorter than one record
		s->limit = s->write + bytes;
	return s->write;
}

// Is there room for a mark, in retention and in its reserve?
static bool mark_allowed(struct sender *s)
{
	if (s->retention.capacity != 0 && !retention_has_room(&s->retention, FRAME_HEADER_BYTES))
		sender_trim(s);
	if (s->retention.capacity != 0 && !retention_has_room(&s->retention, FRAME_HEADER_BYTES))
		return false;
	if (s->runs_on)
		return true;
	if (s->credit.control_count == 0)
		credit_poll(&s->credit, s->channel);
	return s->credit.control_count != 0;
}

bool sender_mark(struct sender *s, enum frame_type type, int64_t watermark, uint32_t epoch)
{
	if (!sender_flush(s) || !caught_up(s) || !mark_allowed(s))
		return false;
	if (type == FRAME_WATERMARK || type == FRAME_END)
		s->watermark = watermark;
	if (type == FRAME_BARRIER)
		s->epoch = epoch;
	if (s->runs_on)
		retain_mark(s, type);
	else
		send_new(s, credit_take_control(&s->credit), type, FRAME_HEADER_BYTES, 1);
	if (type == FRAME_BARRIER) {
		s->barrier = s->next_number;
		s->barrier_at = s->retention.next;
	}
	return true;
}

bool sender_is_stuck(const struct sender *s)
{
	return s->retention.capacity != 0 && s->retention.first_number >= s->barrier &&
		!retention_has_room(&s->retention, 2 * s->channel->config.frame_bytes);
}

// Bytes of the leading records of [first, limit) that fit `room` (at least one), and their count.
static uint32_t cut(const uint8_t *first, const uint8_t *limit, uint32_t room, uint32_t *ret_items)
{
	const uint8_t *at = first;
	uint32_t items = 0;
	while (at < limit && (items == 0 || (uint32_t)(at - first) + record_length(at) <= room)) {
		at += record_length(at);
		items++;
	}
	*ret_items = items;
	return (uint32_t)(at - first);
}

static void resend_data(struct sender *s, const struct frame_header *kept, struct rte_mbuf *mbuf)
{
	struct frame_header *h = header_of(mbuf);
	const uint8_t *first = (const uint8_t *)(kept + 1);
	const uint8_t *limit = (const uint8_t *)kept + kept->length;
	for (uint64_t number = kept->first_number; number < s->resend; number++)
		first += record_length(first);
	uint32_t items, bytes = cut(first, limit, s->payload_max, &items);
	*h = *kept;
	memcpy(h + 1, first, bytes);
	h->incarnation = s->incarnation;
	h->length = FRAME_HEADER_BYTES + bytes;
	h->item_count = items;
	h->first_number = s->resend;
	s->resend += items;
	enqueue(s, mbuf);
}

static void resend_mark(struct sender *s, const struct frame_header *kept, struct rte_mbuf *mbuf)
{
	struct frame_header *h = header_of(mbuf);
	*h = *kept;
	h->incarnation = s->incarnation;
	s->resend++;
	enqueue(s, mbuf);
}

bool sender_resend(struct sender *s)
{
	while (s->resend != s->next_number) {
		const struct frame_header *kept = retention_find(&s->retention, s->resend);
		VERIFY(kept != NULL); // invariant 2: kept until no snapshot needs it
		credit_poll(&s->credit, s->channel);
		if (kept->type == FRAME_DATA) {
			if (s->credit.count == 0)
				return false;
			resend_data(s, kept, take_credit(s));
		} else {
			if (s->credit.control_count == 0)
				return false;
			resend_mark(s, kept, credit_take_control(&s->credit));
		}
	}
	return true;
}

void sender_trim(struct sender *s)
{
	if (s->follower_count != 0) {
		sender_forget(s);
		return;
	}
	uint64_t number = atomic_load_explicit(&s->channel->snapshot_number, memory_order_acquire);
	retention_trim(&s->retention, number);
	if (s->resend < number) // the receiver has them for good
		s->resend = number < s->next_number ? number : s->next_number;
}

void sender_succeed(struct sender *s, uint64_t next_number, uint64_t incarnation)
{
	sender_push(s); // the receiver drops and returns them: of a fenced incarnation
	if (s->open != NULL)
		credit_put(&s->credit, s->open);
	s->open = NULL;
	s->write = s->limit = NULL;
	s->items = 0;
	s->next_number = s->resend = s->barrier = next_number;
	s->incarnation = incarnation;
	retention_reset(&s->retention, next_number);
	s->barrier_at = s->retention.next;
}

void sender_run_on(struct sender *s, bool on)
{
	ASSERT(s->retention.capacity != 0);
	retain_open(s);
	s->runs_on = on;
}

void sender_rewind(struct sender *s, uint64_t number)
{
	retain_open(s);
	s->resend = number < s->next_number ? number : s->next_number;
}
