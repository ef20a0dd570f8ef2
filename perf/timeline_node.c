// weir-node with one more kind of operator, the sink of perf/run failover.
#include <argp.h>

#include "control/programs.h"
#include "perf/sink_timeline.h"

const char *argp_program_version = "timeline_node " WEIR_VERSION;

int main(int argc, char **argv)
{
	return node_program(argc, argv, timeline_kinds());
}
