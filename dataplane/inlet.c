#include "dataplane/inlet.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/session.h"
#include "numa/assert.h"

// What a frame in the channel counts as; kept in its mbuf.
enum { HELD_DATA = 1, HELD_CONTROL = 2 };

void inlet_create(struct inlet *i, struct channel *channel, const struct receiver *receiver,
	struct session *session)
{
	*i = (struct inlet){.channel = channel, .receiver = receiver, .session = session};
	i->asked = true;
}

void inlet_begin(struct inlet *i)
{
	i->asked = true;
	i->data_received = i->control_received = i->data_granted = i->control_granted = 0;
}

void inlet_message(struct inlet *i, const struct session_message *message)
{
	struct channel *channel = i->channel;
	i->asked = true;
	if (message->incarnation > atomic_load_explicit(&channel->opened, memory_order_relaxed))
		atomic_store_explicit(&channel->opened, message->incarnation,
			memory_order_release); // pairs receiver_follow
}

static bool take_credit(struct inlet *i, struct rte_mbuf *frame)
{
	bool control = frame_is_mark(rte_pktmbuf_mtod(frame, struct frame_header *)->type);
	uint32_t *held = control ? &i->control_held : &i->data_held;
	if (*held >= (control ? (uint32_t)CHANNEL_CONTROL_FRAMES : i->channel->config.frames))
		return false;
	(*held)++;
	*(control ? &i->control_received : &i->data_received) += 1;
	frame->hash.usr = control ? HELD_CONTROL : HELD_DATA;
	return true;
}

uint32_t inlet_take(struct inlet *i, struct rte_mbuf **frames, uint32_t count)
{
	uint32_t good = 0;
	for (uint32_t f = 0; f < count; f++) {
		if (take_credit(i, frames[f])) {
			i->stats.bytes += frames[f]->data_len;
			frames[good++] = frames[f];
		} else {
			rte_pktmbuf_free(frames[f]);
		}
	}
	uint32_t put = rte_ring_sp_enqueue_bulk(i->channel->forward, (void **)frames, good, NULL);
	VERIFY(put == good); // the ring has room for all credit
	i->stats.frames += good;
	i->stats.over_credit += count - good;
	return count - good;
}

static uint32_t free_returned(struct inlet *i)
{
	struct rte_mbuf *back[CHANNEL_BURST];
	uint32_t count =
		rte_ring_sc_dequeue_burst(i->channel->back, (void **)back, CHANNEL_BURST, NULL);
	for (uint32_t f = 0; f < count; f++) {
		uint32_t *held =
			back[f]->hash.usr == HELD_CONTROL ? &i->control_held : &i->data_held;
		ASSERT(*held != 0);
		(*held)--;
	}
	if (count != 0)
		rte_pktmbuf_free_bulk(back, count);
	return count;
}

// Worth a message: a good part of all, or as much as the other end may have left.
static bool is_worth(uint64_t limit, uint64_t granted, uint64_t received, uint32_t all)
{
	uint64_t gain = limit - granted;
	return gain != 0 && (gain * 4 >= all || gain >= granted - received);
}

// What is consumed may change with every step, and is told less often.
static bool is_news(const struct inlet *i, uint64_t snapshot, uint64_t answered, int64_t now_ns)
{
	return i->asked || answered != i->answered_told ||
		(snapshot != i->snapshot_told && now_ns - i->told_ns >= i->channel->config.tell_ns);
}

static void grant(struct inlet *i, int64_t now_ns)
{
	uint32_t frames = i->channel->config.frames;
	uint64_t data = i->data_received + frames - i->data_held;
	uint64_t control = i->control_received + CHANNEL_CONTROL_FRAMES - i->control_held;
	uint64_t snapshot = atomic_load_explicit(&i->channel->snapshot_number,
		memory_order_acquire); // pairs the receiving task's snapshot
	uint64_t answered = atomic_load_explicit(&i->channel->answered,
		memory_order_acquire); // pairs receiver_expect
	if (!is_news(i, snapshot, answered, now_ns) &&
		!is_worth(data, i->data_granted, i->data_received, frames) &&
		!is_worth(control, i->control_granted, i->control_received, CHANNEL_CONTROL_FRAMES))
		return;
	struct channel_name name = channel_name_of(i->channel);
	struct session_message message = {.kind = MESSAGE_GRANT,
		.job = name.job,
		.channel = name.channel,
		.plan_version = name.plan_version,
		.data_limit = data,
		.control_limit = control,
		.snapshot_number = snapshot,
		.wanted = i->receiver == NULL ? 0 : i->receiver->next_number,
		.incarnation = answered,
		.from = atomic_load_explicit(&i->channel->wanted, memory_order_relaxed)};
	if (!session_tell(i->session, &message, now_ns))
		return;
	i->asked = false;
	i->data_granted = data;
	i->control_granted = control;
	i->snapshot_told = snapshot;
	i->answered_told = answered;
	i->told_ns = now_ns;
	i->stats.grants++;
}

uint32_t inlet_step(struct inlet *i, int64_t now_ns)
{
	uint32_t freed = free_returned(i);
	grant(i, now_ns);
	return freed;
}
