#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/channel.h"
#include "dataplane/order_log.h"
#include "numa/assert.h"
#include "state/record.h"

void receiver_create(struct receiver *r, struct channel *channel)
{
	*r = (struct receiver){
		.channel = channel,
		.watermark = INT64_MIN,
		.expect = {.job = channel->config.job,
			.channel = channel->config.id,
			.plan_version = channel->config.plan_version,
			.checksum = channel->config.checksum},
	};
}

void receiver_expect(struct receiver *r, uint64_t incarnation)
{
	r->expect.incarnation = incarnation;
	atomic_store_explicit(&r->channel->wanted, r->next_number, memory_order_relaxed);
	atomic_store_explicit(&r->channel->answered, incarnation, memory_order_release);
}

static const uint8_t *frame_of(const struct rte_mbuf *mbuf)
{
	return rte_pktmbuf_mtod(mbuf, const uint8_t *);
}

// Its sender has written the frame's lines last. A walk gets them one by one, each record's length
// leading to the next; asked for ahead, they come together.
static void frame_prefetch(const struct rte_mbuf *mbuf, uint32_t length)
{
	const uint8_t *frame = frame_of(mbuf);
	uint32_t bytes = length < CHANNEL_AHEAD_BYTES ? length : CHANNEL_AHEAD_BYTES;
	for (uint32_t at = 0; at < bytes; at += 64)
		__builtin_prefetch(frame + at);
}

static bool next_burst(struct receiver *r)
{
	r->burst_at = 0;
	r->burst_count = rte_ring_sc_dequeue_burst(r->channel->forward, (void **)r->burst,
		CHANNEL_BURST, NULL);
	for (uint32_t i = 0; i < r->burst_count; i++)
		__builtin_prefetch(frame_of(r->burst[i]));
	return r->burst_count != 0;
}

static struct rte_mbuf *next_mbuf(struct receiver *r)
{
	if (r->burst_at == r->burst_count && !next_burst(r))
		return NULL;
	struct rte_mbuf *mbuf = r->burst[r->burst_at++];
	if (r->burst_at != r->burst_count)
		frame_prefetch(r->burst[r->burst_at], r->length_last);
	return mbuf;
}

void receiver_return(struct receiver *r)
{
	if (r->return_count == 0)
		return;
	uint32_t sent = rte_ring_sp_enqueue_bulk(r->channel->back, (void **)r->returns,
		r->return_count, NULL);
	VERIFY(sent == r->return_count);
	r->return_count = 0;
}

static void give_back(struct receiver *r, struct rte_mbuf *mbuf)
{
	r->returns[r->return_count++] = mbuf;
	if (r->return_count == CHANNEL_BURST)
		receiver_return(r);
}

void receiver_release(struct receiver *r)
{
	ASSERT(r->frame != NULL && r->items == 0);
	give_back(r, r->frame);
	r->frame = NULL;
}

// Nothing in hand any more.
static void drop_hand(struct receiver *r)
{
	if (r->frame != NULL)
		give_back(r, r->frame);
	r->frame = NULL;
	r->items = 0;
	while (r->burst_at < r->burst_count)
		give_back(r, r->burst[r->burst_at++]);
	receiver_return(r);
}

void receiver_succeed(struct receiver *r)
{
	drop_hand(r);
	r->next_number = r->checksum = 0;
	r->watermark = INT64_MIN;
	r->held = r->ended = false;
}

// Take from the other instance from now on. It may be the one of before, held by another node.
static void change_over(struct receiver *r)
{
	struct channel *fenced = r->channel;
	uint32_t from = r->from;
	bool lost = r->lost;
	drop_hand(r);
	r->channel = r->standby;
	r->from = r->standby_from;
	r->lost = r->standby_lost;
	r->standby = fenced;
	r->standby_from = from;
	r->standby_lost = lost;
	r->expect.channel = r->channel->config.id;
	r->expect.checksum = r->channel->config.checksum;
}

// 0: nothing that may be obeyed. Somebody has begun for a loss that this node was not told of when
// it opened above what is known: what rests on that could not be told a new leader (rule G5).
static uint64_t opened_of(const struct receiver *r, const struct channel *channel, bool lost)
{
	if (channel == NULL || lost)
		return 0;
	uint64_t opened = atomic_load_explicit(&channel->opened, memory_order_acquire);
	return opened <= r->known ? opened : 0; // pairs sender_open
}

static bool choose(struct receiver *r)
{
	uint64_t opened = opened_of(r, r->channel, r->lost);
	uint64_t other = opened_of(r, r->standby, r->standby_lost);
	if (opened == 0 && other == 0)
		return false;
	if (other > opened)
		change_over(r);
	r->chooses = false;
	receiver_expect(r, other > opened ? other : opened);
	return true;
}

