#include "tests/sim/model.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "dataplane/nexmark.h"
#include "numa/assert.h"

struct event {
	int64_t keys[2], value, time_ns;
};

// One (window, key) and what its bids come to.
struct group {
	int64_t start_ns, keys[2];
	int64_t count, sum, least, most; // count 0: an empty slot
};

struct groups {
	struct group *slots;
	size_t size, count; // size is a power of two
};

// A field as the capturing sink has it.
static int64_t value_of(const struct weir_schema *schema, uint32_t field, const uint8_t *record)
{
	const struct weir_field *f = &schema->fields[field];
	if (!type_is_text(f->type))
		return record_int64(record, f->offset);
	struct weir_slice text = record_slice(record, f->offset);
	return (int64_t)XXH3_64bits(text.data, text.length);
}

static bool read_event(const struct query *q, const struct weir_schema *schema,
	const uint8_t *record, struct event *ret_event)
{
	const struct scenario_stream *stream = &scenario_streams[q->stream];
	if (record_variant(record) != q->stream)
		return false;
	*ret_event = (struct event){.value = value_of(schema, stream->value_field, record),
		.time_ns = value_of(schema, stream->time_field, record)};
	for (int k = 0; k < 2; k++)
		if (q->keys[k])
			ret_event->keys[k] = value_of(schema, stream->key_fields[k], record);
	bool kept = ret_event->value % q->keep_modulo == 0;
	ret_event->value += q->raise;
	return kept;
}

static struct group *find(struct groups *g, int64_t start_ns, const int64_t keys[2])
{
	int64_t key[3] = {start_ns, keys[0], keys[1]};
	size_t at = XXH3_64bits(key, sizeof(key)) & (g->size - 1);
	while (g->slots[at].count != 0 &&
		(g->slots[at].start_ns != start_ns || g->slots[at].keys[0] != keys[0] ||
			g->slots[at].keys[1] != keys[1]))
		at = (at + 1) & (g->size - 1);
	return &g->slots[at];
}

static void grow(struct groups *g)
{
	struct groups larger = {.size = g->size * 2, .count = g->count};
	larger.slots = calloc(larger.size, sizeof(struct group));
	VERIFY(larger.slots != NULL);
	for (size_t i = 0; i < g->size; i++)
		if (g->slots[i].count != 0)
			*find(&larger, g->slots[i].start_ns, g->slots[i].keys) = g->slots[i];
	free(g->slots);
	*g = larger;
}

static void add_event(const struct query *q, struct groups *g, const struct event *event)
{
	int64_t last = event->time_ns / q->slide_ns * q->slide_ns; // times are after 1970
	for (int64_t start = last; start > event->time_ns - q->size_ns; start -= q->slide_ns) {
		struct group *group = find(g, start, event->keys);
		if (group->count == 0) {
			*group = (struct group){start, {event->keys[0], event->keys[1]}, 0, 0,
				INT64_MAX, INT64_MIN};
			g->count++;
		}
		group->count++;
		group->sum += event->value;
		group->least = event->value < group->least ? event->value : group->least;
		group->most = event->value > group->most ? event->value : group->most;
		if (g->count * 2 > g->size)
			grow(g);
	}
}

static struct row row_of(const struct query *q, const struct group *g)
{
	const int64_t by_aggregate[] = {g->count, g->sum, g->least, g->most};
	struct row row = {{g->start_ns, g->start_ns + q->size_ns}};
	uint32_t at = 2;
	for (int k = 0; k < 2; k++)
		if (q->keys[k])
			row.values[at++] = g->keys[k];
	for (uint32_t i = 0; i < q->aggregate_count; i++)
		row.values[at++] = by_aggregate[q->aggregates[i]];
	return row;
}

// Keep, of each window, the rows with fewer than `top` rows above them. Rows come sorted.
static void keep_top(const struct query *q, struct rows *rows)
{
	uint32_t by = 2 + query_key_count(q);
	struct rows kept = {0};
	for (size_t from = 0, to; from < rows->count; from = to) {
		for (to = from;
			to < rows->count && rows->rows[to].values[0] == rows->rows[from].values[0];)
			to++;
		for (size_t i = from; i < to; i++) {
			uint32_t above = 0;
			for (size_t j = from; j < to && above < q->top; j++)
				above += rows->rows[j].values[by] > rows->rows[i].values[by];
			if (above < q->top)
				rows_add(&kept, &rows->rows[i]);
		}
	}
	rows_free(rows);
	*rows = kept;
}

static void add_record(const struct query *q, const struct weir_schema *schema,
	const uint8_t *record, struct groups *groups, struct rows *rows)
{
	struct event event;
	struct row row = {0};
	if (!read_event(q, schema, record, &event))
		return;
	if (q->window) {
		add_event(q, groups, &event);
		return;
	}
	for (uint32_t f = 0; f < schema->field_count; f++)
		row.values[f] = value_of(schema, f, record);
	rows_add(rows, &row);
}

void model_compute(const struct scenario *s, const struct query *q, struct rows *rows)
{
	struct nexmark generator;
	struct weir_schema schema;
	struct groups groups = {.size = 1 << 14};
	alignas(8) uint8_t record[NEXMARK_RECORD_ROOM];
	VERIFY(nexmark_init(&generator, (int64_t)s->events, (int64_t)s->rate, (int64_t)s->group) ==
		0);
	nexmark_schema(q->stream, &schema);
	groups.slots = calloc(groups.size, sizeof(struct group));
	VERIFY(groups.slots != NULL);
	for (uint64_t number = 0; number < s->events; number++) {
		nexmark_record(&generator, number, record);
		add_record(q, &schema, record, &groups, rows);
	}
	for (size_t i = 0; i < groups.size; i++)
		if (groups.slots[i].count != 0) {
			struct row row = row_of(q, &groups.slots[i]);
			rows_add(rows, &row);
		}
	free(groups.slots);
	rows_sort(rows);
	if (q->top != 0)
		keep_top(q, rows);
}
