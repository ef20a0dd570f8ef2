// top against a model that sorts all rows of a window; parts and their union; planning.
#include "tests/unit/operator_harness.h"

#include "dataplane/operators/top.h"

enum { ROWS = 3000, ROW_ROOM = 128, FIELD_START = 0, FIELD_END, FIELD_NAME, FIELD_NUM, FIELD_REAL };

struct case_of {
	uint32_t by, n;
	bool ascending;
	uint32_t values; // how many different there are
};

struct input {
	struct weir_schema schema;
	uint8_t *rows;
	uint32_t at[ROWS + 1];
};

static void input_make(struct input *in, struct harness *h, uint32_t values)
{
	memset(&in->schema, 0, sizeof(in->schema));
	schema_add(&in->schema, "window_start", WEIR_TIMESTAMP, 0, 0);
	schema_add(&in->schema, "window_end", WEIR_TIMESTAMP, 0, 0);
	schema_add(&in->schema, "name", WEIR_STRING, 0, 0);
	schema_add(&in->schema, "num", WEIR_INT64, 0, 0);
	schema_add(&in->schema, "real", WEIR_FLOAT64, 0, 0);
	schema_layout(&in->schema);
	in->rows = aligned_alloc(64, ROWS * ROW_ROOM);
	uint32_t at = 0;
	for (uint32_t i = 0; i < ROWS; i++) {
		struct record_builder b;
		char name[16];
		int64_t window = (int64_t)(i / 500 + harness_draw(h) % 2) * 10 - 30;
		int length = snprintf(name, sizeof(name), "%u", (uint32_t)harness_draw(h) % 1000);
		record_begin(&b, &in->schema, in->rows + at, ROW_ROOM);
		record_set_int64(&b, FIELD_START, window - 10);
		record_set_int64(&b, FIELD_END, window);
		record_set_text(&b, FIELD_NAME, name, (uint32_t)length);
		if (harness_draw(h) % 20 != 0)
			record_set_int64(&b, FIELD_NUM,
				(int64_t)(harness_draw(h) % values) - values / 2);
		record_set_float64(&b, FIELD_REAL,
			((double)(harness_draw(h) % values) - values / 2) / 4);
		in->at[i] = at;
		at += record_end(&b);
	}
	in->at[ROWS] = at;
}

static struct weir_value *params_make(const struct case_of *c)
{
	struct weir_value *params = value_make(WEIR_VALUE_MAP, NULL, NULL, 0);
	value_add(params, value_scalar("by", "num", c->by));
	value_add(params, value_scalar("n", "n", c->n));
	return value_add(params, value_scalar("order", "", c->ascending));
}

// The model.

static const struct weir_schema *model_schema;
static const struct case_of *model_case;

static double number(const uint8_t *row, uint32_t field)
{
	double real;
	if (field != FIELD_REAL)
		return (double)record_int64(row, model_schema->fields[field].offset);
	memcpy(&real, row + model_schema->fields[field].offset, sizeof(real));
	return real;
}

// By window, then rank with nulls last: what decides who is in.
static int ranked(const uint8_t *a, const uint8_t *b)
{
	uint32_t by = model_case->by;
	double end_a = number(a, FIELD_END), end_b = number(b, FIELD_END);
	if (end_a != end_b)
		return end_a < end_b ? -1 : 1;
	bool null_a = record_is_null(a, by), null_b = record_is_null(b, by);
	if (null_a || null_b)
		return null_a - null_b;
	double x = number(a, by), y = number(b, by);
	if (x == y)
		return 0;
	return (x > y) != model_case->ascending ? -1 : 1;
}

static int model_order(const void *pa, const void *pb)
{
	const uint8_t *a = *(const uint8_t *const *)pa, *b = *(const uint8_t *const *)pb;
	int order = ranked(a, b);
	struct weir_slice x = record_slice(a, model_schema->fields[FIELD_NAME].offset);
	struct weir_slice y = record_slice(b, model_schema->fields[FIELD_NAME].offset);
	if (order == 0)
		order = memcmp(x.data, y.data, x.length < y.length ? x.length : y.length);
	if (order == 0)
		order = (x.length > y.length) - (x.length < y.length);
	for (uint32_t f = FIELD_NUM; f <= FIELD_REAL && order == 0; f++) {
		bool null_a = record_is_null(a, f), null_b = record_is_null(b, f);
		order = null_b - null_a;
		if (order == 0 && !null_a)
			order = (number(a, f) > number(b, f)) - (number(a, f) < number(b, f));
	}
	return order;
}

