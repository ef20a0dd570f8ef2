// A link over a link that loses, doubles, reorders, delays and corrupts packets, from a seed. These
// faults befall what is received; a partition also what is sent. Ships with the product, to see how
// a cluster bears a bad fabric; with all rates 0 it costs a few comparisons a packet.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/link.h"

enum {
	FAULT_HELD_MAX = 1024, // packets a queue holds back; beyond them they come at once
	FAULT_PEERS_MAX = 1024,
	FAULT_ONE = 1000000,
};

struct fault_rates {
	uint32_t loss, duplicate, reorder, corrupt; // parts of FAULT_ONE of the packets
	int64_t delay_ns;                           // of every packet
	int64_t jitter_ns;                          // more, evenly spread
	int64_t reorder_ns;                         // at most, of those that are reordered
};

enum fault_direction { FAULT_NEITHER, FAULT_SENT, FAULT_RECEIVED, FAULT_BOTH };

#define FAULT_COUNTERS(X)                                                                          \
	X(LOST, "lost")                                                                            \
	X(DUPLICATED, "duplicated")                                                                \
	X(REORDERED, "reordered")                                                                  \
	X(DELAYED, "delayed")                                                                      \
	X(CORRUPTED, "corrupted")                                                                  \
	X(CUT, "cut")             /* lost to a partition */                                        \
	X(CROWDED, "crowded")     /* not delayed or reordered: too many held back */               \
	X(NO_BUFFER, "no_buffer") /* not duplicated: the pool is empty */

enum fault_counter {
#define X(id, name) FAULT_##id,
	FAULT_COUNTERS(X)
#undef X
		FAULT_COUNTER_COUNT
};

extern const char *const fault_counter_names[FAULT_COUNTER_COUNT];

// Put faults over `inner`, which is then the fault link's own. Peers are the inner link's. Time
// passes for it by its tick. Thread: agent.  Returns 0 or -ENOMEM.
int fault_link_create(struct link *inner, const struct fault_rates *rates, uint64_t seed,
	struct link **ret_link);

// From now on.  Thread: agent; queues may run.
void fault_link_set(struct link *link, const struct fault_rates *rates);

// Cut all off, or heal.  Thread: as fault_link_set.
void fault_link_cut(struct link *link, enum fault_direction direction);

// Send nothing to one peer, or heal.  Thread: as fault_link_set.
void fault_link_cut_peer(struct link *link, uint32_t peer, bool cut);

// Sum up the queues' counters.  Thread: any; torn but harmlessly while they run.
void fault_link_report(const struct link *link, uint64_t ret_counted[FAULT_COUNTER_COUNT]);
