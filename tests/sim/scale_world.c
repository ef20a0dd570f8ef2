#include "tests/sim/scale_world.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

enum { RACK_NODES = 20 };

static const char *const controller_names[] = {"c0", "c1"};

// ---- an actor's turn

static void charge(struct scale_actor *a, int64_t took_ns)
{
	int64_t now_ns = a->world->meta.time.now_ns;
	a->free_ns = (a->free_ns > now_ns ? a->free_ns : now_ns) + took_ns;
	a->cpu_ns += took_ns;
	a->longest_ns = took_ns > a->longest_ns ? took_ns : a->longest_ns;
}

static void take_inbox(struct scale_actor *a, struct scale_packet *packet)
{
	for (; packet; packet = packet->next) {
		scale_bus_deliver(a, packet);
		a->received += packet->kind == SCALE_DATA;
	}
}

static void free_packets(struct scale_packet *packet)
{
	while (packet) {
		struct scale_packet *next = packet->next;
		free(packet);
		packet = next;
	}
}

static int64_t step(struct scale_actor *a, int64_t now_ns)
{
	if (a->controller)
		return controller_step(a->controller, now_ns, now_ns);
	return a->agent ? agent_step(a->agent, now_ns) : INT64_MAX;
}

static void turn(void *owner, void *argument)
{
	struct scale_actor *a = owner;
	int64_t now_ns = a->world->meta.time.now_ns;
	if (!a->up || !a->asked || now_ns < a->wake_ns)
		return;
	a->asked = false;
	struct scale_packet *inbox = a->inbox;
	a->inbox = NULL;
	a->inbox_last = &a->inbox;
	scale_meter_begin();
	take_inbox(a, inbox);
	int64_t next_ns = step(a, now_ns);
	charge(a, scale_meter_end());
	free_packets(inbox);
	scale_bus_flush(a, a->free_ns);
	if (next_ns < INT64_MAX)
		scale_actor_wake(a, next_ns > now_ns ? next_ns : now_ns + 1);
}

void scale_actor_wake(struct scale_actor *a, int64_t at_ns)
{
	at_ns = at_ns > a->free_ns ? at_ns : a->free_ns;
	if (a->asked && a->wake_ns <= at_ns)
		return;
	a->asked = true;
	a->wake_ns = at_ns;
	vtime_at(&a->world->meta.time, at_ns, turn, a, NULL);
}

static void wake_process(struct process *p)
{
	struct scale_world *w =
		(struct scale_world *)((char *)p->cluster - offsetof(struct scale_world, meta));
	scale_actor_wake(&w->actors[p->index], w->meta.time.now_ns);
}

// ---- metadata, of which only what it has the controller do is charged

static struct scale_actor *actor_of(struct meta *meta)
{
	return (struct scale_actor *)((char *)meta - offsetof(struct scale_actor, meta));
}

static int meta_txn(struct meta *meta, uint64_t request, const struct meta_txn *txn, int64_t now_ns)
{
	struct meta *inner = actor_of(meta)->inner;
	scale_meter_pause();
	int rc = inner->ops->txn(inner, request, txn, now_ns);
	scale_meter_resume();
	return rc;
}

static int meta_list(struct meta *meta, uint64_t request, const char *prefix, int64_t now_ns)
{
	struct meta *inner = actor_of(meta)->inner;
	scale_meter_pause();
	int rc = inner->ops->list(inner, request, prefix, now_ns);
	scale_meter_resume();
	return rc;
}

static int meta_watch(struct meta *meta, const char *prefix)
{
	struct meta *inner = actor_of(meta)->inner;
	return inner->ops->watch(inner, prefix);
}

static int meta_keep_lease(struct meta *meta, int64_t ttl_ns)
{
	struct meta *inner = actor_of(meta)->inner;
	return inner->ops->keep_lease(inner, ttl_ns);
}

static void answered(void *owner, uint64_t request, enum meta_outcome outcome, int64_t revision)
{
	struct scale_actor *a = owner;
	scale_meter_begin();
	a->meta.events.answered(a->meta.events.owner, request, outcome, revision);
	charge(a, scale_meter_end());
}

static void listed(void *owner, uint64_t request, enum meta_outcome outcome,
	const struct meta_entry *entries, uint32_t count, int64_t revision)
{
	struct scale_actor *a = owner;
	scale_meter_begin();
	a->meta.events.listed(a->meta.events.owner, request, outcome, entries, count, revision);
	charge(a, scale_meter_end());
}

static void changed(void *owner)
{
	struct scale_actor *a = owner;
	a->meta.events.changed(a->meta.events.owner);
}

static void lease(void *owner, int64_t until_ns)
{
	struct scale_actor *a = owner;
	a->meta.events.lease(a->meta.events.owner, until_ns);
}

