// Shared by the tests of topology, placement and drawing.
#pragma once

#include "numa/topology.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static inline struct topology synthetic(const char *text)
{
	struct topology topology;
	int rc = topology_load(TOPOLOGY_SYNTHETIC, text, NULL, 0, &topology);
	if (rc) {
		fprintf(stderr, "%s: %d\n", text, rc);
		abort();
	}
	return topology;
}

// Two sockets x 64 cores x 2 hyper-threads (PU p and p + 128), 8 cores under an L3, a NIC with two
// ports on node 1.
static inline struct topology big_host(void)
{
	struct topology topology;
	int rc = topology_load(TOPOLOGY_XML, WEIR_TEST_DATA "/host-2x64-smt-nic.xml", NULL, 0,
		&topology);
	if (rc) {
		fprintf(stderr, "host-2x64-smt-nic.xml: %d\n", rc);
		abort();
	}
	return topology;
}
