#include "tests/sim/replicas.h"

#include <inttypes.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>

#include "control/replicas.h"
#include "control/spread.h"
#include "numa/assert.h"
#include "tests/sim/trace.h"

enum { WINDOW = 64, ROUND_NS_MAX = 100000 };
enum { PACKET_BYTES = WIRE_PACKET_MAX, SECOND_NS = 1000000000 };
// Once nothing goes wrong any more and all has been told, the job ends within so long.
enum { CALM_SECONDS_MAX = 4 };
enum { TIMED_STATE_BYTES = 32 << 20 };

static const uint16_t worker_numbers[WIRE_PORTS_MAX];
static struct capture_set captured_by[REPLICA_NODES_MAX];

void replica_violate(struct replica_world *w, const char *what)
{
	if (!w->violated)
		fprintf(stderr, "seed %" PRIu64 ", round %" PRIu64 ", %.3f ms: %s\n",
			w->scenario->seed, w->rounds, (double)w->now_ns / 1e6, what);
	if (!w->violated)
		replica_world_dump(w);
	w->violated = true;
}

// ---- building

bool replica_world_plan(struct replica_world *w, const struct workload_participant *participants)
{
	const struct workload_participant *last = &participants[w->place_count - 1];
	uint32_t workers = last->first_worker + last->workers;
	const struct job_source source = {.file = "sim.yaml",
		.text = w->scenario->job,
		.bytes = strlen(w->scenario->job),
		.kinds = capture_kinds()};
	job_load(&w->job, &source);
	if (w->job.errors.count == 0 && planner_plan(&w->job, workers, &w->planned) == 0) {
		spread_tasks(&w->planned, &w->job.heap, workers);
		if (replicas_plan(&w->job, &w->planned, participants, w->place_count) == 0) {
			w->covers = replicas_cover(&w->planned.plan, &w->job.heap, participants,
				w->place_count);
			replica_ledger_create(&w->ledger, &w->planned.plan);
			return true;
		}
	}
	errors_print(&w->job.errors, stderr);
	fprintf(stderr, "%s", w->scenario->job);
	return false;
}

static bool plan_job(struct replica_world *w)
{
	static const char *const names[] = {"a", "b", "c", "d"};
	struct workload_participant participants[REPLICA_PLACES_MAX] = {0};
	for (uint32_t n = 0; n < w->place_count; n++)
		participants[n] = (struct workload_participant){.node = names[n],
			.host = names[n],
			.first_worker = n * w->node_workers,
			.workers = w->node_workers};
	return replica_world_plan(w, participants);
}

// What sessions hold, and what credit lets come from other nodes.
static uint32_t packets_needed(const struct replica_world *w, uint32_t place)
{
	const struct job_plan *plan = &w->planned.plan;
	uint32_t sessions = w->place_count * w->node_workers * (2 * WINDOW + 8);
	uint32_t packets = w->node_workers * (sessions + WIRE_HELD_MAX + 2 * LINK_BURST);
	for (uint32_t c = 0; c < plan->channel_count; c++)
		if (replica_place_of(w, plan->channels[c].to) == place &&
			replica_place_of(w, plan->channels[c].from) != place)
			packets += w->scenario->credit + CHANNEL_CONTROL_FRAMES;
	return packets;
}

static void create_transports(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	struct transport_config config = {.session_max = w->planned.plan.worker_count,
		.channel_max = w->planned.plan.channel_count + 1,
		.window_max = WINDOW};
	uint64_t bytes = w->node_workers * (transport_bytes(&config) + 4096);
	VERIFY(arena_create(&node->arena, bytes, -1, true) == 0);
	for (uint32_t i = 0; i < w->node_workers; i++) {
		config.link = &w->wire.ports[n * w->node_workers + i].link;
		VERIFY(transport_create(&node->transports[i], &config, &node->arena) == 0);
	}
	node->network = (struct crossing_network){.pool = node->packets,
		.window = WINDOW,
		.packet_max = PACKET_BYTES - LINK_HEADROOM - 64,
		.workers = worker_numbers,
		.peers = node->peers,
		.boots = node->boots};
}

