// The pulse of a node's workers: whether all of them go round, and if not, whether they could.
// Thread: the control plane's event loop.
#pragma once

#include "dataplane/node.h"

struct pulse {
	uint64_t progress;  // grows whenever every worker has gone round since it last grew
	int64_t starved_ns; // that those which have not had no core meanwhile
	int64_t grown_ns;   // when it last grew
	const struct node *node;
	uint32_t worker_count;
	struct pulse_worker *workers;
};

int pulse_create(struct pulse *pulse, const struct node *node, uint32_t worker_count);
void pulse_destroy(struct pulse *pulse); // one of zeros is no error
void pulse_look(struct pulse *pulse, int64_t now_ns);
