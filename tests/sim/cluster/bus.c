// The bus of the simulated world: connections that deliver in order, late, or not any more.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/cluster/cluster.h"

struct packet {
	struct packet *next;
	int64_t at_ns;
	size_t bytes;
	enum { PACKET_OPENED, PACKET_DATA, PACKET_CLOSED } kind;
	uint8_t data[];
};

// One direction of a connection: towards process `to`.
struct way {
	uint32_t to;
	bool gone; // nobody is there to be told any more
	struct packet *first, **last;
	int64_t last_ns;
	int64_t stuck_ns; // since when the first cannot get through
	bool pumping;
};

struct conn {
	struct conn *next;
	uint64_t id;
	struct cluster *cluster;
	bool dead; // nothing more can be sent
	struct way ways[2];
	const char *name; // asked for by ways[1].to
};

struct sim_bus {
	struct bus bus;
	struct process *process;
};

static void pump(void *owner, void *argument);

static void way_pump(struct conn *conn, struct way *way, int64_t at_ns)
{
	if (way->pumping)
		return;
	way->pumping = true;
	vtime_at(&conn->cluster->time, at_ns, pump, conn, way);
}

static void way_put(struct conn *conn, struct way *way, int kind, const void *data, size_t bytes)
{
	struct cluster *c = conn->cluster;
	struct packet *packet = malloc(sizeof(*packet) + bytes);
	VERIFY(packet);
	*packet = (struct packet){.bytes = bytes, .kind = kind};
	if (bytes)
		memcpy(packet->data, data, bytes);
	int64_t at =
		c->time.now_ns + 1000 + (int64_t)random_in(&c->random, 0, (uint64_t)c->delay_ns);
	way->last_ns = at > way->last_ns ? at : way->last_ns + 1;
	packet->at_ns = way->last_ns;
	*way->last = packet;
	way->last = &packet->next;
	way_pump(conn, way, way->first->at_ns);
}

static void way_drop(struct way *way)
{
	while (way->first) {
		struct packet *packet = way->first;
		way->first = packet->next;
		free(packet);
	}
	way->last = &way->first;
}

static void conn_kill(struct conn *conn, const char *why)
{
	if (conn->dead)
		return;
	conn->dead = true;
	for (int i = 0; i < 2; i++)
		if (!conn->ways[i].gone)
			way_put(conn, &conn->ways[i], PACKET_CLOSED, why, strlen(why) + 1);
}

// Ends of a connection are numbered apart: one process may hold both.
static uint64_t end_number(const struct conn *conn, const struct way *way)
{
	return 2 * conn->id + (way == &conn->ways[1]);
}

static void deliver(struct conn *conn, struct way *way, struct packet *packet)
{
	struct process *p = &conn->cluster->processes[way->to];
	struct bus_events *events = &p->bus->bus.events;
	uint64_t peer = end_number(conn, way);
	if (packet->kind == PACKET_OPENED)
		events->opened(events->owner, peer, way == &conn->ways[1] ? conn->name : NULL);
	else if (packet->kind == PACKET_DATA)
		events->received(events->owner, peer, packet->data, packet->bytes);
	else
		events->closed(events->owner, peer, (const char *)packet->data);
	if (packet->kind == PACKET_CLOSED)
		way->gone = true;
	process_wake(p);
}

// What cannot get through is tried again; after a while the connection is given up at both ends.
static bool is_stuck(struct conn *conn, struct way *way)
{
	struct cluster *c = conn->cluster;
	uint32_t from = conn->ways[way == &conn->ways[0]].to;
	bool cut = c->cut[from][way->to] && way->first->kind != PACKET_CLOSED;
	if (!cut)
		way->stuck_ns = 0;
	else if (way->stuck_ns == 0)
		way->stuck_ns = c->time.now_ns;
	else if (c->time.now_ns - way->stuck_ns > 5000 * c->ms && !conn->dead) {
		way_drop(way);
		conn_kill(conn, "connection timed out");
		return false;
	}
	return cut;
}

static void pump(void *owner, void *argument)
{
	struct conn *conn = owner;
	struct way *way = argument;
	struct cluster *c = conn->cluster;
	struct process *p = &c->processes[way->to];
	way->pumping = false;
	if (way->gone)
		way_drop(way);
	if (!way->first)
		return;
	if (p->paused || is_stuck(conn, way)) {
		way_pump(conn, way, c->time.now_ns + 20 * c->ms);
		return;
	}
	struct packet *packet = way->first;
	if (packet->at_ns <= c->time.now_ns) {
		way->first = packet->next;
		if (!way->first)
			way->last = &way->first;
		deliver(conn, way, packet);
		free(packet);
	}
	if (way->first)
		way_pump(conn, way, way->first->at_ns);
}

