// All links of a node, made from their configs: ports, faults over them where the config says so,
// joined to one link for the workers' sessions.
#pragma once

#include "dataplane/links.h"

// Where a node is reached over one of its links.
struct link_place {
	struct packet_address address;
	uint16_t port; // UDP, of its worker 0
};

// A worker of another node, by its peer numbers on each port.
struct link_set_peer {
	uint32_t members[LINKS_MAX];
	uint32_t peer; // of the joined link
};

struct link_set {
	struct link *link; // for sessions; its queues are the workers
	uint32_t count;
	struct link *ports[LINKS_MAX];  // for link_port_report
	struct link *faults[LINKS_MAX]; // for fault_link_…; NULL where there are none
	uint32_t peer_count;
	struct link_set_peer peers[LINK_PEERS_MAX];
};

// Thread: agent, with EAL running.  Returns 0, or -errno with what is wrong in `ret_problem`, of
// the config `ret_index`.
int link_set_create(struct link_set *set, const struct link_config *configs, uint32_t count,
	uint32_t workers, uint32_t *ret_index, struct link_problem *ret_problem);
void link_set_destroy(struct link_set *set); // NULL-safe, half-built too

// Make a peer of a worker of the node at `places`, one for each of its links, or find it again.
// Each link goes to the first of them in its subnet, else by its gateway to the one of its own
// place.
// Thread: agent, one at a time; workers may run.
// Returns 0, -ENETUNREACH where no link leads there, -ENOSPC.
int link_set_peer(struct link_set *set, const struct link_place *places, uint32_t count,
	uint16_t worker, uint32_t *ret_peer);
