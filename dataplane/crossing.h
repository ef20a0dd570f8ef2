// A crossing: what of a job's share goes to and comes from other nodes. A session with every worker
// elsewhere that a channel leads to or from, an outlet for each channel that leaves, an inlet for
// each that comes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/transport.h"

struct arena;

// Of a place that nobody holds: there is no session with it until somebody is admitted.
#define CROSSING_NO_PEER UINT32_MAX

// How the workers of a job reach each other.
struct crossing_network {
	struct rte_mempool *pool; // for sessions' own packets
	uint32_t window;          // packets of a session in flight
	uint32_t packet_max;      // bytes of a packet, session header included
	const uint16_t *workers;  // by worker of the plan: its number on its node
	const uint32_t *peers;    // by worker of the plan: the link's peer; own ones unused
	const uint64_t *boots;    // by worker of the plan: the job's incarnation, or of its repair
};

// With which boot number the sessions between two workers begin at both ends: the later of theirs,
// so that who had one of their places before has an earlier one.
static inline uint64_t crossing_boot(const struct crossing_network *n, uint32_t a, uint32_t b)
{
	return n->boots[a] > n->boots[b] ? n->boots[a] : n->boots[b];
}

// How a worker is reached.
struct crossing_way {
	uint64_t boot; // of the session
	uint32_t peer;
	uint16_t number; // its on its node
};

struct crossing {
	const struct crossing_network *network;
	uint32_t own; // worker of the plan
	uint32_t session_count, outlet_count, inlet_count;
	uint32_t *session_to; // workers of the plan
	struct crossing_way *ways;
	bool *joins;               // that worker's tasks are yet to get their state
	struct session **sessions; // once entered
	struct outlet *outlets;
	struct inlet *inlets;
	uint32_t *outlet_to, *inlet_from; // workers of the plan
	struct channel **outlet_channel, **inlet_channel;
	const struct receiver **inlet_receiver;
	struct transport *transport; // while it takes part
};

// Room for so many channels and sessions.  Returns 0 or -ENOMEM.
int crossing_create(struct crossing *c, const struct crossing_network *network, uint32_t own,
	uint32_t channel_max, uint32_t session_max, struct arena *arena);

// A channel from the share towards `worker`, or to it from there.  Thread: agent, before it enters.
void crossing_add_outlet(struct crossing *c, struct channel *channel, uint32_t worker);
void crossing_add_inlet(struct crossing *c, struct channel *channel,
	const struct receiver *receiver, uint32_t worker);

// Begin and end to take part.  Thread: the worker.
void crossing_enter(struct crossing *c, struct transport *transport);
void crossing_leave(struct crossing *c, struct transport *transport);

// Let go of that worker, if there is a session with it.  Thread: the worker, of all three.
void crossing_lose(struct crossing *c, uint32_t worker);
// It was let go, and is another one from now on: begin anew with it, over channels on which nothing
// was ever said.
void crossing_admit(struct crossing *c, uint32_t worker, const struct crossing_way *way);
void crossing_joined(struct crossing *c, uint32_t worker); // its tasks have their state

// All that was sent has come to the other nodes, but for a worker that joins.  Thread: the worker.
bool crossing_is_idle(const struct crossing *c);
