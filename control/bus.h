// The bus: control messages between controllers, nodes and clients. Connections are ordered and
// reliable while they live; a message is bytes (a packed protobuf). Real: TCP with TLS, UNIX
// sockets (control/bus_socket.c); the simulator's has delay, loss of connections, partitions.
// Thread: the control plane's event loop.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { BUS_MESSAGE_MAX = 16 << 20 };

struct bus_events {
	// `name` is the address asked for with connect, or NULL for one accepted.
	void (*opened)(void *owner, uint64_t peer, const char *name);
	// `why` as one line. A process that died shows here at once (connection reset).
	void (*closed)(void *owner, uint64_t peer, const char *why);
	void (*received)(void *owner, uint64_t peer, const void *message, size_t bytes);
	void *owner;
};

struct bus;

struct bus_ops {
	// Returns the peer's number, 0 out of bounds. Connecting is tried once; closed() tells.
	uint64_t (*connect)(struct bus *bus, const char *address);
	// Queue a message. Returns 0, -ENOTCONN, -EMSGSIZE, -ENOBUFS when the peer is too slow.
	int (*send)(struct bus *bus, uint64_t peer, const void *message, size_t bytes);
	void (*close)(struct bus *bus, uint64_t peer);
	void (*destroy)(struct bus *bus);
};

struct bus {
	const struct bus_ops *ops;
	struct bus_events events;
};
