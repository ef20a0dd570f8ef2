// The world of tests/sim/scale.h: actors that each are one thread, and what is between them.
#pragma once

#include "control/agent.h"
#include "control/controller.h"
#include "tests/sim/cluster/cluster.h"
#include "tests/sim/scale.h"

enum { SCALE_CONTROLLERS = 2, SCALE_ACTORS = SCALE_CONTROLLERS + SCALE_NODES_MAX + 1 };

enum { SCALE_START_NS = 1000000000 }; // of the nodes, when one leads

enum scale_kind { SCALE_OPENED, SCALE_DATA, SCALE_CLOSED };

struct scale_packet {
	struct scale_packet *next;
	uint64_t peer; // the receiver's number for the connection
	uint32_t to;   // actor
	enum scale_kind kind;
	size_t bytes;
	uint8_t data[];
};

struct scale_conn {
	uint32_t ends[2]; // actors: who asked for it, whom
	bool gone[2];     // that end has closed it, or was told that it is closed
};

struct scale_world;

// While it works it hears nothing, and what it sends leaves when it is done.
struct scale_actor {
	struct scale_world *world;
	uint32_t index;
	char name[16], rack[16];
	bool up, asked;
	int64_t wake_ns, free_ns;
	struct scale_packet *inbox, **inbox_last, *outbox, **outbox_last;
	struct bus bus;
	struct meta meta; // before `inner`
	struct meta *inner;
	struct workload workload;
	struct workload_part *part;
	struct controller *controller;
	struct agent *agent;
	// What it took
	int64_t cpu_ns, longest_ns;
	uint64_t heap_bytes; // that it gave back when it was killed
	uint64_t received, sent;
};

struct scale_world {
	struct cluster meta; // metadata's server and clients, and virtual time
	uint32_t nodes, count;
	struct scale_actor actors[SCALE_ACTORS];
	struct scale_conn *conns;
	uint32_t conn_count, conn_room;
	struct workload_cover covers[SCALE_NODES_MAX];
	uint32_t partners[SCALE_NODES_MAX];
	uint32_t running; // parts
	bool disturbed;   // a part was told of a loss, or to go
	uint32_t cut_off; // connections that a controller closed
	char job[MESSAGE_NAME_MAX + 1];
};

void scale_world_create(struct scale_world *world, uint32_t nodes);
void scale_world_destroy(struct scale_world *world);
void scale_world_run(struct scale_world *world, int64_t until_ns); // all that happens until then
void scale_actor_kill(struct scale_actor *actor);                  // its connections break at once

// scale_bus.c
void scale_bus_create(struct scale_actor *actor);
void scale_bus_flush(struct scale_actor *actor, int64_t at_ns); // what it sent in a step leaves
void scale_bus_deliver(struct scale_actor *actor, struct scale_packet *packet);
void scale_bus_break(struct scale_actor *actor);
void scale_bus_end(struct scale_world *world);

// scale_meter.c: CPU time of what runs between begin and end, but for what is paused
void scale_meter_begin(void);
void scale_meter_pause(void);
void scale_meter_resume(void);
int64_t scale_meter_end(void);

// scale_work.c: parts that are there and do nothing
void scale_work_create(struct scale_actor *actor);
void scale_work_destroy(struct scale_actor *actor);

void scale_actor_wake(struct scale_actor *actor, int64_t at_ns);
