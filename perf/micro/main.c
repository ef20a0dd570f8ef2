// Microbenchmarks: `micro --help` lists Google Benchmark's flags.
#include "dataplane/engine.h"
#include "perf/cores.h"
#include "perf/micro/micro.h"
#include "perf/micro/shim.h"

int main(int argc, char **argv)
{
	static struct team team;
	bool huge;

	if (engine_eal_start(256 << 20, &huge) != 0 || cores_team(2, true, &team) != 0)
		return 1;
	micro_ring(team.cpus);
	micro_frame();
	micro_key();
	micro_table();
	return shim_main(argc, argv);
}
