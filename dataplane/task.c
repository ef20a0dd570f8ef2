#include "dataplane/task.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "dataplane/task_parts.h"
#include "numa/arena.h"
#include "numa/assert.h"

static void link_create(struct task *t, uint32_t i, const struct task_config *config)
{
	struct chain_link *link = &t->links[i];
	link->next = i + 1 < t->link_count ? &t->links[i + 1] : NULL;
	link->ctx = (struct weir_context){
		.task_index = config->plan->index,
		.task_count = config->plan->count,
		.arena = config->arena,
		.pool = config->pool,
		.counters = &link->counters,
		.link = link,
	};
}

static bool drops_fail(const struct weir_plan *plan)
{
	if (plan->upstream == NULL)
		return false; // a source says itself what is wrong
	while (plan->upstream != NULL)
		plan = plan->upstream;
	return plan->drops_fail;
}

static int operator_create(struct task *t, uint32_t i)
{
	const struct plan_step *step = &t->plan->steps[i];
	struct chain_link *link = &t->links[i];
	link->kind = step->kind;
	link->input = step->input;
	link->operator_index = step->operator_index;
	link->drops_fail = drops_fail(step->plan);
	return step->kind->create(&link->ctx, step->plan, &link->self);
}

static int recovery_create(struct task *t, const struct task_config *config)
{
	int error = 0;
	t->snapshots.room = config->snapshot_bytes;
	for (int i = 0; i < 2 && error == 0; i++) {
		struct task_snapshot *slot = &t->snapshots.kept[i];
		slot->data = arena_alloc(config->snapshot_arena, config->snapshot_bytes, 64);
		slot->consumed = arena_alloc(config->snapshot_arena,
			(config->plan->input_count + 1) * sizeof(uint64_t), 8);
		error = slot->data == NULL || slot->consumed == NULL ? -ENOMEM : 0;
	}
	for (uint32_t i = 0; i < t->link_count && error == 0; i++)
		error = chain_groups_create(&t->links[i], &t->load, config->arena,
			config->group_bits);
	return error;
}

static int fill(struct task *t, const struct task_config *config)
{
	int error = 0;
	for (uint32_t i = 0; i < t->link_count; i++)
		link_create(t, i, config);
	for (uint32_t i = 0; i < config->plan->step_count && error == 0; i++)
		error = operator_create(t, i);
	if (error == 0 && config->plan->edge_count != 0) {
		struct chain_link *last = &t->links[t->link_count - 1];
		last->kind = &exchange_operator;
		last->self = &t->exchange;
		last->operator_index = UINT32_MAX;
		error = exchange_create(&t->exchange, config->plan, config->senders,
			config->group_bits, config->arena);
	}
	if (error == 0 && t->logged)
		error = order_log_create(&t->log, config->log_entries, config->arena);
	if (error == 0 && config->recovery)
		error = recovery_create(t, config);
	if (error == 0 && config->replica != NULL)
		error = replica_create(&t->replica, config->replica);
	return error;
}

int task_create(struct task *t, const struct task_config *config, char *error, uint32_t error_bytes)
{
	const struct plan_task *plan = config->plan;
	*t = (struct task){
		.id = config->id,
		.plan = plan,
		.source = plan->steps[0].kind->role == WEIR_SOURCE,
		.recovery = config->recovery,
		.logged = config->recovery || config->replica != NULL,
		.link_count = plan->step_count + (plan->edge_count != 0),
		.input_count = plan->input_count,
		.receivers = config->receivers,
		.control = config->control,
		.watermark_ns = INT64_MIN,
		.flush_age_ns = 20000,
		.items_max = UINT64_MAX,
		.part_keys = SNAPSHOT_PART_KEYS,
	};
	VERIFY(t->link_count <= TASK_LINKS_MAX);
	int result = fill(t, config);
	if (result == 0)
		return 0;
	const char *why = task_error(t);
	snprintf(error, error_bytes, "%s", why[0] != 0 ? why : "out of memory in the task's arena");
	task_destroy(t);
	return result;
}

