#include "tests/sim/replicas_ledger.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "numa/assert.h"
#include "state/record.h"

static void *allocate(size_t count, size_t bytes)
{
	void *memory = calloc(count + 1, bytes);
	VERIFY(memory != NULL);
	return memory;
}

static void *grow(void *memory, uint64_t count, size_t bytes)
{
	memory = realloc(memory, count * bytes);
	VERIFY(memory != NULL);
	return memory;
}

static uint32_t primary_of(const struct job_plan *plan, uint32_t task)
{
	const struct plan_task *t = &plan->tasks[task];
	return t->standing == PLAN_REPLICA ? t->twin : task;
}

// Two tasks have one channel between them at most, besides their logs.
static uint32_t logical_of(const struct job_plan *plan, uint32_t channel)
{
	uint32_t from = primary_of(plan, plan->channels[channel].from);
	uint32_t to = primary_of(plan, plan->channels[channel].to);
	uint32_t found = PLAN_NONE;
	if (plan->channels[channel].schema == NULL)
		return PLAN_NONE;
	for (uint32_t c = 0; c < plan->channel_count; c++) {
		if (plan->channels[c].from != from || plan->channels[c].to != to ||
			plan->channels[c].schema == NULL)
			continue;
		VERIFY(found == PLAN_NONE);
		found = c;
	}
	return found;
}

void replica_ledger_create(struct replica_ledger *l, const struct job_plan *plan)
{
	*l = (struct replica_ledger){.plan = plan};
	l->logical = allocate(plan->channel_count, sizeof(*l->logical));
	l->items = allocate(plan->channel_count, sizeof(*l->items));
	l->logs = allocate(plan->task_count, sizeof(*l->logs));
	l->tasks = allocate(plan->task_count, sizeof(*l->tasks));
	for (uint32_t c = 0; c < plan->channel_count; c++) {
		l->logical[c] = logical_of(plan, c);
		l->items[c].sums = allocate(1, sizeof(uint64_t));
		l->items[c].room = 1;
	}
	for (uint32_t t = 0; t < plan->task_count; t++) {
		uint32_t senders = 0;
		for (uint32_t e = 0; e < plan->tasks[t].edge_count; e++)
			senders += plan->tasks[t].edges[e].channel_count;
		l->tasks[t].positions = allocate(senders, sizeof(uint64_t));
		l->tasks[t].released = allocate(senders, sizeof(uint64_t));
		l->tasks[t].incarnations = allocate(plan->tasks[t].input_count, sizeof(uint64_t));
	}
}

void replica_ledger_destroy(struct replica_ledger *l)
{
	if (l->plan == NULL)
		return;
	for (uint32_t c = 0; c < l->plan->channel_count; c++) {
		free(l->items[c].hashes);
		free(l->items[c].sums);
	}
	for (uint32_t t = 0; t < l->plan->task_count; t++) {
		struct ledger_task *task = &l->tasks[t];
		for (uint32_t i = 0; i < task->note_count; i++)
			free(task->notes[i].numbers);
		free(task->notes);
		free(task->positions);
		free(task->released);
		free(task->incarnations);
		free(l->logs[t].entries);
	}
	free(l->logical);
	free(l->items);
	free(l->logs);
	free(l->tasks);
	*l = (struct replica_ledger){0};
}

void replica_ledger_forget(struct replica_ledger *l, uint32_t place, uint32_t node_workers)
{
	for (uint32_t t = 0; t < l->plan->task_count; t++) {
		struct ledger_task *task = &l->tasks[t];
		const struct plan_task *planned = &l->plan->tasks[t];
		if (planned->worker / node_workers != place)
			continue;
		for (uint32_t i = 0; i < task->note_count; i++)
			free(task->notes[i].numbers);
		uint32_t senders = 0;
		for (uint32_t e = 0; e < planned->edge_count; e++)
			senders += planned->edges[e].channel_count;
		memset(task->positions, 0, senders * sizeof(uint64_t));
		memset(task->released, 0, senders * sizeof(uint64_t));
		memset(task->incarnations, 0, planned->input_count * sizeof(uint64_t));
		*task = (struct ledger_task){.positions = task->positions,
			.incarnations = task->incarnations,
			.released = task->released,
			.notes = task->notes,
			.note_room = task->note_room};
	}
}

