#include "dataplane/task.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

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

static int operator_create(struct task *t, uint32_t i)
{
	const struct plan_step *step = &t->plan->steps[i];
	struct chain_link *link = &t->links[i];
	link->kind = step->kind;
	link->input = step->input;
	link->operator_index = step->operator_index;
	return step->kind->create(&link->ctx, step->plan, &link->self);
}

static int recovery_create(struct task *t, const struct task_config *config)
{
	int error = order_log_create(&t->log, config->log_entries, config->arena);
	t->snapshots.room = config->snapshot_bytes;
	for (int i = 0; i < 2 && error == 0; i++) {
		struct task_snapshot *slot = &t->snapshots.kept[i];
		slot->data = arena_alloc(config->arena, config->snapshot_bytes, 64);
		slot->consumed = arena_alloc(config->arena,
			(config->plan->input_count + 1) * sizeof(uint64_t), 8);
		error = slot->data == NULL || slot->consumed == NULL ? -ENOMEM : 0;
	}
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
	if (error == 0 && config->recovery)
		error = recovery_create(t, config);
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
		.link_count = plan->step_count + (plan->edge_count != 0),
		.input_count = plan->input_count,
		.receivers = config->receivers,
		.control = config->control,
		.watermark_ns = INT64_MIN,
		.flush_age_ns = 20000,
		.items_max = UINT64_MAX,
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

const char *task_error(const struct task *t)
{
	for (uint32_t i = 0; i < t->link_count; i++)
		if (t->links[i].ctx.error[0] != 0)
			return t->links[i].ctx.error;
	return "";
}

static struct chain_link *head(struct task *t)
{
	return &t->links[t->source ? 1 : 0];
}

// Take note of what a push down the chain came to.  Returns whether to go on.
static bool settle(struct task *t, enum weir_flow flow)
{
	t->blocked = flow == WEIR_FULL;
	if (flow == WEIR_FAILED)
		t->outcome = TASK_FAILED;
	return flow == WEIR_DONE;
}

// ---- consuming

// Live: write down what was consumed. Replay: tick off the entry once it is reached; a checksum
// that differs means the log is not of these items (invariant 4).
static void log_consumed(struct task *t, const struct receiver *r)
{
	if (!t->recovery)
		return;
	if (!order_log_replaying(&t->log)) {
		order_log_append(&t->log,
			&(struct order_entry){.kind = ORDER_CONSUMED,
				.input = (uint16_t)(r - t->receivers),
				.position = r->next_number,
				.checksum = r->checksum});
		return;
	}
	const struct order_entry *entry = order_log_current(&t->log);
	VERIFY(entry->position > r->next_number || entry->checksum == r->checksum);
	if (entry->position == r->next_number)
		order_log_obeyed(&t->log);
}

// The bytes of the first `count` packed records.
static const uint8_t *behind_records(const uint8_t *first, uint64_t count)
{
	while (count-- > 0)
		first += record_length(first);
	return first;
}

// How many items of the frame in hand may be consumed now.
static uint64_t items_allowed(const struct task *t, const struct receiver *r)
{
	uint64_t allowed = r->items < t->items_max ? r->items : t->items_max;
	if (t->recovery && order_log_replaying(&t->log)) {
		uint64_t ordered = order_log_current(&t->log)->position - r->next_number;
		allowed = allowed < ordered ? allowed : ordered;
	}
	return allowed;
}

static uint32_t consume_data(struct task *t, struct receiver *r)
{
	uint64_t items = items_allowed(t, r);
	const uint8_t *limit = items == r->items ? r->limit : behind_records(r->first, items);
	struct weir_batch batch = {.form = WEIR_PACKED, .first = r->first, .limit = limit};
	if (t->recovery)
		receiver_checksum(r, r->first, limit);
	r->first = limit;
	r->items -= (uint32_t)items;
	r->next_number += items;
	log_consumed(t, r);
	settle(t, chain_batch(head(t), &batch));
	return (uint32_t)items;
}

static int64_t lowest_watermark(const struct task *t)
{
	int64_t lowest = INT64_MAX;
	for (uint32_t i = 0; i < t->input_count; i++)
		if (t->receivers[i].watermark < lowest)
			lowest = t->receivers[i].watermark;
	return lowest;
}

static void advance_watermark(struct task *t)
{
	int64_t lowest = lowest_watermark(t);
	if (lowest <= t->watermark_ns)
		return;
	t->watermark_ns = lowest;
	settle(t, chain_watermark(head(t), lowest));
}

// Once every input that still runs has shown its barrier.
static void align(struct task *t)
{
	if (t->held_count == 0 || t->held_count + t->ended_count < t->input_count)
		return;
	for (uint32_t i = 0; i < t->input_count; i++)
		t->receivers[i].held = false;
	t->held_count = 0;
	t->barrier_due = true;
}

static void consume_mark(struct task *t, struct receiver *r, const struct frame_header *h)
{
	enum frame_type type = h->type;
	int64_t watermark = h->watermark;
	uint32_t epoch = h->epoch;
	if (t->recovery)
		r->checksum += order_mix(r->next_number, type, (uint64_t)watermark ^ epoch);
	r->next_number++;
	r->items = 0;
	receiver_release(r);
	log_consumed(t, r);
	if (type == FRAME_BARRIER) {
		r->held = true;
		t->held_count++;
		t->epoch = epoch;
	} else {
		if (watermark > r->watermark)
			r->watermark = watermark;
		if (type == FRAME_END) {
			r->ended = true;
			t->ended_count++;
			if (watermark != INT64_MAX)
				t->exchange.end_watermark = INT64_MIN;
		}
		advance_watermark(t);
	}
	align(t);
	t->end_due = t->ended_count == t->input_count;
}

// Free choice: the input in turn, if it has something and does not wait for others' barriers.
static struct receiver *choose_free(struct task *t)
{
	for (uint32_t tried = 0; tried < t->input_count; tried++) {
		struct receiver *r = &t->receivers[t->input_at];
		if (!r->held && receiver_peek(r) != NULL)
			return r;
		t->input_at = t->input_at + 1 == t->input_count ? 0 : t->input_at + 1;
	}
	return NULL;
}

// Replay: the input the log names, until it is consumed up to where the log says.
static struct receiver *choose_replayed(struct task *t)
{
	const struct order_entry *entry = order_log_current(&t->log);
	VERIFY(entry->kind == ORDER_CONSUMED && entry->input < t->input_count);
	struct receiver *r = &t->receivers[entry->input];
	VERIFY(entry->position > r->next_number);
	return receiver_peek(r) == NULL ? NULL : r;
}

static struct receiver *choose_input(struct task *t)
{
	bool replaying = t->recovery && order_log_replaying(&t->log);
	return replaying ? choose_replayed(t) : choose_free(t);
}

static uint32_t consume(struct task *t)
{
	uint32_t work = 0;
	for (uint32_t frames = 0; frames < TASK_STEP_FRAMES; frames++) {
		struct receiver *r = choose_input(t);
		if (r == NULL)
			break;
		const struct frame_header *h = receiver_peek(r);
		if (h->type == FRAME_DATA) {
			work += consume_data(t, r);
		} else {
			consume_mark(t, r, h);
			work++;
		}
		if (t->blocked || t->outcome != TASK_RUNNING || t->barrier_due || t->end_due)
			break;
		if (r->frame != NULL && r->items == 0)
			receiver_release(r);
		t->input_at = t->input_at + 1 == t->input_count ? 0 : t->input_at + 1;
	}
	return work;
}

// ---- producing

// A source stops in time, so that the barrier can follow what it has sent.
static bool may_produce(struct task *t)
{
	return !t->recovery || exchange_retained(&t->exchange) < 6;
}

// Where a source must stop: a barrier or an end that the log names.
static uint64_t records_allowed(const struct task *t)
{
	uint64_t allowed = t->items_max < TASK_SOURCE_RECORDS ? t->items_max : TASK_SOURCE_RECORDS;
	if (t->recovery && order_log_replaying(&t->log) &&
		order_log_current(&t->log)->kind != ORDER_ENDED) {
		uint64_t left = order_log_current(&t->log)->position - t->produced;
		allowed = allowed < left ? allowed : left;
	}
	return allowed;
}

// What a source read, and the events between, in the order log.
static void log_source(struct task *t, enum order_kind kind, uint32_t epoch)
{
	if (!t->recovery || order_log_replaying(&t->log))
		return;
	order_log_append(&t->log,
		&(struct order_entry){.kind = kind,
			.position = t->produced,
			.checksum = t->links[0].marks,
			.epoch = epoch});
}

// An event that is asked for now: chosen freely, so it is written down.  Returns its kind, or -1.
static int free_event(struct task *t, uint32_t *ret_epoch)
{
	int event = -1;
	*ret_epoch = atomic_load_explicit(&t->control->epoch, memory_order_acquire);
	if (atomic_load_explicit(&t->control->interrupt, memory_order_acquire))
		event = ORDER_STOPPED;
	else if (*ret_epoch > t->epoch)
		event = ORDER_BARRIER;
	if (event >= 0)
		log_source(t, (enum order_kind)event, *ret_epoch);
	return event;
}

// The event that the log names here, else a free one.  Returns its kind, or -1.
static int source_event(struct task *t, uint32_t *ret_epoch)
{
	while (t->recovery && order_log_replaying(&t->log)) {
		const struct order_entry *entry = order_log_current(&t->log);
		if (entry->position != t->produced || entry->checksum != t->links[0].marks ||
			entry->kind == ORDER_ENDED)
			return -1;
		order_log_obeyed(&t->log);
		*ret_epoch = entry->epoch;
		if (entry->kind != ORDER_READ)
			return entry->kind;
	}
	return free_event(t, ret_epoch);
}

// That the source ran out, and before which barrier, is an event too.
static void log_end(struct task *t)
{
	log_source(t, ORDER_ENDED, 0);
	while (t->recovery && order_log_replaying(&t->log)) {
		VERIFY(order_log_current(&t->log)->position == t->produced);
		order_log_obeyed(&t->log);
	}
}

static void end_source(struct task *t, bool interrupted)
{
	t->end_due = true;
	if (interrupted) {
		t->exchange.end_watermark = INT64_MIN;
		return;
	}
	t->watermark_ns = INT64_MAX;
	settle(t, chain_watermark(head(t), INT64_MAX));
}

static uint32_t obey_event(struct task *t, int event, uint32_t epoch)
{
	if (event == ORDER_STOPPED) {
		end_source(t, true);
	} else {
		t->epoch = epoch;
		t->barrier_due = true;
	}
	return 1;
}

static uint32_t produce(struct task *t)
{
	struct chain_link *source = &t->links[0];
	uint32_t epoch = 0;
	int event = source_event(t, &epoch);
	if (event >= 0)
		return obey_event(t, event, epoch);
	if (!may_produce(t)) {
		t->blocked = true;
		return 0;
	}
	uint64_t before = source->produced_before = source->ctx.produced;
	enum weir_flow flow = source->kind->produce(source->self, &source->ctx, records_allowed(t));
	uint64_t records = source->ctx.produced - before;
	t->produced += records;
	source->counters.records_out += records;
	t->idle_source = flow == WEIR_IDLE;
	t->deadline_ns = source->ctx.deadline_ns;
	log_source(t, ORDER_READ, 0);
	if (flow == WEIR_END) {
		log_end(t);
		end_source(t, false);
	} else if (flow != WEIR_IDLE) {
		settle(t, flow);
	}
	return (uint32_t)records + (flow == WEIR_END);
}

// ---- the step

static bool set_time_and_resume(struct task *t, int64_t now_ns)
{
	for (uint32_t i = 0; i < t->link_count; i++)
		t->links[i].ctx.now_ns = now_ns;
	return settle(t, chain_resume(t->links, t->link_count));
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
		if (!settle(t, exchange_mark(&t->exchange, FRAME_BARRIER, 0, t->epoch)))
			return false;
		t->barrier_due = false;
	}
	if (t->end_due && !t->finishing) {
		t->finishing = true;
		if (!settle(t, chain_finish(head(t))))
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
	}
}