void task_destroy(struct task *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->link_count; i++) {
		struct chain_link *link = &t->links[i];
		if (link->kind != NULL && link->kind->destroy != NULL)
			link->kind->destroy(link->self);
		link->kind = NULL;
	}
	t->link_count = 0;
}

int64_t task_event_time(const struct task *t)
{
	if (t->outcome != TASK_RUNNING || t->replica.role == REPLICA_WAITS)
		return INT64_MAX; // or it does not know yet
	if (!t->source)
		return t->watermark_ns;
	return t->links[0].marks != 0 ? t->links[1].watermark_ns : INT64_MIN;
}

const char *task_error(const struct task *t)
{
	for (uint32_t i = 0; i < t->link_count; i++)
		if (t->links[i].ctx.error[0] != 0)
			return t->links[i].ctx.error;
	return "";
}

static bool set_time_and_resume(struct task *t, int64_t now_ns)
{
	bool replays = t->logged && order_log_replaying(&t->log);
	for (uint32_t i = 0; i < t->link_count; i++) {
		t->links[i].ctx.now_ns = now_ns;
		t->links[i].ctx.replays = replays;
		t->links[i].ctx.goes_on = false;
	}
	return task_settle(t, chain_resume(t->links, t->link_count));
}

// Once per epoch; a successor restored from this very snapshot only sends the barrier again.
static bool snapshot_for_barrier(struct task *t)
{
	struct chain_link *last = &t->links[t->link_count - 1];
	if (!t->recovery || t->snapshots.kept[t->snapshots.latest].epoch == t->epoch)
		return true;
	int error = task_snapshot(t);
	if (error == 0 || error == -EAGAIN)
		return error == 0;
	t->outcome = TASK_FAILED;
	weir_fail(&last->ctx,
		error == -ENOSPC
			? "a task's snapshot needs more than %zu bytes; raise checkpoint.snapshot"
			: "a task's snapshot of %zu bytes at most could not be written",
		t->snapshots.room);
	return false;
}

// Barrier and end wait until everything before them has gone down the chain.
static bool settle_marks(struct task *t)
{
	if (t->barrier_due) {
		if (!snapshot_for_barrier(t))
			return false;
		if (!task_settle(t, exchange_mark(&t->exchange, FRAME_BARRIER, 0, t->epoch)))
			return false;
		t->barrier_due = false;
	}
	if (t->end_due && !t->finishing) {
		t->finishing = true;
		if (!task_settle(t, chain_finish(task_head(t))))
			return false;
	}
	if (t->finishing)
		t->outcome = TASK_FINISHED;
	return true;
}

static void release_inputs(struct task *t)
{
	for (uint32_t i = 0; i < t->input_count; i++) {
		struct receiver *r = &t->receivers[i];
		if (r->frame != NULL && r->items == 0)
			receiver_release(r);
		receiver_return(r);
		receiver_follow(r);
	}
}

static bool fail(struct task *t, const char *format, unsigned long long value)
{
	struct weir_context *ctx = &t->links[t->link_count - 1].ctx;
	snprintf(ctx->error, sizeof(ctx->error), format, value);
	t->outcome = TASK_FAILED;
	return false;
}

// Ask for a checkpoint before the log or retention is full; it is what empties them. What lies
// before the last barrier another checkpoint would not help.
static void watch_room(struct task *t)
{
	uint64_t logged = t->log.next - t->log.sealed;
	bool wants = exchange_since_barrier(&t->exchange) >= 4 || logged >= t->log.capacity / 2;
	atomic_store_explicit(&t->wants_checkpoint, wants, memory_order_relaxed);
	t->stalled = t->blocked && exchange_retained(&t->exchange) >= 6;
}

static bool log_has_room(struct task *t)
{
	if (!t->logged || order_log_replaying(&t->log) ||
		order_log_room(&t->log) > TASK_STEP_FRAMES)
		return true;
	if (t->replica.replicated) { // until its replica has taken some of it
		t->blocked = true;
		return false;
	}
	return fail(t,
		"the order log is full (%llu entries since the last checkpoint); lower "
		"checkpoint.interval",
		t->log.capacity);
}

