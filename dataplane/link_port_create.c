#include <errno.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/engine.h"
#include "dataplane/link_port_parts.h"

// What the drivers of DPDK 22.11 bear, where they do not say it themselves (docs/links.md).
static const struct driver {
	const char *device;         // how its devices' names begin
	uint32_t mtu_max;           // 0: as the port says
	const char *frame_argument; // device argument with the bytes of a buffer for a frame
	uint32_t frame_bytes;       // its default
	uint32_t frame_overhead;    // of those, not for the frame
	bool by_pointer, no_external, is_virtual;
} drivers[] = {
	// A stale flag corrupts packets that span buffers.
	{.device = "net_memif", .frame_argument = "bsize", .frame_bytes = 2048, .is_virtual = true},
	// The kernel puts its own header and address before the frame.
	{.device = "net_af_packet",
		.frame_argument = "framesz",
		.frame_bytes = 2048,
		.frame_overhead = 96,
		.is_virtual = true},
	// An mbuf with its headers and the kernel's headroom must fit a page.
	{.device = "net_af_xdp", .mtu_max = 3440, .no_external = true, .is_virtual = true},
	{.device = "net_ring", .by_pointer = true, .is_virtual = true},
	{.device = "net_null", .is_virtual = true},
	{.device = "net_tap", .is_virtual = true},
	{.device = ""},
};

enum {
	DESCRIPTORS = 1024,
	ROOM_MIN = 2048,
	XDP_HEADROOM = 256,
	POOL_CACHE = 128,
	FCS_BYTES = 4,
};

static int __attribute__((format(printf, 4, 5)))
problem_set(struct link_problem *problem, int error, const char *member, const char *format, ...)
{
	va_list arguments;
	problem->member = member;
	va_start(arguments, format);
	vsnprintf(problem->text, sizeof(problem->text), format, arguments);
	va_end(arguments);
	return error;
}

static const struct driver *driver_find(const char *device)
{
	const struct driver *d = drivers;
	while (strncmp(device, d->device, strlen(d->device)) != 0)
		d++;
	return d;
}

static uint32_t buffer_bytes(const struct driver *d, const char *device)
{
	char text[16];
	if (d->frame_argument == NULL)
		return 0;
	if (!link_device_argument(device, d->frame_argument, text, sizeof(text)))
		return d->frame_bytes;
	return (uint32_t)strtoul(text, NULL, 10);
}

// ---- what can be checked before the device is touched

static int check_addresses(const struct link_config *c, struct link_problem *problem)
{
	uint32_t bits = c->address.six ? 128 : 32;
	if (!packet_address_is_host(&c->address))
		return problem_set(problem, -EINVAL, "address",
			"is no address of a host; write one like 10.0.0.1/24");
	if (c->prefix == 0 || c->prefix > bits)
		return problem_set(problem, -EINVAL, "address",
			"has a prefix of %u bits; write 1 to %u", c->prefix, bits);
	if (c->has_gateway && !packet_address_near(&c->gateway, &c->address, c->prefix))
		return problem_set(problem, -EINVAL, "gateway",
			"is not in the link's subnet; name the router's address there");
	for (uint32_t i = 0; i < c->neighbour_count; i++)
		if (!packet_address_near(&c->neighbours[i].address, &c->address, c->prefix))
			return problem_set(problem, -EINVAL, "neighbours",
				"entry %u is not in the link's subnet; remove it, packets to it go "
				"to the gateway",
				i + 1);
	return 0;
}

static int check_sizes(const struct link_config *c, const struct driver *d, uint32_t workers,
	struct link_problem *problem)
{
	uint32_t buffer = buffer_bytes(d, c->device);
	uint32_t frame = c->mtu + PACKET_ETHER_BYTES + d->frame_overhead;
	uint32_t mtu_max = d->mtu_max != 0 ? d->mtu_max : LINK_MTU_MAX;
	if (c->mtu < PACKET_MTU_MIN || c->mtu > mtu_max)
		return problem_set(problem, -EINVAL, "mtu",
			"%u is out of bounds for %s; write %d to %u", c->mtu,
			*d->device ? d->device : "a link", PACKET_MTU_MIN, mtu_max);
	if (d->frame_argument != NULL && frame > buffer)
		return problem_set(problem, -EINVAL, "mtu",
			"%u needs buffers of %u bytes and the device has %u; lower mtu to %u "
			"or add %s=%u to device",
			c->mtu, frame, buffer, buffer - (frame - c->mtu), d->frame_argument,
			(frame + 1023) / 1024 * 1024);
	if (c->port == 0 || c->port + workers - 1 > UINT16_MAX)
		return problem_set(problem, -EINVAL, "port",
			"%u leaves no UDP ports for %u workers; write at most %u", c->port, workers,
			UINT16_MAX + 1 - workers);
	if (c->buffers < LINK_BUFFERS_MIN)
		return problem_set(problem, -EINVAL, "buffers", "%u is too few; write at least %d",
			c->buffers, LINK_BUFFERS_MIN);
	return 0;
}

