// The bus over TCP, with TLS and certificates at both ends, and over UNIX sockets; see bus.h for
// what it promises and bus_address.h for addresses. A connection is closed, with a counted reason,
// when its peer sends what is not a message, does not take what is sent, or does not answer.
// Closing by bus->close is not followed by closed(); what was queued may be lost.
// Thread: the loop's. Events come from the loop alone, never from within a call.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/bus.h"
#include "control/tls.h"

struct event_base;

enum { BUS_WHY_BYTES = 512, BUS_LISTENERS_MAX = 8, BUS_PEERS_MAX = 1 << 16 };

// enum, name in counters. Closing one's own end is not counted.
#define BUS_CLOSINGS(X)                                                                            \
	X(ENDED, "ended") /* the peer closed, or its process ended */                              \
	X(RESET, "reset")                                                                          \
	X(REFUSED, "refused")   /* a connection that did not come about */                         \
	X(SILENT, "silent")     /* no answer or no first message, later no acknowledgement */      \
	X(TLS, "tls")           /* no certificate, a wrong one, no TLS at all */                   \
	X(MAGIC, "magic")       /* not a message */                                                \
	X(VERSION, "version")   /* a message of a later version */                                 \
	X(RESERVED, "reserved") /* reserved bytes are not zero */                                  \
	X(LENGTH, "length")     /* longer than a message may be */                                 \
	X(CHECKSUM, "checksum")                                                                    \
	X(FULL, "full") /* one connection too many, or no memory for it */

enum bus_closing {
#define X(name, text) BUS_CLOSING_##name,
	BUS_CLOSINGS(X)
#undef X
		BUS_CLOSING_COUNT
};
extern const char *const bus_closing_names[BUS_CLOSING_COUNT];

struct bus_socket_config {
	struct tls_files tls;
	bool plaintext;       // no TLS, even to other hosts; must be asked for
	uint32_t peers_max;   // 0: 2048
	uint64_t queue_bytes; // a peer's, to be sent; 0: 32 MiB
	uint32_t silent_ms;   // until a peer that does not answer, or speak, is given up; 0: 10 s
};

// Texts of the config are used here alone.  Returns 0 or -errno with one line in ret_why.
int bus_socket_create(struct event_base *base, const struct bus_socket_config *config,
	const struct bus_events *events, struct bus **ret_bus, char ret_why[BUS_WHY_BYTES]);

// Accept at `address`. A UNIX socket is the user's alone (mode 0600), and replaces one that nobody
// serves.  Returns 0 and the TCP port, as chosen where the address has 0; or -errno with one line.
int bus_socket_listen(struct bus *bus, const char *address, uint16_t *ret_port,
	char ret_why[BUS_WHY_BYTES]);

uint64_t bus_socket_closings(const struct bus *bus, enum bus_closing reason);
