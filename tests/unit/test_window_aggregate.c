// window_aggregate through a chain: the same result from every form of batch, whatever the cuts;
// planning, its errors, and failing with a reason. What windows hold is tests/unit/test_window.c's.
#include "tests/unit/operator_harness.h"

#include "dataplane/operators/window_aggregate.h"

enum { RECORDS = 6000, ROW_ROOM = 256, SECOND = 1000000000 };

struct input {
	struct weir_schema schema;
	uint8_t *rows; // packed, some of another variant
	uint32_t at[RECORDS + 1];
	int64_t time[RECORDS];
	uint32_t count;
};

static void schema_make(struct weir_schema *schema)
{
	memset(schema, 0, sizeof(*schema));
	schema_add(schema, "id", WEIR_INT64, 0, 0);
	schema_add(schema, "place", WEIR_STRING, 0, 0);
	schema_add(schema, "value", WEIR_INT64, 0, 0);
	schema_add(schema, "time", WEIR_TIMESTAMP, 0, 0);
	schema_add(schema, "amount", WEIR_DECIMAL, 38, 4);
	schema_add(schema, "seen", WEIR_TIMESTAMP, 0, 0);
	schema_layout(schema);
	schema->variant = 2;
}

static void input_make(struct input *in, struct harness *h, int64_t spread)
{
	schema_make(&in->schema);
	in->rows = aligned_alloc(64, RECORDS * ROW_ROOM);
	in->count = 0;
	uint32_t at = 0;
	for (uint32_t i = 0; i < RECORDS; i++) {
		struct record_builder b;
		uint64_t bits = harness_draw(h);
		struct weir_schema schema = in->schema;
		schema.variant = bits % 7 == 0 ? 1 : 2;
		in->time[i] = (int64_t)i * SECOND / 50 + (int64_t)(bits % (uint64_t)spread);
		record_begin(&b, &schema, in->rows + at, ROW_ROOM);
		if (bits % 11 != 0)
			record_set_int64(&b, 0, (int64_t)(harness_draw(h) % 1500) - 20);
		record_set_text(&b, 1, &"abcdefgh"[bits % 8], 1 + bits % 5 % (8 - bits % 8));
		if (bits % 13 != 0)
			record_set_int64(&b, 2, (int64_t)(harness_draw(h) << 20) - (1 << 30));
		record_set_int64(&b, 3, in->time[i]);
		record_set_decimal(&b, 4, bits);
		record_set_int64(&b, 5, -in->time[i]);
		in->at[i] = at;
		at += record_end(&b);
		in->count++;
	}
	in->at[in->count] = at;
}

static struct weir_value *params_make(const char *window, int64_t size, int64_t slide,
	const char *const *keys, const int *fields, uint32_t key_count)
{
	static const char *const calls[] = {
		"count()", "count(value)", "sum(value)", "min( value )", "max(value)"};
	struct weir_value *params = value_make(WEIR_VALUE_MAP, NULL, NULL, 0);
	struct weir_value *key = value_make(WEIR_VALUE_LIST, "key", NULL, 0);
	for (uint32_t i = 0; i < key_count; i++)
		value_add(key, value_scalar(NULL, keys[i], fields[i]));
	struct weir_value *map = value_make(WEIR_VALUE_MAP, "window", NULL, 0);
	value_add(map, value_scalar(window, "10s", size));
	if (slide != 0)
		value_add(map, value_scalar("slide", "2s", slide));
	struct weir_value *list = value_make(WEIR_VALUE_LIST, "aggregates", NULL, 0);
	for (uint32_t i = 0; i < 5; i++) {
		static const char *const names[] = {"a", "b", "c", "d", "e"};
		value_add(list, value_scalar(names[i], calls[i], 0));
	}
	return value_add(value_add(value_add(params, key), map), list);
}

static void feed_packed(struct harness *h, const struct input *in, uint32_t from, uint32_t to)
{
	harness_batch(h,
		&(struct weir_batch){.form = WEIR_PACKED,
			.first = in->rows + in->at[from],
			.limit = in->rows + in->at[to]});
}

