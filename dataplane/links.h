// A node's links as one: each session (own worker, peer) goes by one of those that are up, chosen
// by a hash, so that they share the load; by another when that one goes down or no longer finds
// the peer. What was under way on a lost link is sent again by the transport. Here queues are
// workers: a packet for another worker is passed on, and a worker without a queue of its own on a
// link sends through another's.
#pragma once

#include "dataplane/link.h"
#include "dataplane/link_config.h"
#include "dataplane/steer.h"

enum { LINKS_MAX = 8, LINKS_NO_PEER = UINT32_MAX, LINKS_RING_PACKETS = 511 };

struct links_member_report {
	bool up;
	uint64_t downs; // how often it went down
};

struct links_report {
	uint64_t steered[STEER_COUNTER_COUNT]; // packets received for other workers
	uint64_t handed, refused; // packets sent through another worker's queue; dropped there
	struct links_member_report members[LINKS_MAX];
};

// Join links, which are then its own, for `workers` workers.  Thread: agent.
// Returns 0 or -ENOMEM; after an error the members are still the caller's.
int links_create(struct link *const *members, uint32_t count, uint32_t workers,
	struct link **ret_link);

// Make a peer of its numbers on the members, LINKS_NO_PEER where it is not reached by one.
// Thread: agent, one at a time; workers may run.  Returns 0 or -ENOSPC.
int links_peer(struct link *link, const uint32_t *member_peers, uint32_t *ret_peer);

// Thread: any; torn but harmlessly while workers run.
void links_report(const struct link *link, struct links_report *ret_report);
