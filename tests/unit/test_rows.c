// filter and project, over batches of every form.
#include <stdalign.h>

#include "dataplane/operators/rows.h"
#include "operator_fixture.h"

enum { ROWS = 1000, RECORD_BYTES = 96 };

static struct weir_schema schema; // variant 2: number, price, text
static alignas(8) uint8_t records[2 * ROWS * RECORD_BYTES];
static const uint8_t *limit, *rows[ROWS];

// Every third record is of another variant and not for us; a number in seven is null.
static int set_up(void **state)
{
	struct weir_schema other = {.variant = 1};
	struct record_builder b;
	uint8_t *at = records;
	schema.variant = 2;
	schema_add(&schema, "number", WEIR_INT64, 0, 0);
	schema_add(&schema, "price", WEIR_DECIMAL, 10, 2);
	schema_add(&schema, "text", WEIR_STRING, 0, 0);
	schema_layout(&schema);
	schema_add(&other, "number", WEIR_INT64, 0, 0);
	schema_layout(&other);
	for (uint32_t i = 0; i < ROWS; i++) {
		rows[i] = at;
		record_begin(&b, &schema, at, RECORD_BYTES);
		if (i % 7 != 6)
			record_set_int64(&b, 0, i);
		record_set_decimal(&b, 1, i * 25);
		record_set_text(&b, 2, "abcdefgh", i % 9);
		at += record_end(&b);
		if (i % 3 != 0)
			continue;
		record_begin(&b, &other, at, RECORD_BYTES);
		record_set_int64(&b, 0, i);
		at += record_end(&b);
	}
	limit = at;
	return 0;
}

static void operator_begin(struct operator_test *t, const struct weir_operator *kind)
{
	test_begin(t, kind, &schema);
	t->writer.times_iso = false;
}

static void ready(struct operator_test *t)
{
	if (test_plan(t) != 0)
		fail_msg("%s", t->complaint);
	assert_int_equal(test_create(t), 0);
	t->plan.outputs[0].schema.variant = schema.variant;
}

// All records, in one of the three forms.
static void give(struct operator_test *t, enum weir_batch_form form)
{
	static struct batch_columns c;
	static struct weir_batch columns;
	struct weir_batch batch = {.form = form, .first = records, .limit = limit};
	if (form == WEIR_PACKED) {
		assert_int_equal(test_process(t, &batch), WEIR_DONE);
		return;
	}
	struct arena arena;
	assert_int_equal(arena_create(&arena, 1 << 20, -1, true), 0);
	assert_int_equal(batch_columns_create(&c, &schema, &arena), 0);
	for (uint32_t at = 0; at < ROWS; at += batch.count) {
		uint32_t left = ROWS - at;
		batch = (struct weir_batch){.form = WEIR_ROWS,
			.rows = rows + at,
			.schema = &schema,
			.count = left < BATCH_ROWS_MAX ? left : BATCH_ROWS_MAX};
		batch_gather(&batch, schema_all_fields(&schema), &c, &columns);
		assert_int_equal(test_process(t, form == WEIR_ROWS ? &batch : &columns), WEIR_DONE);
	}
	arena_destroy(&arena);
}

static void filtered(enum weir_batch_form form, uint32_t full_every)
{
	struct operator_test t;
	char want[1 << 16], *at = want;
	operator_begin(&t, &filter);
	param_text(&t, "where", "number % 5 = 0 and 1000 / (number - 500) < 2 or text is null");
	ready(&t);
	t.full_every = full_every;
	give(&t, form);
	uint32_t passed = 0;
	for (int i = 0; i < ROWS; i++) {
		if (i % 7 == 6 || i % 5 != 0 || i == 500 || 1000 / (i - 500) >= 2)
			continue;
		at += sprintf(at, i % 9 ? "%d,%d.%02d,%.*s\n" : "%d,%d.%02d,\"\"\n", i, i / 4,
			i % 4 * 25, i % 9, "abcdefgh");
		passed++;
	}
	assert_string_equal(test_trace(&t), want);
	assert_int_equal(test_dropped(&t, WEIR_DROP_OUT_OF_RANGE), 1);
	assert_int_equal(t.links[0].counters.records_in, ROWS);
	assert_int_equal(t.links[0].counters.records_out, passed);
	test_end(&t);
}

static void what_is_true_passes(void **state)
{
	for (uint32_t full_every = 0; full_every < 3; full_every++) {
		filtered(WEIR_PACKED, full_every);
		filtered(WEIR_ROWS, full_every);
		filtered(WEIR_COLUMNS, full_every);
	}
}

static void a_filter_that_drops_nothing_copies_nothing(void **state)
{
	struct operator_test t;
	operator_begin(&t, &filter);
	param_text(&t, "where", "price >= 0");
	ready(&t);
	static int64_t numbers[2] = {1, 2};
	static const __int128 price;
	static const struct weir_slice text;
	struct weir_column columns[] = {{numbers, NULL, 8}, {&price, NULL, 0}, {&text, NULL, 0}};
	struct weir_batch batch = {.form = WEIR_COLUMNS, .count = 2, .columns = columns};
	assert_int_equal(test_process(&t, &batch), WEIR_DONE);
	assert_ptr_equal(t.last.columns[0].data, numbers);
	assert_string_equal(test_trace(&t), "1,0.00,\"\"\n2,0.00,\"\"\n");
	test_end(&t);
}