static void create_packets(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	char name[32];
	snprintf(name, sizeof(name), "packets%u", n);
	node->packets = rte_pktmbuf_pool_create(name, packets_needed(w, node->place), 0, 0,
		PACKET_BYTES + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	VERIFY(node->packets != NULL);
	for (uint32_t i = 0; i < w->node_workers; i++)
		wire_add(&w->wire, node->packets, PACKET_BYTES - LINK_HEADROOM - 64);
}

// Logs that are soon full: an owner's with room for what a step may log and a little more, a
// replica's for what comes in one frame.
static void shorten_logs(struct replica_world *w, const struct engine *e)
{
	for (uint32_t t = 0; t < e->task_count; t++)
		if (engine_owns(e, t) && e->tasks[t].logged)
			e->tasks[t].log.capacity =
				e->tasks[t].replica.role == REPLICA_OWNER ? 32 : 128;
}

static bool create_engine(struct replica_world *w, uint32_t n, bool repair)
{
	static const int cpus[NODE_WORKERS_MAX];
	struct replica_node *node = &w->nodes[n];
	const struct engine_config config = {.plan = &w->planned.plan,
		.first_worker = node->place * w->node_workers,
		.worker_count = w->node_workers,
		.repair = repair,
		.network = &node->network,
		.worker_cpus = cpus,
		.incarnation = REPLICA_INCARNATION,
		.lazy = !w->scenario->timed};
	char error[512];
	capture_into = &captured_by[n];
	if (engine_create(&config, error, sizeof(error), &node->engine) == 0) {
		for (uint32_t i = 0; i < w->node_workers; i++) {
			struct worker *worker = &node->engine->workers[i].worker;
			if (worker->crossing != NULL)
				crossing_enter(worker->crossing, &node->transports[i]);
		}
		return true;
	}
	fprintf(stderr, "seed %" PRIu64 ": %s\n", w->scenario->seed, error);
	return false;
}

// One of a lost place finds the others as they are now.
static bool add_node(struct replica_world *w, uint32_t place, uint64_t boot, bool anew)
{
	uint32_t n = w->node_count++;
	struct replica_node *node = &w->nodes[n];
	*node = (struct replica_node){.place = place, .anew = anew, .eager = 900};
	w->holders[place] = n;
	for (uint32_t p = 0; p < w->place_count; p++) {
		const struct replica_node *holder = &w->nodes[anew ? w->holders[p] : p];
		for (uint32_t i = 0; i < w->node_workers; i++) {
			uint32_t worker = p * w->node_workers + i;
			uint32_t slot = anew ? w->holders[p] : p;
			node->peers[worker] = slot * w->node_workers + i;
			node->boots[worker] = p == place ? boot
				: anew                   ? holder->boots[worker]
							 : REPLICA_INCARNATION;
		}
		node->successors[p] = REPLICA_INCARNATION + 1 + p;
	}
	create_packets(w, n);
	create_transports(w, n);
	if (!create_engine(w, n, anew))
		return false;
	if (w->short_logs)
		shorten_logs(w, node->engine);
	return true;
}

bool replica_world_add(struct replica_world *w, uint32_t place, uint64_t boot)
{
	replica_ledger_forget(&w->ledger, place, w->node_workers);
	return add_node(w, place, boot, true);
}

bool replica_world_create(struct replica_world *w, const struct scenario *scenario)
{
	*w = (struct replica_world){.scenario = scenario,
		.random = {scenario->seed ^ 0xC0FFEE},
		.place_count = scenario->workers / scenario->node_workers,
		.node_workers = scenario->node_workers,
		.incarnation = REPLICA_INCARNATION + REPLICA_PLACES_MAX,
		.now_ns = 1};
	wire_create(&w->wire, scenario->seed);
	if (!plan_job(w))
		return false;
	if (scenario->timed)
		w->planned.plan.worker_state_bytes = TIMED_STATE_BYTES;
	else if (random_chance(&w->random, 400)) // a few frames
		w->planned.plan.channel_retention_bytes =
			scenario->frame_bytes * random_in(&w->random, 4, 12);
	w->short_logs = !scenario->timed && random_chance(&w->random, 300);
	for (uint32_t place = 0; place < w->place_count; place++) {
		w->whole[place] = true;
		if (!add_node(w, place, REPLICA_INCARNATION, false))
			return false;
	}
	if (!scenario->timed)
		replica_faults_draw(w);
	replicas_trace_begin(w);
	return true;
}

// ---- a round

static void cut_anew(struct random *r, struct task *t)
{
	static const uint64_t cuts[] = {UINT64_MAX, UINT64_MAX, 1, 3, 50};
	t->items_max = cuts[random_in(r, 0, 4)];
	t->part_keys = t->items_max == UINT64_MAX ? SNAPSHOT_PART_KEYS : (uint32_t)t->items_max;
	t->flush_age_ns = random_chance(r, 500) ? 0 : (int64_t)random_in(r, 0, 1000000);
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		struct sender *s = &t->exchange.senders[i];
		uint32_t most = s->channel->config.frame_bytes;
		for (uint32_t f = 0; f < s->follower_count; f++)
			if (s->followers[f].channel->config.frame_bytes < most)
				most = s->followers[f].channel->config.frame_bytes;
		most -= FRAME_HEADER_BYTES;
		s->payload_max = random_chance(r, 700) ? most : (uint32_t)random_in(r, 64, most);
	}
}

