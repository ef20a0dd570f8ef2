// The trace of the nodes: what differs from what was there when it was looked at last.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/replicas.h"
#include "tests/sim/trace.h"

// Of a sender, and of a receiver.
struct traced_end {
	uint64_t next, release, kept;
	uint64_t answered, expects;
};

struct traced_task {
	bool stepped;
	enum replica_role role;
	enum feed_stage stage;
	uint64_t stored, held;
	struct traced_end *senders, *receivers;
};

struct traced_place {
	bool begun, alone, admits, admitted, feeds, repaired, gave_up;
};

struct traced_node {
	bool joined, dead, lost;
	struct traced_task *tasks;
	struct traced_place places[REPLICA_PLACES_MAX];
};

static struct traced {
	struct traced_node nodes[REPLICA_NODES_MAX];
	bool whole[REPLICA_PLACES_MAX];
	bool repairs;
} traced;

static const char *name_of(uint32_t node)
{
	static const char *const names[] = {
		"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10", "n11"};
	static_assert(REPLICA_NODES_MAX <= sizeof(names) / sizeof(names[0]), "each has one");
	return names[node];
}

#define EVENT(w, node, event, ...) trace_event((w)->now_ns, name_of(node), event, __VA_ARGS__)

static uint32_t primary_of(const struct replica_world *w, uint32_t task)
{
	const struct plan_task *planned = &w->planned.plan.tasks[task];
	return planned->standing == PLAN_REPLICA ? planned->twin : task;
}

static void tell_plan(const struct replica_world *w)
{
	const struct job_plan *plan = &w->planned.plan;
	for (uint32_t t = 0; t < plan->task_count; t++) {
		bool pair = plan->tasks[t].standing == PLAN_PRIMARY;
		if (plan->tasks[t].standing != PLAN_REPLICA)
			trace_event(0, "-", "task", "task=%u place=%u twin=%d", t,
				replica_place_of(w, t),
				pair ? (int)replica_place_of(w, plan->tasks[t].twin) : -1);
	}
	for (uint32_t c = 0; c < plan->channel_count; c++)
		if (w->ledger.logical[c] == c)
			trace_event(0, "-", "channel", "channel=%u from=%u to=%u", c,
				primary_of(w, plan->channels[c].from),
				primary_of(w, plan->channels[c].to));
}

void replicas_trace_begin(const struct replica_world *w)
{
	memset(&traced, 0, sizeof(traced));
	if (!trace_is_on())
		return;
	trace_begin(w->scenario->seed, "replicas");
	trace_event(0, "-", "job", "places=%u workers=%u inc=%x", w->place_count, w->node_workers,
		REPLICA_INCARNATION);
	tell_plan(w);
	for (uint32_t p = 0; p < w->place_count; p++)
		traced.whole[p] = true;
	replicas_trace_round(w);
}

void replicas_trace_end(const struct replica_world *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		struct traced_node *node = &traced.nodes[n];
		for (uint32_t t = 0; node->tasks != NULL && t < w->planned.plan.task_count; t++) {
			free(node->tasks[t].senders);
			free(node->tasks[t].receivers);
		}
		free(node->tasks);
	}
	trace_end();
}

// ---- tasks

static struct traced_task *traced_of(const struct replica_world *w, uint32_t node,
	const struct task *t)
{
	struct traced_node *of = &traced.nodes[node];
	if (of->tasks == NULL)
		of->tasks = calloc(w->planned.plan.task_count, sizeof(*of->tasks));
	VERIFY(of->tasks != NULL);
	struct traced_task *task = &of->tasks[t->id];
	if (task->stepped)
		return task;
	task->stepped = true;
	task->role = t->replica.role;
	task->senders = calloc(t->exchange.sender_count + 1, sizeof(*task->senders));
	task->receivers = calloc(t->input_count + 1, sizeof(*task->receivers));
	VERIFY(task->senders != NULL && task->receivers != NULL);
	return task;
}

static uint64_t opened_inc(const struct task *t)
{
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		if (t->exchange.senders[i].follower_count != 0)
			return t->exchange.senders[i].incarnation;
	return 0;
}

static void tell_fed(const struct replica_world *w, uint32_t node, const struct task *t)
{
	const struct exchange *x = &t->exchange;
	EVENT(w, node, "instance_fed", "task=%u index=%" PRIu64, primary_of(w, t->id),
		t->log.first);
	for (uint32_t i = 0; i < x->sender_count; i++)
		EVENT(w, node, "items_fed", "channel=%u next=%" PRIu64,
			w->ledger.logical[x->senders[i].channel->config.id],
			t->replica.feed.numbers[i]);
}

