// What comes of the rest of a job while one of its nodes is down: the items that owners on living
// nodes take of owners on living nodes, held against the same run in which nothing dies.
#pragma once

#include <stdint.h>

#include "tests/sim/replicas.h"

enum { REST_WINDOWS = 2 };

extern const int64_t rest_windows_ns[REST_WINDOWS]; // how long after the death they end

struct takeover_rest {
	uint32_t lost; // the node that dies
	int64_t death_ns;
	uint64_t before; // items taken until then
	uint32_t done;   // windows that have ended
	uint64_t items[REST_WINDOWS];
};

// The node dies now, or does not.
void rest_begin(struct takeover_rest *rest, const struct replica_world *w, uint32_t lost);

// Between two steps of workers, of which none comes before `now_ns`.
void rest_look(struct takeover_rest *rest, const struct replica_world *w, int64_t now_ns);
