#include "dataplane/engine_frames.h"

#include <pthread.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LEAVING_MAX = 256 };

// Of jobs that are gone; links are the process's, so these are.
static struct rte_mempool *leaving[LEAVING_MAX];
static uint32_t leaving_count;
static pthread_mutex_t leaving_lock = PTHREAD_MUTEX_INITIALIZER;

static void free_whole_locked(void)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < leaving_count; i++) {
		if (rte_mempool_full(leaving[i]))
			rte_mempool_free(leaving[i]);
		else
			leaving[kept++] = leaving[i];
	}
	leaving_count = kept;
}

// Of pages that DPDK knows nothing of, without addresses for a card.
static struct rte_mempool *create_in_small_pages(const char *name, uint32_t frames, uint16_t room,
	int node)
{
	const struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = room};
	struct rte_mempool *pool =
		rte_mempool_create_empty(name, frames, (unsigned)sizeof(struct rte_mbuf) + room, 0,
			sizeof(private), node, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (pool == NULL)
		return NULL;
	rte_pktmbuf_pool_init(pool, (void *)(uintptr_t) & private);
	if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) != 0 ||
		rte_mempool_populate_anon(pool) == 0) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

// Others may have taken the huge pages since EAL began, this node's other jobs as well.
struct rte_mempool *engine_frames_create(uint32_t frames, uint16_t room, int node)
{
	static atomic_uint pools; // names are unique within the process
	char name[RTE_MEMPOOL_NAMESIZE];
	engine_frames_free(NULL);
	snprintf(name, sizeof(name), "weir%u", atomic_fetch_add(&pools, 1));
	struct rte_mempool *pool = rte_pktmbuf_pool_create(name, frames, 0, 0, room, node);
	if (pool == NULL)
		pool = rte_pktmbuf_pool_create(name, frames, 0, 0, room, SOCKET_ID_ANY);
	if (pool == NULL && rte_eal_has_hugepages() && !rte_eal_has_pci())
		pool = create_in_small_pages(name, frames, room, SOCKET_ID_ANY);
	return pool;
}

void engine_frames_free(struct rte_mempool *pool)
{
	pthread_mutex_lock(&leaving_lock);
	free_whole_locked();
	if (pool != NULL && rte_mempool_full(pool))
		rte_mempool_free(pool);
	else if (pool != NULL && leaving_count < LEAVING_MAX) // beyond that it stays for good
		leaving[leaving_count++] = pool;
	pthread_mutex_unlock(&leaving_lock);
}
