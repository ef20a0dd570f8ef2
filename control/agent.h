// The agent: a node's side of the control plane. Joins whichever controller leads, reports, and
// has the workload carry out what it is told, under the term it was welcomed with. Losing the
// controller disturbs no job. A stepped machine.  Thread: the control plane's event loop.
#pragma once

#include "control/bus.h"
#include "control/workload.h"

struct agent_config {
	const char *name, *host, *rack;
	uint64_t boot; // a number no other process has had
	uint32_t workers;
	uint32_t link_count;
	const char *const *links;
	uint32_t controller_count;
	const char *const *controllers; // addresses
	struct bus *bus;                // borrowed; its events are set by agent_create
	struct workload *workload;      // borrowed
};

struct agent;

struct agent *agent_create(const struct agent_config *config);
void agent_destroy(struct agent *agent); // NULL-safe; discards what runs

// Act on what came since the last step.  Returns the next deadline.
int64_t agent_step(struct agent *agent, int64_t now_ns);

// Leave: jobs with a part here end early and publish what is done.
void agent_leave(struct agent *agent);
// Whether it may go: no part is left, or nobody is there to end them.
bool agent_has_left(const struct agent *agent);

// As last heard, for logs: "connected to …", "looking for a controller: …".
const char *agent_state(const struct agent *agent);