// A packet larger than what the kernel's interface passes would vanish there.
static int check_interface(struct link_port *port, const struct link_config *c,
	struct link_problem *problem)
{
	struct ifreq request = {0};
	if (!link_device_argument(c->device, "iface", request.ifr_name, sizeof(request.ifr_name)))
		return 0;
	memcpy(port->interface, request.ifr_name, sizeof(port->interface));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = ioctl(fd, SIOCGIFMTU, &request) < 0 ? -errno : 0;
	close(fd);
	if (error != 0)
		return problem_set(problem, error, "device",
			"there is no interface %s (%s); `ip link` lists them", port->interface,
			strerror(-error));
	if (request.ifr_mtu < (int)c->mtu)
		return problem_set(problem, -EINVAL, "mtu",
			"%u is more than the %d of interface %s; lower it, or "
			"`ip link set %s mtu %u`",
			c->mtu, request.ifr_mtu, port->interface, port->interface, c->mtu);
	return 0;
}

// ---- the port

static int gate_create(struct link_port *port, const struct link_config *c,
	char device[LINK_GATE_DEVICE_BYTES], struct link_problem *problem)
{
	int error = link_gate_create(c->device, &port->gate, device);
	if (error == -EADDRINUSE)
		return problem_set(problem, error, "device",
			"%s: another process serves at that socket; give each link its own",
			c->device);
	if (error != 0)
		return problem_set(problem, error, "device",
			"%s: no socket there (%s); check its folder, this user's rights there and "
			"on a socket that another user has left, and that its name is not too long",
			c->device, strerror(-error));
	return 0;
}

// EAL has taken the named cards of the PCI bus when it started, with their arguments.
static int find_card(struct link_port *port, const struct link_config *c,
	struct link_problem *problem)
{
	struct rte_eth_dev_info info;
	char name[RTE_ETH_NAME_MAX_LEN];
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(c->device, ","), c->device);
	if (rte_eth_dev_get_port_by_name(name, &port->port_id) != 0)
		return problem_set(problem, -ENODEV, "device",
			"%s: DPDK has no such card; look for it with `dpdk-devbind.py --status`, "
			"bind it to vfio-pci, switch on the IOMMU, and check this user's rights on "
			"/dev/vfio (docs/links.md)",
			name);
	if (rte_eth_dev_info_get(port->port_id, &info) == 0 && info.nb_rx_queues != 0)
		return problem_set(problem, -EEXIST, "device",
			"%s is another link's; give each device once", name);
	return 0;
}

static int probe(struct link_port *port, const struct link_config *c, struct link_problem *problem)
{
	char gated[LINK_GATE_DEVICE_BYTES];
	const char *device = c->device;
	struct rte_dev_iterator iterator;
	uint16_t id;
	if (rte_eth_dev_get_port_by_name(c->device, &port->port_id) == 0)
		return 0;
	if (engine_eal_is_pci(device))
		return find_card(port, c, problem);
	if (strncmp(device, "net_memif", 9) == 0) {
		int error = gate_create(port, c, gated, problem);
		if (error != 0)
			return error;
		device = gated;
	}
	int error = rte_dev_probe(device);
	if (error == -EEXIST)
		return problem_set(problem, error, "device",
			"%s is another link's; give each device once", c->device);
	if (error == -EFAULT) // no bus of DPDK's takes the name
		return problem_set(problem, error, "device",
			"%s is no device that DPDK knows; write one like net_memif0,… or "
			"0000:3b:00.0 (docs/links.md)",
			c->device);
	if (error < 0)
		return problem_set(problem, error, "device",
			"%s does not start (%s); check its arguments, and this user's rights "
			"(docs/links.md)",
			c->device, strerror(-error));
	RTE_ETH_FOREACH_MATCHING_DEV(id, device, &iterator)
	{
		port->port_id = id;
		port->probed = true;
		rte_eth_iterator_cleanup(&iterator);
		return 0;
	}
	return problem_set(problem, -ENODEV, "device", "%s is no network port; name an ethdev",
		c->device);
}

static uint32_t queue_count(const struct link_config *c, const struct rte_eth_dev_info *info,
	uint32_t workers)
{
	uint32_t count = c->queues != 0 && c->queues < workers ? c->queues : workers;
	count = RTE_MIN(count, (uint32_t)RTE_MIN(info->max_rx_queues, info->max_tx_queues));
	return RTE_MIN(count, (uint32_t)LINK_QUEUES_MAX);
}

