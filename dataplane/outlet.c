#include "dataplane/outlet.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/session.h"
#include "numa/assert.h"

void outlet_create(struct outlet *o, struct channel *channel, struct session *session)
{
	*o = (struct outlet){.channel = channel, .session = session};
}

void outlet_release(struct outlet *o, struct rte_mbuf **frames, uint32_t count)
{
	ASSERT(count <= o->in_flight);
	o->in_flight -= count;
	uint32_t given = rte_ring_sp_enqueue_bulk(o->channel->back, (void **)frames, count, NULL);
	VERIFY(given == count); // the ring has room for all the channel's mbufs
}

void outlet_destroy(struct outlet *o)
{
	ASSERT(o->in_flight == 0);
	uint32_t count = o->staged_count - o->staged_at;
	o->in_flight = count;
	if (count != 0)
		outlet_release(o, o->staged + o->staged_at, count);
	o->staged_at = o->staged_count = 0;
}

void outlet_begin(struct outlet *o)
{
	o->announced = o->granted = false;
	o->data_sent = o->control_sent = o->data_limit = o->control_limit = 0;
}

// Absolute values: a message that is overtaken by a later one says nothing new.
void outlet_message(struct outlet *o, const struct session_message *message)
{
	struct channel *channel = o->channel;
	o->stats.grants++;
	if (message->data_limit > o->data_limit)
		o->data_limit = message->data_limit;
	if (message->control_limit > o->control_limit)
		o->control_limit = message->control_limit;
	if (message->snapshot_number >
		atomic_load_explicit(&channel->snapshot_number, memory_order_relaxed))
		atomic_store_explicit(&channel->snapshot_number, message->snapshot_number,
			memory_order_release); // pairs sender_trim
	if (message->incarnation > atomic_load_explicit(&channel->answered, memory_order_relaxed)) {
		atomic_store_explicit(&channel->wanted, message->from, memory_order_relaxed);
		atomic_store_explicit(&channel->answered, message->incarnation,
			memory_order_release); // pairs hear_answer
	}
	if (!o->granted) {
		o->wanted = message->wanted;
		o->rewind_due |= o->started;
	}
	o->granted = true;
}

bool outlet_rewind(struct outlet *o, uint64_t *ret_number)
{
	if (!o->rewind_due || !o->granted)
		return false;
	o->rewind_due = false;
	o->stats.rewinds++;
	*ret_number = o->wanted;
	return true;
}

static bool announce(struct outlet *o, uint64_t opened, int64_t now_ns)
{
	struct channel_name name = channel_name_of(o->channel);
	o->opened = opened;
	struct session_message message = {.kind = MESSAGE_OPEN,
		.job = name.job,
		.channel = name.channel,
		.plan_version = name.plan_version,
		.incarnation = opened};
	return session_tell(o->session, &message, now_ns);
}

static void set_checksums(struct outlet *o)
{
	const struct frame_header *frames[CHANNEL_BURST];
	uint32_t crcs[CHANNEL_BURST];
	for (uint32_t i = 0; i < o->staged_count; i++)
		frames[i] = rte_pktmbuf_mtod(o->staged[i], struct frame_header *);
	frame_crc_burst(frames, o->staged_count, crcs);
	for (uint32_t i = 0; i < o->staged_count; i++)
		rte_pktmbuf_mtod(o->staged[i], struct frame_header *)->crc32c = crcs[i];
}

// Take frames in hand.  Returns whether there are any.
static bool stage(struct outlet *o)
{
	if (o->staged_at < o->staged_count)
		return true;
	o->staged_at = 0;
	o->staged_count = rte_ring_sc_dequeue_burst(o->channel->forward, (void **)o->staged,
		CHANNEL_BURST, NULL);
	if (!o->channel->config.checksum) // else the sender has set it
		set_checksums(o);
	return o->staged_count != 0;
}

static const struct frame_header *head(const struct outlet *o)
{
	return rte_pktmbuf_mtod(o->staged[o->staged_at], const struct frame_header *);
}

// Marks have credit of their own: data that may not go does not hold up the barrier behind what
// went.
static bool has_credit(const struct outlet *o)
{
	return frame_is_mark(head(o)->type) ? o->control_sent < o->control_limit
					    : o->data_sent < o->data_limit;
}

// Take the next in hand, which has credit.
static void take_one(struct outlet *o)
{
	const struct frame_header *h = head(o);
	struct rte_mbuf *mbuf = o->staged[o->staged_at++];
	*(frame_is_mark(h->type) ? &o->control_sent : &o->data_sent) += 1;
	mbuf->data_len = (uint16_t)h->length;
	mbuf->pkt_len = h->length;
	o->stats.bytes += h->length;
}

// Of those in hand, what credit allows, at most `room`.  Returns how many went.
static uint32_t send_staged(struct outlet *o, uint32_t room, int64_t now_ns)
{
	uint32_t from = o->staged_at;
	while (o->staged_at < o->staged_count && o->staged_at - from < room && has_credit(o))
		take_one(o);
	uint32_t count = o->staged_at - from;
	if (count == 0)
		return 0;
	o->in_flight += count;
	o->started = true;
	o->stats.frames += count;
	session_send(o->session, o->staged + from, count, o, now_ns);
	return count;
}

uint32_t outlet_step(struct outlet *o, uint32_t frames_max, int64_t now_ns)
{
	uint64_t opened = atomic_load_explicit(&o->channel->opened, memory_order_acquire);
	if (!o->announced || opened != o->opened) // pairs sender_open
		o->announced = announce(o, opened, now_ns);
	if (!o->granted || !stage(o))
		return 0;
	if (!has_credit(o)) {
		o->stats.blocked++;
		return 0;
	}
	uint32_t room = session_room(o->session, now_ns), sent = 0, more = 1;
	room = room < frames_max ? room : frames_max;
	while (sent < room && more != 0 && stage(o)) {
		more = send_staged(o, room - sent, now_ns);
		sent += more;
	}
	return sent;
}
