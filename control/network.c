#include "control/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/link_port.h"
#include "numa/arena.h"
#include "numa/assert.h"

enum {
	WINDOW = 256,        // packets in flight of a session
	CHANNELS_MAX = 4096, // of a worker, each way
	OWN_PACKETS = 2048,  // sessions' own, a worker
	REACHED_MAX = LINK_PEERS_MAX,
};

// A peer of the joined links, by its numbers on each of them.
struct reached {
	uint32_t members[LINKS_MAX];
	uint32_t peer;
};

struct network {
	uint32_t count, workers, buffers;
	struct link *ports[LINKS_MAX];
	struct link *link; // all of them
	char addresses[LINKS_MAX][NETWORK_ADDRESS_BYTES];
	struct rte_mempool *pool;
	struct arena arena;
	struct transport *transports;
	uint32_t reached_count;
	struct reached reached[REACHED_MAX];
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

static int make_ports(struct network *n, const struct link_config *configs, uint32_t *ret_index,
	struct link_problem *ret_problem)
{
	n->buffers = UINT32_MAX;
	for (uint32_t i = 0; i < n->count; i++) {
		*ret_index = i;
		int error = link_port_create(&configs[i], n->workers, ret_problem, &n->ports[i]);
		if (error != 0)
			return error;
		uint32_t buffers = configs[i].buffers * n->ports[i]->queue_count;
		n->buffers = buffers < n->buffers ? buffers : n->buffers;
		write_address(&configs[i], n->addresses[i]);
	}
	*ret_index = UINT32_MAX;
	return 0;
}

// Faults lie over a port; peers are the port's all the same.
static int join_ports(struct network *n, const struct link_config *configs)
{
	struct link *members[LINKS_MAX];
	int error = 0;
	for (uint32_t i = 0; i < n->count; i++)
		members[i] = n->ports[i];
	for (uint32_t i = 0; i < n->count && error == 0; i++)
		if (configs[i].faulty)
			error = fault_link_create(n->ports[i], &configs[i].faults,
				configs[i].fault_seed, &members[i]);
	if (error == 0)
		error = links_create(members, n->count, n->workers, &n->link);
	for (uint32_t i = 0; i < n->count && error != 0; i++) {
		members[i]->ops->destroy(members[i]);
		n->ports[i] = NULL;
	}
	return error;
}

static int make_transports(struct network *n)
{
	struct transport_config config = {.session_max = NETWORK_WORKERS_MAX,
		.channel_max = CHANNELS_MAX,
		.window_max = WINDOW,
		.link_count = 1};
	uint16_t room = (uint16_t)(RTE_PKTMBUF_HEADROOM + n->link->packet_max);
	n->pool = rte_pktmbuf_pool_create("weir sessions", n->workers * OWN_PACKETS - 1, 64, 0,
		room, SOCKET_ID_ANY);
	if (n->pool == NULL)
		return -ENOMEM;
	size_t bytes = n->workers * (transport_bytes(&config) + sizeof(struct transport) + 256);
	int error = arena_create(&n->arena, bytes, -1, false);
	if (error == 0)
		n->transports = arena_alloc(&n->arena, n->workers * sizeof(*n->transports), 64);
	for (uint32_t w = 0; w < n->workers && error == 0; w++) {
		config.worker = (uint16_t)w;
		config.links[0] = (struct transport_link){n->link, w, 0};
		error = transport_create(&n->transports[w], &config, &n->arena);
	}
	return error;
}

int network_create(const struct link_config *configs, uint32_t count, uint32_t workers,
	uint32_t *ret_index, struct link_problem *ret_problem, struct network **ret_network)
{
	struct network *n = calloc(1, sizeof(*n));
	ASSERT(count > 0 && count <= LINKS_MAX);
	*ret_index = UINT32_MAX;
	snprintf(ret_problem->text, sizeof(ret_problem->text), "not enough memory for the links");
	if (n == NULL)
		return -ENOMEM;
	n->count = count;
	n->workers = workers;
	int error = make_ports(n, configs, ret_index, ret_problem);
	if (error == 0)
		error = join_ports(n, configs);
	if (error == 0)
		error = make_transports(n);
	if (error == 0)
		*ret_network = n;
	else
		network_destroy(n);
	return error;
}

void network_destroy(struct network *n)
{
	if (n == NULL)
		return;
	for (uint32_t w = 0; w < n->workers && n->transports != NULL; w++)
		transport_destroy(&n->transports[w]);
	if (n->link != NULL)
		n->link->ops->destroy(n->link); // and the ports with it
	for (uint32_t i = 0; i < n->count && n->link == NULL; i++)
		if (n->ports[i] != NULL)
			n->ports[i]->ops->destroy(n->ports[i]);
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
	ASSERT(index < n->count);
	return n->addresses[index];
}

uint32_t network_buffers(const struct network *n)
{
	return n->buffers;
}

void network_describe(struct network *n, struct crossing_network *ret_description)
{
	*ret_description = (struct crossing_network){.link = n->link,
		.pool = n->pool,
		.window = WINDOW,
		.packet_max = n->link->packet_max};
}

// The peer on one port, by the address that is near it; without one, by what a router may reach.
static uint32_t reach_over(struct link *port, const char *const *addresses, uint32_t count,
	uint16_t worker)
{
	for (int near = 1; near >= 0; near--) {
		for (uint32_t i = 0; i < count; i++) {
			struct packet_address address;
			uint16_t first;
			uint32_t peer;
			if (!read_address(addresses[i], &address, &first) ||
				link_port_is_near(port, &address) != near)
				continue;
			if (link_port_peer(port, &address, (uint16_t)(first + worker), &peer) == 0)
				return peer;
		}
	}
	return LINKS_NO_PEER;
}

static int join_peer(struct network *n, const struct reached *wanted, uint32_t *ret_peer)
{
	for (uint32_t i = 0; i < n->reached_count; i++) {
		if (memcmp(n->reached[i].members, wanted->members, sizeof(wanted->members)) == 0) {
			*ret_peer = n->reached[i].peer;
			return 0;
		}
	}
	if (n->reached_count == REACHED_MAX)
		return -ENOSPC;
	struct reached *new = &n->reached[n->reached_count];
	*new = *wanted;
	int error = links_peer(n->link, new->members, &new->peer);
	if (error != 0)
		return error;
	n->reached_count++;
	*ret_peer = new->peer;
	return 0;
}

int network_reach(struct network *n, const char *const *addresses, uint32_t count, uint16_t worker,
	uint32_t *ret_peer, char *why, uint32_t why_bytes)
{
	struct reached wanted;
	bool any = false;
	for (uint32_t i = 0; i < LINKS_MAX; i++) {
		wanted.members[i] = i < n->count ? reach_over(n->ports[i], addresses, count, worker)
						 : LINKS_NO_PEER;
		any |= wanted.members[i] != LINKS_NO_PEER;
	}
	int error = any ? join_peer(n, &wanted, ret_peer) : -ENETUNREACH;
	if (error == -ENETUNREACH)
		snprintf(why, why_bytes,
			"none of this node's links leads to %s; put both into one subnet, or give "
			"the link a gateway",
			count == 0 ? "it, which has no links" : addresses[0]);
	else if (error != 0)
		snprintf(why, why_bytes, "%s", strerror(-error));
	return error;
}
