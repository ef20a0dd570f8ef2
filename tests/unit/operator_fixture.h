// One operator as the head of a chain; what it emits is written down as text: a line a record
// (behind "! " of variant 1), "@ns" a watermark.
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/chain.h"
#include "dataplane/csv_writer.h"
#include "numa/arena.h"
#include "state/snapshot.h"

enum { VALUES_MAX = 64, TRACE_BYTES = 8 << 20 };

struct operator_test {
	const struct weir_operator *kind;
	struct weir_plan plan;
	struct weir_value values[VALUES_MAX], *items[VALUES_MAX][16], map;
	uint32_t value_count;
	char complaint[600];
	struct arena arena;
	struct chain_link links[2];
	// what came out
	struct output_file trace;
	struct csv_writer writer;
	struct batch_columns columns;
	struct weir_batch last; // as it was emitted
	uint32_t full_every, calls, batches;
	bool full;
};

static struct weir_value *value_new(struct operator_test *t, struct weir_value *in,
	const char *name, const char *text, int64_t integer)
{
	struct weir_value *value = &t->values[t->value_count];
	assert_true(t->value_count < VALUES_MAX && in->count < 16);
	*value = (struct weir_value){.name = name,
		.text = text,
		.integer = integer,
		.items = t->items[t->value_count++]};
	in->items[in->count++] = value;
	return value;
}

static inline void param_text(struct operator_test *t, const char *name, const char *text)
{
	value_new(t, &t->map, name, text, 0);
}

static inline void param_int(struct operator_test *t, const char *name, int64_t integer)
{
	value_new(t, &t->map, name, "", integer);
}

// Name, text, name, text …, NULL.
static inline void param_pairs(struct operator_test *t, const char *name, const char *const *pairs)
{
	struct weir_value *list = value_new(t, &t->map, name, NULL, 0);
	list->kind = WEIR_VALUE_LIST;
	for (; *pairs; pairs += 2)
		value_new(t, list, pairs[0], pairs[1], 0);
}

static void test_complain(struct weir_plan *plan, const struct weir_value *at, const char *text)
{
	struct operator_test *t = plan->error_sink;
	snprintf(t->complaint, sizeof(t->complaint), "%s: %s", at->name, text);
}

static enum weir_flow collect(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct operator_test *t = self;
	assert_false(t->full);
	t->last = *in;
	t->batches++;
	while (!batch_is_empty(in)) {
		const uint8_t *row = in->first;
		struct weir_batch rows, one = *in;
		if (in->form == WEIR_PACKED) {
			one = (struct weir_batch){.form = WEIR_ROWS, .count = 1, .rows = &row};
			in->first += record_length(row);
			one.schema =
				&t->plan.outputs[record_variant(row) * (t->plan.output_count > 1)]
					 .schema;
			assert_int_equal(record_validate(one.schema, row, record_length(row)), 0);
			if (record_variant(row) == 1 && t->plan.output_count > 1)
				output_file_write(&t->trace, "! ", 2);
		} else {
			one.schema = &t->plan.outputs[0].schema;
			in->at = in->count;
		}
		batch_gather(&one, schema_all_fields(one.schema), &t->columns, &rows);
		t->writer.schema = one.schema;
		for (uint32_t i = 0; i < rows.count; i++)
			assert_int_equal(csv_write_row(&t->writer, rows.columns, i), 0);
	}
	t->full = t->full_every != 0 && ++t->calls % t->full_every == 0;
	return t->full ? WEIR_FULL : WEIR_DONE;
}

static enum weir_flow collect_mark(void *self, struct weir_context *ctx, int64_t watermark_ns)
{
	struct operator_test *t = self;
	char text[32];
	assert_false(t->full);
	int length = snprintf(text, sizeof(text), "@%lld\n", (long long)watermark_ns);
	output_file_write(&t->trace, text, (size_t)length);
	t->full = t->full_every != 0 && ++t->calls % t->full_every == 0;
	return t->full ? WEIR_FULL : WEIR_DONE;
}

static const struct weir_operator collector = {.process = collect, .watermark = collect_mark};

