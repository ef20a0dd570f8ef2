// `weir topo`: a host, the placement of workers and of a job's tasks on it, and why.
#pragma once

#include "numa/placement.h"

#include <stdio.h>

// The subcommand. Returns the exit code: 0 done, 1 failed, 2 wrong use.
int topo_command(int argc, char **argv);

// Write host and placement as JSON (schema "weir-topo-1"). `graph` is the one that was placed, NULL
// if there was none.  Returns 0 or -errno.
int topo_json(FILE *out, const struct topology *topology, const struct placement_graph *graph,
	const struct placement *placement);
