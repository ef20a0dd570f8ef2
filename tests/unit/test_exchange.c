// The exchange: what its kernels put into the channels, from batches of every form, against a
// naive computation of channel and record.
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "dataplane/engine.h"
#include "dataplane/exchange.h"
#include "numa/arena.h"
#include "random_row.h"
#include "state/key.h"

enum {
	CHANNELS_MAX = 8,
	EDGES_MAX = 3,
	ROWS_MAX = 200,
	FRAME_BYTES = 4096,
	KEPT_BYTES = 1 << 20,
	FRAMES = 2,
};

struct stream {
	uint8_t *data;
	uint32_t bytes;
};

// The channels of one exchange, and what has come out of each.
struct fixture {
	struct rte_mempool *pool;
	struct arena arena;
	struct exchange exchange;
	struct weir_counters counters;
	struct weir_context ctx;
	uint32_t channel_count;
	struct channel channels[CHANNELS_MAX];
	struct sender senders[CHANNELS_MAX];
	struct receiver receivers[CHANNELS_MAX];
	struct stream got[CHANNELS_MAX], want[CHANNELS_MAX];
	uint64_t marks[CHANNELS_MAX];
	uint64_t seed;
};

// Rows of the edge's input, packed among records of another variant.
struct rows {
	struct weir_schema schema;
	struct random_row values[ROWS_MAX];
	const uint8_t *records[ROWS_MAX];
	uint32_t count, bytes;
	alignas(8) uint8_t packed[1 << 18];
};

struct edge_spec {
	struct weir_schema output;
	uint16_t fields[SCHEMA_FIELDS_MAX], keys[WEIR_KEYS_MAX];
	uint32_t key_count, channel_count;
};

static struct fixture fixture;
static struct rows rows;
static struct edge_spec specs[EDGES_MAX];
static struct plan_edge edges[EDGES_MAX];

// ---- fixture

static void create_channel(struct fixture *f, uint32_t c)
{
	struct channel_config config = {
		.id = c, .frame_bytes = FRAME_BYTES, .frames = FRAMES, .checksum = true};
	assert_int_equal(channel_create(&f->channels[c], &config, &f->arena), 0);
	assert_int_equal(sender_create(&f->senders[c], &f->channels[c], f->pool, &f->arena), 0);
	receiver_create(&f->receivers[c], &f->channels[c]);
	f->got[c].data = arena_alloc(&f->arena, KEPT_BYTES, 8);
	f->want[c].data = arena_alloc(&f->arena, KEPT_BYTES, 8);
}

static struct fixture *create(uint64_t seed, uint32_t edge_count)
{
	struct fixture *f = &fixture;
	struct plan_task task = {.edge_count = edge_count, .edges = edges};
	*f = (struct fixture){.seed = seed};
	f->ctx.counters = &f->counters;
	assert_int_equal(arena_create(&f->arena, 20 << 20, -1, true), 0);
	f->pool = rte_pktmbuf_pool_create("test", CHANNELS_MAX * (FRAMES + CHANNEL_CONTROL_FRAMES),
		0, 0, RTE_PKTMBUF_HEADROOM + FRAME_BYTES, SOCKET_ID_ANY);
	for (uint32_t e = 0; e < edge_count; e++) {
		struct edge_spec *spec = &specs[e];
		edges[e] = (struct plan_edge){.exchange = EXCHANGE_HASH,
			.input = &rows.schema,
			.output = &spec->output,
			.fields = spec->fields,
			.keys = spec->keys,
			.key_count = spec->key_count,
			.channel_count = spec->channel_count};
		f->channel_count += spec->channel_count;
	}
	for (uint32_t c = 0; c < f->channel_count; c++)
		create_channel(f, c);
	assert_int_equal(exchange_create(&f->exchange, &task, f->senders, KEY_GROUP_BITS_DEFAULT,
				 &f->arena),
		0);
	return f;
}

static void destroy(struct fixture *f)
{
	for (uint32_t c = 0; c < f->channel_count; c++)
		channel_drain(&f->channels[c], &f->senders[c], &f->receivers[c]);
	rte_mempool_free(f->pool);
	arena_destroy(&f->arena);
}

static void append(struct stream *s, const uint8_t *data, size_t bytes)
{
	assert_true(s->bytes + bytes <= KEPT_BYTES);
	memcpy(s->data + s->bytes, data, bytes);
	s->bytes += (uint32_t)bytes;
}

