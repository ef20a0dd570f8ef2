// What goes wrong: the network, for a time; nodes that stand still, die, or are taken for dead and
// live on; and when each of the others hears of it.
#include <string.h>

#include "control/workload.h"
#include "tests/sim/replicas.h"

enum { MS = 1000000, ONE_IN = 100000 };

void replica_draw_wire(struct wire_faults *f, struct random *r)
{
	uint32_t kind = (uint32_t)random_in(r, 0, 9);
	f->delay_ns = (int64_t)random_in(r, 1000, 200000);
	f->late_ns = (int64_t)random_in(r, 0, 2 * MS);
	if (kind < 3)
		return;
	bool harsh = kind > 6;
	f->loss = (uint32_t)random_in(r, 0, harsh ? 300 : 50);
	f->twice = (uint32_t)random_in(r, 0, harsh ? 500 : 100);
	f->late = (uint32_t)random_in(r, 0, harsh ? 500 : 200);
	f->corrupt = random_chance(r, 200) ? (uint32_t)random_in(r, 0, 20) : 0;
	f->refused = random_chance(r, 200) ? (uint32_t)random_in(r, 0, 100) : 0;
}

static void draw_losses(struct replica_world *w)
{
	static const enum replica_when whens[] = {
		LOSE_ANY, LOSE_ANY, LOSE_ANY, LOSE_FIRST, LOSE_LAST, LOSE_LAST};
	struct replica_faults *f = &w->faults;
	struct random *r = &w->random;
	if (random_chance(r, 100))
		return;
	f->losses = w->place_count == REPLICA_PLACES_MAX && random_chance(r, 700) ? 2 : 1;
	if (random_chance(r, 600)) {
		f->repairs = (uint32_t)random_in(r, 1, REPLICA_NODES_MAX - w->place_count);
		f->losses = (uint32_t)random_in(r, 1, REPLICA_LOSSES_MAX);
	}
	f->when[0] = whens[random_in(r, 0, 5)];
	f->when[1] = random_chance(r, 700) ? LOSE_DURING : whens[random_in(r, 0, 5)];
	for (uint32_t i = 2; i < f->losses; i++)
		f->when[i] = random_chance(r, 300) ? LOSE_DURING : LOSE_ANY;
	f->lose_at_ns = f->when[0] == LOSE_FIRST
		? (int64_t)random_in(r, 1, 2 * MS)
		: (int64_t)random_in(r, 1, f->repairs != 0 ? 300 * MS : 800 * MS);
}

void replica_faults_draw(struct replica_world *w)
{
	struct replica_faults *f = &w->faults;
	struct random *r = &w->random;
	replica_draw_wire(&f->wire, r);
	f->end_ns = (int64_t)random_in(r, 400, 1200) * MS;
	f->cut_over = random_chance(r, 300);
	for (uint32_t n = 0; n < w->place_count; n++)
		w->nodes[n].eager = random_chance(r, 250) ? (uint32_t)random_in(r, 10, 200) : 900;
	f->cuts = random_chance(r, 400) ? (uint32_t)random_in(r, 10, 400) : 0;
	f->pauses = random_chance(r, 600) ? (uint32_t)random_in(r, 0, 200) : 0;
	draw_losses(w);
	w->wire.faults = f->wire;
	w->calm_ns = f->end_ns;
	for (uint32_t p = 0; p < w->wire.port_count; p++)
		w->wire.ports[p].holds = random_chance(r, 300);
}

// ---- cuts

// Some paths, each one way, each for a time of its own: so that they open in another order.
static void cut(struct replica_world *w)
{
	struct random *r = &w->random;
	uint32_t share = (uint32_t)random_in(r, 50, 700);
	int64_t most_ns =
		(int64_t)random_in(r, MS / 10, random_chance(r, 200) ? 100 * MS : 10 * MS);
	uint32_t only = (uint32_t)random_in(r, 0, 2 * w->wire.port_count); // at most one end's
	for (uint32_t from = 0; from < w->wire.port_count; from++)
		for (uint32_t to = 0; to < w->wire.port_count; to++)
			if ((only >= w->wire.port_count || only == from || only == to) &&
				random_chance(r, share)) {
				w->wire.cut_until_ns[from][to] =
					w->now_ns + (int64_t)random_in(r, 0, (uint64_t)most_ns);
				w->seen[REPLICA_CUT]++;
			}
}

