// A link over an ethdev port: a NIC bound to vfio-pci, net_memif, net_af_xdp, net_af_packet, an
// in-process pair. docs/links.md has the limits of each driver.
#pragma once

#include "dataplane/link.h"
#include "dataplane/link_config.h"
#include "dataplane/neighbour.h"

#define LINK_PORT_COUNTERS(X)                                                                      \
	X(SENT, "sent")             /* packets handed to the port */                               \
	X(RECEIVED, "received")     /* good ones */                                                \
	X(SENT_BYTES, "sent_bytes") /* of the frames, without FCS */                               \
	X(RECEIVED_BYTES, "received_bytes")                                                        \
	X(FULL, "full")             /* not taken: the port's queue was full */                     \
	X(DOWN, "down")             /* not taken: the port is down */                              \
	X(UNRESOLVED, "unresolved") /* not taken: no station known for the peer */

enum link_port_counter {
#define X(id, name) LINK_PORT_##id,
	LINK_PORT_COUNTERS(X)
#undef X
		LINK_PORT_COUNTER_COUNT
};

extern const char *const link_port_counter_names[LINK_PORT_COUNTER_COUNT];

struct link_port_counters {
	uint64_t counted[LINK_PORT_COUNTER_COUNT];
	uint64_t dropped[PACKET_DROP_COUNT];
	uint64_t neighbours[NEIGHBOUR_COUNTER_COUNT];
	uint64_t missed; // by the port: no buffer, or its queue was full
};

// Probe the device (unless it is there), configure and start it for `workers` workers. All memory
// is taken here.  Thread: agent, with EAL running.
// Returns 0, or -errno with the problem in `ret_problem`.
int link_port_create(const struct link_config *config, uint32_t workers,
	struct link_problem *ret_problem, struct link **ret_link);

// Make a peer of a remote worker's address and UDP port, or find it.  Thread: agent, one at a time;
// queues may run.  Returns 0, -ENETUNREACH: no router leads there, -ENOSPC.
int link_port_peer(struct link *link, const struct packet_address *address, uint16_t udp_port,
	uint32_t *ret_peer);

// Whether an address lies in the link's subnet.  Thread: any.
bool link_port_is_near(const struct link *link, const struct packet_address *address);

// Sum up the queues' counters.  Thread: any; torn but harmlessly while they run.
void link_port_report(const struct link *link, struct link_port_counters *ret_counters);

// Whether the port can be sent through at all.  Thread: any.
bool link_port_is_up(const struct link *link);

// Two ports joined in this process, which are the devices net_ring_NAME_0 and net_ring_NAME_1; each
// serves one link. To be destroyed after both links.
// Thread: agent.  Returns 0 or -errno; destroy what was half made.
int link_pair_create(const char *name);
void link_pair_destroy(const char *name);
