#include <rte_ring.h>
#include <stdio.h>

#include "numa/assert.h"
#include "perf/micro/micro.h"
#include "perf/micro/pair.h"
#include "perf/micro/shim.h"

enum { BURST_MAX = 64, PAIR_FRAMES = 20000 };

static const int *pair_cpus;

// One thread puts a burst in and takes it out again: what the ring itself costs.
static void ring_burst(struct shim_state *state, int64_t burst)
{
	struct rte_ring *ring =
		rte_ring_create("micro", 256, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	void *pointers[BURST_MAX] = {0};

	if (ring == NULL) {
		shim_fail(state, "no memory for a ring");
		return;
	}
	while (shim_next(state, burst)) {
		rte_ring_sp_enqueue_burst(ring, pointers, (unsigned)burst, NULL);
		if (rte_ring_sc_dequeue_burst(ring, pointers, (unsigned)burst, NULL) != burst)
			shim_fail(state, "a burst was lost");
	}
	rte_ring_free(ring);
}

// Frames from thread to thread; the argument is the kind and the items a frame.
static void ring_pair(struct shim_state *state, int64_t argument)
{
	while (shim_next(state, PAIR_FRAMES)) {
		struct pair_result result;
		if (pair_run((enum pair_kind)(argument >> 32), (uint32_t)argument, PAIR_FRAMES,
			    pair_cpus, &result) != 0)
			shim_fail(state, "no memory for a channel");
		else
			shim_time(state, (double)result.ns / 1e9);
	}
}

void micro_ring(const int cpus[2])
{
	static const uint32_t items[] = {1, 32, 1400 / PAIR_ITEM_BYTES};

	pair_cpus = cpus;
	shim_register("ring/burst_1", ring_burst, 1, false);
	shim_register("ring/burst_32", ring_burst, 32, false);
	for (int64_t kind = 0; kind < PAIR_KINDS; kind++)
		for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
			char name[64];
			snprintf(name, sizeof(name), "exchange/%s/%u", pair_names[kind], items[i]);
			shim_register(name, ring_pair, kind << 32 | items[i], true);
		}
}