static void feed_rows(struct harness *h, const struct input *in, uint32_t from, uint32_t to)
{
	const uint8_t *rows[BATCH_ROWS_MAX];
	uint32_t count = 0;
	for (uint32_t i = from; i < to; i++)
		if (record_variant(in->rows + in->at[i]) == in->schema.variant)
			rows[count++] = in->rows + in->at[i];
	harness_batch(h, &(struct weir_batch){.form = WEIR_ROWS, .count = count, .rows = rows});
}

static void feed_columns(struct harness *h, const struct input *in, uint32_t from, uint32_t to)
{
	static struct batch_columns columns;
	struct weir_batch batch,
		packed = {.form = WEIR_PACKED,
			.first = in->rows + in->at[from],
			.limit = in->rows + in->at[to],
			.schema = &in->schema};
	if (columns.data[0] == NULL) {
		static struct arena arena;
		assert_int_equal(arena_create(&arena, 1 << 20, -1, true), 0);
		assert_int_equal(batch_columns_create(&columns, &in->schema, &arena), 0);
	}
	batch_gather(&packed, 63, &columns, &batch);
	harness_batch(h, &batch);
}

typedef void feed(struct harness *h, const struct input *in, uint32_t from, uint32_t to);

static void run(struct harness *h, const struct input *in, feed *way, uint64_t seed, bool replaced,
	uint32_t groups_a_step)
{
	harness_create(h, &window_aggregate, HARNESS_POOL_BYTES);
	h->seed = seed;
	h->groups_a_step = groups_a_step;
	h->full_percent = (uint32_t)seed % 3 * 20;
	for (uint32_t from = 0; from < in->count;) {
		uint32_t to = from + 1 + (uint32_t)(harness_draw(h) % BATCH_ROWS_MAX);
		to = to < in->count ? to : in->count;
		way(h, in, from, to);
		if (replaced && harness_draw(h) % 4 == 0)
			harness_replace(h);
		// A mark per 500 records, whatever the cuts.
		if (to / 500 != from / 500)
			harness_watermark(h, (int64_t)(to / 500 * 500) * SECOND / 50);
		from = to;
	}
	harness_watermark(h, INT64_MAX);
}

static void same_output(const struct harness *a, const struct harness *b)
{
	assert_int_equal(a->out_records, b->out_records);
	assert_int_equal(a->out_bytes, b->out_bytes);
	assert_memory_equal(a->out, b->out, a->out_bytes);
}

static void forms_agree(struct weir_value *params, int64_t spread)
{
	static struct harness first, other;
	static struct input in;
	first.seed = 5;
	input_make(&in, &first, spread);
	assert_int_equal(harness_plan(&first, &window_aggregate, params, &in.schema), 0);
	run(&first, &in, feed_packed, 3, false, 0);
	assert_true(first.out_records > 1000);
	feed *const ways[] = {feed_packed, feed_rows, feed_columns, feed_packed, feed_rows};
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(harness_plan(&other, &window_aggregate, params, &in.schema), 0);
		run(&other, &in, ways[i], 3 + i, i >= 3, 0);
		same_output(&first, &other);
		harness_destroy(&other);
	}
	static const uint32_t paces[] = {1, 7, 100, 5000};
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(harness_plan(&other, &window_aggregate, params, &in.schema), 0);
		run(&other, &in, ways[i], 8 + i, true, paces[i]);
		same_output(&first, &other);
		assert_true(other.load.needed != 0);
		assert_true(other.batches_early != 0);
		harness_destroy(&other);
	}
	harness_destroy(&first);
	free(in.rows);
}

static void test_forms_agree_int64_key(void **state)
{
	forms_agree(params_make("hopping", 10ll * SECOND, 2ll * SECOND, (const char *[]){"id"},
			    (int[]){0}, 1),
		2);
	forms_agree(params_make("tumbling", 10ll * SECOND, 0, (const char *[]){"id"}, (int[]){0},
			    1),
		2);
	forms_agree(params_make("hopping", 10ll * SECOND, 2ll * SECOND, (const char *[]){"id"},
			    (int[]){0}, 1),
		9ll * SECOND);
}

