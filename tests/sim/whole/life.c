// A node's process: its workers' rounds in virtual time, links that are ports of the wire, and a
// background that takes its time. Dead, it stands as it was, so that what it had can be looked at.
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/whole/whole.h"

enum {
	WINDOW = 64,
	PACKETS = 4095,
	BUFFERS = 3000,
	PACKET_MAX = WIRE_PACKET_MAX - LINK_HEADROOM - 64
};
enum { ERRAND_MS_MAX = 100, JOBLESS_NS = 2 * MS, STILL_NS = MS };

static struct whole *running; // whose time it is

static int64_t now_ns(void)
{
	return running->cluster.time.now_ns;
}

uint32_t whole_first_port(const struct whole *w, uint32_t process)
{
	return (process - w->cluster.controllers) * w->node_workers;
}

// ---- rounds

static bool stands_still(const struct process *p)
{
	return p->paused || p->tainted;
}

// The part that has the worker, which is its `*ret_worker`th. NULL: none.
static struct whole_part *part_at(const struct whole_life *life, uint32_t worker,
	uint32_t *ret_worker)
{
	struct whole_part *part = life->whole->parts;
	for (; part; part = part->next) {
		if (part->life != life || !part->inner || !part->inner->engine)
			continue;
		const struct engine *e = part->inner->engine;
		*ret_worker = worker - e->config.node_worker;
		if (e->attached && *ret_worker < e->worker_count)
			return part;
	}
	return NULL;
}

static void go_round(void *owner, void *argument);

static void go_on(struct whole_turn *turn, int64_t within_ns)
{
	struct vtime *time = &turn->life->whole->cluster.time;
	int64_t after_ns = (int64_t)random_in(&turn->life->whole->random, 1, (uint64_t)within_ns);
	vtime_at(time, time->now_ns + after_ns, go_round, turn, NULL);
}

static void go_round(void *owner, void *argument)
{
	struct whole_turn *turn = owner;
	struct whole_life *life = turn->life;
	struct whole *w = life->whole;
	uint32_t own = 0;
	if (life->dead || w->cluster.ending)
		return;
	if (stands_still(life->process)) { // to whoever waits for a sign of it it looks dead
		life->process->disturbed_ns = w->cluster.time.now_ns;
		go_on(turn, STILL_NS);
		return;
	}
	if (life->process->starved_ns != 0) { // which it says, and nobody may hold against it
		go_on(turn, STILL_NS);
		return;
	}
	w->wire.now_ns = w->cluster.time.now_ns;
	struct whole_part *part = part_at(life, turn->worker, &own);
	if (part) {
		struct worker *worker = &part->inner->engine->workers[own].worker;
		replica_vary(&w->random, worker);
		replica_shuffle(&w->random, worker);
	}
	node_round(life->node, turn->worker, w->cluster.time.now_ns);
	if (part)
		whole_run_stepped(part, own);
	go_on(turn, part ? life->round_ns : JOBLESS_NS);
}

// ---- what takes long

static void do_errand(void *owner, void *argument);

static void errands_go_on(struct whole_life *life)
{
	struct cluster *c = &life->whole->cluster;
	int64_t after_ns = (int64_t)random_in(&life->whole->random, 1, ERRAND_MS_MAX) * c->ms;
	vtime_at(&c->time, c->time.now_ns + after_ns, do_errand, life, NULL);
}

static void do_first(struct whole_life *life)
{
	struct errand *errand = life->first;
	struct whole_part *part = whole_part_of(life->whole, (struct workload_part *)errand);
	bool built = part && !part->inner->engine;
	life->first = errand->next;
	if (!life->first)
		life->behind = &life->first;
	capture_into = part ? &part->rows : NULL;
	errand->run(errand);
	if (built && part->inner->engine)
		whole_run_built(part);
}

static void do_errand(void *owner, void *argument)
{
	struct whole_life *life = owner;
	if (life->dead || life->whole->cluster.ending || !life->first)
		return;
	if (!stands_still(life->process))
		do_first(life);
	if (life->first)
		errands_go_on(life);
}

static struct whole_life *of_background(struct background *background)
{
	return (struct whole_life *)((char *)background - offsetof(struct whole_life, background));
}

static void background_add(struct background *background, struct errand *errand)
{
	struct whole_life *life = of_background(background);
	if (!life->first)
		errands_go_on(life);
	errand->next = NULL;
	*life->behind = errand;
	life->behind = &errand->next;
}

static void background_destroy(struct background *background)
{
	struct whole_life *life = of_background(background);
	while (life->first)
		do_first(life);
}

// ---- to others

static int reach(struct peers *peers, const char *const *addresses, uint32_t count, uint16_t worker,
	uint32_t *ret_peer, char *why, uint32_t why_bytes)
{
	struct whole_life *life =
		(struct whole_life *)((char *)peers - offsetof(struct whole_life, peers));
	struct cluster *c = &life->whole->cluster;
	uint32_t process = c->controllers;
	VERIFY(count == 1);
	while (strcmp(c->processes[process].name, addresses[0]) != 0)
		process++;
	*ret_peer = whole_first_port(life->whole, process) + worker;
	return 0;
}

