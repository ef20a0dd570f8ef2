// A lost place is given to a new node, while the job runs: who hears of what when, in the order
// that the controller keeps (docs/replicas.md, "A new replica").
#include <string.h>

#include "tests/sim/replicas.h"

enum { MS = 1000000 };
// A repair is given up after so long while things go wrong; in calm it must not take that long.
enum { WAIT_NS = 300 * MS, CALM_WAIT_MS = 4000 };

static int64_t soon(struct replica_world *w, uint64_t most_ms)
{
	return w->now_ns + (int64_t)random_in(&w->random, 1, most_ms * MS);
}

static uint32_t first_worker(const struct replica_world *w, uint32_t place)
{
	return place * w->node_workers;
}

// ---- beginning

// All that live were told all that there is to be told, and have heard it.
static bool is_settled(const struct replica_world *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		for (uint32_t p = 0; p < w->place_count && replica_lives(w, n); p++)
			if (w->nodes[n].news[p].begin_ns != 0 ||
				w->nodes[n].news[p].alone_ns != 0 ||
				(!w->whole[p] && !w->nodes[n].alone[p]))
				return false;
	return true;
}

static uint32_t lost_place(struct replica_world *w)
{
	uint32_t first = (uint32_t)random_in(&w->random, 0, w->place_count - 1);
	for (uint32_t i = 0; i < w->place_count; i++)
		if (!w->whole[(first + i) % w->place_count])
			return (first + i) % w->place_count;
	return PLAN_NONE;
}

// The new node is told what is lost besides its own place.
static void tell_lost(struct replica_world *w)
{
	struct replica_node *node = &w->nodes[w->repair.node];
	for (uint32_t p = 0; p < w->place_count; p++) {
		if (w->whole[p] || p == w->repair.place)
			continue;
		node->begun[p] = node->alone[p] = true;
		engine_lose(node->engine, first_worker(w, p), w->node_workers, node->successors[p],
			true);
		w->seen[REPLICA_STILL_LOST]++;
	}
}

// What one place says of who sends is lost on its way to the new node, for a time. Others may say
// it first that begin meanwhile.
static void mute(struct replica_world *w)
{
	struct replica_repair *r = &w->repair;
	uint32_t muted = (uint32_t)random_in(&w->random, 0, w->place_count - 1);
	if (muted == r->place || !w->whole[muted] || w->now_ns >= w->faults.end_ns)
		return;
	w->muted = muted;
	w->muted_until_ns = soon(w, 200);
	for (uint32_t i = 0; i < w->node_workers; i++)
		for (uint32_t k = 0; k < w->node_workers; k++)
			w->wire.mute_until_ns[w->holders[muted] * w->node_workers + i]
					     [r->node * w->node_workers + k] = w->muted_until_ns;
}

static void begin(struct replica_world *w, uint32_t place)
{
	struct replica_repair *r = &w->repair;
	*r = (struct replica_repair){.active = true,
		.place = place,
		.node = w->node_count,
		.may_be_lost = random_chance(&w->random, 300),
		.boot = ++w->incarnation,
		.begun_ns = w->now_ns};
	for (uint32_t p = 0; p < w->place_count; p++)
		r->successors[p] = ++w->incarnation;
	w->faults.repairs--;
	if (!replica_world_add(w, place, r->boot)) {
		replica_violate(w, "a new node cannot be built");
		return;
	}
	for (uint32_t n = 0; n < r->node; n++)
		if (replica_lives(w, n))
			memcpy(w->nodes[r->node].successors, w->nodes[n].successors,
				sizeof(w->nodes[n].successors));
	w->nodes[r->node].paused_until_ns = soon(w, 5);
	tell_lost(w);
	uint64_t most_ms = random_chance(&w->random, 200) ? 50 : random_in(&w->random, 1, 5);
	for (uint32_t n = 0; n < w->node_count; n++)
		if (n != r->node && replica_lives(w, n))
			w->nodes[n].news[place].admit_ns = soon(w, most_ms);
	if (random_chance(&w->random, 500))
		mute(w);
	w->seen[REPLICA_JOINED]++;
}

// ---- what nodes hear

static void admit(struct replica_world *w, struct replica_node *node)
{
	const struct replica_repair *r = &w->repair;
	uint32_t first = first_worker(w, r->place);
	for (uint32_t i = 0; i < w->node_workers; i++) {
		node->peers[first + i] = r->node * w->node_workers + i;
		node->boots[first + i] = r->boot;
	}
	engine_admit(node->engine, first, w->node_workers);
	node->begun[r->place] = node->alone[r->place] = false;
	node->admits[r->place] = true;
}

static bool is_due(const struct replica_world *w, int64_t at_ns)
{
	return at_ns != 0 && w->now_ns >= at_ns;
}

