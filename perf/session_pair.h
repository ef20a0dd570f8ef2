// The two ends of a session as production sets them up, with a channel each way, for perf.
// Thread of everything here: the one that plays the end.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/channel.h"
#include "dataplane/link_port.h"
#include "dataplane/link_set.h"
#include "dataplane/transport.h"
#include "numa/arena.h"

#define PAIR_PATIENCE_NS INT64_C(15000000000)

struct pair_options {
	const char *device; // with %s: the role, else of this end alone
	uint32_t wire_bytes;
	uint32_t loss; // parts of a million
};

struct pair_end {
	uint32_t index;
	uint32_t items, wire_bytes; // of a whole frame
	uint64_t number, sum;       // of records sent; over records received
	char device[256];
	struct link_set links;
	uint32_t peer;
	struct rte_mempool *own, *frames;
	struct arena arena;
	struct transport transport;
	struct session *session;
	struct channel out_channel, in_channel;
	struct sender sender, unused_sender;
	struct receiver receiver, unused_receiver;
	struct outlet outlet;
	struct inlet inlet;
	int64_t now_ns;
	int64_t step_ns; // 0: the clock's time; else a step takes so long
};

// End 0 or 1; each sends on a channel of its own.  Returns 0 or -errno, having said why.
int pair_end_create(struct pair_end *e, uint32_t index, const struct pair_options *options);
void pair_end_destroy(struct pair_end *e); // NULL-safe where it was not created: all zero

// Fill and send up to `frames` frames.  Returns how many.
uint64_t end_send(struct pair_end *e, uint32_t frames);
bool end_send_one(struct pair_end *e); // one record
uint64_t end_receive(struct pair_end *e);

// The same without the transport: packets of the same size, written and read alike.
uint64_t bare_send(struct pair_end *e);
bool bare_send_one(struct pair_end *e);
uint64_t bare_receive(struct pair_end *e);

// One round of the worker: the transport's, or the link's upkeep.  Returns the time it was.
int64_t end_step(struct pair_end *e, bool bare);

// Let all that is under way arrive.
void end_drain(struct pair_end *from, struct pair_end *to);
