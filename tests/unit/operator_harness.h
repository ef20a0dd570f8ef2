// One operator in a chain of its own, with a sink that keeps the records and, where asked, is full
// now and then.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/chain_groups.h"
#include "dataplane/counters.h"
#include "numa/arena.h"
#include "state/pool.h"
#include "state/snapshot.h"

enum { HARNESS_POOL_BYTES = 32 << 20, HARNESS_SNAPSHOT_BYTES = 8 << 20 };

struct harness {
	struct weir_plan plan;
	struct chain_link links[2];
	struct arena arena;
	struct pool pool;
	char error[512]; // of planning
	uint8_t *out;    // records emitted, one after the other
	size_t out_bytes, out_room;
	uint32_t out_records;
	uint32_t full_percent;
	uint64_t seed;
	uint32_t groups_a_step; // restored by key group; 0: at once
	struct chain_load load;
	uint32_t batches_early; // processed while key groups were absent
	uint8_t *snapshot;      // from which that is done
};

static inline uint64_t harness_draw(struct harness *h)
{
	h->seed = h->seed * 6364136223846793005u + 1442695040888963407u;
	return h->seed >> 33;
}

// Values of parameters; all are given back by values_free.
static struct weir_value *values_made[2048];
static uint32_t values_count;

static inline void values_free(void)
{
	for (uint32_t i = 0; i < values_count; i++) {
		free(values_made[i]->items);
		free(values_made[i]);
	}
	values_count = 0;
}

static inline struct weir_value *value_make(enum weir_value_kind kind, const char *name,
	const char *text, int64_t integer)
{
	struct weir_value *v = calloc(1, sizeof(*v));
	*v = (struct weir_value){.kind = kind, .name = name, .text = text, .integer = integer};
	v->items = calloc(16, sizeof(*v->items));
	assert_true(values_count < sizeof(values_made) / sizeof(*values_made));
	values_made[values_count++] = v;
	return v;
}

static inline struct weir_value *value_add(struct weir_value *to, struct weir_value *item)
{
	to->items[to->count++] = item;
	return to;
}

static inline struct weir_value *value_scalar(const char *name, const char *text, int64_t integer)
{
	return value_make(WEIR_VALUE_SCALAR, name, text, integer);
}

static inline void harness_keep(struct harness *h, const struct weir_batch *in, uint32_t row)
{
	if (h->out_room - h->out_bytes < 4096)
		h->out = realloc(h->out, h->out_room = 2 * h->out_room + 65536);
	uint8_t *to = h->out + h->out_bytes;
	uint32_t length;
	if (in->form == WEIR_COLUMNS) {
		length = batch_record(in->schema, in->columns, row, to, 4096);
	} else {
		length = record_length(in->rows[row]);
		memcpy(to, in->rows[row], length);
	}
	assert_true(length != 0);
	assert_int_equal(record_validate(in->schema, to, length), 0);
	h->out_bytes += length;
	h->out_records++;
}

static inline enum weir_flow harness_sink(void *self, struct weir_context *ctx,
	struct weir_batch *in)
{
	struct harness *h = self;
	while (!batch_is_empty(in)) {
		if (harness_draw(h) % 100 < h->full_percent)
			return WEIR_FULL;
		harness_keep(h, in, in->at);
		in->at++;
	}
	return WEIR_DONE;
}

static inline void harness_error(struct weir_plan *plan, const struct weir_value *at,
	const char *text)
{
	struct harness *h = plan->error_sink;
	snprintf(h->error, sizeof(h->error), "%s", text);
}

// Returns what plan() returns.
static inline int harness_plan(struct harness *h, const struct weir_operator *kind,
	const struct weir_value *params, const struct weir_schema *input)
{
	memset(h, 0, sizeof(*h));
	h->plan = (struct weir_plan){.params = params,
		.input = input,
		.id = "it",
		.error = harness_error,
		.error_sink = h};
	return kind->plan(&h->plan);
}