static inline void test_begin(struct operator_test *t, const struct weir_operator *kind,
	const struct weir_schema *input)
{
	memset(t, 0, sizeof(*t));
	t->kind = kind;
	t->map = (struct weir_value){.kind = WEIR_VALUE_MAP, .items = t->items[VALUES_MAX - 1]};
	t->plan = (struct weir_plan){.params = &t->map,
		.input = input,
		.id = "it",
		.error = test_complain,
		.error_sink = t};
	t->trace =
		(struct output_file){.fd = -1, .buffer = malloc(TRACE_BYTES), .room = TRACE_BYTES};
	t->writer = (struct csv_writer){.out = &t->trace, .times_iso = true};
}

static inline int test_plan(struct operator_test *t)
{
	return t->kind->plan(&t->plan);
}

// Returns create's answer; the message is in t->links[0].ctx.error.
static inline int test_create(struct operator_test *t)
{
	static struct weir_schema wide; // room for any field in any place
	if (wide.field_count == 0)
		for (int i = 0; i < 32; i++) {
			char name[8];
			snprintf(name, sizeof(name), "f%d", i);
			schema_add(&wide, name, WEIR_DECIMAL, 38, 0);
		}
	assert_int_equal(arena_create(&t->arena, 16 << 20, -1, true), 0);
	assert_int_equal(batch_columns_create(&t->columns, &wide, &t->arena), 0);
	for (int i = 0; i < 2; i++)
		t->links[i].ctx = (struct weir_context){.task_count = 1,
			.arena = &t->arena,
			.counters = &t->links[i].counters,
			.link = &t->links[i]};
	t->links[0].kind = t->kind;
	t->links[0].next = &t->links[1];
	t->links[1].kind = &collector;
	t->links[1].self = t;
	int error = t->kind->create(&t->links[0].ctx, &t->plan, &t->links[0].self);
	arena_seal(&t->arena);
	return error;
}

static inline void test_end(struct operator_test *t)
{
	if (t->kind->destroy != NULL)
		t->kind->destroy(t->links[0].self);
	if (t->kind->unplan != NULL)
		t->kind->unplan(&t->plan);
	arena_destroy(&t->arena);
	free(t->trace.buffer);
	t->trace.buffer = NULL;
}

static inline const char *test_trace(struct operator_test *t)
{
	output_file_write(&t->trace, "", 1);
	t->trace.used--;
	return (const char *)t->trace.buffer;
}

static inline const char *test_error(const struct operator_test *t)
{
	return t->links[0].ctx.error;
}

static inline uint64_t test_dropped(const struct operator_test *t, enum weir_drop reason)
{
	return t->links[0].counters.dropped[reason];
}

// What the collector had to say is settled.
static inline void test_drain(struct operator_test *t)
{
	t->full = false;
	t->links[1].pending = PENDING_NONE;
}

static inline enum weir_flow test_produce(struct operator_test *t, uint64_t records_max)
{
	struct chain_link *l = &t->links[0];
	uint64_t before = l->produced_before = l->ctx.produced;
	enum weir_flow flow = t->kind->produce(l->self, &l->ctx, records_max);
	assert_true(l->ctx.produced - before <= records_max);
	test_drain(t);
	return flow;
}

// Give a transform or sink a batch, again while its output is full.
static inline enum weir_flow test_process(struct operator_test *t, const struct weir_batch *batch)
{
	struct weir_batch in = *batch;
	enum weir_flow flow;
	in.schema = t->plan.input;
	do {
		flow = t->kind->process(t->links[0].self, &t->links[0].ctx, &in);
		test_drain(t);
	} while (flow == WEIR_FULL);
	return flow;
}

static inline void file_write(const char *name, const void *data, size_t bytes)
{
	FILE *f = fopen(name, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, bytes, f), bytes);
	assert_int_equal(fclose(f), 0);
}

static inline void file_text(const char *name, const char *text)
{
	file_write(name, text, strlen(text));
}

// A folder of its own as the working directory.
static inline int folder_enter(void **state)
{
	static char folder[] = "/tmp/weir-unit-XXXXXX";
	*state = folder;
	return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static inline int folder_leave(void **state)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf '%s'", (const char *)*state);
	return chdir("/") != 0 || system(command) != 0;
}
