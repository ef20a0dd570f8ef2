// What the bus's sockets are set to, and how they are accepted.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/bus_address.h"

struct event_base;
struct bus_listen;

struct bus_listen_events {
	void (*accepted)(void *owner, int fd, bool is_unix); // takes the descriptor
	void *owner;
};

// Returns 0 and the TCP port (0: a UNIX socket), or -errno.
int bus_listen_create(struct event_base *base, const struct bus_address *address,
	const struct bus_listen_events *events, struct bus_listen **ret_listen, uint16_t *ret_port);

// A UNIX socket's file goes with it.
void bus_listen_destroy(struct bus_listen *listen);

// TCP: send at once, and notice within silent_ms that the other host is gone. Else nothing.
void bus_socket_tune(int fd, uint32_t silent_ms);
