#include "perf/cores.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "numa/pin.h"

int cores_team(uint32_t threads, bool share, struct team *ret_team)
{
	unsigned *pus;
	size_t count;
	int err = pin_allowed(&pus, &count);

	if (err != 0)
		return err;
	if (threads < 1 || threads > TEAM_THREADS_MAX || (threads > count && !share)) {
		fprintf(stderr,
			"bench: %u threads asked for, this process may use %zu cores: "
			"ask for fewer or widen taskset or the cgroup\n",
			threads, count);
		free(pus);
		return -EINVAL;
	}
	ret_team->threads = threads;
	for (uint32_t i = 0; i < threads; i++)
		ret_team->cpus[i] = (int)pus[(count * threads - threads + i) % count];
	free(pus);
	return 0;
}