static bool is_cut(const struct replica_world *w)
{
	for (uint32_t from = 0; from < w->wire.port_count; from++)
		for (uint32_t to = 0; to < w->wire.port_count; to++)
			if (w->wire.cut_until_ns[from][to] > w->now_ns)
				return true;
	return false;
}

static void be_calm(struct replica_world *w)
{
	struct wire_faults *f = &w->wire.faults;
	*f = (struct wire_faults){.delay_ns = f->delay_ns};
	memset(w->wire.cut_until_ns, 0, sizeof(w->wire.cut_until_ns));
	memset(w->wire.mute_until_ns, 0, sizeof(w->wire.mute_until_ns));
	w->muted_until_ns = 0;
	for (uint32_t n = 0; n < w->node_count; n++) {
		w->nodes[n].eager = 900;
		if (!w->nodes[n].lost)
			w->nodes[n].paused_until_ns = 0;
	}
	w->faults.cuts = w->faults.pauses = 0;
}

// ---- losses

// Can the job go on without that node too?
static bool can_lose(const struct replica_world *w, uint32_t place)
{
	const struct workload_cover *cover = &w->covers[place];
	bool good = cover->whole && w->whole[place];
	for (uint32_t i = 0; i < cover->by_count; i++)
		good = good && w->whole[cover->by[i]];
	return good || (w->repair.active && w->repair.place == place && w->repair.may_be_lost);
}

static bool is_full(const struct replica_world *w)
{
	for (uint32_t t = 0; t < w->planned.plan.task_count; t++) {
		const struct task *task = replica_task(w, t);
		for (uint32_t i = 0; i < task->exchange.sender_count; i++) {
			const struct sender *s = &task->exchange.senders[i];
			if (s->follower_count != 0 &&
				!retention_has_room(&s->retention,
					2 * s->channel->config.frame_bytes))
				return true;
		}
	}
	return false;
}

static uint32_t finished(const struct replica_world *w)
{
	uint32_t count = 0;
	for (uint32_t t = 0; t < w->planned.plan.task_count; t++)
		count += replica_task(w, t)->outcome == TASK_FINISHED;
	return count;
}

// Is a replica of an earlier loss still at work to replace it, or does not yet know?
static bool is_being_replaced(const struct replica_world *w)
{
	for (uint32_t t = 0; t < w->planned.plan.task_count; t++) {
		const struct plan_task *planned = &w->planned.plan.tasks[t];
		if (planned->standing == PLAN_SINGLE || !w->whole[replica_place_of(w, t)] ||
			w->whole[replica_place_of(w, planned->twin)])
			continue;
		const struct task *task = replica_task(w, t);
		if (task->replica.role == REPLICA_FOLLOWS || order_log_replaying(&task->log))
			return true;
	}
	return false;
}

static void see_loss(struct replica_world *w, uint32_t n)
{
	w->seen[REPLICA_DIED] += w->nodes[n].dead;
	w->seen[REPLICA_PAUSED] += !w->nodes[n].dead && w->nodes[n].paused_until_ns > w->now_ns;
	w->seen[REPLICA_AWAKE] += !w->nodes[n].dead && w->nodes[n].paused_until_ns <= w->now_ns;
	w->seen[REPLICA_AT_START] += w->now_ns < 2 * MS;
	w->seen[REPLICA_AT_END] += finished(w) != 0;
	w->seen[REPLICA_TWICE] += w->losses == 1;
	w->seen[REPLICA_DURING] += w->losses == 1 && is_being_replaced(w);
	w->seen[REPLICA_HARSH] += w->wire.faults.loss > 100;
	w->seen[REPLICA_CUT_OVER] += is_cut(w);
	w->seen[REPLICA_FULL] += is_full(w);
	w->seen[REPLICA_SINGLE] += w->scenario->sinks_single;
	w->seen[REPLICA_TWO_WORKERS] += w->node_workers == 2;
	w->seen[REPLICA_STOPPED] += w->scenario->interrupt_ns != 0;
	w->seen[REPLICA_THIRD] += w->losses == 2;
	w->seen[REPLICA_LOST_ANEW] += w->nodes[n].anew && w->whole[w->nodes[n].place];
	w->seen[REPLICA_NEW_LOST] += !w->whole[w->nodes[n].place];
	w->seen[REPLICA_OTHER_LOST] += w->repair.active && w->repair.node != n;
}