static void model_check(const struct input *in, const struct case_of *c, const struct harness *h)
{
	static const uint8_t *rows[ROWS];
	const uint8_t *got = h->out;
	model_schema = &in->schema;
	model_case = c;
	for (uint32_t i = 0; i < ROWS; i++)
		rows[i] = in->rows + in->at[i];
	qsort(rows, ROWS, sizeof(*rows), model_order);
	uint32_t kept = 0;
	for (uint32_t i = 0, first = 0; i < ROWS; i++) {
		if (number(rows[i], FIELD_END) != number(rows[first], FIELD_END))
			first = i;
		if (i - first >= c->n && ranked(rows[first + c->n - 1], rows[i]) != 0)
			continue;
		uint32_t length = record_length(rows[i]);
		assert_true(got < h->out + h->out_bytes);
		assert_memory_equal(got, rows[i], length);
		got += length;
		kept++;
	}
	assert_int_equal(h->out_records, kept);
}

static void feed(struct harness *h, const struct input *in, uint32_t from, uint32_t to)
{
	const uint8_t *rows[BATCH_ROWS_MAX];
	struct weir_batch packed = {.form = WEIR_PACKED,
		.first = in->rows + in->at[from],
		.limit = in->rows + in->at[to],
		.schema = &in->schema};
	if (harness_draw(h) % 3 == 0) {
		harness_batch(h, &packed);
	} else if (harness_draw(h) % 2 == 0) {
		for (uint32_t i = from; i < to; i++)
			rows[i - from] = in->rows + in->at[i];
		harness_batch(h,
			&(struct weir_batch){.form = WEIR_ROWS, .count = to - from, .rows = rows});
	} else {
		static struct batch_columns columns;
		static struct arena arena;
		struct weir_batch batch;
		if (columns.data[0] == NULL)
			assert_true(arena_create(&arena, 1 << 20, -1, true) == 0 &&
				batch_columns_create(&columns, &in->schema, &arena) == 0);
		batch_gather(&packed, 31, &columns, &batch);
		harness_batch(h, &batch);
	}
}

static void run(struct harness *h, const struct input *in, bool replaced)
{
	harness_create(h, &top_kind, HARNESS_POOL_BYTES);
	h->full_percent = 20;
	for (uint32_t from = 0; from < ROWS;) {
		uint32_t to = from + 1 + (uint32_t)(harness_draw(h) % BATCH_ROWS_MAX);
		to = to < ROWS ? to : ROWS;
		feed(h, in, from, to);
		if (replaced && harness_draw(h) % 3 == 0)
			harness_replace(h);
		harness_watermark(h, (int64_t)(to / 500) * 10 - 31);
		from = to;
	}
	harness_watermark(h, INT64_MAX);
}

static const struct case_of cases[] = {{FIELD_NUM, 1, false, 50}, {FIELD_NUM, 1, false, 100000},
	{FIELD_NUM, 1, true, 50}, {FIELD_NUM, 7, false, 30}, {FIELD_NUM, 100, true, 100000},
	{FIELD_NUM, 490, false, 20}, {FIELD_NUM, 100000, false, 20}, {FIELD_REAL, 3, false, 40},
	{FIELD_REAL, 1, true, 1000}, {FIELD_END, 2, false, 10}};

static void test_equals_model(void **state)
{
	static struct harness h;
	static struct input in;
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (uint32_t replaced = 0; replaced < 2; replaced++) {
			h.seed = i * 31 + 7;
			input_make(&in, &h, cases[i].values);
			assert_int_equal(harness_plan(&h, &top_kind, params_make(&cases[i]),
						 &in.schema),
				0);
			h.seed = i + 1000 * replaced;
			run(&h, &in, replaced != 0);
			model_check(&in, &cases[i], &h);
			harness_destroy(&h);
			free(in.rows);
		}
}

