#include "tests/sim/replicas.h"

#include <inttypes.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>

#include "control/replicas.h"
#include "control/spread.h"
#include "numa/assert.h"

enum { WINDOW = 64, ROUNDS_STUCK = 30000, ROUND_NS_MAX = 100000, INCARNATION = 1 << 8 };
enum { PACKET_BYTES = WIRE_PACKET_MAX, SECOND_NS = 1000000000 };

static const uint16_t worker_numbers[REPLICA_NODES_MAX];

static void violate(struct replica_world *w, const char *what)
{
	if (!w->violated)
		fprintf(stderr, "seed %" PRIu64 ", round %" PRIu64 ", %.3f ms: %s\n",
			w->scenario->seed, w->rounds, (double)w->now_ns / 1e6, what);
	w->violated = true;
}

// ---- building

static bool plan_job(struct replica_world *w)
{
	static const struct weir_operator *kinds[64];
	static const char *const names[] = {"a", "b", "c", "d"};
	struct workload_participant participants[REPLICA_NODES_MAX] = {0};
	uint32_t count = 0;
	for (; weir_operators[count] != NULL; count++)
		kinds[count] = weir_operators[count];
	kinds[count] = &capture_operator;
	const struct job_source source = {.file = "sim.yaml",
		.text = w->scenario->job,
		.bytes = strlen(w->scenario->job),
		.kinds = kinds};
	for (uint32_t n = 0; n < w->node_count; n++)
		participants[n] = (struct workload_participant){
			.node = names[n], .host = names[n], .first_worker = n, .workers = 1};
	job_load(&w->job, &source);
	if (w->job.errors.count == 0 && planner_plan(&w->job, w->node_count, &w->planned) == 0) {
		spread_tasks(&w->planned, &w->job.heap, w->node_count);
		if (replicas_plan(&w->job, &w->planned, participants, w->node_count) == 0) {
			w->covers = replicas_cover(&w->planned.plan, &w->job.heap, participants,
				w->node_count);
			return true;
		}
	}
	errors_print(&w->job.errors, stderr);
	fprintf(stderr, "%s", w->scenario->job);
	return false;
}

// What sessions hold, and what credit lets come from other nodes.
static uint32_t packets_needed(const struct replica_world *w, uint32_t n)
{
	const struct job_plan *plan = &w->planned.plan;
	uint32_t packets = w->node_count * (2 * WINDOW + 8) + WIRE_HELD_MAX + 2 * LINK_BURST;
	for (uint32_t c = 0; c < plan->channel_count; c++)
		if (plan->tasks[plan->channels[c].to].worker == n &&
			plan->tasks[plan->channels[c].from].worker != n)
			packets += w->scenario->credit + CHANNEL_CONTROL_FRAMES;
	return packets;
}

static void create_transport(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	const struct transport_config config = {.session_max = REPLICA_NODES_MAX,
		.channel_max = w->planned.plan.channel_count + 1,
		.window_max = WINDOW,
		.link = &w->wire.ports[n].link};
	VERIFY(arena_create(&node->arena, transport_bytes(&config) + 4096, -1, true) == 0);
	VERIFY(transport_create(&node->transport, &config, &node->arena) == 0);
	for (uint32_t peer = 0; peer < w->node_count; peer++)
		node->peers[peer] = peer;
	node->network = (struct crossing_network){.boot = INCARNATION,
		.pool = node->packets,
		.window = WINDOW,
		.packet_max = PACKET_BYTES - LINK_HEADROOM - 64,
		.workers = worker_numbers,
		.peers = node->peers};
}