// Most hear soon, some late; that they are alone later still, or so late that all else is done.
static void spread_news(struct replica_world *w, uint32_t place)
{
	struct random *r = &w->random;
	bool quick = random_chance(r, 300); // and another node comes in its place as soon
	uint64_t most = quick ? MS / 10 : 20 * MS;
	int64_t heard_ns = w->now_ns + (int64_t)random_in(r, 0, quick ? most : 5 * MS);
	int64_t first_ns = INT64_MAX, last_ns = 0;
	uint32_t late =
		random_chance(r, 300) ? (uint32_t)random_in(r, 0, w->place_count - 1) : UINT32_MAX;
	for (uint32_t n = 0; n < w->node_count; n++) {
		struct replica_node *node = &w->nodes[n];
		struct replica_news *news = &node->news[place];
		if (node->place == place)
			continue;
		uint64_t within = quick ? most : node->place == late ? 100 * MS : 3 * MS;
		news->begin_ns = heard_ns + (int64_t)random_in(r, 1, within);
		for (uint32_t p = 0; p < w->place_count;
			p++) // what was given up for it comes first
			if (p != place && news->begin_ns <= node->news[p].begin_ns)
				news->begin_ns = node->news[p].begin_ns + 1;
		news->alone_ns = news->begin_ns +
			(int64_t)random_in(r, 0, !quick && random_chance(r, 100) ? 500 * MS : most);
		news->admit_ns = news->feed_ns = 0;
		if (!replica_lives(w, n))
			continue;
		first_ns = news->begin_ns < first_ns ? news->begin_ns : first_ns;
		last_ns = news->begin_ns > last_ns ? news->begin_ns : last_ns;
		w->calm_ns = news->alone_ns > w->calm_ns ? news->alone_ns : w->calm_ns;
	}
	w->faults.repair_at_ns = quick ? w->now_ns : w->faults.repair_at_ns;
	w->seen[REPLICA_LATE_NEWS] += last_ns > first_ns + 10 * MS;
}

static void befall(struct replica_world *w, uint32_t n)
{
	struct random *r = &w->random;
	struct replica_node *node = &w->nodes[n];
	uint32_t fate = (uint32_t)random_in(r, 0, 2);
	node->dead = fate == 0;
	node->heeds = random_chance(r, 500);
	node->paused_until_ns = fate == 1 ? w->now_ns + (int64_t)random_in(r, 0, 60 * MS) : 0;
	for (uint32_t i = 0; i < w->node_workers && node->dead; i++)
		w->wire.ports[n * w->node_workers + i].off = true;
	see_loss(w, n);
	node->lost = true;
	w->losses++;
}

// It dies, or is suspected and goes on, later or all the time. A repair under way is given up.
static void lose(struct replica_world *w, uint32_t place)
{
	uint32_t n = w->holders[place];
	befall(w, n);
	if (w->repair.active)
		replica_repair_give_up(w);
	if (!w->whole[place])
		return;
	w->whole[place] = false;
	spread_news(w, place);
}

static bool is_time(struct replica_world *w)
{
	struct replica_faults *f = &w->faults;
	if (w->losses >= f->losses)
		return false;
	if (f->when[w->losses] == LOSE_LAST)
		return finished(w) != 0 && random_chance(&w->random, 20);
	return w->now_ns >= f->lose_at_ns;
}

// Would it begin for the one that a new node does not hear?
static bool is_muted(const struct replica_world *w, uint32_t place)
{
	const struct workload_cover *cover = &w->covers[place];
	bool found = false;
	for (uint32_t i = 0; i < cover->by_count && w->now_ns < w->muted_until_ns; i++)
		found |= cover->by[i] == w->muted;
	return found;
}