// Rows whose window is given once for all, as window_aggregate emits them: the vector's way.
static void test_runs_of_one_window(void **state)
{
	static struct harness h;
	int64_t bounds[2] = {0, 10}, nums[200];
	double reals[200] = {0};
	struct weir_slice names[200];
	static struct input in;
	const struct case_of c = {FIELD_NUM, 1, false, 10};
	input_make(&in, &h, 10);
	assert_int_equal(harness_plan(&h, &top_kind, params_make(&c), &in.schema), 0);
	harness_create(&h, &top_kind, HARNESS_POOL_BYTES);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 200; i++) {
			nums[i] = i % 100 == 37 ? 1000 : (int64_t)i - 500;
			names[i] = (struct weir_slice){(const uint8_t *)"xyz" + round, 1, 0};
		}
		const struct weir_column columns[] = {{&bounds[0], NULL, 0}, {&bounds[1], NULL, 0},
			{names, NULL, sizeof(*names)}, {nums, NULL, 8}, {reals, NULL, 8}};
		harness_batch(&h,
			&(struct weir_batch){
				.form = WEIR_COLUMNS, .at = 5, .count = 200, .columns = columns});
	}
	harness_watermark(&h, 9);
	assert_int_equal(h.out_records, 0);
	harness_watermark(&h, 10);
	assert_int_equal(h.out_records, 6);
	assert_int_equal(record_int64(h.out, in.schema.fields[FIELD_NUM].offset), 1000);
	harness_destroy(&h);
	free(in.rows);
}

// Run on parts and again on the union of what comes out, it gives the same (.partial).
static void test_parts_and_union(void **state)
{
	static struct harness whole, part, both;
	static struct input in;
	const struct case_of c = {FIELD_NUM, 7, false, 30};
	input_make(&in, &whole, c.values);
	assert_int_equal(harness_plan(&whole, &top_kind, params_make(&c), &in.schema), 0);
	run(&whole, &in, false);
	assert_int_equal(harness_plan(&both, &top_kind, params_make(&c), &in.schema), 0);
	harness_create(&both, &top_kind, HARNESS_POOL_BYTES);
	for (uint32_t k = 0; k < 2; k++) {
		assert_int_equal(harness_plan(&part, &top_kind, params_make(&c), &in.schema), 0);
		harness_create(&part, &top_kind, HARNESS_POOL_BYTES);
		for (uint32_t i = k; i < ROWS; i += 2)
			feed(&part, &in, i, i + 1);
		harness_watermark(&part, INT64_MAX);
		harness_batch(&both,
			&(struct weir_batch){.form = WEIR_PACKED,
				.first = part.out,
				.limit = part.out + part.out_bytes});
		harness_destroy(&part);
	}
	harness_watermark(&both, INT64_MAX);
	assert_int_equal(whole.out_bytes, both.out_bytes);
	assert_memory_equal(whole.out, both.out, whole.out_bytes);
	harness_destroy(&both);
	harness_destroy(&whole);
	free(in.rows);
}

static void plan_fails(struct weir_value *params, const struct weir_schema *schema,
	const char *says)
{
	struct harness h;
	assert_int_equal(harness_plan(&h, &top_kind, params, schema), -EINVAL);
	if (strstr(h.error, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", h.error, says);
	top_kind.unplan(&h.plan);
}

static void test_plan_errors(void **state)
{
	struct weir_schema schema = {0}, other = {0};
	struct weir_value *list = value_make(WEIR_VALUE_LIST, "per", NULL, 0);
	const struct case_of text = {0, 1, false, 1}, num = {1, 1, false, 1};
	schema_add(&schema, "name", WEIR_STRING, 0, 0);
	schema_add(&schema, "num", WEIR_INT64, 0, 0);
	schema_layout(&schema);
	other = schema;
	plan_fails(params_make(&text), &other, "rank by a number");
	plan_fails(params_make(&num), &schema, "in `per`");
	value_add(list, value_scalar(NULL, "num", 1));
	plan_fails(value_add(params_make(&num), list), &schema, "add the window's end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equals_model),
		cmocka_unit_test(test_runs_of_one_window),
		cmocka_unit_test(test_parts_and_union),
		cmocka_unit_test(test_plan_errors),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	values_free();
	return failed;
}
