// What the files of link_port share; nobody else includes it.
#pragma once

#include <stdalign.h>
#include <pthread.h>
#include <stdatomic.h>

#include "dataplane/link_gate.h"
#include "dataplane/link_port.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

enum { LINK_MESSAGES_MAX = 64 };

struct port_queue {
	alignas(64) struct packet_template *templates; // by peer
	atomic_bool in_burst; // the owner: write; watch: read (acquire). See link_port_enter
	uint64_t counted[LINK_PORT_COUNTER_COUNT];
	uint64_t dropped[PACKET_DROP_COUNT];
};

struct link_port {
	struct link link;
	uint16_t port_id;
	int watch_socket; // to ask the kernel with, -1: none
	bool probed, started, watched;
	struct link_gate *gate;     // memif's; NULL: of another driver
	bool connects;              // a memif client: it starts only while its server is there
	uint32_t looks_until_start; // the watch's, until it tries (again)
	bool by_pointer;            // what is sent is another's mbuf at once
	bool no_external;           // the driver sends garbage from external buffers
	enum packet_checksum checksum;
	uint64_t offload_flags; // for mbufs
	struct packet_local local;
	struct rte_mempool *pool;
	struct rte_ring *messages; // ARP and ND from all queues to queue 0's owner
	uint16_t udp_ports[LINK_PEERS_MAX];
	struct packet_address peers[LINK_PEERS_MAX];
	uint32_t hops[LINK_PEERS_MAX]; // index of the neighbour
	atomic_uint peer_count;        // agent: write (release); queues: read (acquire)
	char interface[16];            // the kernel's, "" for none
	pthread_t watch;
	atomic_bool watch_stop; // agent: write (release); watch: read (acquire)
	atomic_bool up;         // watch: write (release); any: read (acquire)
	bool told_up;           // queue 0's, as is what follows
	int64_t now_ns, neighbours_due_ns;
	uint32_t neighbours_seen;
	struct neighbour_table neighbours;
	struct port_queue queues[];
};

extern const struct link_ops link_port_ops;

static inline struct link_port *link_port_of(struct link *link)
{
	return (struct link_port *)link;
}

// Between these the memory that the driver shares with another process stays mapped. Only a
// compiler barrier stands between the owner's write and its read: where the watch takes the port
// down, it makes all threads pass a barrier (link_watch.c).
static inline bool link_port_enter(struct link_port *port, struct port_queue *q)
{
	atomic_store_explicit(&q->in_burst, true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	return atomic_load_explicit(&port->up, memory_order_acquire);
}

static inline void link_port_leave(struct port_queue *q)
{
	atomic_store_explicit(&q->in_burst, false, memory_order_release);
}

// Follow the port's state from a thread of its own: some drivers know it only by asking the kernel.
int link_watch_create(struct link_port *port);
void link_watch_destroy(struct link_port *port);

void link_port_destroy(struct link *link);

// Free the mbufs of a port. Those of an in-process pair outlive the link.
void link_pool_destroy(uint16_t port_id);

// Have the port put packets into the queues that their UDP ports name.  Returns whether it does.
bool link_flow_create(const struct link_port *port);