// An older leader tells it alone that another is lost, and goes; then it goes as well, unheard. The
// other never is.
static bool mislead(struct replica_world *w, uint32_t place)
{
	struct replica_node *node = &w->nodes[w->holders[place]];
	const struct workload_cover *cover = &w->covers[place];
	struct random *r = &w->random;
	bool muted = is_muted(w, place);
	if (w->repair.active || !w->whole[place] || cover->by_count == 0 ||
		!random_chance(r, muted ? 800 : 300))
		return false;
	node->lost = node->misled = node->heeds = true;
	node->misled_of = muted ? w->muted : cover->by[random_in(r, 0, cover->by_count - 1)];
	node->news[node->misled_of].begin_ns = w->now_ns;
	w->misled_until_ns = w->now_ns + (int64_t)random_in(r, 1, 40ull * MS >> random_in(r, 0, 8));
	return true;
}

static void lose_misled(struct replica_world *w)
{
	uint32_t n = 0;
	bool began = false;
	while (!w->nodes[n].misled || w->holders[w->nodes[n].place] != n ||
		!w->whole[w->nodes[n].place])
		n++;
	for (uint32_t p = 0; p < w->place_count; p++)
		began |= w->nodes[n].begun[p] && w->whole[p];
	w->seen[REPLICA_MISLED]++;
	w->seen[REPLICA_MISLED_BEGAN] += began;
	w->misled_until_ns = 0;
	lose(w, w->nodes[n].place);
}

// From microseconds to milliseconds, each magnitude as likely as another.
static int64_t soon(struct random *r)
{
	return (int64_t)random_in(r, 1, 1000ull << random_in(r, 0, 13));
}

static void maybe_lose(struct replica_world *w)
{
	struct replica_faults *f = &w->faults;
	if (w->misled_until_ns != 0 && w->now_ns >= w->misled_until_ns)
		lose_misled(w);
	if (w->misled_until_ns != 0 || !is_time(w))
		return;
	uint32_t first = (uint32_t)random_in(&w->random, 0, w->place_count - 1), i = 0;
	if (w->now_ns < w->muted_until_ns && w->covers[w->muted].by_count != 0)
		first = w->covers[w->muted].by[0];
	while (i < w->place_count && !can_lose(w, (first + i) % w->place_count))
		i++;
	if (i == w->place_count) {
		if (f->repairs == 0 && !w->repair.active)
			f->losses = w->losses; // no other may go
		return;
	}
	if (f->cut_over && w->now_ns < f->end_ns)
		cut(w);
	if (!mislead(w, (first + i) % w->place_count))
		lose(w, (first + i) % w->place_count);
	f->lose_at_ns = w->now_ns +
		(w->losses < f->losses && f->when[w->losses] == LOSE_DURING
				? soon(&w->random)
				: (int64_t)random_in(&w->random, 0, 100 * MS));
}

void replica_faults_hear(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	for (uint32_t lost = 0; lost < w->place_count && (!node->lost || node->heeds); lost++) {
		struct replica_news *news = &node->news[lost];
		bool begin = news->begin_ns != 0 && w->now_ns >= news->begin_ns;
		bool alone = news->alone_ns != 0 && w->now_ns >= news->alone_ns;
		if (!begin && !alone)
			continue;
		w->seen[REPLICA_ZOMBIE_HEARD] += node->lost;
		node->alone[lost] = alone || (node->alone[lost] && node->begun[lost]);
		node->begun[lost] = true;
		engine_lose(node->engine, lost * w->node_workers, w->node_workers,
			node->successors[lost], alone);
		news->begin_ns = 0;
		news->alone_ns = alone ? 0 : news->alone_ns;
	}
}

void replica_faults_round(struct replica_world *w)
{
	struct random *r = &w->random;
	maybe_lose(w);
	if (w->now_ns >= w->faults.end_ns) {
		be_calm(w);
		return;
	}
	if (random_next(r) % ONE_IN < w->faults.cuts)
		cut(w);
	for (uint32_t n = 0; n < w->node_count; n++)
		if (random_next(r) % ONE_IN < w->faults.pauses &&
			w->nodes[n].paused_until_ns <= w->now_ns)
			w->nodes[n].paused_until_ns = w->now_ns + (int64_t)random_in(r, 0, 20 * MS);
}
