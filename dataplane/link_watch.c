// The state of a port, asked for every 10 ms by EAL's interrupt thread: reading it may mean a
// system call, which no worker makes. What af_packet and af_xdp say never changes, so for a port on
// a kernel interface the kernel is asked.
#include <errno.h>
#include <net/if.h>
#include <rte_alarm.h>
#include <rte_ethdev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/link_port_parts.h"

enum { WATCH_US = 10000, LOOKS_UNTIL_CONNECT = 10, LOOKS_UNTIL_RECONNECT = 100 };

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

static void look(void *argument)
{
	struct link_port *port = argument;
	bool up = port_is_up(port);
	bool was_up = atomic_exchange_explicit(&port->up, up, memory_order_acq_rel);
	if (was_up && !up) // whoever is in a burst gets out of it first
		port->looks_until_start = LOOKS_UNTIL_CONNECT;
	else if (port->connects && !up)
		connect_again(port);
	rte_eal_alarm_set(WATCH_US, look, port);
}

int link_watch_create(struct link_port *port)
{
	if (port->interface[0] != '\0')
		port->watch_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (port->interface[0] != '\0' && port->watch_socket < 0)
		return -errno;
	atomic_store_explicit(&port->up, port_is_up(port), memory_order_release);
	int error = rte_eal_alarm_set(WATCH_US, look, port);
	port->watched = error == 0;
	return error;
}

void link_watch_destroy(struct link_port *port)
{
	if (port->watched) // waits for a look that is under way, and takes away the alarm it sets
		rte_eal_alarm_cancel(look, port);
	port->watched = false;
	if (port->watch_socket >= 0)
		close(port->watch_socket);
	port->watch_socket = -1;
}