static struct process *by_name(struct cluster *c, const char *name)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (strcmp(c->processes[i].name, name) == 0)
			return &c->processes[i];
	return NULL;
}

static struct conn *conn_add(struct cluster *c, uint32_t from, uint32_t to, const char *name)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	VERIFY(conn);
	conn->cluster = c;
	conn->id = ++c->conn_next;
	conn->next = c->conns;
	conn->name = name;
	conn->ways[0] = (struct way){.to = to, .last = &conn->ways[0].first};
	conn->ways[1] = (struct way){.to = from, .last = &conn->ways[1].first};
	c->conns = conn;
	return conn;
}

static void refuse(struct conn *conn, const char *why)
{
	conn->ways[0].gone = true;
	conn_kill(conn, why);
}

static uint64_t bus_connect(struct bus *bus, const char *address)
{
	struct process *p = ((struct sim_bus *)bus)->process, *to = by_name(p->cluster, address);
	if (!to)
		return 0;
	struct conn *conn = conn_add(p->cluster, p->index, to->index, to->name);
	if (!to->up) {
		refuse(conn, "connection refused");
	} else if (p->cluster->cut[p->index][to->index] || p->cluster->cut[to->index][p->index]) {
		refuse(conn, "no route to host");
	} else {
		way_put(conn, &conn->ways[0], PACKET_OPENED, NULL, 0);
		way_put(conn, &conn->ways[1], PACKET_OPENED, NULL, 0);
	}
	return end_number(conn, &conn->ways[1]);
}

static struct conn *conn_find(struct cluster *c, uint64_t peer)
{
	for (struct conn *conn = c->conns; conn; conn = conn->next)
		if (conn->id == peer / 2)
			return conn;
	return NULL;
}

static int bus_send(struct bus *bus, uint64_t peer, const void *message, size_t bytes)
{
	struct process *p = ((struct sim_bus *)bus)->process;
	struct conn *conn = conn_find(p->cluster, peer);
	if (!conn || conn->dead)
		return -ENOTCONN;
	way_put(conn, &conn->ways[!(peer & 1) ? 1 : 0], PACKET_DATA, message, bytes);
	return 0;
}

static void bus_close(struct bus *bus, uint64_t peer)
{
	struct process *p = ((struct sim_bus *)bus)->process;
	struct conn *conn = conn_find(p->cluster, peer);
	if (!conn)
		return;
	struct way *own = &conn->ways[peer & 1];
	bool stopped = p->cluster->processes[conn->ways[!(peer & 1)].to].paused;
	if (!conn->dead && !stopped) // the other end will take it for dead
		p->disturbed_ns = p->cluster->time.now_ns;
	own->gone = true;
	way_drop(own);
	conn_kill(conn, "closed by the other end");
}

static const struct bus_ops ops = {bus_connect, bus_send, bus_close, NULL};

struct bus *sim_bus_create(struct process *p)
{
	p->bus = calloc(1, sizeof(*p->bus));
	VERIFY(p->bus);
	p->bus->bus.ops = &ops;
	p->bus->process = p;
	return &p->bus->bus;
}

struct bus *sim_bus_of(struct process *p)
{
	return &p->bus->bus;
}

void sim_bus_destroy(struct process *p)
{
	free(p->bus);
	p->bus = NULL;
}

void sim_bus_crash(struct process *p, bool silent)
{
	struct cluster *c = p->cluster;
	for (struct conn *conn = c->conns; conn; conn = conn->next) {
		for (int i = 0; i < 2; i++) {
			struct way *own = &conn->ways[i], *other = &conn->ways[!i];
			if (own->to != p->index || own->gone)
				continue;
			own->gone = true;
			way_drop(own);
			if (random_chance(&c->random, 500)) // what was under way is lost, too
				way_drop(other);
			if (silent)
				conn->dead = true;
			else
				conn_kill(conn, "connection reset");
		}
	}
}

void sim_bus_break(struct cluster *c, uint32_t nth)
{
	for (struct conn *conn = c->conns; conn; conn = conn->next)
		if (!conn->dead && nth-- == 0) {
			c->processes[conn->ways[0].to].disturbed_ns = c->time.now_ns;
			c->processes[conn->ways[1].to].disturbed_ns = c->time.now_ns;
			conn_kill(conn, "connection reset");
			return;
		}
}

void sim_bus_end(struct cluster *c)
{
	while (c->conns) {
		struct conn *conn = c->conns;
		c->conns = conn->next;
		way_drop(&conn->ways[0]);
		way_drop(&conn->ways[1]);
		free(conn);
	}
}