static void receive(struct fixture *f, uint32_t c)
{
	struct receiver *r = &f->receivers[c];
	const struct frame_header *h;
	while ((h = receiver_peek(r)) != NULL) {
		if (h->type == FRAME_DATA)
			append(&f->got[c], r->first, (size_t)(r->limit - r->first));
		else
			f->marks[c]++;
		r->next_number += r->items;
		r->items = 0;
		receiver_release(r);
	}
	receiver_return(r);
}

static void receive_all(struct fixture *f)
{
	for (uint32_t c = 0; c < f->channel_count; c++)
		receive(f, c);
}

// ---- rows and what should become of them

static void make_rows(struct fixture *f, uint32_t null_percent)
{
	struct weir_schema other = {.variant = (uint16_t)(rows.schema.variant + 1)};
	schema_add(&other, "text", WEIR_STRING, 0, 0);
	schema_layout(&other);
	rows.bytes = 0;
	rows.count = 0;
	while (rows.count < ROWS_MAX && rows.bytes < sizeof(rows.packed) - 2 * RANDOM_RECORD_MAX) {
		uint8_t *out = rows.packed + rows.bytes;
		struct random_row skipped;
		if (random_below(&f->seed, 3) == 0) {
			random_row(&f->seed, &other, 10, &skipped);
			rows.bytes += random_build(&other, &skipped, out, RANDOM_RECORD_MAX);
			continue;
		}
		random_row(&f->seed, &rows.schema, null_percent, &rows.values[rows.count]);
		rows.records[rows.count] = out;
		rows.bytes += random_build(&rows.schema, &rows.values[rows.count++], out,
			RANDOM_RECORD_MAX);
	}
}

// Each row once more, the slow way: its fields picked by value, its key encoded and hashed.
static void expect_edge(struct fixture *f, const struct edge_spec *spec, uint32_t first_channel)
{
	alignas(8) static uint8_t record[RANDOM_RECORD_MAX];
	uint8_t key[RANDOM_RECORD_MAX];
	for (uint32_t i = 0; i < rows.count; i++) {
		struct random_row picked;
		for (uint32_t k = 0; k < spec->output.field_count; k++)
			picked.values[k] = rows.values[i].values[spec->fields[k]];
		uint32_t bytes = random_build(&spec->output, &picked, record, sizeof(record));
		uint32_t key_bytes = key_encode(&rows.schema, spec->keys, spec->key_count,
			rows.records[i], key, sizeof(key));
		uint32_t group = key_group(key_hash(key, key_bytes), KEY_GROUP_BITS_DEFAULT);
		uint32_t channel = group * spec->channel_count >> KEY_GROUP_BITS_DEFAULT;
		append(&f->want[first_channel + channel], record, bytes);
	}
}

static void check_and_forget(struct fixture *f)
{
	for (uint32_t c = 0; c < f->channel_count; c++) {
		assert_int_equal(f->got[c].bytes, f->want[c].bytes);
		assert_memory_equal(f->got[c].data, f->want[c].data, f->want[c].bytes);
		f->got[c].bytes = f->want[c].bytes = 0;
	}
}

static void push_all(struct fixture *f)
{
	exchange_flush(&f->exchange, 0, 0);
	receive_all(f);
}

// Call process until it is done, emptying only some channels in between.
static void send_batch(struct fixture *f, struct weir_batch batch)
{
	uint64_t before = f->counters.records_in, records = 0;
	enum weir_flow flow;
	while ((flow = exchange_operator.process(&f->exchange, &f->ctx, &batch)) != WEIR_DONE) {
		assert_int_equal(flow, WEIR_FULL);
		exchange_flush(&f->exchange, 0, 0);
		for (uint32_t c = 0; c < f->channel_count; c++)
			if (random_below(&f->seed, 2))
				receive(f, c);
	}
	assert_true(batch_is_empty(&batch));
	records = rows.count * (uint64_t)f->exchange.edge_count;
	assert_int_equal(f->counters.records_in - before, records);
	push_all(f);
	for (uint32_t e = 0, c = 0; e < f->exchange.edge_count; c += specs[e++].channel_count)
		expect_edge(f, &specs[e], c);
	check_and_forget(f);
}

static void send_packed(struct fixture *f)
{
	send_batch(f,
		(struct weir_batch){.form = WEIR_PACKED,
			.first = rows.packed,
			.limit = rows.packed + rows.bytes});
}