// The agent gives memory when it has time.
void replica_repair_hear(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	if (random_chance(&w->random, 200))
		engine_serve_loans(node->engine);
	for (uint32_t p = 0; p < w->place_count; p++) {
		struct replica_news *news = &node->news[p];
		bool has = engine_has_admitted(node->engine, first_worker(w, p), w->node_workers);
		node->admits[p] = node->admits[p] && !has;
		if (node->lost)
			continue;
		if (is_due(w, news->admit_ns)) {
			news->admit_ns = 0;
			admit(w, node);
		}
		if (is_due(w, news->feed_ns)) {
			news->feed_ns = 0;
			engine_feed(node->engine, first_worker(w, p), w->node_workers);
		}
	}
}

// ---- its course

static bool all_have(const struct replica_world *w,
	bool (*has)(const struct engine *engine, uint32_t first, uint32_t count))
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (n != w->repair.node && replica_lives(w, n) &&
			!has(w->nodes[n].engine, first_worker(w, w->repair.place), w->node_workers))
			return false;
	return true;
}

static void feed(struct replica_world *w)
{
	uint64_t most_ms = random_chance(&w->random, 200) ? 30 : 3;
	w->repair.feeding = true;
	for (uint32_t n = 0; n < w->node_count; n++)
		if (n != w->repair.node && replica_lives(w, n))
			w->nodes[n].news[w->repair.place].feed_ns = soon(w, most_ms);
}

void replica_repair_give_up(struct replica_world *w)
{
	struct replica_repair *r = &w->repair;
	struct replica_node *node = &w->nodes[r->node];
	r->active = false;
	node->lost = true;
	node->heeds = false;
	for (uint32_t n = 0; n < w->node_count; n++) {
		struct replica_news *news = &w->nodes[n].news[r->place];
		news->admit_ns = news->feed_ns = 0;
		if (replica_lives(w, n))
			news->begin_ns = news->alone_ns = soon(w, 5);
	}
	w->calm_ns = w->calm_ns > w->now_ns + 5 * MS ? w->calm_ns : w->now_ns + 5 * MS;
	w->faults.repair_at_ns = soon(w, 20);
}

// Written: it counts as any other, and all that are not lost have new successors.
static void become_whole(struct replica_world *w)
{
	struct replica_repair *r = &w->repair;
	r->active = false;
	w->whole[r->place] = true;
	for (uint32_t n = 0; n < w->node_count; n++)
		for (uint32_t p = 0; p < w->place_count && replica_lives(w, n); p++)
			if (w->whole[p])
				w->nodes[n].successors[p] = r->successors[p];
	w->faults.repair_at_ns = soon(w, 20);
	if (w->now_ns < w->muted_until_ns && w->losses < w->faults.losses) {
		w->faults.lose_at_ns = soon(w, 5);
		w->seen[REPLICA_MUTED]++;
	}
	w->seen[REPLICA_WHOLE]++;
}

static bool has_failed(const struct replica_world *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (replica_lives(w, n) &&
			engine_repair_error(w->nodes[n].engine, first_worker(w, w->repair.place),
				w->node_workers) != NULL)
			return true;
	return false;
}

static bool takes_too_long(struct replica_world *w)
{
	int64_t calm_ns =
		w->repair.begun_ns > w->faults.end_ns ? w->repair.begun_ns : w->faults.end_ns;
	if (w->now_ns > calm_ns + CALM_WAIT_MS * (int64_t)MS)
		replica_violate(w, "a repair does not end");
	return w->now_ns < w->faults.end_ns && w->now_ns > w->repair.begun_ns + WAIT_NS;
}

static void go_on(struct replica_world *w)
{
	struct replica_repair *r = &w->repair;
	bool failed = has_failed(w);
	w->seen[REPLICA_NO_ROOM] += failed;
	if (failed || takes_too_long(w))
		replica_repair_give_up(w);
	else if (!r->feeding && all_have(w, engine_has_admitted))
		feed(w);
	else if (r->feeding && r->whole_ns == 0 && all_have(w, engine_has_repaired))
		r->whole_ns = soon(w, 3);
	else if (is_due(w, r->whole_ns))
		become_whole(w);
}

void replica_repair_round(struct replica_world *w)
{
	if (w->repair.active) {
		go_on(w);
		return;
	}
	if (w->misled_until_ns != 0)
		return;
	uint32_t place = w->faults.repairs == 0 || w->now_ns < w->faults.repair_at_ns
		? PLAN_NONE
		: lost_place(w);
	if (place != PLAN_NONE && w->node_count < REPLICA_NODES_MAX && is_settled(w))
		begin(w, place);
}
