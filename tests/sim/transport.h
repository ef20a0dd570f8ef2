// The transport stage: endpoints with production transport, sessions, outlets, inlets, senders and
// receivers over the simulated wire. What stands in for tasks sends and consumes items whose
// content follows from their number, and for the controller what restarts do to both ends.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/transport.h"
#include "numa/arena.h"
#include "tests/sim/wire.h"

enum { ENDPOINTS_MAX = 4, FLOWS_MAX = 6, FLOW_RECORD_MAX = 64 };

// What a seed chooses.
struct transport_scenario {
	uint64_t seed;
	uint32_t endpoints, flows, window, frames, frame_bytes;
	bool recovery, holds;
	struct wire_faults faults;
	int64_t byte_ps, queue_ns;
	int64_t faults_end_ns;
	uint32_t restarts, cuts;
	bool blocked; // the first flow's receiver takes nothing before the others have ended
	bool small_pools;
};

// A channel from one endpoint to another, with what its tasks know.
struct flow {
	uint32_t from, to;
	uint64_t items; // to be sent in all
	bool no_marks;
	struct channel sending, receiving;
	struct sender sender;
	struct receiver receiver;
	struct outlet outlet;
	struct inlet inlet;
	uint64_t incarnation;
	uint64_t committed;       // both ends can go back to this item
	int64_t stalled_until_ns; // the receiver
	int64_t mark_waits_ns;    // since when a mark with credit has not left; 0: none
	uint64_t bytes;           // consumed
};

struct endpoint {
	struct rte_mempool *packets, *frames;
	struct arena arena;
	struct transport transport;
	struct session *sessions[ENDPOINTS_MAX]; // by peer
	uint64_t boot;
	int64_t paused_until_ns;
	uint32_t packets_bound; // more mbufs than this it may not use
};

struct transport_world {
	struct transport_scenario scenario;
	struct random random;
	struct wire wire;
	int64_t now_ns;
	uint64_t rounds;
	struct endpoint endpoints[ENDPOINTS_MAX];
	struct flow flows[FLOWS_MAX];
	uint32_t restarts, cuts;
	bool restarted; // ever
	bool violated;
};

void transport_scenario_draw(struct transport_scenario *s, uint64_t seed);

// The flows' ends (from, to, items) must be set in `flows`.
void transport_world_create(struct transport_world *w, const struct transport_scenario *s,
	const struct flow *flows);
void transport_world_destroy(struct transport_world *w);

// One round of all endpoints, and time goes on.
void transport_world_round(struct transport_world *w);
bool transport_world_ended(const struct transport_world *w);

// An endpoint's process dies and another starts in its place.
void transport_world_restart(struct transport_world *w, uint32_t endpoint);

void transport_violate(struct transport_world *w, const char *what);

// What must hold after every round, and at the end.
void transport_check(struct transport_world *w);
void transport_check_end(struct transport_world *w);

// Goodput under loss, and two sessions at one bottleneck.
bool transport_trial_loss(uint64_t seed, bool verbose);
bool transport_trial_share(uint64_t seed, bool verbose);

// Returns whether the seed is good.
bool transport_run_seed(uint64_t seed, bool verbose);