void replica_ledger_restart(struct replica_ledger *l, uint32_t primary, uint64_t index)
{
	l->logs[primary].first = l->logs[primary].count = index;
}

// ---- items

static const char *add_item(struct replica_ledger *l, struct ledger_items *items, uint64_t number,
	uint64_t hash, uint64_t term)
{
	l->records++;
	if (number < items->count)
		return items->hashes[number] == hash
			? NULL
			: "two instances have made different items of one number";
	if (number > items->count)
		return "items were made with a gap before them";
	if (items->room < items->count + 2) {
		items->room = 2 * items->count + 64;
		items->hashes = grow(items->hashes, items->room, sizeof(*items->hashes));
		items->sums = grow(items->sums, items->room, sizeof(*items->sums));
	}
	items->hashes[number] = hash;
	items->sums[number + 1] = items->sums[number] + term;
	items->count++;
	return NULL;
}

static uint64_t mark_hash(const struct frame_header *h)
{
	const uint64_t parts[3] = {h->type, (uint64_t)h->watermark, h->epoch};
	return XXH3_64bits(parts, sizeof(parts));
}

const char *replica_ledger_made(struct replica_ledger *l, uint32_t channel,
	const struct frame_header *frame)
{
	struct ledger_items *items = &l->items[l->logical[channel]];
	const uint8_t *at = (const uint8_t *)(frame + 1);
	if (frame_is_mark(frame->type))
		return add_item(l, items, frame->first_number, mark_hash(frame),
			order_mix(frame->first_number, frame->type,
				(uint64_t)frame->watermark ^ frame->epoch));
	for (uint32_t i = 0; i < frame->item_count; i++, at += record_length(at)) {
		uint64_t number = frame->first_number + i;
		const char *wrong = add_item(l, items, number, XXH3_64bits(at, record_length(at)),
			order_mix_records(number, at, 1));
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

const char *replica_ledger_in_hand(const struct replica_ledger *l, uint32_t channel,
	uint64_t number, const uint8_t *first, uint32_t count)
{
	const struct ledger_items *items = &l->items[l->logical[channel]];
	for (uint32_t i = 0; i < count; i++, first += record_length(first)) {
		if (number + i >= items->count)
			return "a receiver has an item that no owner has let go";
		if (items->hashes[number + i] != XXH3_64bits(first, record_length(first)))
			return "a receiver has another item of a number than was made";
	}
	return NULL;
}

const char *replica_ledger_consumed(const struct replica_ledger *l, uint32_t channel,
	const struct receiver *r)
{
	const struct ledger_items *items = &l->items[l->logical[channel]];
	if (r->next_number > items->count)
		return "a task has consumed an item that no owner has let go";
	if (r->checksum != items->sums[r->next_number])
		return "a task has consumed other items than were made";
	return NULL;
}

// ---- logs

const char *replica_ledger_entry(struct replica_ledger *l, uint32_t primary, uint64_t index,
	const struct order_entry *entry)
{
	struct ledger_entries *log = &l->logs[primary];
	if (index < log->count) {
		if (index < log->first)
			return "an entry of a log is streamed that a new replica's state covers";
		const struct order_entry *known = &log->entries[index - log->first];
		bool same = known->position == entry->position &&
			known->checksum == entry->checksum && known->epoch == entry->epoch &&
			known->input == entry->input && known->kind == entry->kind;
		return same ? NULL : "an entry of a log is not what was streamed";
	}
	if (index > log->count)
		return "an entry of a log comes with a gap before it";
	if (log->count - log->first == log->room) {
		log->room = 2 * log->room + 64;
		log->entries = grow(log->entries, log->room, sizeof(*log->entries));
	}
	log->entries[log->count++ - log->first] = *entry;
	return NULL;
}