static void choose_checksum(struct link_port *port, uint64_t offloads)
{
	bool six = port->local.address.six;
	if (offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) {
		port->checksum = PACKET_CHECKSUM_OFFLOAD;
		port->offload_flags =
			RTE_MBUF_F_TX_UDP_CKSUM | (six ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
	} else {
		port->checksum = six ? PACKET_CHECKSUM_SOFTWARE : PACKET_CHECKSUM_NONE;
	}
}

static int configure(struct link_port *port, const struct link_config *c, const struct driver *d,
	const struct rte_eth_dev_info *info, struct link_problem *problem)
{
	const uint64_t checks = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
	uint16_t queues = (uint16_t)port->link.queue_count;
	struct rte_eth_conf conf = {.rxmode.offloads = info->rx_offload_capa & checks,
		.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_UDP_CKSUM,
		.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads &
			(RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP)};
	if (queues > 1 && conf.rx_adv_conf.rss_conf.rss_hf != 0)
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	if (!d->is_virtual)
		conf.rxmode.mtu = c->mtu;
	if (!d->is_virtual && (c->mtu > info->max_mtu || c->mtu < info->min_mtu))
		return problem_set(problem, -EINVAL, "mtu",
			"%u is not one of the device's; write "
			"%u to %u",
			c->mtu, info->min_mtu, info->max_mtu);
	choose_checksum(port, conf.txmode.offloads);
	int error = rte_eth_dev_configure(port->port_id, queues, queues, &conf);
	if (error != 0)
		return problem_set(problem, error, "device", "%s cannot be configured (%s)",
			c->device, strerror(-error));
	return 0;
}

// Room for the largest frame of the driver, and what it puts before it.
static uint16_t data_room(const struct link_config *c, const struct driver *d)
{
	uint32_t room = c->mtu + PACKET_ETHER_BYTES + FCS_BYTES;
	room = RTE_MAX(room, buffer_bytes(d, c->device));
	room = RTE_MAX(room, (uint32_t)ROOM_MIN);
	if (d->no_external)
		room = RTE_MAX((uint32_t)ROOM_MIN, c->mtu + PACKET_ETHER_BYTES + XDP_HEADROOM);
	return (uint16_t)(room + RTE_PKTMBUF_HEADROOM);
}

static void pool_name(uint16_t port_id, char out[RTE_MEMPOOL_NAMESIZE])
{
	snprintf(out, RTE_MEMPOOL_NAMESIZE, "link_%u", port_id);
}

void link_pool_destroy(uint16_t port_id)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	pool_name(port_id, name);
	rte_mempool_free(rte_mempool_lookup(name));
}

static int memory_create(struct link_port *port, const struct link_config *c,
	const struct driver *d, struct link_problem *problem)
{
	uint32_t queues = port->link.queue_count;
	uint32_t count = queues * (c->buffers + 2 * DESCRIPTORS) + LINK_MESSAGES_MAX;
	int node = rte_eth_dev_socket_id(port->port_id);
	char name[RTE_MEMPOOL_NAMESIZE];
	pool_name(port->port_id, name);
	port->pool = rte_pktmbuf_pool_create(name, count, POOL_CACHE, 0, data_room(c, d), node);
	if (port->pool == NULL)
		return problem_set(problem, -ENOMEM, "buffers",
			"%u for each of %u queues take %u MiB, which is more than is free; lower "
			"it, or reserve more huge pages",
			c->buffers, queues,
			(uint32_t)(((uint64_t)count * (data_room(c, d) + 192u)) >> 20));
	port->messages = rte_ring_create(name, LINK_MESSAGES_MAX, node, RING_F_SC_DEQ);
	for (uint32_t q = 0; q < queues && port->messages != NULL; q++) {
		port->queues[q].templates = rte_zmalloc_socket(name,
			LINK_PEERS_MAX * sizeof(struct packet_template), 64, node);
		if (port->queues[q].templates == NULL)
			return problem_set(problem, -ENOMEM, "queues", "no memory for %u", queues);
	}
	return port->messages == NULL
		? problem_set(problem, -ENOMEM, "device", "no memory for %s", c->device)
		: 0;
}

static int queues_start(struct link_port *port, const struct link_config *c,
	struct link_problem *problem)
{
	uint16_t rx = DESCRIPTORS, tx = DESCRIPTORS;
	int node = rte_eth_dev_socket_id(port->port_id), error;
	error = rte_eth_dev_adjust_nb_rx_tx_desc(port->port_id, &rx, &tx);
	for (uint16_t q = 0; q < port->link.queue_count && error == 0; q++) {
		error = rte_eth_rx_queue_setup(port->port_id, q, rx, (unsigned)node, NULL,
			port->pool);
		if (error == 0)
			error = rte_eth_tx_queue_setup(port->port_id, q, tx, (unsigned)node, NULL);
	}
	if (error == 0 && port->connects)
		return 0; // the watch starts it once its server is there
	if (error == 0)
		error = rte_eth_dev_start(port->port_id);
	port->started = error == 0;
	if (port->started && port->local.address.six)
		rte_eth_allmulticast_enable(port->port_id); // where it can be switched off
	if (error != 0)
		return problem_set(problem, error, "device", "%s does not start (%s)", c->device,
			strerror(-error));
	return 0;
}

