// A host and a placement drawn as text: nodes, L3 caches, cores with their workers and tasks, then
// the reason for every decision. Runs of cores that nobody uses are drawn as one line.
#pragma once

#include "numa/placement.h"

#include <stdio.h>

// `graph` is the one the placement was computed from, NULL if there was none.
void draw_host(FILE *out, const struct topology *topology, const struct placement_graph *graph,
	const struct placement *placement);
