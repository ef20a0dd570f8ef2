// Channels: the ordered flow of items from one task to another. Frames go forward through one
// ring; the emptied mbufs come back through another, and holding one is the credit to send.
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/frame.h"
#include "dataplane/retention.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;
struct arena;

enum { CHANNEL_FRAMES_MAX = 256, CHANNEL_CONTROL_FRAMES = 4, CHANNEL_BURST = 32 };
// Of a frame's lines, so many bytes are asked for before they are needed.
enum { CHANNEL_AHEAD_BYTES = 2048 };

struct channel_config {
	uint32_t id, job, plan_version;
	uint32_t frame_bytes;     // header included
	uint32_t frames;          // credit, at most CHANNEL_FRAMES_MAX
	uint64_t retention_bytes; // 0: keep nothing; of the sender
	uint32_t record_bytes;    // of every record; 0: they differ
	bool checksum;            // set and check the CRC of every frame
	int64_t tell_ns;          // what is consumed is told between nodes no more often
};

// What both ends share. Between nodes each end has one of its own, and outlet and inlet carry the
// words below from one to the other.
struct channel {
	struct channel_config config;
	struct rte_ring *forward, *back;
	// Receiving end: write (release); sending end: read (acquire).
	// Items below it are never needed again: its snapshot holds them, or, of a task with a
	// replica, it has consumed them.
	alignas(64) atomic_uint_fast64_t snapshot_number;
	atomic_uint_fast64_t answered; // the incarnation whose frames it takes; 0: none yet
	atomic_uint_fast64_t wanted;   // the item it wanted next when it began to
	// Sending end: write (release); receiving end: read (acquire).
	alignas(64) atomic_uint_fast64_t
		opened; // the incarnation under which it sends; 0: it stands by
};

// Mbufs of the channel that the sending end has in hand (dataplane/credit.h).
struct credit {
	uint32_t first, count; // a ring: the one that came back first is used first
	uint32_t control_count;
	struct rte_mbuf *data[CHANNEL_FRAMES_MAX];
	struct rte_mbuf *control[CHANNEL_CONTROL_FRAMES];
};

// The sending end. Thread: the sending task's worker.
struct sender {
	uint8_t *write, *limit;     // room in the open frame; equal when none is open
	uint32_t items;             // in the open frame
	uint32_t length_last;       // of the data frame sealed last
	const uint8_t *ahead_limit; // lines of the open frame below it are asked for ahead
	uint32_t payload_max;       // bytes of items a frame may take; the simulator varies it
	struct rte_mbuf *open;
	struct frame_header *spare; // with retention: where a frame is made without credit
	bool runs_on;               // all goes into retention, to be sent when there is credit
	struct follower *followers; // what it sends goes by these, from retention; see follower.h
	uint32_t follower_count;    // 0: it sends itself
	uint64_t release;           // items below it may be sent by followers
	struct channel *channel;
	uint64_t next_number; // of the next item that is sealed into a frame
	uint64_t resend;      // next item to send again from retention; == next_number: none
	uint64_t barrier;     // number behind the last barrier
	uint64_t barrier_at;  // position in retention behind it
	uint64_t incarnation;
	int64_t watermark; // the last mark's
	uint32_t epoch;
	int64_t opened_ns;
	struct retention retention;
	uint32_t out_count; // sealed frames not yet in the ring
	struct rte_mbuf *out[CHANNEL_BURST];
	struct credit credit;
};

// The receiving end. Thread: the receiving task's worker.
struct receiver {
	struct channel *channel;
	struct channel *standby;      // from its producer's other instance; NULL: there is none
	uint32_t from, standby_from;  // workers of the plan that those two are from
	bool lost, standby_lost;      // it was told that the instance there is gone
	bool waits;                   // for its task's state: takes nothing and tells nothing
	bool chooses;                 // has it, and takes from whichever instance sends
	uint64_t known; // while it does: what is opened above it follows a loss it was not told of
	bool tells;                   // of a replicated end: what is consumed is told
	struct rte_mbuf *frame;       // in hand, or NULL
	const uint8_t *first, *limit; // its items not yet consumed
	uint32_t items;               // how many they are
	struct frame_expect expect;
	uint64_t next_number; // of the next item to consume
	uint64_t checksum;    // running, over consumed items, with recovery
	int64_t watermark;
	bool held; // its barrier has come, others' have not
	bool ended;
	atomic_uint_fast64_t dropped[WEIR_DROP_COUNT]; // receiver: write; any: read (relaxed)
	uint32_t length_last;                          // of the frame in hand last
	uint32_t burst_at, burst_count;
	uint32_t return_count;
	struct rte_mbuf *burst[CHANNEL_BURST];
	struct rte_mbuf *returns[CHANNEL_BURST];
};

// Make both ends of a channel; its mbufs (frames + CHANNEL_CONTROL_FRAMES) come from `pool`.
// Returns 0 or -ENOMEM.
int channel_create(struct channel *channel, const struct channel_config *config,
	struct arena *arena);
