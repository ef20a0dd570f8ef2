// Addresses of the bus as users write them: tcp:host:port, tcp:[v6 address]:port, unix:/path.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { BUS_HOST_MAX = 256, BUS_PATH_MAX = 108 };

struct bus_address {
	bool is_unix;
	char path[BUS_PATH_MAX];
	char host[BUS_HOST_MAX];
	uint16_t port;
};

// Returns NULL, or what is wrong with the text and how to write it.
const char *bus_address_parse(const char *text, struct bus_address *ret_address);

// Whether what is sent there stays on this host: a loopback address written as such, "localhost",
// or a UNIX socket.
bool bus_address_is_local(const struct bus_address *address);

// Whether it stands for every address of a host, 0.0.0.0 or ::, and so for none to connect to.
bool bus_address_is_any(const struct bus_address *address);
