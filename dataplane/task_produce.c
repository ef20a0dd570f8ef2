// Producing: how far a source reads, and the events that fall between its records.
#include <stdatomic.h>

#include "dataplane/task_parts.h"
#include "numa/assert.h"

// A source stops in time, so that the barrier can follow what it has sent.
static bool may_produce(struct task *t)
{
	return !t->recovery || exchange_retained(&t->exchange) < 6;
}

// Where a source must stop: a barrier or an end that the log names.
static uint64_t records_allowed(const struct task *t)
{
	uint64_t allowed = t->items_max < TASK_SOURCE_RECORDS ? t->items_max : TASK_SOURCE_RECORDS;
	if (t->logged && order_log_replaying(&t->log) &&
		order_log_current(&t->log)->kind != ORDER_ENDED) {
		uint64_t left = order_log_current(&t->log)->position - t->produced;
		allowed = allowed < left ? allowed : left;
	}
	return allowed;
}

// What a source read, and the events between, in the order log.
static void log_source(struct task *t, enum order_kind kind, uint32_t epoch)
{
	if (!t->logged || order_log_replaying(&t->log))
		return;
	order_log_append(&t->log,
		&(struct order_entry){.kind = kind,
			.position = t->produced,
			.checksum = t->links[0].marks,
			.epoch = epoch});
}

// An event that is asked for live: chosen freely, so it is written down.  Returns its kind, or -1.
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
	while (t->logged && order_log_replaying(&t->log)) {
		const struct order_entry *entry = order_log_current(&t->log);
		if (entry->position != t->produced || entry->checksum != t->links[0].marks ||
			entry->kind == ORDER_ENDED)
			return -1;
		order_log_obeyed(&t->log);
		*ret_epoch = entry->epoch;
		if (entry->kind != ORDER_READ)
			return entry->kind;
	}
	if (!task_is_owner(t))
		return -1;
	return free_event(t, ret_epoch);
}

// That the source ran out, and before which barrier, is an event too.
static void log_end(struct task *t)
{
	log_source(t, ORDER_ENDED, 0);
	while (t->logged && order_log_replaying(&t->log)) {
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
	task_settle(t, chain_watermark(task_head(t), INT64_MAX));
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
	if (!task_is_owner(t) && !order_log_replaying(&t->log))
		return 0; // until the owner has gone on
	if (!may_produce(t)) {
		t->blocked = true;
		return 0;
	}
	uint64_t before = source->produced_before = source->ctx.produced, marks = source->marks;
	enum weir_flow flow = source->kind->produce(source->self, &source->ctx, records_allowed(t));
	uint64_t records = source->ctx.produced - before;
	t->produced += records;
	source->counters.records_out += records;
	t->idle_source = flow == WEIR_IDLE;
	t->deadline_ns = source->ctx.deadline_ns;
	if (records != 0 || source->marks != marks)
		log_source(t, ORDER_READ, 0);
	if (flow == WEIR_END) {
		log_end(t);
		end_source(t, false);
	} else if (flow != WEIR_IDLE) {
		task_settle(t, flow);
	}
	return (uint32_t)records + (flow == WEIR_END);
}

static bool may_go_on(const struct task *t)
{
	return t->logged && order_log_replaying(&t->log) && t->outcome == TASK_RUNNING &&
		!t->blocked && !t->barrier_due && !t->end_due;
}

// An owner writes an entry with every step. Whoever obeys them takes several in one, or it would
// fall ever further behind an owner whose steps are shorter.
uint32_t task_produce(struct task *t)
{
	uint32_t work = produce(t);
	for (uint32_t entries = 1;
		entries < TASK_STEP_ENTRIES && work < TASK_SOURCE_RECORDS && may_go_on(t);
		entries++)
		work += produce(t);
	return work;
}