static void send_every_form(struct fixture *f)
{
	struct batch_columns columns;
	struct weir_batch gathered;
	struct weir_batch list = {.form = WEIR_ROWS, .rows = rows.records, .count = rows.count};
	send_packed(f);
	send_batch(f, list);
	assert_int_equal(batch_columns_create(&columns, &rows.schema, &f->arena), 0);
	list.schema = &rows.schema;
	batch_gather(&list, schema_all_fields(&rows.schema), &columns, &gathered);
	assert_int_equal(gathered.count, rows.count);
	send_batch(f, gathered);
}

// ---- edges

// An edge that passes on `kept` of the input's fields, in their order, all or at random.
static void pick_fields(uint64_t *seed, struct edge_spec *spec, uint32_t kept)
{
	uint32_t left = rows.schema.field_count;
	spec->output = (struct weir_schema){.variant = rows.schema.variant};
	for (uint32_t i = 0; i < rows.schema.field_count; i++, left--) {
		const struct weir_field *field = &rows.schema.fields[i];
		if (random_below(seed, left) >= kept)
			continue;
		kept--;
		spec->fields[spec->output.field_count] = (uint16_t)i;
		schema_add(&spec->output, field->name, field->type, field->precision, field->scale);
	}
	schema_layout(&spec->output);
}

static void random_edge(uint64_t *seed, struct edge_spec *spec, uint32_t channel_count)
{
	*spec = (struct edge_spec){.channel_count = channel_count};
	pick_fields(seed, spec, 1 + random_below(seed, rows.schema.field_count));
	spec->key_count = 1 + random_below(seed, 3);
	for (uint32_t k = 0; k < spec->key_count; k++)
		spec->keys[k] = (uint16_t)random_below(seed, rows.schema.field_count);
}

static void word_schema(uint32_t fields)
{
	static const enum weir_type types[] = {WEIR_INT64, WEIR_TIMESTAMP, WEIR_FLOAT64};
	rows.schema = (struct weir_schema){.variant = 2};
	for (uint32_t i = 0; i < fields; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%u", i);
		schema_add(&rows.schema, name, types[i % 3], 0, 0);
	}
	schema_add(&rows.schema, "extra", WEIR_STRING, 0, 0);
	schema_layout(&rows.schema);
}

// ---- tests

static void test_words_with_an_int64_key(void **state)
{
	for (uint32_t kept = 1; kept <= 5; kept++) {
		for (uint32_t nulls = 0; nulls <= 20; nulls += 20) {
			uint64_t seed = kept;
			word_schema(7);
			specs[0] = (struct edge_spec){.key_count = 1, .channel_count = kept};
			for (uint32_t i = 0; i < kept; i++) {
				const struct weir_field *field = &rows.schema.fields[i + 2];
				specs[0].fields[i] = (uint16_t)(i + 2);
				schema_add(&specs[0].output, field->name, field->type, 0, 0);
			}
			specs[0].output.variant = 2;
			schema_layout(&specs[0].output);
			specs[0].keys[0] = 3; // an int64
			struct fixture *f = create(seed, 1);
			for (int round = 0; round < 10; round++) {
				make_rows(f, nulls);
				send_every_form(f);
			}
			destroy(f);
		}
	}
}

static void test_any_schema_fields_and_keys(void **state)
{
	uint64_t seed = 7;
	for (int round = 0; round < 150; round++) {
		random_schema(&seed, 1 + random_below(&seed, 40), &rows.schema);
		random_edge(&seed, &specs[0], 1 + random_below(&seed, CHANNELS_MAX));
		struct fixture *f = create(seed, 1);
		make_rows(f, round % 3 * 10);
		send_every_form(f);
		destroy(f);
	}
}

static void test_whole_records(void **state)
{
	uint64_t seed = 9;
	for (int round = 0; round < 30; round++) {
		random_schema(&seed, 1 + random_below(&seed, 20), &rows.schema);
		random_edge(&seed, &specs[0], 3);
		pick_fields(&seed, &specs[0], rows.schema.field_count);
		struct fixture *f = create(seed, 1);
		make_rows(f, 10);
		send_every_form(f);
		destroy(f);
	}
}