int sender_create(struct sender *s, struct channel *channel, struct rte_mempool *pool,
	struct arena *arena);
void receiver_create(struct receiver *r, struct channel *channel);

// Expect items of that incarnation, and say so.  Thread: agent, before the task runs.
void receiver_expect(struct receiver *r, uint64_t incarnation);

// Both for a channel whose other end is another one from now on: nothing was ever said over it.
// What was in its rings is credit of the sending end again, or, at the receiving end, is freed.
void channel_renew_sending(struct channel *channel);
void channel_renew_receiving(struct channel *channel);

// Give every mbuf of the channel back to its pool. Thread: agent, when no worker runs. An end
// that was never created is all zero, one on another node NULL.
void channel_drain(struct channel *channel, struct sender *s, struct receiver *r);

// Seal what is open and get a new frame with room for `bytes`.  Returns where to write, or NULL
// without credit (or room in retention). Bytes over payload_max: NULL and nothing is sealed;
// check with sender_fits first.
uint8_t *sender_reserve_slow(struct sender *s, uint32_t bytes, int64_t now_ns);

static inline bool sender_fits(const struct sender *s, uint32_t bytes)
{
	return bytes <= s->channel->config.frame_bytes - FRAME_HEADER_BYTES;
}

// Room for one record of `bytes`; sender_commit makes it an item.
static inline uint8_t *sender_reserve(struct sender *s, uint32_t bytes, int64_t now_ns)
{
	if ((size_t)(s->limit - s->write) >= bytes)
		return s->write;
	return sender_reserve_slow(s, bytes, now_ns);
}

// The receiver has read the frame's lines last. Stores get them back one by one, in order; asked
// for ahead, they come together. No more of them than the frame before had.
static inline void sender_prefetch(const struct sender *s, uint32_t bytes)
{
	const uint8_t *first = s->write + CHANNEL_AHEAD_BYTES;
	const uint8_t *limit = first + bytes < s->ahead_limit ? first + bytes : s->ahead_limit;
	for (; first < limit; first += 64)
		__builtin_prefetch(first, 1);
}

static inline void sender_commit(struct sender *s, uint32_t bytes)
{
	sender_prefetch(s, bytes);
	s->write += bytes;
	s->items++;
}

// Seal the open frame, if it holds anything.  Returns false when it must wait for a resend.
bool sender_flush(struct sender *s);

// Hand sealed frames to the receiver. Once a step, behind everything else.
void sender_push(struct sender *s);

// Send a control mark behind everything so far.  Returns false when the control reserve is used
// up; try again after the receiver has given frames back.
bool sender_mark(struct sender *s, enum frame_type type, int64_t watermark, uint32_t epoch);

// Send items from retention again while there is credit, cut anew.  Returns true when it has
// caught up. Nothing else is sent before.
bool sender_resend(struct sender *s);

// Retention is full of items behind the last barrier: no checkpoint can ever make room.
bool sender_is_stuck(const struct sender *s);

// Forget what the receiver's last snapshot covers.
void sender_trim(struct sender *s);

// A dead sender's successor goes on with its mbufs: item numbers from `next_number` under a new
// incarnation; what was open or retained is made anew.
void sender_succeed(struct sender *s, uint64_t next_number, uint64_t incarnation);

// A successor that replays runs on without credit: what its receivers' receivers need in order to
// go on may lie behind what they cannot take yet. Only with retention; off again once replayed.
void sender_run_on(struct sender *s, bool on);

// The receiver was rebuilt and needs everything from `number` again.
void sender_rewind(struct sender *s, uint64_t number);

// Get the next good frame in hand.  Returns its header with `first`, `limit` and `items` set to
// what is new in it, or NULL when there is none.
const struct frame_header *receiver_peek(struct receiver *r);

// All of the frame in hand is consumed: give the mbuf back.
void receiver_release(struct receiver *r);

// Hand back what release has gathered. Once a step.
void receiver_return(struct receiver *r);

// A dead receiver's successor: empty hands, its mbufs given back, positions at 0.
void receiver_succeed(struct receiver *r);

// The producer's other instance has taken over, if it has and this node was told of the loss (what
// it is not told it can tell no new leader; docs/replicas.md): expect its incarnation from now on,
// throw away what has come from the one before and was not consumed, and answer with the item
// wanted next. The task's chain must be drained.  Returns whether that happened.
bool receiver_follow(struct receiver *r);

// The instances of the producer on that worker of the plan are gone, and taken over under that
// incarnation; or another node has them now.
void receiver_lose(struct receiver *r, uint32_t worker, uint64_t incarnation);
void receiver_admit(struct receiver *r, uint32_t worker);

// Its task has got its state from its other instance: say to both instances of the producer that
// it is there and from where on it needs items, and take them from the one that sends; not from
// one that began after this one was made, unless it was told for whom.
void receiver_restored(struct receiver *r);

// Tell what is consumed, and give back what a fenced producer still sent. Once a step.
void receiver_tell(struct receiver *r);

// Count the next `records` of the frame in hand into the running checksum.
void receiver_checksum(struct receiver *r, uint64_t records);
