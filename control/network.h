// A node's network: its links as one, a transport for each of its workers, and how other nodes'
// workers are reached.
#pragma once

#include "dataplane/crossing.h"
#include "dataplane/links.h"

enum { NETWORK_ADDRESS_BYTES = 64, NETWORK_WORKERS_MAX = 128 }; // of a job, on all its nodes

// How a node's workers reach those of other nodes. Real: a network; the simulator's is a wire.
struct peers {
	uint32_t buffers;                // packets that may lie received on the node, over any link
	struct crossing_network network; // what a job's sessions need, but for what is by worker
	// Make a worker of another node a peer, or find it again, by that node's addresses.
	// Thread: one at a time.  Returns 0, or -errno with one line in `why`.
	int (*reach)(struct peers *peers, const char *const *addresses, uint32_t count,
		uint16_t worker, uint32_t *ret_peer, char *why, uint32_t why_bytes);
};

struct network;

// Make links from their configs and start their ports.  Thread: agent, with EAL running.
// Returns 0, or -errno with the problem and the link's index, or UINT32_MAX and a reason in its
// text where no single link is to blame.
int network_create(const struct link_config *configs, uint32_t count, uint32_t workers,
	uint32_t *ret_index, struct link_problem *ret_problem, struct network **ret_network);
// Once no worker runs. NULL-safe.
void network_destroy(struct network *network);

// One for each worker of the node, for node_config.
struct transport *network_transports(struct network *network);

// Where others reach worker 0 over link `index`: "udp:10.0.0.1:4000", for their peers to reach.
const char *network_address(const struct network *network, uint32_t index);

struct peers *network_peers(struct network *network);