static void projected(enum weir_batch_form form, uint32_t full_every)
{
	static const char *const fields[] = {
		"text", "text", "euro", "price * 0.9", "ratio", "1000 / (number - 70)", NULL};
	struct operator_test t;
	char *want = malloc(1 << 18), *at = want;
	operator_begin(&t, &project);
	param_pairs(&t, "fields", fields);
	ready(&t);
	t.plan.outputs[0].schema.variant = 0;
	t.full_every = full_every;
	give(&t, form);
	for (int i = 0; i < ROWS; i++) {
		if (i == 70)
			continue;
		at += sprintf(at, i % 9 ? "%.*s" : "\"\"%.*s", i % 9, "abcdefgh");
		at += sprintf(at, ",%d.%03d,", i * 225 / 1000, i * 225 % 1000);
		at += i % 7 == 6 ? sprintf(at, "\n") : sprintf(at, "%d\n", 1000 / (i - 70));
	}
	assert_string_equal(test_trace(&t), want);
	assert_int_equal(test_dropped(&t, WEIR_DROP_OUT_OF_RANGE), 1);
	assert_int_equal(t.links[0].counters.records_in, ROWS);
	assert_int_equal(t.links[0].counters.records_out, ROWS - 1);
	assert_int_equal(t.plan.fields_used, 7);
	free(want);
	test_end(&t);
}

static void fields_are_picked_and_computed(void **state)
{
	for (uint32_t full_every = 0; full_every < 3; full_every++) {
		projected(WEIR_PACKED, full_every);
		projected(WEIR_ROWS, full_every);
		projected(WEIR_COLUMNS, full_every);
	}
}

static enum weir_flow keep(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	((struct operator_test *)self)->last = *in;
	in->first = in->limit;
	return WEIR_DONE;
}

static const struct weir_operator keeper = {.process = keep};

static void the_identity_passes_batches_on_untouched(void **state)
{
	static const char *const same[] = {
		"number", "number", "price", "price", "text", "text", NULL};
	struct operator_test t;
	struct weir_batch batch = {.form = WEIR_PACKED, .first = records, .limit = limit};
	operator_begin(&t, &project);
	param_pairs(&t, "fields", same);
	assert_int_equal(test_plan(&t), 0);
	assert_true(schema_equal(&t.plan.outputs[0].schema, &schema));
	assert_int_equal(test_create(&t), 0);
	t.links[1].kind = &keeper;
	struct weir_batch in = batch;
	in.schema = &schema;
	assert_int_equal(t.kind->process(t.links[0].self, &t.links[0].ctx, &in), WEIR_DONE);
	assert_true(batch_is_empty(&in));
	assert_int_equal(t.last.form, WEIR_PACKED);
	assert_ptr_equal(t.last.first, records);
	assert_ptr_equal(t.last.limit, limit);
	test_end(&t);
}

static void another_order_or_name_is_no_identity(void **state)
{
	static const char *const renamed[] = {
		"number", "number", "cost", "price", "text", "text", NULL};
	static const char *const swapped[] = {
		"price", "price", "number", "number", "text", "text", NULL};
	static const char *const *const lists[] = {renamed, swapped};
	for (int i = 0; i < 2; i++) {
		struct operator_test t;
		operator_begin(&t, &project);
		param_pairs(&t, "fields", lists[i]);
		ready(&t);
		t.plan.outputs[0].schema.variant = 0;
		give(&t, WEIR_ROWS);
		assert_int_equal(t.last.form, WEIR_COLUMNS);
		assert_string_equal(strtok((char *)test_trace(&t), "\n"),
			i == 0 ? "0,0.00,\"\"" : "0.00,0,\"\"");
		test_end(&t);
	}
}

static void check_filter(const char *where, const char *want)
{
	struct operator_test t;
	operator_begin(&t, &filter);
	param_text(&t, "where", where);
	assert_int_equal(test_plan(&t), -EINVAL);
	assert_string_equal(t.complaint, want);
	test_end(&t);
}

static void check_project(const char *const *fields, const char *want)
{
	struct operator_test t;
	operator_begin(&t, &project);
	param_pairs(&t, "fields", fields);
	assert_int_equal(test_plan(&t), -EINVAL);
	assert_string_equal(t.complaint, want);
	test_end(&t);
}

static void mistakes_are_named(void **state)
{
	check_filter("number +", "where: at character 9: a value is missing at the end");
	check_filter("number", "where: is int64, not a condition; compare it with something");
	check_project((const char *const[]){NULL}, "fields: holds no field; list at least one");
	check_project((const char *const[]){"a", "number", "a", "price", NULL},
		"a: `a` is there twice; rename one of the two");
	check_project((const char *const[]){"a", "nosuch", NULL},
		"a: at character 1: there is no field `nosuch`; the input has number, price, text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_true_passes),
		cmocka_unit_test(a_filter_that_drops_nothing_copies_nothing),
		cmocka_unit_test(fields_are_picked_and_computed),
		cmocka_unit_test(the_identity_passes_batches_on_untouched),
		cmocka_unit_test(another_order_or_name_is_no_identity),
		cmocka_unit_test(mistakes_are_named),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