static struct weir_value *params_with(const char *call, int64_t size, int64_t slide)
{
	struct weir_value *params = params_make(slide == 0 ? "tumbling" : "hopping", size, slide,
		(const char *[]){"id"}, (int[]){0}, 1);
	value_add(params->items[2], value_scalar("f", call, 0));
	return params;
}

// Which panes with entries appended do not serve.
static void test_forms_agree_decimal_sum(void **state)
{
	forms_agree(params_with("sum(amount)", 10ll * SECOND, 2ll * SECOND), 2);
	forms_agree(params_with("sum(amount)", 10ll * SECOND, 0), 9ll * SECOND);
}

static void test_forms_agree_text_keys(void **state)
{
	forms_agree(params_make("hopping", 20ll * SECOND, 2ll * SECOND,
			    (const char *[]){"place", "id"}, (int[]){1, 0}, 2),
		2);
}

// The one record of a group, as it comes out: bounds, key, aggregates.
static void test_values(void **state)
{
	struct harness h;
	struct weir_schema schema;
	struct record_builder b;
	uint8_t row[ROW_ROOM] __attribute__((aligned(8)));
	schema_make(&schema);
	struct weir_value *params = params_make("tumbling", 10ll * SECOND, 0,
		(const char *[]){"place", "id"}, (int[]){1, 0}, 2);
	assert_int_equal(harness_plan(&h, &window_aggregate, params, &schema), 0);
	assert_int_equal(h.plan.key_count, 2);
	assert_int_equal(h.plan.keys[0], 1);
	assert_int_equal(h.plan.fields_used, 1 | 2 | 4 | 8);
	harness_create(&h, &window_aggregate, HARNESS_POOL_BYTES);
	record_begin(&b, &schema, row, sizeof(row));
	record_set_text(&b, 1, "JFK", 3);
	record_set_int64(&b, 3, -1);
	uint32_t length = record_end(&b);
	harness_batch(&h,
		&(struct weir_batch){.form = WEIR_PACKED, .first = row, .limit = row + length});
	harness_watermark(&h, -1);
	assert_int_equal(h.out_records, 0);
	harness_watermark(&h, 0);
	assert_int_equal(h.out_records, 1);
	const struct weir_schema *out = &h.plan.outputs[0].schema;
	assert_int_equal(record_int64(h.out, out->fields[0].offset), -10ll * SECOND);
	assert_int_equal(record_int64(h.out, out->fields[1].offset), 0);
	struct weir_slice place = record_slice(h.out, out->fields[2].offset);
	assert_int_equal(place.length, 3);
	assert_memory_equal(place.data, "JFK", 3);
	assert_true(record_is_null(h.out, 3));
	assert_int_equal(record_int64(h.out, out->fields[4].offset), 1);
	assert_int_equal(record_int64(h.out, out->fields[5].offset), 0);
	assert_true(record_is_null(h.out, 6) && record_is_null(h.out, 7));
	assert_int_equal(out->fields[6].type, WEIR_DECIMAL);
	harness_destroy(&h);
}

