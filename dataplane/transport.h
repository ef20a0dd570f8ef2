// What a worker does each round for its channels between nodes: takes packets from its link's
// queue, gives them to its sessions, frames to inlets, and sends what outlets have. No clock, no
// system call but the links'; nothing is allocated after transport_create.
// Thread of everything here: the owning worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/channel_table.h"
#include "dataplane/inlet.h"
#include "dataplane/outlet.h"
#include "dataplane/session.h"

struct arena;

enum { TRANSPORT_OUTLET_FRAMES = LINK_BURST };

struct transport_config {
	uint16_t worker;                   // this one's number, as packets name it
	uint32_t session_max, channel_max; // channels of each kind: outlets, inlets
	uint32_t window_max;               // of any session
	struct link *link;                 // of all sessions; the owner of its queue 0 ticks it
	uint32_t queue;
};

struct transport_stats {
	uint64_t packets_received;
	uint64_t dropped[SESSION_DROP_COUNT]; // of no session, or of a frame's channel
};

struct transport {
	struct transport_config config;
	struct session *sessions; // session_max; boot 0: not in use
	struct session **active;  // those in use
	uint32_t active_count;
	struct outlet **turns; // by session, the outlet whose turn it is; NULL: it has none
	struct inlet **inlets;
	uint32_t inlet_count;
	uint64_t progress;
	int64_t tick_at_ns; // the link
	struct channel_table outlet_table, inlet_table;
	struct transport_stats stats;
};

uint64_t transport_bytes(const struct transport_config *config);

// Returns 0 or -ENOMEM.
int transport_create(struct transport *t, const struct transport_config *config,
	struct arena *arena);

// Stop all sessions. Inlets and outlets must have been removed.
void transport_destroy(struct transport *t);

// Start session config->index, which must not be in use; events, context, link and queue are
// the transport's.  Returns it.
struct session *transport_connect(struct transport *t, const struct session_config *config);

// Stop it; its outlets have their frames back, and neither they nor its inlets get any more.
void transport_disconnect(struct transport *t, struct session *s);

// Let a channel's end take part; false when there are too many or that channel is there already.
bool transport_add_outlet(struct transport *t, struct outlet *o);
bool transport_add_inlet(struct transport *t, struct inlet *i);

// Take it out again. An outlet gives back what it has staged; with frames in flight it cannot go
// (false): let them be acknowledged, or disconnect the session first.
bool transport_remove_outlet(struct transport *t, struct outlet *o);
void transport_remove_inlet(struct transport *t, struct inlet *i);

// One round.  Returns packets and frames handled, 0: nothing to do now.
uint32_t transport_step(struct transport *t, int64_t now_ns);

// When a step is next due though nothing comes.
int64_t transport_deadline(const struct transport *t);