static void tell_role(const struct replica_world *w, uint32_t node, const struct task *t,
	struct traced_task *was)
{
	const struct replica *r = &t->replica;
	uint32_t task = primary_of(w, t->id);
	if (was->role == REPLICA_FOLLOWS && r->role == REPLICA_ALONE)
		EVENT(w, node, "instance_begun", "task=%u inc=%" PRIx64 " index=%" PRIu64, task,
			opened_inc(t), t->log.next);
	else if (was->role != REPLICA_ALONE && r->role == REPLICA_ALONE)
		EVENT(w, node, "instance_alone", "task=%u", task);
	else if (was->role == REPLICA_WAITS && r->role == REPLICA_FOLLOWS)
		EVENT(w, node, "instance_restored", "task=%u index=%" PRIu64, task, t->log.first);
	if (was->stage < FEED_STATE && r->feed.stage >= FEED_STATE)
		tell_fed(w, node, t);
	was->role = r->role;
}

// What left in the step in which it is gated did not wait.
static void tell_gated(const struct replica_world *w, uint32_t node, const struct task *t,
	struct traced_task *was)
{
	const struct replica *r = &t->replica;
	if (was->stage < FEED_GATED && r->feed.stage >= FEED_GATED)
		EVENT(w, node, "instance_gated", "task=%u index=%" PRIu64, primary_of(w, t->id),
			r->feed.gated_at);
	was->stage = r->feed.stage;
}

static void tell_log(const struct replica_world *w, uint32_t node, const struct task *t,
	struct traced_task *was)
{
	uint64_t stored = atomic_load(&t->replica.in->snapshot_number);
	uint64_t held = atomic_load(&t->replica.out->snapshot_number);
	uint32_t task = primary_of(w, t->id);
	if (stored != was->stored && t->replica.role >= REPLICA_FOLLOWS)
		EVENT(w, node, "entry_stored", "task=%u index=%" PRIu64, task, stored);
	else if (stored > was->stored)
		EVENT(w, node, "entry_stored", "task=%u index=%" PRIu64 " begun=1", task, stored);
	if (held != was->held)
		EVENT(w, node, "entry_held", "task=%u index=%" PRIu64, task, held);
	was->stored = stored;
	was->held = held;
}

static void tell_sender(const struct replica_world *w, uint32_t node, const struct task *t,
	uint32_t i, struct traced_end *was)
{
	const struct sender *s = &t->exchange.senders[i];
	uint32_t channel = w->ledger.logical[s->channel->config.id];
	bool owns = t->replica.role < REPLICA_FOLLOWS;
	if (s->follower_count == 0)
		return;
	if (owns && s->next_number != was->next)
		EVENT(w, node, "items_made", "channel=%u next=%" PRIu64 " depends=%" PRIu64,
			channel, s->next_number, t->log.next);
	if (owns && s->release != was->release)
		EVENT(w, node, "items_released", "channel=%u next=%" PRIu64, channel, s->release);
	was->next = s->next_number;
	was->release = s->release;
}

static void tell_kept(const struct replica_world *w, uint32_t node, const struct sender *s,
	struct traced_end *was)
{
	if (s->follower_count != 0 && s->retention.first_number != was->kept)
		EVENT(w, node, "retention_trimmed", "channel=%u below=%" PRIu64,
			w->ledger.logical[s->channel->config.id], s->retention.first_number);
	was->kept = s->retention.first_number;
}

enum { RESTORED = 1 }; // what a receiver's end shows in place of an incarnation, see receiver.c

static uint64_t answered_of(const struct receiver *r)
{
	uint64_t answered = atomic_load(&r->channel->answered);
	uint64_t other = r->standby == NULL ? 0 : atomic_load(&r->standby->answered);
	return other > answered ? other : answered;
}

static void tell_receiver(const struct replica_world *w, uint32_t node, const struct receiver *r,
	struct traced_end *was)
{
	uint64_t answered = answered_of(r), expects = r->expect.incarnation;
	uint32_t channel = w->ledger.logical[r->channel->config.id];
	if (r->waits || r->chooses || r->standby == NULL || answered == RESTORED)
		return;
	if (answered != was->answered || expects != was->expects)
		EVENT(w, node, "fence_answered",
			"channel=%u inc=%" PRIx64 " expects=%" PRIx64 " from=%u next=%" PRIu64,
			channel, answered, expects, r->from / w->node_workers, r->next_number);
	if (r->next_number != was->next)
		EVENT(w, node, "items_consumed",
			"channel=%u next=%" PRIu64 " inc=%" PRIx64 " checksum=%" PRIx64, channel,
			r->next_number, expects, r->checksum);
	*was = (struct traced_end){
		.next = r->next_number, .answered = answered, .expects = expects};
}

static void tell_task(const struct replica_world *w, uint32_t node, const struct task *t)
{
	struct traced_task *was = traced_of(w, node, t);
	if (t->replica.replicated) {
		tell_role(w, node, t, was);
		tell_log(w, node, t, was);
	}
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		tell_sender(w, node, t, i, &was->senders[i]);
	tell_gated(w, node, t, was);
}

