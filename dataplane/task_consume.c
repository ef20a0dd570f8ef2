// Consuming: which input a task takes next, how far, and what its marks mean.
#include "dataplane/task_parts.h"
#include "numa/assert.h"

// Live: write down what was consumed. Replay: tick off the entry once it is reached; a checksum
// that differs means the log is not of these items (invariant 4).
static void log_consumed(struct task *t, const struct receiver *r)
{
	if (!t->logged)
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
	if (entry->position == r->next_number && entry->checksum != r->checksum) {
		t->outcome = TASK_FAILED;
		weir_fail(&t->links[t->link_count - 1].ctx,
			"what it consumed of input %u up to item %llu is not what its order log "
			"says; the log is lost, and nothing is made up in its place",
			entry->input, (unsigned long long)r->next_number);
		return;
	}
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
	if (t->logged && order_log_replaying(&t->log)) {
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
	task_settle(t, chain_batch(task_head(t), &batch));
	if (t->logged) // behind the operators: their walk gets the lines, at their pace
		receiver_checksum(r, items);
	r->first = limit;
	r->items -= (uint32_t)items;
	r->next_number += items;
	log_consumed(t, r);
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
	task_settle(t, chain_watermark(task_head(t), lowest));
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
	if (t->logged)
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
	if (t->logged && order_log_replaying(&t->log))
		return choose_replayed(t);
	return task_is_owner(t) ? choose_free(t) : NULL;
}

uint32_t task_consume(struct task *t)
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
