// An outlet: the sending node's end of a channel between nodes. To the channel's sender it is the
// receiver: it takes frames from the forward ring as the other end's credit allows, sends them over
// a session, and gives each mbuf back once it has arrived there.
// Thread of everything here: the session's owner, which is the sending task's worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/channel.h"
#include "dataplane/channel_table.h"

struct session;
struct session_message;

struct outlet_stats {
	uint64_t frames, bytes;
	uint64_t blocked; // steps that found a frame and no credit for it
	uint64_t grants, rewinds;
};

struct outlet {
	struct channel *channel;
	struct session *session;
	struct outlet *next; // the transport's: the one whose turn follows, a ring by session
	bool announced;      // the other end was asked for credit
	uint64_t opened;     // incarnation last told with that
	bool granted;        // and gave it
	bool started;        // frames were sent, in this session or one before
	bool rewind_due;
	uint64_t data_sent, control_sent;   // since the session began
	uint64_t data_limit, control_limit; // up to where they may
	uint64_t wanted; // the item the receiving task expected next when it first granted
	uint32_t in_flight;
	uint32_t staged_at, staged_count;
	struct rte_mbuf *staged[CHANNEL_BURST];
	struct outlet_stats stats;
};

void outlet_create(struct outlet *o, struct channel *channel, struct session *session);

// Everything in hand back to the channel. The session must have released its frames.
void outlet_destroy(struct outlet *o);

// The session began: nothing of before counts.
void outlet_begin(struct outlet *o);

void outlet_message(struct outlet *o, const struct session_message *message);

// The session gives frames back.
void outlet_release(struct outlet *o, struct rte_mbuf **frames, uint32_t count);

// Send what credit and session allow, `frames_max` at most.  Returns the frames sent.
uint32_t outlet_step(struct outlet *o, uint32_t frames_max, int64_t now_ns);

// Frames that were on their way when the session began anew are gone. True once the other end has
// said from where to go on: the sender is to be rewound (sender_rewind) to *ret_number.
bool outlet_rewind(struct outlet *o, uint64_t *ret_number);
