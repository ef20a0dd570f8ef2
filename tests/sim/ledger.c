#include "tests/sim/ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

#include "dataplane/order_log.h"
#include "numa/assert.h"
#include "state/key.h"
#include "state/record.h"

// Where the edge's keys are among the items' fields.
static void find_keys(struct ledger_channel *l)
{
	const struct plan_edge *edge = l->edge;
	for (uint32_t k = 0; k < edge->key_count; k++)
		for (uint16_t f = 0; f < edge->output->field_count; f++)
			if (edge->fields[f] == edge->keys[k])
				l->keys[k] = f;
}

static void channel_create_ledger(struct ledger_channel *l, const struct plan_edge *edge,
	uint32_t index)
{
	*l = (struct ledger_channel){.edge = edge, .index = index, .watermark = INT64_MIN};
	l->time_field = schema_find(edge->output, "window_end");
	l->ends = l->time_field >= 0;
	if (!l->ends)
		l->time_field = schema_find(edge->output, "time");
	find_keys(l);
}

void ledger_create(struct ledger *ledger, const struct job_plan *plan)
{
	ledger->channels = calloc(plan->channel_count + 1, sizeof(*ledger->channels));
	ledger->channel_count = plan->channel_count;
	ledger->group_bits = plan->group_bits;
	VERIFY(ledger->channels != NULL);
	for (uint32_t t = 0; t < plan->task_count; t++)
		for (uint32_t e = 0; e < plan->tasks[t].edge_count; e++) {
			const struct plan_edge *edge = &plan->tasks[t].edges[e];
			for (uint32_t c = 0; c < edge->channel_count; c++)
				channel_create_ledger(&ledger->channels[edge->channels[c]], edge,
					c);
		}
}

void ledger_destroy(struct ledger *ledger)
{
	for (uint32_t c = 0; c < ledger->channel_count; c++)
		free(ledger->channels[c].hashes);
	free(ledger->channels);
	*ledger = (struct ledger){0};
}

static const char *note(struct ledger_channel *l, uint64_t number, uint64_t hash, bool *ret_new)
{
	*ret_new = number == l->count;
	if (number > l->count)
		return "item numbers are not dense";
	if (number < l->count)
		return l->hashes[number] == hash ? NULL : "a successor did not send the same items";
	if (l->count == l->room) {
		l->room = l->room == 0 ? 4096 : l->room * 2;
		l->hashes = realloc(l->hashes, l->room * sizeof(*l->hashes));
		VERIFY(l->hashes != NULL);
	}
	l->hashes[l->count++] = hash;
	return NULL;
}

static bool belongs_here(const struct ledger *ledger, const struct ledger_channel *l,
	const uint8_t *record)
{
	uint8_t key[1024];
	if (l->edge->exchange != EXCHANGE_HASH || l->edge->channel_count == 1)
		return true;
	uint32_t bytes =
		key_encode(l->edge->output, l->keys, l->edge->key_count, record, key, sizeof(key));
	uint64_t group = XXH3_64bits(key, bytes) >> (64 - ledger->group_bits);
	return group * l->edge->channel_count >> ledger->group_bits == l->index;
}

static const char *note_record(const struct ledger *ledger, struct ledger_channel *l,
	uint64_t number, const uint8_t *record)
{
	bool is_new;
	const char *broken = note(l, number, record_hash(record), &is_new);
	if (broken != NULL || !is_new)
		return broken;
	l->checksum += order_mix_records(number, record, 1);
	if (!belongs_here(ledger, l, record))
		return "a record went to a task that its key group does not belong to";
	if (l->time_field < 0)
		return NULL;
	int64_t time_ns = record_int64(record, l->edge->output->fields[l->time_field].offset);
	return time_ns < l->watermark || (l->ends && time_ns == l->watermark)
		? "a record came behind a watermark that is later"
		: NULL;
}

static const char *note_mark(struct ledger_channel *l, const struct frame_header *h)
{
	uint64_t mark[3] = {h->type, (uint64_t)h->watermark, h->epoch};
	bool is_new;
	const char *broken = note(l, h->first_number, XXH3_64bits(mark, sizeof(mark)), &is_new);
	if (broken != NULL || !is_new)
		return broken;
	l->checksum += order_mix(h->first_number, h->type, (uint64_t)h->watermark ^ h->epoch);
	if (h->type == FRAME_WATERMARK && h->watermark > l->watermark)
		l->watermark = h->watermark;
	return NULL;
}

static const char *note_frame(const struct ledger *ledger, struct ledger_channel *l,
	const struct frame_header *h)
{
	if (h->type != FRAME_DATA)
		return note_mark(l, h);
	const uint8_t *record = (const uint8_t *)(h + 1);
	const char *broken = NULL;
	for (uint32_t i = 0; i < h->item_count && broken == NULL; i++) {
		broken = note_record(ledger, l, h->first_number + i, record);
		record += record_length(record);
	}
	return broken;
}

const char *ledger_follow(struct ledger *ledger, uint32_t channel, const struct sender *s)
{
	struct ledger_channel *l = &ledger->channels[channel];
	const char *broken = NULL;
	while (l->walked != s->retention.next && broken == NULL)
		broken = note_frame(ledger, l, retention_walk(&s->retention, &l->walked));
	return broken;
}