// With full output: is it full of what this very step sends, so that no barrier can follow?
static void watch_stuck(struct task *t)
{
	const struct sender *s = exchange_stuck(&t->exchange);
	bool under_way = t->snapshots.latest != t->snapshots.committed;
	if (s != NULL && !under_way)
		fail(t,
			"more than checkpoint.retention (%llu bytes) is sent between two "
			"checkpoints, in one piece; raise it",
			s->retention.capacity);
}

// Let the agent see what it waits for.
static void publish(struct task *t)
{
	if (t->recovery)
		atomic_store_explicit(&t->snapshot_epoch,
			t->snapshots.kept[t->snapshots.latest].epoch, memory_order_release);
	atomic_store_explicit(&t->outcome_seen, t->outcome, memory_order_release);
}

// An operator that leaves something to the next step has worked in this one.
static uint32_t work_going_on(struct task *t)
{
	uint32_t work = 0;
	for (uint32_t i = 0; i < t->link_count && t->blocked; i++)
		work += t->links[i].ctx.goes_on;
	if (work != 0)
		t->blocked = false;
	return work;
}

static uint32_t work_drained(struct task *t)
{
	release_inputs(t);
	if (t->recovery)
		task_commit(t);
	if (!settle_marks(t) || t->outcome != TASK_RUNNING)
		return 0;
	if (UNLIKELY(t->replica.role == REPLICA_FEEDS))
		task_take_state(t);
	if (t->writing.under_way || !log_has_room(t))
		return 0;
	if (t->catching_up && !order_log_replaying(&t->log)) {
		t->catching_up = false;
		exchange_run_on(&t->exchange, false);
	}
	uint32_t work = t->source ? task_produce(t) : task_consume(t);
	if (t->outcome == TASK_RUNNING && !t->blocked)
		settle_marks(t);
	return work;
}

// What the step may restore beyond what was waited for.  Returns the groups restored in it.
static uint32_t restore_in_background(struct task *t)
{
	uint32_t restored;
	if (chain_groups_step(t->links, t->link_count, &t->load, &restored) == WEIR_FAILED)
		t->outcome = TASK_FAILED;
	return restored;
}

// A successor downstream may ask for items again, and one upstream sends again what is long
// consumed: it needs its credit back.
static void step_finished(struct task *t, int64_t now_ns)
{
	for (uint32_t i = 0; i < t->input_count && t->outcome == TASK_FINISHED; i++) {
		const struct frame_header *h = receiver_peek(&t->receivers[i]);
		ASSERT(h == NULL);
		receiver_return(&t->receivers[i]);
		receiver_follow(&t->receivers[i]);
	}
	if (UNLIKELY(t->replica.role == REPLICA_FEEDS) && t->outcome == TASK_FINISHED)
		task_take_state(t);
	exchange_flush(&t->exchange, now_ns, 0);
}

uint32_t task_step(struct task *t, int64_t now_ns)
{
	uint32_t work = 0, tended = task_tend(t);
	t->snapshot_taken = t->stalled = false;
	if (UNLIKELY(t->replica.role == REPLICA_WAITS)) {
		work = task_wait(t, now_ns);
		publish(t);
		return work;
	}
	if (t->outcome != TASK_RUNNING) {
		step_finished(t, now_ns);
		return task_settle_up(t) + t->writing.under_way;
	}
	if (set_time_and_resume(t, now_ns))
		work = work_drained(t);
	work += work_going_on(t);
	if (UNLIKELY(t->load.absent != 0) && t->outcome == TASK_RUNNING)
		work += restore_in_background(t);
	if (chain_is_drained(t->links, t->link_count))
		release_inputs(t);
	if (t->recovery)
		watch_room(t); // before a barrier is handed on, so that who commits it sees this
	exchange_flush(&t->exchange, now_ns, work == 0 || t->idle_source ? 0 : t->flush_age_ns);
	if (t->recovery && t->blocked && t->load.absent == 0)
		watch_stuck(t);
	tended += task_settle_up(t) + t->writing.under_way;
	publish(t);
	return work + tended;
}
