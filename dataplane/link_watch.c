// The state of a port, asked for every 10 ms by a thread of its own: reading it may mean a system
// call, which no worker makes, and EAL's alarms keep an order that ThreadSanitizer cannot see. What
// af_packet and af_xdp say never changes, so for a port on a kernel interface the kernel is asked.
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <rte_ethdev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/link_port_parts.h"

enum { WATCH_NS = 10000000, LOOKS_UNTIL_CONNECT = 10, LOOKS_UNTIL_RECONNECT = 100 };

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
		(port->watch_socket < 0 || interface_is_up(port));
}

// A memif client's driver connects once, at its start. So it is started again until its server is
// there, and after it was lost; no queue is used while the port is down.
static void connect_again(struct link_port *port)
{
	if (port->looks_until_start-- > 0)
		return;
	if (port->started)
		rte_eth_dev_stop(port->port_id);
	port->started = rte_eth_dev_start(port->port_id) == 0;
	port->looks_until_start = port->started ? LOOKS_UNTIL_RECONNECT : LOOKS_UNTIL_CONNECT;
}

static void look(struct link_port *port)
{
	bool up = port_is_up(port);
	bool was_up = atomic_exchange_explicit(&port->up, up, memory_order_acq_rel);
	if (was_up && !up) // whoever is in a burst gets out of it first
		port->looks_until_start = LOOKS_UNTIL_CONNECT;
	else if (port->connects && !up)
		connect_again(port);
}

static void *watch(void *argument)
{
	static const struct timespec pause = {0, WATCH_NS};
	struct link_port *port = argument;
	pthread_setname_np(pthread_self(), "weir-links");
	while (!atomic_load_explicit(&port->watch_stop, memory_order_acquire)) {
		nanosleep(&pause, NULL);
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
	port->watched = false;
	if (port->watch_socket >= 0)
		close(port->watch_socket);
	port->watch_socket = -1;
}
