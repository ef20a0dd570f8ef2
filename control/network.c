#include "control/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/workload.h"
#include "dataplane/link_set.h"
#include "numa/arena.h"
#include "numa/assert.h"

enum {
	WINDOW = 256,        // packets in flight of a session
	CHANNELS_MAX = 4096, // of a worker, each way
	OWN_PACKETS = 2048,  // sessions' own, a worker
};

struct network {
	struct peers peers; // first: the interface
	uint32_t workers;
	struct link_set links;
	char addresses[LINKS_MAX][NETWORK_ADDRESS_BYTES];
	struct rte_mempool *pool;
	struct arena arena;
	struct transport *transports;
};

static void write_address(const struct link_config *config, char *out)
{
	char text[INET6_ADDRSTRLEN];
	bool six = config->address.six;
	inet_ntop(six ? AF_INET6 : AF_INET, config->address.bytes, text, sizeof(text));
	snprintf(out, NETWORK_ADDRESS_BYTES, six ? "udp:[%s]:%u" : "udp:%s:%u", text, config->port);
}

// As write_address gives it.  Returns whether it is one.
static bool read_address(const char *text, struct packet_address *ret_address, uint16_t *ret_port)
{
	struct packet_address address = {.six = strncmp(text, "udp:[", 5) == 0};
	char host[INET6_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');
	const char *first = text + (address.six ? 5 : 4);
	const char *limit = address.six && colon != NULL ? colon - 1 : colon;
	if (strncmp(text, "udp:", 4) != 0 || limit <= first ||
		(size_t)(limit - first) >= sizeof(host) || (address.six && *limit != ']'))
		return false;
	memcpy(host, first, (size_t)(limit - first));
	host[limit - first] = 0;
	char *end;
	long port = strtol(colon + 1, &end, 10);
	*ret_address = address;
	*ret_port = (uint16_t)port;
	return *end == 0 && port > 0 && port <= UINT16_MAX &&
		inet_pton(address.six ? AF_INET6 : AF_INET, host, ret_address->bytes) == 1;
}

static int no_memory(uint32_t *ret_index, struct link_problem *ret_problem)
{
	*ret_index = UINT32_MAX;
	snprintf(ret_problem->text, sizeof(ret_problem->text),
		"not enough memory for sessions with other nodes; reserve more huge "
		"pages, or set WEIR_SMALL_PAGES=1 and raise `memory`");
	return -ENOMEM;
}

static void describe_links(struct network *n, const struct link_config *configs)
{
	n->peers.buffers = UINT32_MAX;
	for (uint32_t i = 0; i < n->links.count; i++) {
		uint32_t buffers = configs[i].buffers * n->links.ports[i]->queue_count;
		n->peers.buffers = buffers < n->peers.buffers ? buffers : n->peers.buffers;
		write_address(&configs[i], n->addresses[i]);
	}
}

static int make_transports(struct network *n, uint32_t *ret_index, struct link_problem *ret_problem)
{
	struct transport_config config = {.session_max = NETWORK_WORKERS_MAX,
		.channel_max = CHANNELS_MAX,
		.window_max = WINDOW,
		.link = n->links.link};
	uint16_t room = (uint16_t)(RTE_PKTMBUF_HEADROOM + n->links.link->packet_max);
	n->pool = rte_pktmbuf_pool_create("weir sessions", n->workers * OWN_PACKETS - 1, 64, 0,
		room, SOCKET_ID_ANY);
	if (n->pool == NULL)
		return no_memory(ret_index, ret_problem);
	size_t bytes = n->workers * (transport_bytes(&config) + sizeof(struct transport) + 256);
	int error = arena_create(&n->arena, bytes, -1, false);
	if (error == 0)
		n->transports = arena_alloc(&n->arena, n->workers * sizeof(*n->transports), 64);
	for (uint32_t w = 0; w < n->workers && error == 0; w++) {
		config.worker = (uint16_t)w;
		config.queue = w;
		error = transport_create(&n->transports[w], &config, &n->arena);
	}
	return error == 0 ? 0 : no_memory(ret_index, ret_problem);
}

static int reach(struct peers *peers, const char *const *addresses, uint32_t count, uint16_t worker,
	uint32_t *ret_peer, char *why, uint32_t why_bytes)
{
	struct network *n = (struct network *)peers;
	struct link_place places[WORKLOAD_LINKS_MAX] = {0};
	uint32_t known = 0;
	for (uint32_t i = 0; i < count && known < WORKLOAD_LINKS_MAX; i++)
		known += read_address(addresses[i], &places[known].address, &places[known].port);
	int error = link_set_peer(&n->links, places, known, worker, ret_peer);
	if (error == -ENETUNREACH)
		snprintf(why, why_bytes,
			"none of this node's links leads to %s; put both into one subnet, or give "
			"the link a gateway",
			count == 0 ? "it, which has no links" : addresses[0]);
	else if (error != 0)
		snprintf(why, why_bytes, "%s", strerror(-error));
	return error;
}

int network_create(const struct link_config *configs, uint32_t count, uint32_t workers,
	uint32_t *ret_index, struct link_problem *ret_problem, struct network **ret_network)
{
	struct network *n = calloc(1, sizeof(*n));
	ASSERT(count > 0 && count <= LINKS_MAX);
	if (n == NULL)
		return no_memory(ret_index, ret_problem);
	n->workers = workers;
	int error = link_set_create(&n->links, configs, count, workers, ret_index, ret_problem);
	if (error == 0)
		error = make_transports(n, ret_index, ret_problem);
	if (error != 0) {
		network_destroy(n);
		return error;
	}
	describe_links(n, configs);
	n->peers.reach = reach;
	n->peers.network = (struct crossing_network){
		.pool = n->pool, .window = WINDOW, .packet_max = n->links.link->packet_max};
	*ret_network = n;
	return 0;
}

void network_destroy(struct network *n)
{
	if (n == NULL)
		return;
	for (uint32_t w = 0; w < n->workers && n->transports != NULL; w++)
		transport_destroy(&n->transports[w]);
	link_set_destroy(&n->links);
	rte_mempool_free(n->pool);
	arena_destroy(&n->arena);
	free(n);
}

struct transport *network_transports(struct network *n)
{
	return n->transports;
}

const char *network_address(const struct network *n, uint32_t index)
{
	ASSERT(index < n->links.count);
	return n->addresses[index];
}

struct peers *network_peers(struct network *n)
{
	return &n->peers;
}