static void create_transports(struct whole_life *life)
{
	struct whole *w = life->whole;
	struct transport_config config = {
		.session_max = WIRE_PORTS_MAX, .channel_max = 512, .window_max = WINDOW};
	uint64_t bytes = w->node_workers * (transport_bytes(&config) + 4096);
	VERIFY(arena_create(&life->arena, bytes, -1, true) == 0);
	for (uint32_t i = 0; i < w->node_workers; i++) {
		struct wire_port *port =
			&w->wire.ports[whole_first_port(w, life->process->index) + i];
		port->pool = life->packets;
		port->off = false;
		config.worker = (uint16_t)i;
		config.link = &port->link;
		VERIFY(transport_create(&life->transports[i], &config, &life->arena) == 0);
	}
	life->peers = (struct peers){.buffers = BUFFERS,
		.network = {.pool = life->packets, .window = WINDOW, .packet_max = PACKET_MAX},
		.reach = reach};
}

// ---- beginning and end

static void create_work(struct whole_life *life)
{
	static const struct background_ops background_ops = {background_add, background_destroy};
	static const int cpus[NODE_WORKERS_MAX];
	struct whole *w = life->whole;
	const struct node_config node = {.worker_count = w->node_workers,
		.worker_cpus = cpus,
		.transports = life->transports,
		.clock = now_ns};
	VERIFY(node_create(&node, &life->node) == 0);
	life->background.ops = &background_ops;
	life->behind = &life->first;
	const struct workload_engine_config config = {.node = life->node,
		.peers = &life->peers,
		.background = &life->background,
		.worker_count = w->node_workers,
		.worker_cpus = cpus,
		.kinds = capture_kinds(),
		.lazy = true};
	VERIFY(workload_engine_create(&config, &life->inner) == 0);
	whole_work_create(life);
}

struct workload *whole_life_begin(struct process *p, struct agent_config *config)
{
	static const char *const racks[] = {"r0", "r1", "r2"};
	static _Atomic uint32_t pools;
	struct whole *w = whole_of(p->cluster);
	struct whole_life *life = calloc(1, sizeof(*life));
	char name[RTE_MEMPOOL_NAMESIZE];
	VERIFY(life);
	running = w;
	*life = (struct whole_life){.next = w->lives, .whole = w, .process = p};
	w->lives = life;
	life->round_ns = random_chance(&w->random, 150)
		? 2 * MS
		: (int64_t)random_in(&w->random, 100, 600) * 1000;
	snprintf(name, sizeof(name), "whole%u", pools++);
	life->packets = rte_pktmbuf_pool_create(name, PACKETS, 0, 0,
		WIRE_PACKET_MAX + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	VERIFY(life->packets);
	create_transports(life);
	create_work(life);
	for (uint32_t i = 0; i < w->node_workers; i++) {
		life->turns[i] = (struct whole_turn){life, i};
		go_on(&life->turns[i], JOBLESS_NS);
	}
	config->workers = w->node_workers;
	config->rack = racks[p->index % w->racks];
	life->link = p->name;
	config->links = &life->link;
	config->link_count = 1;
	return &life->workload;
}

static struct whole_life *latest(struct whole *w, const struct process *p)
{
	struct whole_life *life = w->lives;
	while (life && (life->process != p || life->dead))
		life = life->next;
	return life;
}

void whole_life_end(struct process *p)
{
	struct whole *w = whole_of(p->cluster);
	struct whole_life *life = latest(w, p);
	if (!life)
		return;
	life->dead = true;
	w->seen[WHOLE_CRASHED] += !w->cluster.ending;
	for (uint32_t i = 0; i < w->node_workers; i++) {
		struct wire_port *port = &w->wire.ports[whole_first_port(w, p->index) + i];
		port->off = true;
		wire_let_go(port);
	}
}

static void life_destroy(struct whole_life *life)
{
	struct whole *w = life->whole;
	life->inner->ops->destroy(life->inner);
	node_destroy(life->node);
	for (uint32_t i = 0; i < w->node_workers; i++)
		transport_destroy(&life->transports[i]);
	arena_destroy(&life->arena);
}

// What a life had of packets must all be there, however it ended.
void whole_lives_destroy(struct whole *w)
{
	for (struct whole_part *part = w->parts; part; part = part->next)
		part->inner = NULL;
	for (struct whole_life *life = w->lives; life; life = life->next)
		life_destroy(life);
	wire_destroy(&w->wire);
	while (w->lives) {
		struct whole_life *life = w->lives;
		w->lives = life->next;
		if (!w->cluster.violated && !rte_mempool_full(life->packets))
			cluster_violate(&w->cluster, "%s's mbufs are not all back in their pool",
				life->process->name);
		rte_mempool_free(life->packets);
		free(life);
	}
}
