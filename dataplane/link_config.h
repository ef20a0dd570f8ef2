// What a link is made from, as control/ reads it from a node's config file.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/fault_link.h"
#include "dataplane/packet.h"

enum {
	LINK_PEERS_MAX = 1024, // remote workers
	LINK_QUEUES_MAX = 128,
	LINK_MTU_MAX = 9000,
	LINK_BUFFERS_MIN = 512,
};

struct link_neighbour {
	struct packet_address address;
	uint8_t mac[PACKET_MAC_BYTES];
};

struct link_config {
	const char *device; // DPDK's device arguments, or the name of a port that is there already
	struct packet_address address;
	uint32_t prefix; // of the subnet, in bits
	struct packet_address gateway;
	bool has_gateway;
	uint16_t port;    // UDP port of worker 0; worker w has port + w
	uint32_t mtu;     // bytes of an IP packet
	uint32_t queues;  // 0: one per worker, or as many as the port has
	uint32_t buffers; // mbufs for received packets, per queue
	const struct link_neighbour *neighbours;
	uint32_t neighbour_count;
	bool faulty;
	struct fault_rates faults;
	uint64_t fault_seed;
};

// What is wrong with a config or a device: the member, and a line with value and remedy.
struct link_problem {
	const char *member;
	char text[240];
};