void replica_shuffle(struct random *r, struct worker *worker)
{
	uint32_t i = (uint32_t)random_in(r, 0, worker->task_count), j = i + 1;
	if (j >= worker->task_count || !random_chance(r, 200))
		return;
	struct task *swapped = worker->tasks[i];
	worker->tasks[i] = worker->tasks[j];
	worker->tasks[j] = swapped;
}

void replica_vary(struct random *r, struct worker *worker)
{
	for (uint32_t i = 0; i < worker->task_count; i++)
		if (random_chance(r, 100))
			cut_anew(r, worker->tasks[i]);
}

static uint32_t step_worker(struct replica_world *w, uint32_t n, uint32_t index)
{
	struct replica_node *node = &w->nodes[n];
	struct worker *worker = &node->engine->workers[index].worker;
	uint32_t work = 0;
	replica_vary(&w->random, worker);
	if (random_chance(&w->random, node->eager)) {
		replica_shuffle(&w->random, worker);
		work += worker_step(worker, w->now_ns);
		replicas_trace_step(w, n, index);
		if (w->holders[node->place] == n)
			replica_check_step(w, n, index);
	}
	if (random_chance(&w->random, node->eager))
		work += transport_step(&node->transports[index], w->now_ns);
	return work;
}

static bool is_known_lost(const struct replica_world *w, uint32_t n)
{
	for (uint32_t other = 0; other < w->node_count; other++)
		if (replica_lives(w, other) && w->nodes[other].begun[w->nodes[n].place])
			return true;
	return false;
}

static void step_node(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	uint32_t work = 0;
	if (node->dead || node->paused_until_ns > w->now_ns)
		return;
	replica_faults_hear(w, n);
	replica_repair_hear(w, n);
	replicas_trace_round(w);
	for (uint32_t i = 0; i < w->node_workers && !w->violated; i++)
		work += step_worker(w, n, (uint32_t)random_in(&w->random, 0, w->node_workers - 1));
	if (node->lost && work != 0 && is_known_lost(w, n))
		w->seen[REPLICA_ZOMBIE_WORKED]++;
	if (node->lost && work != 0 && w->whole[node->place] && w->holders[node->place] != n)
		w->seen[REPLICA_ZOMBIE_REPLACED]++;
}

// Not while one was told what nobody else is: until it is lost its output counts.
static bool has_ended(struct replica_world *w)
{
	if (w->misled_until_ns != 0)
		return false;
	for (uint32_t p = 0; p < w->place_count; p++)
		for (uint32_t i = 0; i < w->node_workers && w->whole[p]; i++)
			if (!atomic_load(&w->nodes[w->holders[p]].engine->workers[i].worker.done))
				return false;
	if (w->misled_until_ns != 0)
		return false; // it is still to be lost
	w->seen[REPLICA_ENDED_DURING] += w->repair.active;
	return true;
}

static void look_for_failures(struct replica_world *w)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		for (uint32_t t = 0; t < w->planned.plan.task_count; t++) {
			const struct task *task = &w->nodes[n].engine->tasks[t];
			if (!w->nodes[n].lost && task->outcome == TASK_FAILED)
				replica_violate(w, task_error(task));
		}
}

