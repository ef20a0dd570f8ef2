// A link: what carries session packets between nodes. A packet at this interface is an mbuf of one
// segment whose data begins at the session header; what lies below (Ethernet, IP, UDP, neighbours,
// checksums) is the link's own affair.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct link;
struct rte_mbuf;

enum { LINK_HEADROOM = 64, LINK_BURST = 32 }; // Ethernet 14, IPv6 40, UDP 8 fit before a packet

// What happened to a port since it was last asked. Thread: that of queue 0.
enum link_event { LINK_NOTHING, LINK_WENT_UP, LINK_WENT_DOWN };

struct link_ops {
	// Take up to LINK_BURST packets for `peer` (as link_port_peer gave it).  Returns how many
	// were taken; the others stay the caller's (the queue is full, the port down, the peer not
	// found yet). Data in [data_off - LINK_HEADROOM, data_off) may be overwritten. Of a packet
	// with a reference count above 1 the link takes one reference; the caller, whose the others
	// are, finds it unchanged, but changes it only when the count is 1 again.
	// Thread: the queue's owner.
	uint32_t (*send)(struct link *link, uint32_t queue, uint32_t peer,
		struct rte_mbuf **packets, uint32_t count);
	// Packets that have come, checked up to the UDP payload's length; the caller owns them.
	uint32_t (*receive)(struct link *link, uint32_t queue, struct rte_mbuf **packets,
		uint32_t count);
	// Work that is due (neighbours asked for again, link state).  Returns the next deadline.
	int64_t (*tick)(struct link *link, int64_t now_ns, enum link_event *ret_event);
	void (*destroy)(struct link *link); // NULL-safe, half-built too
};

struct link {
	const struct link_ops *ops;
	uint32_t packet_max;  // bytes from the session header on that fit a packet
	uint32_t queue_count; // each with one owner worker
	bool steers;          // packets reach the queue of the worker they name by themselves
};