// A port without a MAC of its own (an in-process pair) gets one that follows from its address.
static void choose_mac(struct link_port *port)
{
	struct rte_ether_addr mac;
	if (rte_eth_macaddr_get(port->port_id, &mac) != 0 || rte_is_zero_ether_addr(&mac)) {
		const uint8_t *last =
			port->local.address.bytes + (port->local.address.six ? 12 : 0);
		mac = (struct rte_ether_addr){{2, 0, last[0], last[1], last[2], last[3]}};
	}
	memcpy(port->local.mac, mac.addr_bytes, PACKET_MAC_BYTES);
}

static int start(struct link_port *port, const struct link_config *c, const struct driver *d,
	uint32_t workers, struct link_problem *problem)
{
	struct rte_eth_dev_info info;
	int error = check_interface(port, c, problem);
	if (error == 0)
		error = probe(port, c, problem);
	if (error == 0)
		error = rte_eth_dev_info_get(port->port_id, &info);
	if (error != 0)
		return error;
	port->link.queue_count = queue_count(c, &info, workers);
	error = configure(port, c, d, &info, problem);
	if (error == 0)
		error = memory_create(port, c, d, problem);
	if (error == 0)
		error = queues_start(port, c, problem);
	if (error != 0)
		return error;
	choose_mac(port);
	neighbour_init(&port->neighbours, &port->local, c->prefix,
		c->has_gateway ? &c->gateway : NULL);
	for (uint32_t i = 0; i < c->neighbour_count && error == 0; i++) {
		uint32_t index;
		error = neighbour_add(&port->neighbours, &c->neighbours[i].address,
			c->neighbours[i].mac, &index);
	}
	port->link.steers =
		workers == 1 || (port->link.queue_count == workers && link_flow_create(port));
	return error != 0 ? error : link_watch_create(port);
}

int link_port_create(const struct link_config *config, uint32_t workers,
	struct link_problem *ret_problem, struct link **ret_link)
{
	const struct driver *d = driver_find(config->device);
	uint32_t queues = RTE_MIN(workers, (uint32_t)LINK_QUEUES_MAX);
	ret_problem->text[0] = '\0';
	int error = check_addresses(config, ret_problem);
	if (error == 0)
		error = check_sizes(config, d, workers, ret_problem);
	if (error != 0)
		return error;
	struct link_port *port =
		aligned_alloc(64, sizeof(*port) + queues * sizeof(struct port_queue));
	if (port == NULL)
		return -ENOMEM;
	memset(port, 0, sizeof(*port) + queues * sizeof(struct port_queue));
	port->link.ops = &link_port_ops;
	port->link.packet_max =
		config->mtu + PACKET_ETHER_BYTES - packet_header_bytes(config->address.six);
	port->by_pointer = d->by_pointer;
	port->no_external = d->no_external;
	port->connects = link_device_is_client(config->device);
	port->watch_socket = -1;
	port->local.address = config->address;
	port->local.port_first = config->port;
	port->local.port_count = (uint16_t)workers;
	error = start(port, config, d, workers, ret_problem);
	if (error != 0) {
		link_port_destroy(&port->link);
		if (ret_problem->text[0] == '\0')
			problem_set(ret_problem, error, "device", "%s does not start (%s)",
				config->device, strerror(-error));
		return error;
	}
	*ret_link = &port->link;
	return 0;
}

void link_port_destroy(struct link *link)
{
	struct link_port *port = link_port_of(link);
	struct rte_eth_dev_info info;
	struct rte_mbuf *m;
	if (port == NULL)
		return;
	link_watch_destroy(port);
	if (port->started)
		rte_eth_dev_stop(port->port_id);
	if (port->probed && rte_eth_dev_info_get(port->port_id, &info) == 0) {
		rte_eth_dev_close(port->port_id);
		rte_dev_remove(info.device);
	}
	link_gate_destroy(port->gate);
	while (port->messages != NULL && rte_ring_sc_dequeue(port->messages, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(port->messages);
	for (uint32_t q = 0; q < port->link.queue_count; q++)
		rte_free(port->queues[q].templates);
	if (port->pool != NULL && !port->by_pointer)
		link_pool_destroy(port->port_id);
	free(port);
}