static void create_meta(struct scale_actor *a, struct process *p)
{
	static const struct meta_ops ops = {.txn = meta_txn,
		.list = meta_list,
		.watch = meta_watch,
		.keep_lease = meta_keep_lease};
	a->meta.ops = &ops;
	a->inner = sim_meta_create(p);
	a->inner->events = (struct meta_events){answered, listed, changed, lease, a};
}

// ---- actors

static void start_controller(struct scale_actor *a)
{
	struct process *p = &a->world->meta.processes[a->index];
	*p = (struct process){.cluster = &a->world->meta,
		.role = ROLE_CONTROLLER,
		.index = a->index,
		.up = true,
		.boot = a->index + 1};
	create_meta(a, p);
	const struct controller_config config = {.name = a->name,
		.address = a->name,
		.boot = p->boot,
		.bus = &a->bus,
		.meta = &a->meta,
		.kinds = weir_operators,
		.lease_ns = 3000 * MS,
		.heartbeat_ns = 200 * MS,
		.silence_ns = 2000 * MS,
		.prepare_ns = 60000 * MS,
		.ended_max = 8};
	scale_meter_begin();
	a->controller = controller_create(&config);
	charge(a, scale_meter_end());
}

static void start_agent(struct scale_actor *a)
{
	uint32_t node = a->index - SCALE_CONTROLLERS;
	snprintf(a->rack, sizeof(a->rack), "r%02u", node / RACK_NODES);
	scale_work_create(a);
	const struct agent_config config = {.name = a->name,
		.host = a->name,
		.rack = a->rack,
		.boot = a->index + 1,
		.workers = 1,
		.controllers = controller_names,
		.controller_count = SCALE_CONTROLLERS,
		.bus = &a->bus,
		.workload = &a->workload};
	a->agent = agent_create(&config);
}

static void start(void *owner, void *argument)
{
	struct scale_actor *a = owner;
	a->up = true;
	if (a->index < SCALE_CONTROLLERS)
		start_controller(a);
	else if (a->index + 1 < a->world->count)
		start_agent(a);
	scale_actor_wake(a, a->world->meta.time.now_ns);
}

static void create_actor(struct scale_world *w, uint32_t index)
{
	struct scale_actor *a = &w->actors[index];
	a->world = w;
	a->index = index;
	if (index < SCALE_CONTROLLERS)
		snprintf(a->name, sizeof(a->name), "%s", controller_names[index]);
	else
		snprintf(a->name, sizeof(a->name), "n%03u", index - SCALE_CONTROLLERS);
	scale_bus_create(a);
	int64_t at_ns = index < SCALE_CONTROLLERS // the first leads
		? 1 + index * SCALE_START_NS / 2
		: SCALE_START_NS + (int64_t)random_in(&w->meta.random, 0, MS);
	vtime_at(&w->meta.time, at_ns, start, a, NULL);
}

void scale_world_create(struct scale_world *w, uint32_t nodes)
{
	VERIFY(nodes % 2 == 0 && nodes <= SCALE_NODES_MAX);
	memset(w, 0, sizeof(*w));
	w->nodes = nodes;
	w->count = SCALE_CONTROLLERS + nodes + 1;
	w->meta.random.state = nodes;
	w->meta.wake = wake_process;
	w->meta.controllers = w->meta.count = SCALE_CONTROLLERS;
	w->meta.server.delay_ns = w->meta.ms = MS;
	w->meta.work = &sim_work;
	sim_meta_server_start(&w->meta);
	for (uint32_t i = 0; i < nodes; i++) { // partners have each other's replicas
		w->partners[i] = i ^ 1;
		w->covers[i] = (struct workload_cover){true, 1, &w->partners[i]};
	}
	for (uint32_t i = 0; i < w->count; i++)
		create_actor(w, i);
}

static void stop(struct scale_actor *a)
{
	a->up = false;
	free_packets(a->inbox);
	free_packets(a->outbox);
	a->inbox = a->outbox = NULL;
	a->inbox_last = &a->inbox;
	a->outbox_last = &a->outbox;
	controller_destroy(a->controller);
	a->controller = NULL;
	agent_destroy(a->agent);
	a->agent = NULL;
	scale_work_destroy(a);
	if (!a->inner)
		return;
	a->world->meta.processes[a->index].up = false;
	sim_meta_destroy(&a->world->meta.processes[a->index]);
	a->inner = NULL;
}

static uint64_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

void scale_actor_kill(struct scale_actor *a)
{
	scale_bus_break(a);
	uint64_t before = heap_bytes();
	stop(a);
	a->heap_bytes = before - heap_bytes();
}

void scale_world_run(struct scale_world *w, int64_t until_ns)
{
	while (vtime_next(&w->meta.time, until_ns)) {
	}
}

void scale_world_destroy(struct scale_world *w)
{
	w->meta.ending = true;
	for (uint32_t i = 0; i < w->count; i++)
		stop(&w->actors[i]);
	while (vtime_next(&w->meta.time, INT64_MAX)) {
	}
	vtime_destroy(&w->meta.time);
	sim_meta_end(&w->meta);
	scale_bus_end(w);
}