static bool fail(struct task *t, const char *format, unsigned long long value)
{
	struct weir_context *ctx = &t->links[t->link_count - 1].ctx;
	snprintf(ctx->error, sizeof(ctx->error), format, value);
	t->outcome = TASK_FAILED;
	return false;
}

// Ask for a checkpoint before the log or retention is full; it is what empties them.
static void watch_room(struct task *t)
{
	uint64_t log_used = t->log.next - t->log.first;
	bool wants = exchange_retained(&t->exchange) >= 4 || log_used >= t->log.capacity / 2;
	atomic_store_explicit(&t->wants_checkpoint, wants, memory_order_relaxed);
}

static bool log_has_room(struct task *t)
{
	if (!t->recovery || order_log_replaying(&t->log) ||
		t->log.capacity - (t->log.next - t->log.first) > TASK_STEP_FRAMES)
		return true;
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

static uint32_t work_drained(struct task *t)
{
	release_inputs(t);
	if (t->recovery)
		task_commit(t);
	if (!settle_marks(t) || t->outcome != TASK_RUNNING || !log_has_room(t))
		return 0;
	if (t->catching_up && !order_log_replaying(&t->log)) {
		t->catching_up = false;
		exchange_run_on(&t->exchange, false);
	}
	uint32_t work = t->source ? produce(t) : consume(t);
	if (t->outcome == TASK_RUNNING && !t->blocked)
		settle_marks(t);
	return work;
}

// A successor downstream may ask for items again, and one upstream sends again what is long
// consumed: it needs its credit back.
static void step_finished(struct task *t, int64_t now_ns)
{
	for (uint32_t i = 0; i < t->input_count && t->outcome == TASK_FINISHED; i++) {
		const struct frame_header *h = receiver_peek(&t->receivers[i]);
		ASSERT(h == NULL);
		receiver_return(&t->receivers[i]);
	}
	exchange_flush(&t->exchange, now_ns, 0);
}

uint32_t task_step(struct task *t, int64_t now_ns)
{
	uint32_t work = 0;
	if (t->outcome != TASK_RUNNING) {
		step_finished(t, now_ns);
		return 0;
	}
	if (set_time_and_resume(t, now_ns))
		work = work_drained(t);
	if (chain_is_drained(t->links, t->link_count))
		release_inputs(t);
	exchange_flush(&t->exchange, now_ns, work == 0 || t->idle_source ? 0 : t->flush_age_ns);
	if (t->recovery && work != 0)
		watch_room(t);
	if (t->recovery && t->blocked)
		watch_stuck(t);
	publish(t);
	return work;
}
