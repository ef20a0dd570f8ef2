// The simulator's third world: nodes with the production engine and transport, a job across them
// whose tasks have replicas, a bad network between them, and nodes that die, or are taken for dead
// and live on. What the controller would tell of losses comes to each node at a time of its own.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/job.h"
#include "control/planner.h"
#include "dataplane/engine_parts.h"
#include "tests/sim/capture.h"
#include "tests/sim/scenario.h"
#include "tests/sim/wire.h"

enum { REPLICA_NODES_MAX = CAPTURE_NODES_MAX };

// What one node is to be told of another's loss.
struct replica_news {
	int64_t begin_ns, alone_ns; // when; 0: nothing
};

struct replica_node {
	struct engine *engine;
	struct transport transport;
	struct arena arena; // the transport's
	struct crossing_network network;
	uint32_t peers[REPLICA_NODES_MAX];
	struct rte_mempool *packets;
	bool dead;               // steps no more
	bool lost;               // is taken for dead
	int64_t paused_until_ns; // a zombie wakes then
	struct replica_news news[REPLICA_NODES_MAX];
};

struct replica_world {
	const struct scenario *scenario;
	struct random random;
	struct job job;
	struct planned_job planned;
	struct workload_cover *covers;
	struct wire wire;
	uint32_t node_count;
	struct replica_node nodes[REPLICA_NODES_MAX];
	uint32_t losses, losses_wanted;
	int64_t now_ns, lose_at_ns;
	uint64_t rounds;
	bool violated;
};

// Returns false, having said why, when the job cannot be built.
bool replica_world_create(struct replica_world *w, const struct scenario *scenario);
void replica_world_run(struct replica_world *w);
void replica_world_destroy(struct replica_world *w); // its mbufs must all be back

// Put the rows of the instances that count where the check of outputs looks for them.
void replica_world_gather(struct replica_world *w);
