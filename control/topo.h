// A host, the placement of workers and of a job's tasks on it, and why, as `weir topo` prints it.
#pragma once

#include "numa/placement.h"

#include <stdio.h>

// Write host and placement as JSON (schema "weir-topo-1"). `graph` is the one that was placed, NULL
// if there was none.  Returns 0 or -errno.
int topo_json(FILE *out, const struct topology *topology, const struct placement_graph *graph,
	const struct placement *placement);
