// A seed's world of everything: what it has, what goes wrong in it beyond the cluster's own faults,
// and its end.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/whole/whole.h"

enum { JOBS_SHIFT = 2 };

// ---- faults of the wire

static uint32_t port_count(const struct whole *w)
{
	return w->cluster.nodes * w->node_workers;
}

static void cut_path(struct whole *w, uint32_t from, uint32_t to, int64_t until_ns)
{
	if (w->wire.cut_until_ns[from][to] < until_ns)
		w->wire.cut_until_ns[from][to] = until_ns;
}

// Some paths, each one way and for a time of its own.
static void cut_paths(struct whole *w)
{
	struct random *r = &w->random;
	uint32_t share = (uint32_t)random_in(r, 50, 700), ports = port_count(w);
	uint32_t only = (uint32_t)random_in(r, 0, 2 * ports); // at most one end's
	uint64_t most_ns = random_in(r, MS / 10, random_chance(r, 200) ? 400 * MS : 40 * MS);
	for (uint32_t from = 0; from < ports; from++)
		for (uint32_t to = 0; to < ports; to++)
			if ((only >= ports || only == from || only == to) &&
				random_chance(r, share))
				cut_path(w, from, to,
					w->cluster.time.now_ns + (int64_t)random_in(r, 0, most_ns));
}

static void fault(struct cluster *c)
{
	struct whole *w = whole_of(c);
	if (random_chance(&w->random, 300))
		cut_paths(w);
	if (random_chance(&w->random, 300)) {
		w->wire.faults = (struct wire_faults){0};
		replica_draw_wire(&w->wire.faults, &w->random);
	}
}

// A partition of messages is one of packets, too, or not.
static void cut(struct cluster *c)
{
	struct whole *w = whole_of(c);
	bool any = random_chance(&w->random, 600);
	for (uint32_t from = c->controllers; from < c->count - 1; from++)
		for (uint32_t to = c->controllers; to < c->count - 1; to++)
			for (uint32_t i = 0; i < w->node_workers * w->node_workers; i++) {
				uint32_t a = whole_first_port(w, from) + i % w->node_workers;
				uint32_t b = whole_first_port(w, to) + i / w->node_workers;
				if (!c->cut[from][to])
					w->wire.cut_until_ns[a][b] = 0;
				else if (any)
					cut_path(w, a, b, INT64_MAX);
			}
}

static void calm(struct cluster *c)
{
	struct whole *w = whole_of(c);
	struct wire_faults *f = &w->wire.faults;
	*f = (struct wire_faults){.delay_ns = f->delay_ns};
	memset(w->wire.cut_until_ns, 0, sizeof(w->wire.cut_until_ns));
	for (struct whole_life *life = w->lives; life; life = life->next)
		life->round_ns = 400000;
}

// ---- what there is

static void write_job(struct cluster *c, uint32_t job, char *text, size_t bytes)
{
	struct whole *w = whole_of(c);
	struct scenario *s = &w->scenarios[job];
	uint32_t most = c->nodes < REPLICA_PLACES_MAX ? c->nodes : REPLICA_PLACES_MAX;
	if (s->job[0] == 0)
		scenario_draw_whole(s, (c->seed << JOBS_SHIFT) + job, w->node_workers, most,
			w->racks > 1);
	snprintf(text, bytes, "%s", s->job);
}

static void create_wire(struct whole *w)
{
	wire_create(&w->wire, random_next(&w->random));
	replica_draw_wire(&w->wire.faults, &w->random);
	for (uint32_t i = 0; i < WHOLE_NODES_MAX * w->node_workers; i++) {
		wire_add(&w->wire, NULL, WIRE_PACKET_MAX - LINK_HEADROOM - 64);
		w->wire.ports[i].holds = random_chance(&w->random, 300);
	}
}

static const struct cluster_work whole_work = {.world = "whole",
	.create = whole_life_begin,
	.destroy = whole_life_end,
	.parts = whole_part_count,
	.write_job = write_job,
	.wrote = whole_run_wrote,
	.fault = fault,
	.cut = cut,
	.calm = calm};

static void destroy(struct whole *w)
{
	whole_runs_end(w);
	whole_lives_destroy(w);
	while (w->parts) {
		struct whole_part *part = w->parts;
		w->parts = part->next;
		capture_free(&part->rows);
		free(part);
	}
}

bool whole_run_seed(uint64_t seed, bool verbose)
{
	struct cluster_work work = whole_work;
	struct whole *w = calloc(1, sizeof(*w));
	VERIFY(w);
	work.kinds = capture_kinds();
	w->random = (struct random){seed ^ 0x57484F4C45ULL};
	w->node_workers = random_chance(&w->random, 300) ? 2 : 1;
	w->racks = (uint32_t)random_in(&w->random, 1, 3);
	create_wire(w);
	struct cluster *c = &w->cluster;
	c->work = &work;
	c->ms = MS / 5;
	c->silence_ns = 300 * MS;
	c->jobs_max = (uint32_t)random_in(&w->random, 1, WHOLE_JOBS_MAX);
	c->cancels = random_chance(&w->random, 200);
	c->faults_ms = 40000;
	c->calm_ms = 400000;
	c->nodes_min = 2;
	c->nodes_max = w->node_workers == 1 ? WHOLE_NODES_MAX : REPLICA_PLACES_MAX;
	cluster_run(c, seed, verbose);
	destroy(w);
	whole_seen_add(w);
	bool good = !c->violated;
	free(w);
	return good;
}
