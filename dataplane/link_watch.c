// The state of a port, asked for every 10 ms by a thread of its own: reading it may mean a system
// call, which no worker makes, and EAL's alarms keep an order that ThreadSanitizer cannot see. What
// af_packet and af_xdp say never changes, so for a port on a kernel interface the kernel is asked.
// For memif it keeps the gate, and so takes the port down before the driver unmaps its memory.
#include <errno.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <pthread.h>
#include <rte_ethdev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/link_port_parts.h"

enum { WATCH_MS = 10, LOOKS_UNTIL_CONNECT = 10 };

static void sleep_ns(long ns)
{
	struct timespec pause = {0, ns};
	nanosleep(&pause, NULL);
}

static bool interface_is_up(const struct link_port *port)
{
	struct ifreq request = {0};
	memcpy(request.ifr_name, port->interface, sizeof(port->interface));
	if (ioctl(port->watch_socket, SIOCGIFFLAGS, &request) < 0)
		return false; // it is gone
	return (request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
}

static bool port_is_up(const struct link_port *port)
{
	struct rte_eth_link link;
	if (rte_eth_link_get_nowait(port->port_id, &link) != 0)
		return false;
	return port->started && link.link_status == RTE_ETH_LINK_UP &&
		(port->gate == NULL || link_gate_is_open(port->gate)) &&
		(port->watch_socket < 0 || interface_is_up(port));
}

// A memif client's driver connects once, at its start, and to the gate, which has found the server.
static void connect_again(struct link_port *port)
{
	if (!link_gate_is_idle(port->gate) || port->looks_until_start-- > 0)
		return;
	port->looks_until_start = LOOKS_UNTIL_CONNECT;
	if (!link_gate_connect(port->gate))
		return;
	if (port->started)
		rte_eth_dev_stop(port->port_id);
	port->started = rte_eth_dev_start(port->port_id) == 0;
}

static void look(struct link_port *port)
{
	bool up = port_is_up(port);
	atomic_store_explicit(&port->up, up, memory_order_release);
	if (port->connects && !up)
		connect_again(port);
}

// After this each thread has either said that it is in a burst, or sees the port down when it is
// about to enter one. Where the kernel cannot do it, what a core has not yet written is out long
// before this wait is over.
static void barrier_all_threads(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
		sleep_ns(WATCH_MS * 1000000L);
}

static void take_down(struct link_port *port)
{
	enum { LOOK_NS = 20000 };
	atomic_store_explicit(&port->up, false, memory_order_seq_cst);
	barrier_all_threads();
	for (uint32_t q = 0; q < port->link.queue_count; q++)
		while (atomic_load_explicit(&port->queues[q].in_burst, memory_order_acquire))
			sleep_ns(LOOK_NS);
}

static void *watch(void *argument)
{
	struct link_port *port = argument;
	pthread_setname_np(pthread_self(), "weir-links");
	while (!atomic_load_explicit(&port->watch_stop, memory_order_acquire)) {
		if (port->gate == NULL) {
			sleep_ns(WATCH_MS * 1000000L);
		} else if (link_gate_wait(port->gate, WATCH_MS)) {
			take_down(port);
			link_gate_end(port->gate);
		}
		look(port);
	}
	return NULL;
}

int link_watch_create(struct link_port *port)
{
	if (port->interface[0] != '\0')
		port->watch_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (port->interface[0] != '\0' && port->watch_socket < 0)
		return -errno;
	if (port->gate != NULL)
		syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	atomic_store_explicit(&port->up, port_is_up(port), memory_order_release);
	atomic_store_explicit(&port->watch_stop, false, memory_order_release);
	int error = pthread_create(&port->watch, NULL, watch, port);
	port->watched = error == 0;
	return -error;
}

void link_watch_destroy(struct link_port *port)
{
	atomic_store_explicit(&port->watch_stop, true, memory_order_release);
	if (port->watched)
		pthread_join(port->watch, NULL);
	if (port->gate != NULL)
		link_gate_close(port->gate);
	port->watched = false;
	if (port->watch_socket >= 0)
		close(port->watch_socket);
	port->watch_socket = -1;
}