static inline void harness_create(struct harness *h, const struct weir_operator *kind,
	size_t pool_bytes)
{
	static const struct weir_operator sink = {.size = sizeof(sink),
		.version = WEIR_OPERATOR_VERSION,
		.kind = "keep",
		.role = WEIR_SINK,
		.process = harness_sink};
	assert_int_equal(arena_create(&h->arena, pool_bytes + (16 << 20), -1, true), 0);
	assert_int_equal(pool_create(&h->pool, &h->arena, pool_bytes), 0);
	for (uint32_t i = 0; i < 2; i++) {
		struct chain_link *link = &h->links[i];
		memset(link, 0, sizeof(*link));
		link->kind = i == 0 ? kind : &sink;
		link->next = i == 0 ? &h->links[1] : NULL;
		link->input = i == 0 ? h->plan.input : &h->plan.outputs[0].schema;
		link->ctx = (struct weir_context){.arena = &h->arena,
			.pool = &h->pool,
			.task_count = 1,
			.counters = &link->counters,
			.link = link};
	}
	h->links[1].self = h;
	assert_int_equal(chain_groups_create(h->links, &h->load, &h->arena, 12), 0);
	assert_int_equal(kind->create(&h->links[0].ctx, &h->plan, &h->links[0].self), 0);
}

static inline void harness_destroy(struct harness *h)
{
	const struct weir_operator *kind = h->links[0].kind;
	kind->destroy(h->links[0].self);
	assert_int_equal(h->pool.used, 0);
	arena_destroy(&h->arena);
	kind->unplan(&h->plan);
	free(h->out);
	free(h->snapshot);
}

// The end of a task's step: what is absent follows in the background.
static inline void harness_step(struct harness *h)
{
	uint32_t restored;
	if (h->load.absent == 0)
		return;
	assert_int_equal(chain_groups_step(h->links, 2, &h->load, &restored), WEIR_DONE);
	assert_in_range(restored, 1, h->groups_a_step);
}

static inline enum weir_flow harness_settle(struct harness *h, enum weir_flow flow)
{
	while (flow == WEIR_FULL) {
		harness_step(h);
		flow = chain_resume(h->links, 2);
	}
	return flow;
}

static inline void harness_batch(struct harness *h, const struct weir_batch *batch)
{
	assert_int_equal(harness_settle(h, chain_batch(h->links, batch)), WEIR_DONE);
	h->batches_early += h->load.absent != 0;
}

static inline void harness_watermark(struct harness *h, int64_t watermark_ns)
{
	assert_int_equal(harness_settle(h, chain_watermark(h->links, watermark_ns)), WEIR_DONE);
}

// At once, or in parts, if the kind can and so it is drawn.
static inline void harness_write(struct harness *h, struct snapshot_writer *w)
{
	const struct weir_operator *kind = h->links[0].kind;
	bool first = true;
	w->part_keys = 1 + (uint32_t)(harness_draw(h) % 20);
	if (!WEIR_OPERATOR_HAS(kind, snapshot_part) || harness_draw(h) % 2 == 0) {
		kind->snapshot(h->links[0].self, w);
		return;
	}
	while (!kind->snapshot_part(h->links[0].self, w, first))
		first = false;
}

static inline int harness_read(struct harness *h, struct snapshot_reader *r)
{
	const struct weir_operator *kind = h->links[0].kind;
	struct weir_context *ctx = &h->links[0].ctx;
	int result = 1;
	r->part_keys = 1 + (uint32_t)(harness_draw(h) % 20);
	if (!WEIR_OPERATOR_HAS(kind, restore_part) || harness_draw(h) % 2 == 0)
		return kind->restore(h->links[0].self, ctx, r);
	for (bool first = true; result == 1; first = false)
		result = kind->restore_part(h->links[0].self, ctx, r, first);
	return result;
}

// The operator's state through a snapshot into a fresh instance.
static inline void harness_replace(struct harness *h)
{
	const struct weir_operator *kind = h->links[0].kind;
	struct snapshot_writer w;
	struct snapshot_reader r;
	size_t bytes;
	uint32_t version;
	while (h->load.absent != 0)
		harness_step(h);
	free(h->snapshot);
	h->snapshot = malloc(HARNESS_SNAPSHOT_BYTES);
	snapshot_begin(&w, h->snapshot, HARNESS_SNAPSHOT_BYTES);
	snapshot_section(&w, "it", kind->state_version);
	harness_write(h, &w);
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	kind->destroy(h->links[0].self);
	assert_int_equal(h->pool.used, 0);
	assert_int_equal(kind->create(&h->links[0].ctx, &h->plan, &h->links[0].self), 0);
	assert_int_equal(snapshot_open(&r, h->snapshot, bytes), 0);
	assert_int_equal(snapshot_find(&r, "it", &version), 0);
	if (h->groups_a_step == 0) {
		assert_int_equal(harness_read(h, &r), 0);
		assert_int_equal(snapshot_left(&r), 0);
		return;
	}
	assert_int_equal(chain_groups_restore(h->links, &r), 0);
	h->load.groups_max = h->load.groups_left = h->groups_a_step;
}