bool receiver_follow(struct receiver *r)
{
	if (UNLIKELY(r->chooses))
		return choose(r);
	if (r->standby == NULL || !r->lost)
		return false;
	uint64_t opened = atomic_load_explicit(&r->standby->opened, memory_order_acquire);
	if (opened <= r->expect.incarnation) // pairs sender_open
		return false;
	change_over(r);
	receiver_expect(r, opened);
	return true;
}

void receiver_lose(struct receiver *r, uint32_t worker, uint64_t incarnation)
{
	if (r->standby == NULL)
		return;
	bool either = r->from == worker || r->standby_from == worker;
	if (either && incarnation > r->known)
		r->known = incarnation;
	r->lost |= r->from == worker;
	r->standby_lost |= r->standby_from == worker;
}

void receiver_admit(struct receiver *r, uint32_t worker)
{
	if (r->standby == NULL)
		return;
	ASSERT(r->from != worker || r->chooses || r->waits);
	r->lost &= r->from != worker;
	r->standby_lost &= r->standby_from != worker;
}

// What comes from the instance that stands by, or is fenced, is refused.
static void refuse(struct receiver *r)
{
	struct rte_mbuf *frames[CHANNEL_BURST];
	uint32_t count = rte_ring_sc_dequeue_burst(r->standby->forward, (void **)frames,
		CHANNEL_BURST, NULL);
	if (count == 0)
		return;
	atomic_fetch_add_explicit(&r->dropped[WEIR_DROP_FRAME_FENCED], count, memory_order_relaxed);
	uint32_t back = rte_ring_sp_enqueue_bulk(r->standby->back, (void **)frames, count, NULL);
	VERIFY(back == count);
}

static void tell(struct channel *channel, uint64_t number)
{
	if (atomic_load_explicit(&channel->snapshot_number, memory_order_relaxed) != number)
		atomic_store_explicit(&channel->snapshot_number, number,
			memory_order_release); // pairs sender_forget
}

// No incarnation, and not none.
enum { RESTORED = 1 };

static void tell_restored(struct channel *channel, uint64_t number)
{
	tell(channel, number);
	atomic_store_explicit(&channel->answered, RESTORED,
		memory_order_release); // pairs sender_forget
}

void receiver_restored(struct receiver *r)
{
	ASSERT(r->waits);
	r->waits = false;
	r->chooses = true;
	tell_restored(r->channel, r->next_number);
	if (r->standby != NULL)
		tell_restored(r->standby, r->next_number);
}

void receiver_tell(struct receiver *r)
{
	if (!r->tells || r->waits)
		return;
	tell(r->channel, r->next_number);
	if (r->standby == NULL)
		return;
	tell(r->standby, r->next_number);
	refuse(r);
}

// Skip items that were consumed before; a frame may overlap what a replaying sender sent again.
static enum weir_drop trim_front(struct receiver *r, const struct frame_header *h)
{
	if (h->first_number > r->next_number)
		return WEIR_DROP_FRAME_GAP;
	uint64_t known = r->next_number - h->first_number;
	if (known >= h->item_count)
		return WEIR_DROP_FRAME_REPEATED;
	r->first = (const uint8_t *)(h + 1);
	r->limit = (const uint8_t *)h + h->length - h->order_log_length;
	r->items = h->item_count - (uint32_t)known;
	for (uint64_t i = 0; i < known; i++)
		r->first += record_length(r->first);
	return WEIR_DROP_COUNT;
}

// Within a process a frame's own length is all there is to go by: written into the mbuf as well, it
// would have the two cores pass one more line to and fro.
static uint32_t frame_bytes(const struct receiver *r, const struct frame_header *h)
{
	uint32_t most = r->channel->config.frame_bytes;
	return h->length < most ? h->length : most;
}

const struct frame_header *receiver_peek(struct receiver *r)
{
	struct rte_mbuf *mbuf;
	if (r->frame != NULL)
		return rte_pktmbuf_mtod(r->frame, const struct frame_header *);
	while ((mbuf = next_mbuf(r)) != NULL) {
		const struct frame_header *h = rte_pktmbuf_mtod(mbuf, const struct frame_header *);
		enum weir_drop reason = frame_check(h, frame_bytes(r, h), &r->expect);
		if (reason == WEIR_DROP_COUNT)
			reason = trim_front(r, h);
		if (reason == WEIR_DROP_COUNT) {
			r->frame = mbuf;
			r->length_last = h->length;
			return h;
		}
		atomic_fetch_add_explicit(&r->dropped[reason], 1, memory_order_relaxed);
		give_back(r, mbuf);
	}
	return NULL;
}

void receiver_checksum(struct receiver *r, uint64_t records)
{
	uint32_t bytes = r->channel->config.record_bytes;
	r->checksum += bytes >= ORDER_EVEN_BYTES_MIN
		? order_mix_even(r->next_number, r->first, records, bytes)
		: order_mix_records(r->next_number, r->first, records);
}
