// A simulated network: links between endpoints in virtual time, which lose, double, delay and
// reorder packets and cut endpoints off from each other, all from one seed. It copies what is sent,
// as a network card does, and may hold on to sent mbufs for a while.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/link.h"
#include "tests/sim/random.h"

struct rte_mempool;

enum { WIRE_PORTS_MAX = 24, WIRE_FLIGHT_MAX = 1 << 13, WIRE_PACKET_MAX = 2048, WIRE_HELD_MAX = 64 };

// Shares are in thousandths.
struct wire_faults {
	uint32_t loss, twice, late, corrupt, refused;
	int64_t delay_ns, late_ns; // a late packet takes up to so much longer
};

struct wire_flight {
	int64_t at_ns;
	uint64_t order;
	uint32_t bytes;
	uint8_t *data;
};

struct wire_port {
	struct link link;
	struct wire *wire;
	uint32_t index;
	struct rte_mempool *pool;             // where packets arrive
	struct rte_mbuf *held[WIRE_HELD_MAX]; // sent, not yet given up
	uint32_t held_count;
	bool holds;
	struct wire_flight *flights; // on their way here, a heap, the next first
	uint32_t flight_count;
	bool off; // its endpoint is dead
};

struct wire {
	struct random random;
	int64_t now_ns;
	struct wire_faults faults;
	int64_t cut_until_ns[WIRE_PORTS_MAX][WIRE_PORTS_MAX]; // [from][to]
	// Until then packets are lost that say under which incarnation a task sends.
	int64_t mute_until_ns[WIRE_PORTS_MAX][WIRE_PORTS_MAX];
	int64_t byte_ps;   // a bottleneck that all share; 0: none
	int64_t queue_ns;  // packets that would wait longer in it are lost
	int64_t busy_ns;   // the bottleneck is, until then
	int64_t waited_ns; // longest
	uint32_t port_count;
	struct wire_port ports[WIRE_PORTS_MAX];
	uint64_t order;
	uint64_t sent, lost, overflowed, no_mbuf; // packets
};

void wire_create(struct wire *w, uint64_t seed);
void wire_destroy(struct wire *w);

// A new endpoint; its number is the peer that others send to.
struct link *wire_add(struct wire *w, struct rte_mempool *pool, uint32_t packet_max);

// When the next packet arrives there; INT64_MAX: none is under way.
int64_t wire_next(const struct wire_port *p);

// Everything under way is lost; what a port holds of sent mbufs is given back.
void wire_clear(struct wire *w);
void wire_let_go(struct wire_port *p);
