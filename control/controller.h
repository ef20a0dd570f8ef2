// The controller: leads the cluster, or stands by. A stepped machine over metadata and bus. What it
// decides is written to metadata first, under its term, and only then told to anyone.
// Thread: the control plane's event loop, for all of it.
#pragma once

#include "control/bus.h"
#include "control/meta.h"
#include "dataplane/operator.h"

struct controller_config {
	const char *name, *address; // the address that others reach it at
	uint64_t boot;              // a number no other process has had
	struct meta *meta;          // borrowed, as all; their events are set by controller_create
	struct bus *bus;
	const struct weir_operator *const *kinds; // NULL at the end
	int64_t lease_ns;                         // of leadership
	int64_t heartbeat_ns;                     // of nodes
	int64_t silence_ns;                       // the least after which a node counts as dead
	int64_t prepare_ns;                       // the most that preparing a job may take
	uint32_t ended_max;                       // jobs that have ended are kept, at most
};

struct controller;

enum { CONTROLLER_NODES_MAX = 1024, CONTROLLER_JOBS_MAX = 1024 };

struct controller *controller_create(const struct controller_config *config);
void controller_destroy(struct controller *controller); // NULL-safe; meta and bus stay

// Act on what came since the last step. `wall_ns` is only noted (ns since 1970).
// Returns the next deadline.
int64_t controller_step(struct controller *controller, int64_t now_ns, int64_t wall_ns);

// Give leadership up, so that a standby need not wait for the lease; it is not sought again.
void controller_resign(struct controller *controller);
// Whether what controller_resign began has come to its end.
bool controller_has_resigned(const struct controller *controller);

// Why it will not lead, and has given leadership up by itself: a job runs that was begun with
// another protocol. NULL: it does, or stands by.
const char *controller_refusal(const struct controller *controller);

// The term it leads, 0: it does not.
uint64_t controller_term(const struct controller *controller);

// Whether an answer of metadata is awaited.
bool controller_is_asking(const struct controller *controller);