void replica_world_run(struct replica_world *w)
{
	while (!w->violated && !has_ended(w)) {
		for (uint32_t i = 0; i < w->node_count; i++)
			step_node(w, (uint32_t)random_in(&w->random, 0, w->node_count - 1));
		replica_faults_round(w);
		replica_repair_round(w);
		replicas_trace_round(w);
		if (w->scenario->interrupt_ns != 0 && w->now_ns >= w->scenario->interrupt_ns)
			for (uint32_t n = 0; n < w->node_count; n++)
				engine_interrupt(w->nodes[n].engine);
		if (w->rounds % 64 == 0)
			look_for_failures(w);
		if (w->now_ns > w->calm_ns + CALM_SECONDS_MAX * (int64_t)SECOND_NS)
			replica_violate(w, "no progress: the job is stuck");
		w->rounds++;
		w->now_ns += (int64_t)random_in(&w->random, 0, ROUND_NS_MAX);
		w->wire.now_ns = w->now_ns;
	}
	if (!w->violated)
		replica_check_end(w);
}

// ---- what came of it

// Does its output count? It need not have heard yet of a loss near the end.
static bool counts(const struct replica_world *w, uint32_t task)
{
	const struct plan_task *planned = &w->planned.plan.tasks[task];
	if (!w->whole[replica_place_of(w, task)])
		return false;
	return w->nodes[replica_node_of(w, task)].engine->counts[task] ||
		!w->whole[replica_place_of(w, planned->twin)];
}

// Of the instance whose output counts.
static uint32_t owner_node(struct replica_world *w, uint32_t task)
{
	const struct plan_task *planned = &w->planned.plan.tasks[task];
	if (planned->standing == PLAN_SINGLE)
		return replica_node_of(w, task);
	if (counts(w, task) == counts(w, planned->twin) && !w->violated)
		replica_violate(w, "not one of two instances of a task counts");
	return replica_node_of(w, counts(w, task) ? task : planned->twin);
}

void replica_world_gather(struct replica_world *w)
{
	const struct job_plan *plan = &w->planned.plan;
	for (uint32_t t = 0; t < plan->task_count; t++) {
		const struct plan_task *task = &plan->tasks[t];
		const struct plan_step *last = &task->steps[task->step_count - 1];
		if (task->standing == PLAN_REPLICA || last->kind != &capture_operator)
			continue;
		int64_t slot = weir_param_int(last->plan->params, "slot", 0);
		struct capture_rows *from = &captured_by[owner_node(w, t)].of[slot][task->index];
		struct capture_rows *to = &captured.of[slot][task->index], kept = *to;
		*to = *from;
		*from = kept;
	}
}

static void destroy_node(struct replica_world *w, uint32_t n)
{
	struct replica_node *node = &w->nodes[n];
	for (uint32_t i = 0; i < w->node_workers; i++) {
		struct worker *worker =
			node->engine == NULL ? NULL : &node->engine->workers[i].worker;
		if (worker != NULL && worker->crossing != NULL &&
			worker->crossing->transport != NULL)
			crossing_leave(worker->crossing, &node->transports[i]);
		transport_destroy(&node->transports[i]);
	}
	engine_destroy(node->engine);
	for (uint32_t i = 0; i < w->node_workers; i++)
		wire_let_go(&w->wire.ports[n * w->node_workers + i]);
	arena_destroy(&node->arena);
}

void replica_world_destroy(struct replica_world *w)
{
	replicas_trace_end(w);
	for (uint32_t n = 0; n < w->node_count; n++)
		destroy_node(w, n);
	wire_destroy(&w->wire);
	for (uint32_t n = 0; n < w->node_count; n++) {
		if (!w->violated && !rte_mempool_full(w->nodes[n].packets))
			replica_violate(w, "a node's mbufs are not all back in their pool");
		rte_mempool_free(w->nodes[n].packets);
	}
	replica_ledger_destroy(&w->ledger);
	job_destroy(&w->job);
	capture_clear(&captured);
	for (uint32_t n = 0; n < w->node_count; n++)
		capture_clear(&captured_by[n]);
}