// Edges have their own pace: a full channel of one stops the batch, not the others' items.
static void test_several_edges(void **state)
{
	uint64_t seed = 11;
	for (int round = 0; round < 60; round++) {
		random_schema(&seed, 1 + random_below(&seed, 12), &rows.schema);
		for (uint32_t e = 0; e < EDGES_MAX; e++)
			random_edge(&seed, &specs[e], 1 + random_below(&seed, 2));
		struct fixture *f = create(seed, EDGES_MAX);
		make_rows(f, 5);
		send_every_form(f);
		destroy(f);
	}
}

static void test_marks_go_over_all_channels_once(void **state)
{
	uint64_t seed = 13;
	word_schema(4);
	random_edge(&seed, &specs[0], 3);
	random_edge(&seed, &specs[1], 2);
	struct fixture *f = create(seed, 2);
	for (uint32_t sent = 0; sent < 50; sent++) {
		while (exchange_mark(&f->exchange, FRAME_WATERMARK, sent, 0) != WEIR_DONE) {
			exchange_flush(&f->exchange, 0, 0);
			receive(f, random_below(&f->seed, f->channel_count));
		}
	}
	push_all(f);
	for (uint32_t c = 0; c < f->channel_count; c++)
		assert_int_equal(f->marks[c], 50);
	destroy(f);
}

static void test_open_frames_wait_until_they_are_old_enough(void **state)
{
	uint64_t seed = 17;
	word_schema(3);
	random_edge(&seed, &specs[0], 1);
	struct fixture *f = create(seed, 1);
	make_rows(f, 0);
	f->ctx.now_ns = 1000;
	struct weir_batch one = {.form = WEIR_ROWS, .rows = rows.records, .count = 1};
	assert_int_equal(exchange_operator.process(&f->exchange, &f->ctx, &one), WEIR_DONE);
	exchange_flush(&f->exchange, 1999, 1000);
	receive_all(f);
	assert_int_equal(f->got[0].bytes, 0);
	exchange_flush(&f->exchange, 2000, 1000);
	receive_all(f);
	assert_true(f->got[0].bytes > 0);
	destroy(f);
}

// A record of `bytes` bytes of text and some more is refused exactly when no frame could hold it.
static enum weir_flow send_text(bool word_key, bool passed_on, uint32_t bytes)
{
	static uint8_t text[2 * FRAME_BYTES];
	alignas(8) static uint8_t record[3 * FRAME_BYTES];
	struct record_builder b;
	word_schema(1);
	specs[0] = (struct edge_spec){.key_count = 1, .channel_count = 2};
	schema_add(&specs[0].output, "f0", WEIR_INT64, 0, 0);
	if (passed_on)
		schema_add(&specs[0].output, "extra", WEIR_STRING, 0, 0);
	specs[0].output.variant = rows.schema.variant;
	schema_layout(&specs[0].output);
	specs[0].fields[1] = 1;
	specs[0].keys[0] = word_key ? 0 : 1;
	struct fixture *f = create(1, 1);
	record_begin(&b, &rows.schema, record, sizeof(record));
	record_set_int64(&b, 0, 5);
	record_set_text(&b, 1, text, bytes);
	struct weir_batch batch = {
		.form = WEIR_PACKED, .first = record, .limit = record + record_end(&b)};
	enum weir_flow flow = exchange_operator.process(&f->exchange, &f->ctx, &batch);
	assert_int_equal(flow == WEIR_FAILED, strstr(f->ctx.error, "raise exchange.frame") != NULL);
	destroy(f);
	return flow;
}

static void test_only_what_no_frame_can_hold_is_too_large(void **state)
{
	const uint32_t fixed = 8 + 4 + 4 + 8 + 8, most = FRAME_BYTES - FRAME_HEADER_BYTES - fixed;
	for (int word_key = 0; word_key < 2; word_key++) {
		assert_int_equal(send_text(word_key, true, most), WEIR_DONE);
		assert_int_equal(send_text(word_key, true, most + 1), WEIR_FAILED);
		assert_int_equal(send_text(word_key, false, most + 1), WEIR_DONE);
	}
}

static int setup(void **state)
{
	bool huge;
	return engine_eal_start(64 << 20, &huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_with_an_int64_key),
		cmocka_unit_test(test_any_schema_fields_and_keys),
		cmocka_unit_test(test_whole_records),
		cmocka_unit_test(test_several_edges),
		cmocka_unit_test(test_marks_go_over_all_channels_once),
		cmocka_unit_test(test_open_frames_wait_until_they_are_old_enough),
		cmocka_unit_test(test_only_what_no_frame_can_hold_is_too_large),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
