// The bus between the actors: in order, 10 us on the way, never lost while both ends live.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/scale_world.h"

enum { LINK_NS = 10000 };

static struct scale_actor *actor_of(struct bus *bus)
{
	return (struct scale_actor *)((char *)bus - offsetof(struct scale_actor, bus));
}

// Ends of connection i are peers 2i + 2 and 2i + 3.
static struct scale_conn *conn_of(struct scale_world *w, uint64_t peer)
{
	return &w->conns[peer / 2 - 1];
}

static void put(struct scale_actor *from, uint64_t peer, enum scale_kind kind, const void *data,
	size_t bytes)
{
	struct scale_packet *packet = malloc(sizeof(*packet) + bytes);
	VERIFY(packet);
	*packet = (struct scale_packet){.peer = peer,
		.to = conn_of(from->world, peer)->ends[peer & 1],
		.kind = kind,
		.bytes = bytes};
	if (bytes > 0)
		memcpy(packet->data, data, bytes);
	*from->outbox_last = packet;
	from->outbox_last = &packet->next;
}

static void arrive(void *owner, void *argument)
{
	struct scale_world *w = owner;
	struct scale_packet *packet = argument;
	struct scale_actor *to = &w->actors[packet->to];
	if (!to->up || conn_of(w, packet->peer)->gone[packet->peer & 1]) {
		free(packet);
		return;
	}
	*to->inbox_last = packet;
	to->inbox_last = &packet->next;
	scale_actor_wake(to, w->meta.time.now_ns);
}

void scale_bus_flush(struct scale_actor *actor, int64_t at_ns)
{
	struct scale_world *w = actor->world;
	while (actor->outbox) {
		struct scale_packet *packet = actor->outbox;
		actor->outbox = packet->next;
		packet->next = NULL;
		vtime_at(&w->meta.time, at_ns + LINK_NS, arrive, w, packet);
	}
	actor->outbox_last = &actor->outbox;
}

void scale_bus_deliver(struct scale_actor *actor, struct scale_packet *packet)
{
	struct bus_events *events = &actor->bus.events;
	struct scale_conn *conn = conn_of(actor->world, packet->peer);
	bool *gone = &conn->gone[packet->peer & 1];
	if (*gone)
		return;
	*gone = packet->kind == SCALE_CLOSED;
	if (packet->kind == SCALE_OPENED)
		events->opened(events->owner, packet->peer, NULL);
	else if (packet->kind == SCALE_CLOSED)
		events->closed(events->owner, packet->peer, "connection reset");
	else
		events->received(events->owner, packet->peer, packet->data, packet->bytes);
}

static struct scale_conn *conn_add(struct scale_world *w, uint32_t from, uint32_t to)
{
	if (w->conn_count == w->conn_room) {
		w->conn_room = w->conn_room ? 2 * w->conn_room : 1024;
		w->conns = realloc(w->conns, w->conn_room * sizeof(*w->conns));
		VERIFY(w->conns);
	}
	struct scale_conn *conn = &w->conns[w->conn_count++];
	*conn = (struct scale_conn){.ends = {from, to}};
	return conn;
}

static uint64_t bus_connect(struct bus *bus, const char *address)
{
	struct scale_actor *actor = actor_of(bus);
	struct scale_world *w = actor->world;
	uint32_t to = 0;
	scale_meter_pause();
	while (to < SCALE_CONTROLLERS && strcmp(w->actors[to].name, address) != 0)
		to++;
	VERIFY(to < SCALE_CONTROLLERS);
	conn_add(w, actor->index, to);
	uint64_t peer = 2 * (uint64_t)w->conn_count;
	enum scale_kind kind = w->actors[to].up ? SCALE_OPENED : SCALE_CLOSED;
	put(actor, peer, kind, NULL, 0);
	if (kind == SCALE_OPENED)
		put(actor, peer + 1, kind, NULL, 0);
	scale_meter_resume();
	return peer;
}

static int bus_send(struct bus *bus, uint64_t peer, const void *message, size_t bytes)
{
	struct scale_actor *actor = actor_of(bus);
	struct scale_conn *conn = conn_of(actor->world, peer);
	if (conn->gone[peer & 1])
		return -ENOTCONN;
	scale_meter_pause();
	put(actor, peer ^ 1, SCALE_DATA, message, bytes);
	actor->sent++;
	scale_meter_resume();
	return 0;
}

static void bus_close(struct bus *bus, uint64_t peer)
{
	struct scale_actor *actor = actor_of(bus);
	struct scale_conn *conn = conn_of(actor->world, peer);
	if (conn->gone[peer & 1])
		return;
	scale_meter_pause();
	conn->gone[peer & 1] = true;
	put(actor, peer ^ 1, SCALE_CLOSED, NULL, 0);
	actor->world->cut_off += actor->controller != NULL;
	scale_meter_resume();
}

void scale_bus_create(struct scale_actor *actor)
{
	static const struct bus_ops ops = {bus_connect, bus_send, bus_close, NULL};
	actor->bus.ops = &ops;
	actor->inbox_last = &actor->inbox;
	actor->outbox_last = &actor->outbox;
}

void scale_bus_break(struct scale_actor *actor)
{
	struct scale_world *w = actor->world;
	for (uint32_t i = 0; i < w->conn_count; i++) {
		struct scale_conn *conn = &w->conns[i];
		uint32_t own = conn->ends[1] == actor->index;
		if (conn->ends[own] != actor->index || conn->gone[own])
			continue;
		conn->gone[own] = true;
		put(actor, 2 * (uint64_t)i + 2 + !own, SCALE_CLOSED, NULL, 0);
	}
	scale_bus_flush(actor, w->meta.time.now_ns);
}

void scale_bus_end(struct scale_world *w)
{
	free(w->conns);
}