static void tell_consumed(const struct replica_world *w, uint32_t node, const struct task *t)
{
	struct traced_task *was = traced_of(w, node, t);
	for (uint32_t i = 0; i < t->input_count; i++)
		tell_receiver(w, node, &t->receivers[i], &was->receivers[i]);
}

// ---- nodes

static bool is_fed(const struct replica_world *w, const struct replica_node *node, uint32_t place)
{
	const struct loss *told = &node->engine->control.losses.of[place * w->node_workers];
	uint32_t feeds = atomic_load(&told->feeds);
	return feeds != 0 && feeds == atomic_load(&told->admissions);
}

static struct traced_place look_at(const struct replica_world *w, uint32_t n, uint32_t place)
{
	const struct replica_node *node = &w->nodes[n];
	uint32_t first = place * w->node_workers;
	bool admitted = engine_has_admitted(node->engine, first, w->node_workers) &&
		atomic_load(&node->engine->control.losses.of[first].admissions) != 0;
	return (struct traced_place){.begun = node->begun[place],
		.alone = node->alone[place],
		.admits = node->admits[place],
		.admitted = admitted,
		.feeds = is_fed(w, node, place),
		.repaired = admitted && engine_has_repaired(node->engine, first, w->node_workers),
		.gave_up = engine_repair_error(node->engine, first, w->node_workers) != NULL};
}

static void tell_place(const struct replica_world *w, uint32_t n, uint32_t place)
{
	struct traced_place *was = &traced.nodes[n].places[place];
	const struct traced_place is = look_at(w, n, place);
	uint64_t successor = w->nodes[n].successors[place];
	if (is.begun && !was->begun)
		EVENT(w, n, "loss_told", "place=%u successor=%" PRIx64, place, successor);
	if (is.alone && !was->alone)
		EVENT(w, n, "alone_told", "place=%u successor=%" PRIx64, place, successor);
	if (!is.begun && was->begun)
		EVENT(w, n, "admission_told", "place=%u", place);
	if (is.admitted && !was->admitted)
		EVENT(w, n, "place_admitted", "place=%u", place);
	if (is.feeds && !was->feeds)
		EVENT(w, n, "feed_told", "place=%u", place);
	if (is.repaired && !was->repaired)
		EVENT(w, n, "place_repaired", "place=%u", place);
	if (is.gave_up && !was->gave_up)
		EVENT(w, n, "place_given_up", "place=%u", place);
	*was = is;
}

static void tell_node(const struct replica_world *w, uint32_t n)
{
	const struct replica_node *node = &w->nodes[n];
	struct traced_node *was = &traced.nodes[n];
	if (!was->joined)
		EVENT(w, n, "node_joined", "place=%u anew=%d boot=%" PRIx64, node->place,
			node->anew, node->boots[node->place * w->node_workers]);
	was->joined = true;
	if (node->lost && !was->lost)
		EVENT(w, n, "node_lost", "place=%u dead=%d", node->place, node->dead);
	was->lost = node->lost;
	for (uint32_t p = 0; p < w->place_count; p++)
		if (p != node->place)
			tell_place(w, n, p);
}

static void tell_all_kept(const struct replica_world *w, uint32_t node, const struct task *t)
{
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		tell_kept(w, node, &t->exchange.senders[i], &traced_of(w, node, t)->senders[i]);
}

// In the order in which one may follow from another: what a task lets go another one of the worker
// may have consumed since; what that has consumed is not kept, nor what only a place lacks that was
// given up in this step.
void replicas_trace_step(const struct replica_world *w, uint32_t node, uint32_t worker)
{
	const struct worker *stepped = &w->nodes[node].engine->workers[worker].worker;
	if (!trace_is_on())
		return;
	for (uint32_t i = 0; i < stepped->task_count; i++)
		tell_task(w, node, stepped->tasks[i]);
	for (uint32_t i = 0; i < stepped->task_count; i++)
		tell_consumed(w, node, stepped->tasks[i]);
	tell_node(w, node);
	for (uint32_t i = 0; i < stepped->task_count; i++)
		tell_all_kept(w, node, stepped->tasks[i]);
}

void replicas_trace_round(const struct replica_world *w)
{
	if (!trace_is_on())
		return;
	for (uint32_t p = 0; p < w->place_count; p++) {
		if (w->whole[p] && !traced.whole[p])
			EVENT(w, w->holders[p], "place_whole", "place=%u", p);
		traced.whole[p] = w->whole[p];
	}
	for (uint32_t n = 0; n < w->node_count; n++)
		tell_node(w, n);
	if (traced.repairs != w->repair.active)
		EVENT(w, w->repair.node, w->repair.active ? "repair_begun" : "repair_ended",
			"place=%u", w->repair.place);
	traced.repairs = w->repair.active;
}
