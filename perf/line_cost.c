// What a cache line costs from one core to another just now, in ns: on a virtual machine it changes
// with where the host runs the two, and all exchange between processes with it. The least of many
// short rounds, since others may want the cores too.
#include <stdio.h>
#include <stdlib.h>

#include "numa/clock.h"
#include "perf/micro/line.h"

enum { ROUNDS = 100, CROSSINGS = 100, PATIENCE_NS = 300000000 };

int main(int argc, char **argv)
{
	double least = 1e9;
	if (argc != 3) {
		fprintf(stderr, "usage: line_cost CPU CPU\n");
		return 2;
	}
	const int cpus[2] = {atoi(argv[1]), atoi(argv[2])};
	clock_init();
	int64_t limit_ns = clock_now_ns() + PATIENCE_NS;
	for (int i = 0; i < ROUNDS && (i == 0 || clock_now_ns() < limit_ns); i++) {
		double took = line_crossing_ns(CROSSINGS, cpus);
		least = took < least ? took : least;
	}
	printf("%.1f\n", least);
	return 0;
}