static void create_packets(struct replica_world *w, uint32_t n)
{
	char name[32];
	snprintf(name, sizeof(name), "packets%u", n);
	w->nodes[n].packets = rte_pktmbuf_pool_create(name, packets_needed(w, n), 0, 0,
		PACKET_BYTES + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	VERIFY(w->nodes[n].packets != NULL);
	wire_add(&w->wire, w->nodes[n].packets, PACKET_BYTES - LINK_HEADROOM - 64);
}

static bool create_engine(struct replica_world *w, uint32_t n)
{
	static const int cpus[1];
	struct replica_node *node = &w->nodes[n];
	const struct engine_config config = {.plan = &w->planned.plan,
		.first_worker = n,
		.worker_count = 1,
		.network = &node->network,
		.worker_cpus = cpus,
		.incarnation = INCARNATION,
		.lazy = true};
	char error[512];
	capture_node = n + 1;
	if (engine_create(&config, error, sizeof(error), &node->engine) == 0) {
		struct worker *worker = &node->engine->workers[0].worker;
		if (worker->crossing != NULL)
			crossing_enter(worker->crossing, &node->transport);
		return true;
	}
	fprintf(stderr, "seed %" PRIu64 ": %s\n", w->scenario->seed, error);
	return false;
}

static void draw_faults(struct replica_world *w)
{
	struct random *r = &w->random;
	struct wire_faults *f = &w->wire.faults;
	f->delay_ns = (int64_t)random_in(r, 1000, 200000);
	f->late_ns = (int64_t)random_in(r, 0, 2000000);
	if (random_chance(r, 500)) {
		f->loss = (uint32_t)random_in(r, 0, 100);
		f->twice = (uint32_t)random_in(r, 0, 200);
		f->late = (uint32_t)random_in(r, 0, 300);
	}
	if (random_chance(r, 800))
		w->losses_wanted =
			w->node_count == REPLICA_NODES_MAX && random_chance(r, 500) ? 2 : 1;
	w->lose_at_ns = (int64_t)random_in(r, 1, 900000000);
}

bool replica_world_create(struct replica_world *w, const struct scenario *scenario)
{
	*w = (struct replica_world){.scenario = scenario,
		.random = {scenario->seed ^ 0xC0FFEE},
		.node_count = scenario->workers,
		.now_ns = 1};
	wire_create(&w->wire, scenario->seed);
	draw_faults(w);
	if (!plan_job(w))
		return false;
	for (uint32_t n = 0; n < w->node_count; n++) {
		create_packets(w, n);
		create_transport(w, n);
		if (!create_engine(w, n))
			return false;
	}
	return true;
}

// ---- losses

// Can the job go on without that node too?
static bool can_lose(const struct replica_world *w, uint32_t n)
{
	const struct workload_cover *cover = &w->covers[n];
	bool good = cover->whole && !w->nodes[n].lost;
	for (uint32_t i = 0; i < cover->by_count; i++)
		good = good && !w->nodes[cover->by[i]].lost;
	return good;
}

// It dies, or is suspected and goes on, at once or later.
static void lose(struct replica_world *w, uint32_t n)
{
	struct random *r = &w->random;
	struct replica_node *node = &w->nodes[n];
	int64_t heard_ns = w->now_ns + (int64_t)random_in(r, 0, 5000000);
	node->lost = true;
	w->losses++;
	if (random_chance(r, 500)) {
		node->dead = true;
		w->wire.ports[n].off = true;
	} else {
		node->paused_until_ns = w->now_ns + (int64_t)random_in(r, 0, 60000000);
	}
	for (uint32_t other = 0; other < w->node_count; other++)
		w->nodes[other].news[n] = (struct replica_news){
			.begin_ns = heard_ns + (int64_t)random_in(r, 0, 3000000),
			.alone_ns = heard_ns + (int64_t)random_in(r, 3000000, 20000000)};
}

static void maybe_lose(struct replica_world *w)
{
	if (w->losses == w->losses_wanted || w->now_ns < w->lose_at_ns)
		return;
	uint32_t n = (uint32_t)random_in(&w->random, 0, w->node_count - 1);
	if (can_lose(w, n))
		lose(w, n);
	else if (w->losses != 0 && random_chance(&w->random, 100))
		w->losses_wanted = w->losses; // no other may go
	w->lose_at_ns = w->now_ns + (int64_t)random_in(&w->random, 0, 100000000);
}

static void hear_news(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	for (uint32_t lost = 0; lost < w->node_count && !node->lost; lost++) {
		struct replica_news *news = &node->news[lost];
		bool begin = news->begin_ns != 0 && w->now_ns >= news->begin_ns;
		bool alone = news->alone_ns != 0 && w->now_ns >= news->alone_ns;
		if (!begin && !alone)
			continue;
		engine_lose(node->engine, lost, 1, INCARNATION + 1 + lost, alone);
		news->begin_ns = 0;
		news->alone_ns = alone ? 0 : news->alone_ns;
	}
}

// ---- a round

static void cut_anew(struct replica_world *w, struct task *t)
{
	static const uint64_t cuts[] = {UINT64_MAX, UINT64_MAX, 1, 3, 50};
	struct random *r = &w->random;
	t->items_max = cuts[random_in(r, 0, 4)];
	t->flush_age_ns = random_chance(r, 500) ? 0 : (int64_t)random_in(r, 0, 1000000);
}

static uint32_t step_node(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	struct worker *worker = &node->engine->workers[0].worker;
	uint32_t work = 0;
	if (node->dead || node->paused_until_ns > w->now_ns)
		return 0;
	hear_news(w, n);
	for (uint32_t i = 0; i < worker->task_count; i++)
		if (random_chance(&w->random, 100))
			cut_anew(w, worker->tasks[i]);
	if (random_chance(&w->random, 900))
		work += worker_step(worker, w->now_ns);
	if (random_chance(&w->random, 900))
		work += transport_step(&node->transport, w->now_ns);
	if (random_chance(&w->random, 1)) // the host is busy with something else
		node->paused_until_ns = w->now_ns + (int64_t)random_in(&w->random, 0, 20000000);
	return work;
}

static bool has_ended(struct replica_world *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		if (!w->nodes[n].lost && !atomic_load(&w->nodes[n].engine->workers[0].worker.done))
			return false;
	return true;
}

static void look_for_failures(struct replica_world *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		for (uint32_t t = 0; t < w->planned.plan.task_count; t++) {
			const struct task *task = &w->nodes[n].engine->tasks[t];
			if (!w->nodes[n].lost && task->outcome == TASK_FAILED)
				violate(w, task_error(task));
		}
}

void replica_world_run(struct replica_world *w)
{
	uint32_t idle = 0;
	while (!w->violated && !has_ended(w)) {
		uint32_t work = 0;
		for (uint32_t i = 0; i < w->node_count; i++)
			work += step_node(w, (uint32_t)random_in(&w->random, 0, w->node_count - 1));
		maybe_lose(w);
		if (w->scenario->interrupt_ns != 0 && w->now_ns >= w->scenario->interrupt_ns)
			for (uint32_t n = 0; n < w->node_count; n++)
				engine_interrupt(w->nodes[n].engine);
		if (w->rounds % 64 == 0)
			look_for_failures(w);
		idle = work == 0 ? idle + 1 : 0;
		if (idle == ROUNDS_STUCK || w->now_ns > 60ll * SECOND_NS)
			violate(w, "no progress: the job is stuck");
		w->rounds++;
		w->now_ns += (int64_t)random_in(&w->random, 0, ROUND_NS_MAX);
		w->wire.now_ns = w->now_ns;
	}
}

// ---- what came of it

static uint32_t owner_node(const struct replica_world *w, uint32_t task)
{
	const struct plan_task *planned = &w->planned.plan.tasks[task];
	uint32_t node = planned->worker;
	return w->nodes[node].lost && planned->standing == PLAN_PRIMARY
		? w->planned.plan.tasks[planned->twin].worker
		: node;
}

// Both instances of a task, where both live, have consumed the same.
static void compare_twins(struct replica_world *w, uint32_t task)
{
	const struct plan_task *planned = &w->planned.plan.tasks[task];
	uint32_t a = planned->worker, b = w->planned.plan.tasks[planned->twin].worker;
	if (planned->standing != PLAN_PRIMARY || w->nodes[a].lost || w->nodes[b].lost)
		return;
	const struct task *x = &w->nodes[a].engine->tasks[task];
	const struct task *y = &w->nodes[b].engine->tasks[planned->twin];
	for (uint32_t i = 0; i < x->input_count; i++)
		if (x->receivers[i].next_number != y->receivers[i].next_number ||
			x->receivers[i].checksum != y->receivers[i].checksum)
			violate(w, "a task and its replica have not consumed the same");
}

void replica_world_gather(struct replica_world *w)
{
	const struct job_plan *plan = &w->planned.plan;
	for (uint32_t t = 0; t < plan->task_count; t++) {
		const struct plan_task *task = &plan->tasks[t];
		const struct plan_step *last = &task->steps[task->step_count - 1];
		compare_twins(w, t);
		if (task->standing == PLAN_REPLICA || last->kind != &capture_operator)
			continue;
		int64_t slot = weir_param_int(last->plan->params, "slot", 0);
		struct capture_rows *from = &captured_by[owner_node(w, t)][slot][task->index];
		struct capture_rows *to = &captured[slot][task->index], kept = *to;
		*to = *from;
		*from = kept;
	}
}

static void destroy_node(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	struct worker *worker = node->engine == NULL ? NULL : &node->engine->workers[0].worker;
	if (worker != NULL && worker->crossing != NULL && worker->crossing->transport != NULL)
		crossing_leave(worker->crossing, &node->transport);
	transport_destroy(&node->transport);
	engine_destroy(node->engine);
	wire_let_go(&w->wire.ports[n]);
	arena_destroy(&node->arena);
}

void replica_world_destroy(struct replica_world *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		destroy_node(w, n);
	wire_destroy(&w->wire);
	for (uint32_t n = 0; n < w->node_count; n++) {
		if (!w->violated && !rte_mempool_full(w->nodes[n].packets))
			violate(w, "a node's mbufs are not all back in their pool");
		rte_mempool_free(w->nodes[n].packets);
	}
	job_destroy(&w->job);
	capture_clear();
}
