// An inlet: the receiving node's end of a channel between nodes. To the channel's receiver it is
// its sender: it puts frames that came over a session into the forward ring, frees what comes back,
// and so grants the other end credit: absolute numbers of frames, backed by the links' mbufs.
// Thread of everything here: the session's owner, which is the receiving task's worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/channel.h"
#include "dataplane/channel_table.h"

struct session;
struct session_message;

struct inlet_stats {
	uint64_t frames, bytes;
	uint64_t over_credit; // dropped
	uint64_t grants;
};

struct inlet {
	struct channel *channel;
	struct session *session;
	const struct receiver *receiver;          // NULL: of a log
	bool asked;                               // to grant, whatever was granted before
	uint64_t data_received, control_received; // since the session began
	uint64_t data_granted, control_granted;   // limits last told
	uint64_t snapshot_told, answered_told;
	int64_t told_ns;                  // when
	uint32_t data_held, control_held; // frames in the channel
	struct inlet_stats stats;
};

void inlet_create(struct inlet *i, struct channel *channel, const struct receiver *receiver,
	struct session *session);

// The session began: nothing of before counts but what is held.
void inlet_begin(struct inlet *i);

// The other end asks for credit.
void inlet_message(struct inlet *i, const struct session_message *message);

// Frames of the channel, in order, their data at the header.  Returns how many had no credit and
// were freed.
uint32_t inlet_take(struct inlet *i, struct rte_mbuf **frames, uint32_t count);

// Free what came back, and grant.  Returns the frames freed.
uint32_t inlet_step(struct inlet *i, int64_t now_ns);
