#include <errno.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdio.h>

#include "dataplane/link_port_parts.h"

enum { PAIR_FRAMES = 1024, PAIR_NAME_BYTES = 28 };

static void end_name(const char *name, int end, char out[PAIR_NAME_BYTES])
{
	snprintf(out, PAIR_NAME_BYTES, "%s_%d", name, end);
}

int link_pair_create(const char *name)
{
	struct rte_ring *rings[2];
	char end[PAIR_NAME_BYTES];
	for (int i = 0; i < 2; i++) {
		end_name(name, i, end);
		rings[i] = rte_ring_create(end, PAIR_FRAMES, SOCKET_ID_ANY,
			RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (rings[i] == NULL)
			return -rte_errno;
	}
	for (int i = 0; i < 2; i++) {
		end_name(name, i, end); // which net_ring_ is put before
		if (rte_eth_from_rings(end, &rings[i], 1, &rings[1 - i], 1, 0) < 0)
			return -rte_errno;
	}
	return 0;
}

// What an end has sent may lie in the other's ring, so no pool goes before both rings are empty.
void link_pair_destroy(const char *name)
{
	char end[PAIR_NAME_BYTES], device[PAIR_NAME_BYTES + 16];
	uint16_t port;
	for (int i = 0; i < 2; i++) {
		struct rte_mbuf *m;
		end_name(name, i, end);
		struct rte_ring *ring = rte_ring_lookup(end);
		while (ring != NULL && rte_ring_sc_dequeue(ring, (void **)&m) == 0)
			rte_pktmbuf_free(m);
	}
	for (int i = 0; i < 2; i++) {
		end_name(name, i, end);
		snprintf(device, sizeof(device), "net_ring_%s", end);
		if (rte_eth_dev_get_port_by_name(device, &port) == 0) {
			link_pool_destroy(port);
			rte_eal_hotplug_remove("vdev", device);
		}
		rte_ring_free(rte_ring_lookup(end));
	}
}
