// Neighbours: which station an IP address is reached by. ARP (RFC 826) for IPv4, neighbour
// discovery (RFC 4861: NS and NA) for IPv6; an address outside the subnet is reached by the router.
// A stepped machine: it gets received messages and the time, and hands out messages to send.
// Thread: the owner of queue 0, but for neighbour_add and neighbour_mac.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet.h"

enum { NEIGHBOURS_MAX = 1024, NEIGHBOUR_MESSAGE_MAX = 86, NEIGHBOUR_OUT_MAX = 16 };

// Times in ns. A neighbour that has answered is asked again, and forgotten after NEIGHBOUR_TRIES
// without an answer.
#define NEIGHBOUR_RETRY_MIN_NS ((int64_t)10 * 1000 * 1000)
#define NEIGHBOUR_RETRY_MAX_NS ((int64_t)1000 * 1000 * 1000)
#define NEIGHBOUR_REFRESH_NS ((int64_t)5 * 1000 * 1000 * 1000)
enum { NEIGHBOUR_TRIES = 3, NEIGHBOUR_ANSWERS_PER_SECOND = 200 };

// Others ask about us, or answer; what they say wrong is counted as PACKET_DROP_NEIGHBOUR.
#define NEIGHBOUR_COUNTERS(X)                                                                      \
	X(ASKED, "asked")       /* requests sent */                                                \
	X(ANSWERED, "answered") /* requests of others answered */                                  \
	X(LEARNED, "learned")   /* a station's address found, or found changed */                  \
	X(LOST, "lost")         /* a station no longer answers */                                  \
	X(LIMITED, "limited")   /* not answered or not asked: more than the rate or the queue */   \
	X(UNWANTED, "unwanted") /* an answer nobody asked for */                                   \
	X(CONFLICT, "conflict") /* another station says that it has our address */

enum neighbour_counter {
#define X(id, name) NEIGHBOUR_##id,
	NEIGHBOUR_COUNTERS(X)
#undef X
		NEIGHBOUR_COUNTER_COUNT
};

extern const char *const neighbour_counter_names[NEIGHBOUR_COUNTER_COUNT];

struct neighbour_entry {
	struct packet_address address;
	// 0: unknown, else NEIGHBOUR_KNOWN | the MAC. Owner: write (release); any: read (acquire).
	atomic_uint_least64_t station;
	bool fixed; // from config
	uint32_t tries;
	int64_t due_ns; // to be asked (again)
};

struct neighbour_message {
	uint8_t bytes[NEIGHBOUR_MESSAGE_MAX];
	uint32_t length;
};

struct neighbour_table {
	struct packet_local local;
	struct packet_address gateway;
	bool has_gateway;
	uint32_t prefix;
	atomic_uint count; // agent: write (release); owner: read (acquire)
	struct neighbour_entry entries[NEIGHBOURS_MAX];
	uint32_t out_first, out_count;
	struct neighbour_message out[NEIGHBOUR_OUT_MAX];
	uint32_t answers_left;
	int64_t answers_since_ns;
	uint64_t counters[NEIGHBOUR_COUNTER_COUNT];
};

void neighbour_init(struct neighbour_table *table, const struct packet_local *local,
	uint32_t prefix, const struct packet_address *gateway);

// Add the station that `to` is reached by (itself, or the router), if it is not there yet. `mac`
// fixes its address, NULL has it asked for.  Thread: agent, one at a time.
// Returns 0, -ENETUNREACH: outside the subnet and no router, -ENOSPC.
int neighbour_add(struct neighbour_table *table, const struct packet_address *to,
	const uint8_t *mac, uint32_t *ret_index);

// Thread: any.  Returns false while it is unknown.
bool neighbour_mac(const struct neighbour_table *table, uint32_t index,
	uint8_t ret_mac[PACKET_MAC_BYTES]);

// A received ARP or ND frame (the whole of it, as packet_parse left it).
// Returns PACKET_DROP_COUNT, or PACKET_DROP_NEIGHBOUR or _PROTOCOL.
enum packet_drop neighbour_receive(struct neighbour_table *table, const uint8_t *frame,
	uint32_t bytes, int64_t now_ns);

// Ask what is due.  Returns the next deadline.
int64_t neighbour_step(struct neighbour_table *table, int64_t now_ns);

// The port came up: say where we are, and ask for everyone anew.
void neighbour_restart(struct neighbour_table *table, int64_t now_ns);

// Take a message to send.  Returns its length, 0: there is none.
uint32_t neighbour_take(struct neighbour_table *table, uint8_t out[NEIGHBOUR_MESSAGE_MAX]);
