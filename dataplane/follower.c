#include "dataplane/follower.h"

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <string.h>

#include "numa/arena.h"
#include "numa/assert.h"

int sender_create_followed(struct sender *s, struct follower *followers, uint32_t count,
	struct arena *arena)
{
	struct channel *channel = followers[0].channel;
	uint32_t frame_bytes = channel->config.frame_bytes;
	for (uint32_t i = 1; i < count; i++)
		if (followers[i].channel->config.frame_bytes < frame_bytes)
			frame_bytes = followers[i].channel->config.frame_bytes;
	*s = (struct sender){.channel = channel,
		.watermark = INT64_MIN,
		.payload_max = frame_bytes - FRAME_HEADER_BYTES,
		.runs_on = true,
		.followers = followers,
		.follower_count = count};
	s->spare = arena_alloc(arena, channel->config.frame_bytes, 64);
	int error = retention_create(&s->retention, channel->config.retention_bytes, arena);
	return error == 0 && s->spare == NULL ? -ENOMEM : error;
}

void sender_open(struct sender *s, uint64_t incarnation)
{
	ASSERT(incarnation > s->incarnation || s->next_number == 0);
	s->incarnation = incarnation;
	for (uint32_t i = 0; i < s->follower_count; i++) {
		s->followers[i].answered = false;
		atomic_store_explicit(&s->followers[i].channel->opened, incarnation,
			memory_order_release); // pairs receiver_follow
	}
}

// Where the frame with item `number` lies, or the end of what is kept.
static uint64_t position_of(const struct retention *kept, uint64_t number)
{
	uint64_t at = kept->first;
	while (at != kept->next) {
		uint64_t behind = at;
		const struct frame_header *frame = retention_walk(kept, &behind);
		if (number < frame->first_number + frame->item_count)
			break;
		at = behind;
	}
	return at;
}

// Has the receiver answered under the incarnation that sends?
static bool hear_answer(const struct sender *s, struct follower *f)
{
	if (f->answered)
		return true;
	if (atomic_load_explicit(&f->channel->answered, memory_order_acquire) != s->incarnation)
		return false; // pairs receiver_follow
	f->next = atomic_load_explicit(&f->channel->wanted, memory_order_relaxed);
	f->position = position_of(&s->retention, f->next);
	f->answered = true;
	return true;
}

static struct rte_mbuf *copy_frame(const struct sender *s, const struct follower *f,
	const struct frame_header *kept, struct rte_mbuf *mbuf)
{
	struct frame_header *h = rte_pktmbuf_mtod(mbuf, struct frame_header *);
	memcpy(h, kept, kept->length);
	h->channel = f->channel->config.id;
	h->incarnation = s->incarnation;
	if (f->channel->config.checksum)
		h->crc32c = frame_crc(h, h->length);
	return mbuf;
}

static struct rte_mbuf *credit_for(struct follower *f, const struct frame_header *kept)
{
	return frame_is_mark(kept->type) ? credit_take_control(&f->credit)
					 : credit_take(&f->credit);
}

// Frames that were asked for from the middle, or are all behind what was wanted, are trimmed by the
// receiver; those wholly before it are passed over here.
static uint32_t fill_burst(const struct sender *s, struct follower *f, struct rte_mbuf **out)
{
	uint32_t count = 0;
	while (count < CHANNEL_BURST && f->position != s->retention.next) {
		uint64_t behind = f->position;
		const struct frame_header *kept = retention_walk(&s->retention, &behind);
		uint64_t next = kept->first_number + kept->item_count;
		if (next > s->release)
			break;
		struct rte_mbuf *mbuf = next <= f->next ? NULL : credit_for(f, kept);
		if (next > f->next && mbuf == NULL)
			break;
		if (mbuf != NULL)
			out[count++] = copy_frame(s, f, kept, mbuf);
		f->next = next > f->next ? next : f->next;
		f->position = behind;
	}
	return count;
}

static uint32_t follow(const struct sender *s, struct follower *f)
{
	struct rte_mbuf *out[CHANNEL_BURST];
	if (f->lost || !hear_answer(s, f))
		return 0;
	credit_poll(&f->credit, f->channel);
	uint32_t count = fill_burst(s, f, out);
	if (count == 0)
		return 0;
	uint32_t sent = rte_ring_sp_enqueue_bulk(f->channel->forward, (void **)out, count, NULL);
	VERIFY(sent == count); // the ring has room for all the channel's mbufs
	return count;
}

static uint64_t told_by(const struct follower *f)
{
	return atomic_load_explicit(&f->channel->snapshot_number, memory_order_acquire);
}

// What the receivers that are left, but for those on worker `but`, have all consumed.
static uint64_t consumed_by_all(const struct sender *s, uint32_t but)
{
	uint64_t number = UINT64_MAX;
	for (uint32_t i = 0; i < s->follower_count; i++) {
		const struct follower *f = &s->followers[i];
		if (!f->lost && f->worker != but && told_by(f) < number)
			number = told_by(f);
	}
	return number;
}

static void hear_joined(struct follower *f)
{
	if (UNLIKELY(f->joins))
		f->joins = atomic_load_explicit(&f->channel->answered, memory_order_acquire) ==
			0; // pairs receiver_restored
}

void sender_forget(struct sender *s)
{
	for (uint32_t i = 0; i < s->follower_count; i++)
		hear_joined(&s->followers[i]);
	retention_trim(&s->retention, consumed_by_all(s, UINT32_MAX));
	for (uint32_t i = 0; i < s->follower_count; i++)
		if (s->followers[i].position < s->retention.first)
			s->followers[i].position = s->retention.first;
}

uint32_t sender_follow(struct sender *s)
{
	uint32_t sent = 0;
	sender_forget(s);
	for (uint32_t i = 0; i < s->follower_count && s->incarnation != 0; i++)
		sent += follow(s, &s->followers[i]);
	return sent;
}

void sender_lose(struct sender *s, uint32_t worker)
{
	for (uint32_t i = 0; i < s->follower_count; i++)
		s->followers[i].lost |= s->followers[i].worker == worker;
}

void sender_admit(struct sender *s, uint32_t worker)
{
	for (uint32_t i = 0; i < s->follower_count; i++) {
		struct follower *f = &s->followers[i];
		if (f->worker != worker)
			continue;
		f->lost = f->answered = false;
		f->joins = true;
		f->next = 0;
		f->position = s->retention.first;
		atomic_store_explicit(&f->channel->opened, s->incarnation,
			memory_order_release); // pairs receiver_follow
	}
}

bool sender_is_joined(const struct sender *s, uint32_t worker)
{
	for (uint32_t i = 0; i < s->follower_count; i++)
		if (s->followers[i].worker == worker && s->followers[i].joins)
			return false;
	return true;
}

bool sender_is_held_up(const struct sender *s, uint32_t worker)
{
	return !sender_is_joined(s, worker) &&
		!retention_has_room(&s->retention, 2 * s->channel->config.frame_bytes) &&
		consumed_by_all(s, worker) > s->retention.first_number;
}

bool sender_has_sent(const struct sender *s)
{
	for (uint32_t i = 0; i < s->follower_count; i++) {
		const struct follower *f = &s->followers[i];
		if (!f->lost && !f->joins && (!f->answered || f->next < s->next_number))
			return false;
	}
	return s->items == 0;
}
