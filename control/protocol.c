// One protocol in a cluster: which nodes a leader takes, and whether it may lead at all.
#include <assert.h>
#include <stdio.h>

#include "control/controller_parts.h"
#include "dataplane/frame.h"
#include "dataplane/session_packet.h"

// What nodes say to each other is part of it: raise CLUSTER_PROTOCOL with any of these.
static_assert(CLUSTER_PROTOCOL == 2 && FRAME_VERSION == 1 && FRAME_TYPE_LIMIT == 8 &&
		SESSION_VERSION == 2 && SESSION_TYPE_LIMIT == 6 && MESSAGE_KIND_LIMIT == 3,
	"a node that does not know of it drops what it does not know");

static bool was_refused(struct controller *c, uint64_t boot)
{
	bool found = false;
	for (uint32_t i = 0; i < REFUSED_MAX && !found; i++)
		found = c->refused[i] == boot;
	if (!found)
		c->refused[c->refused_count++ % REFUSED_MAX] = boot;
	return found;
}

bool protocol_refuses_node(struct controller *c, const Weir__Join *join, char *why)
{
	uint32_t protocol = message_protocol(join->protocol);
	if (protocol == CLUSTER_PROTOCOL)
		return false;
	snprintf(why, REASON_BYTES,
		"node %.40s on host %.40s speaks protocol %u, controller %.40s protocol %u; "
		"run one version of weir on all",
		join->node->name, join->node->host, protocol, c->config.name, CLUSTER_PROTOCOL);
	if (!was_refused(c, join->node->boot)) // it asks again and again
		events_add(c, "%s", why);
	return true;
}

// Its nodes would be refused, and be taken for dead.
bool protocol_refuses_to_lead(struct controller *c)
{
	for (uint32_t i = 0; i < c->job_count && !*c->refusal; i++) {
		const Weir__JobRecord *record = c->jobs[i]->record;
		uint32_t protocol = message_protocol(record->protocol);
		bool has_parts = record->state != WEIR__JOB_STATE__JOB_SUBMITTED &&
			!job_is_ended(c->jobs[i]);
		if (has_parts && protocol != CLUSTER_PROTOCOL)
			snprintf(c->refusal, sizeof(c->refusal),
				"job %.96s runs with protocol %u, this controller speaks protocol "
				"%u; run the version it was begun with until it has ended",
				record->id, protocol, CLUSTER_PROTOCOL);
	}
	return *c->refusal;
}