static void test_plan_errors(void **state)
{
	static const struct {
		const char *call;
		int64_t size, slide;
		const char *says;
	} wrong[] = {
		{"median(value)", 10, 0, "no aggregate"},
		{"sum", 10, 0, "no aggregate"},
		{"sum(value) + 1", 10, 0, "no aggregate"},
		{"sum()", 10, 0, "no field"},
		{"sum(valu)", 10, 0, "it has id, place, value"},
		{"sum(place)", 10, 0, "none of a string"},
		{"avg(time)", 10, 0, "none of a timestamp"},
		{"count()", 10, 3, "does not divide"},
		{"count()", 1ll << 40, 1, "less than 1/"},
	};
	struct weir_schema schema;
	struct harness h;
	schema_make(&schema);
	for (uint32_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct weir_value *params =
			params_with(wrong[i].call, wrong[i].size, wrong[i].slide);
		assert_int_equal(harness_plan(&h, &window_aggregate, params, &schema), -EINVAL);
		if (strstr(h.error, wrong[i].says) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", h.error, wrong[i].says);
		window_aggregate.unplan(&h.plan);
	}
}

static void test_plan_error_of_a_name_twice(void **state)
{
	struct weir_schema schema;
	struct harness h;
	schema_make(&schema);
	struct weir_value *params = params_with("count()", 10, 0);
	value_add(params->items[2], value_scalar("window_end", "count()", 0));
	assert_int_equal(harness_plan(&h, &window_aggregate, params, &schema), -EINVAL);
	assert_non_null(strstr(h.error, "another name"));
	window_aggregate.unplan(&h.plan);
}

// The source's event time, else the first timestamp, else what `time` says.
static void test_time_field(void **state)
{
	struct weir_schema schema;
	struct harness h;
	schema_make(&schema);
	struct weir_value *params = params_with("count()", 10, 0);
	assert_int_equal(harness_plan(&h, &window_aggregate, params, &schema), 0);
	assert_int_equal(h.plan.fields_used & (8 | 32), 8);
	window_aggregate.unplan(&h.plan);
	struct weir_value *event_time = value_make(WEIR_VALUE_MAP, "event_time", NULL, 0);
	value_add(event_time, value_scalar("field", "seen", 0));
	struct weir_plan source = {
		.params = value_add(value_make(WEIR_VALUE_MAP, NULL, NULL, 0), event_time)};
	h.plan = (struct weir_plan){.params = params,
		.input = &schema,
		.id = "it",
		.upstream = &source,
		.error = harness_error,
		.error_sink = &h};
	assert_int_equal(window_aggregate.plan(&h.plan), 0);
	assert_int_equal(h.plan.fields_used & (8 | 32), 32);
	window_aggregate.unplan(&h.plan);
	value_add(params, value_scalar("time", "id", 0));
	assert_int_equal(harness_plan(&h, &window_aggregate, params, &schema), -EINVAL);
	assert_non_null(strstr(h.error, "no timestamp"));
	window_aggregate.unplan(&h.plan);
}

static void test_exhausted_memory_is_said(void **state)
{
	static struct harness h;
	static struct input in;
	input_make(&in, &h, 2);
	struct weir_value *params =
		params_make("tumbling", 1ll << 50, 0, (const char *[]){"id"}, (int[]){0}, 1);
	assert_int_equal(harness_plan(&h, &window_aggregate, params, &in.schema), 0);
	harness_create(&h, &window_aggregate, 32768);
	const struct weir_batch batch = {
		.form = WEIR_PACKED, .first = in.rows, .limit = in.rows + in.at[in.count]};
	assert_int_equal(chain_batch(h.links, &batch), WEIR_FAILED);
	assert_non_null(strstr(h.links[0].ctx.error, "workers.state_memory"));
	harness_destroy(&h);
	free(in.rows);
}

static void test_sum_beyond_38_digits_fails(void **state)
{
	struct harness h;
	struct weir_schema schema;
	uint8_t rows[4 * ROW_ROOM] __attribute__((aligned(8)));
	uint32_t at = 0;
	schema_make(&schema);
	assert_int_equal(harness_plan(&h, &window_aggregate, params_with("sum(amount)", 10, 0),
				 &schema),
		0);
	harness_create(&h, &window_aggregate, HARNESS_POOL_BYTES);
	for (uint32_t i = 0; i < 2; i++) {
		struct record_builder b;
		__int128 most = 1;
		for (int digits = 0; digits < 38; digits++)
			most *= 10;
		record_begin(&b, &schema, rows + at, ROW_ROOM);
		record_set_text(&b, 1, "", 0);
		record_set_int64(&b, 3, 5);
		record_set_decimal(&b, 4, most - 1);
		at += record_end(&b);
	}
	harness_batch(&h,
		&(struct weir_batch){.form = WEIR_PACKED, .first = rows, .limit = rows + at});
	assert_int_equal(chain_watermark(h.links, 10), WEIR_FAILED);
	assert_non_null(strstr(h.links[0].ctx.error, "f leaves the range"));
	harness_destroy(&h);
}

static void test_late_and_timeless_records_are_counted(void **state)
{
	struct harness h;
	struct weir_schema schema;
	struct record_builder b;
	uint8_t row[ROW_ROOM] __attribute__((aligned(8)));
	schema_make(&schema);
	assert_int_equal(harness_plan(&h, &window_aggregate, params_with("count()", 10, 0),
				 &schema),
		0);
	harness_create(&h, &window_aggregate, HARNESS_POOL_BYTES);
	harness_watermark(&h, 100);
	for (uint32_t i = 0; i < 3; i++) {
		record_begin(&b, &schema, row, sizeof(row));
		record_set_int64(&b, 0, 1);
		record_set_text(&b, 1, "", 0);
		if (i > 0)
			record_set_int64(&b, 3, i == 1 ? 99 : 100);
		uint32_t length = record_end(&b);
		harness_batch(&h,
			&(struct weir_batch){
				.form = WEIR_PACKED, .first = row, .limit = row + length});
	}
	assert_int_equal(h.links[0].counters.dropped[WEIR_DROP_LATE], 1);
	assert_int_equal(h.links[0].counters.dropped[WEIR_DROP_OUT_OF_RANGE], 1);
	harness_watermark(&h, INT64_MAX);
	assert_int_equal(h.out_records, 1);
	harness_destroy(&h);
}

static void feed_keys(struct harness *h, const struct weir_schema *schema, uint32_t keys)
{
	static uint8_t row[ROW_ROOM] __attribute__((aligned(8)));
	for (uint32_t i = 0; i < keys; i++) {
		struct record_builder b;
		record_begin(&b, schema, row, sizeof(row));
		record_set_int64(&b, 0, i);
		record_set_text(&b, 1, "", 0);
		record_set_int64(&b, 3, 5);
		uint32_t length = record_end(&b);
		harness_batch(h,
			&(struct weir_batch){
				.form = WEIR_PACKED, .first = row, .limit = row + length});
	}
}

// Of tumbling windows entries are merged first, of hopping ones folded; either takes as many parts
// as giving out the rows.
static void fires_in_parts(int64_t size, int64_t slide, uint32_t keys)
{
	struct harness h;
	struct weir_schema schema;
	uint32_t parts = 0, before = 0;
	const char *kind = slide == 0 ? "tumbling" : "hopping";
	schema_make(&schema);
	assert_int_equal(harness_plan(&h, &window_aggregate,
				 params_make(kind, size, slide, (const char *[]){"id"}, (int[]){0},
					 1),
				 &schema),
		0);
	harness_create(&h, &window_aggregate, HARNESS_POOL_BYTES);
	feed_keys(&h, &schema, keys);
	h.links[0].ctx.goes_on = false;
	enum weir_flow flow = chain_watermark(h.links, 10);
	for (; flow == WEIR_FULL; parts++) {
		assert_true(h.links[0].ctx.goes_on);
		assert_true(h.out_records - before <= 2 * BATCH_ROWS_MAX);
		before = h.out_records;
		h.links[0].ctx.goes_on = false;
		flow = chain_resume(h.links, 2);
	}
	assert_int_equal(flow, WEIR_DONE);
	assert_int_equal(h.out_records, keys);
	assert_in_range(parts, 2 * keys / (2 * BATCH_ROWS_MAX),
		2 * keys / (2 * BATCH_ROWS_MAX) + 1);
	harness_destroy(&h);
}

static void test_a_window_fires_in_parts(void **state)
{
	fires_in_parts(10, 0, 14 * BATCH_ROWS_MAX);
	fires_in_parts(20, 10, 14 * BATCH_ROWS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms_agree_int64_key),
		cmocka_unit_test(test_forms_agree_decimal_sum),
		cmocka_unit_test(test_forms_agree_text_keys),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_plan_errors),
		cmocka_unit_test(test_plan_error_of_a_name_twice),
		cmocka_unit_test(test_time_field),
		cmocka_unit_test(test_exhausted_memory_is_said),
		cmocka_unit_test(test_sum_beyond_38_digits_fails),
		cmocka_unit_test(test_late_and_timeless_records_are_counted),
		cmocka_unit_test(test_a_window_fires_in_parts),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	values_free();
	return failed;
}
