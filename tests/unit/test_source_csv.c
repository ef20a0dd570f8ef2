#include <time.h>
#include <zstd.h>

#include "dataplane/operators/source_csv.h"
#include "operator_fixture.h"

enum { AUTO, FAIL = 0, YES, SKIP = 1, NO, ROUTE = 2 };

// A source of `t: timestamp, n: int64`, out of order by at most 10 ns.
static void source_begin(struct operator_test *t, const char *path, int header, int on_error)
{
	static const char *const schema[] = {"t", "timestamp", "n", "int64", NULL};
	test_begin(t, &source_csv, NULL);
	param_text(t, "path", path);
	param_pairs(t, "schema", schema);
	struct weir_value *time = value_new(t, &t->map, "event_time", NULL, 0);
	time->kind = WEIR_VALUE_MAP;
	value_new(t, time, "field", "t", 0);
	value_new(t, time, "out_of_order", "", 10000000000);
	param_int(t, "header", header);
	param_int(t, "on_error", on_error);
	if (test_plan(t) != 0)
		fail_msg("%s", t->complaint);
}

static void source_ready(struct operator_test *t, const char *path, int header, int on_error)
{
	source_begin(t, path, header, on_error);
	if (test_create(t) != 0)
		fail_msg("%s", test_error(t));
}

static const char *run_to_end(struct operator_test *t, uint64_t records_max)
{
	enum weir_flow flow;
	do
		flow = test_produce(t, records_max);
	while (flow == WEIR_DONE || flow == WEIR_FULL);
	assert_int_equal(flow, WEIR_END);
	return test_trace(t);
}

static void check_run(const char *text, int header, int on_error, const char *want)
{
	struct operator_test t;
	file_text("in.csv", text);
	source_ready(&t, "in.csv", header, on_error);
	assert_string_equal(run_to_end(&t, 1000), want);
	test_end(&t);
}

static void headers_are_found_or_not(void **state)
{
	static const char row[] = "1970-01-01T00:00:01Z,5\n";
	check_run("t,n\n1000,5\n", AUTO, FAIL, row);
	check_run("t,n\r\n1000,5\r\n", AUTO, FAIL, row);
	check_run("\xEF\xBB\xBFt,n\n1000,5", AUTO, FAIL, row);
	check_run("\xEF\xBB\xBF"
		  "1000,5",
		AUTO, FAIL, row);
	check_run("1000,5", AUTO, FAIL, row);
	check_run("1000,5", NO, FAIL, row);
	check_run("n,x,t\n5,7,1000\n", AUTO, FAIL, row);
	check_run("\"n\",x,t\n5,7,1000\n", YES, FAIL, row);
	check_run("t,n\n", AUTO, FAIL, "");
	check_run("t,n", YES, FAIL, "");
	check_run("", NO, FAIL, "");
	check_run("t,n\n1000,5\n", NO, SKIP, row);
}

static void check_create_fails(const char *path, int header, const char *want)
{
	struct operator_test t;
	source_begin(&t, path, header, FAIL);
	assert_true(test_create(&t) < 0);
	if (strstr(test_error(&t), want) == NULL)
		fail_msg("%s: `%s` lacks `%s`", path, test_error(&t), want);
	assert_int_equal(strncmp(test_error(&t), path, strlen(path)), 0);
	test_end(&t);
}

static void a_bad_file_is_refused_at_once(void **state)
{
	file_text("empty.csv", "");
	file_text("other.csv", "t,m\n1000,5\n");
	file_text("twice.csv", "t,n,t\n1000,5,1000\n");
	file_text("quote.csv", "t,\"n\n");
	file_text("secret.csv", "t,n\n");
	file_write("cut.zst", "\x28\xB5\x2F\xFD\x04", 5);
	file_write("bad.zst",
		"\x28\xB5\x2F\xFD"
		"nothing that zstd knows",
		20);
	assert_int_equal(mkdir("folder", 0777), 0);
	assert_int_equal(mkfifo("pipe", 0666), 0);
	check_create_fails("missing.csv", AUTO, "there is no such file");
	check_create_fails("no/such/folder.csv", AUTO, "there is no such file");
	check_create_fails("folder", AUTO, "is a directory");
	check_create_fails("pipe", AUTO, "is no regular file");
	check_create_fails("empty.csv", AUTO, "is empty");
	check_create_fails("empty.csv", YES, "is empty");
	check_create_fails("other.csv", YES, ":1: the header has no column `n`");
	check_create_fails("twice.csv", AUTO, ":1: two columns are named `t`");
	check_create_fails("quote.csv", YES, ":1: the header is malformed");
	check_create_fails("cut.zst", AUTO, "ends in the middle of a zstd frame, at byte 5");
	check_create_fails("bad.zst", AUTO, "damaged zstd data");
	if (geteuid() != 0) {
		assert_int_equal(chmod("secret.csv", 0), 0);
		check_create_fails("secret.csv", AUTO, "may not be read");
	}
}

// One row of each class, good ones between.
static const char bad_rows[] = "t,n\n"
			       "1000,1\n"                    // 2
			       "1000,2,3\n"                  // malformed
			       "1000\n"                      // malformed
			       "\n"                          // malformed
			       "1000,\"4\n5\"x\n"            // malformed, two lines
			       ",6\n"                        // malformed: no time
			       "1000,seven\n"                // 9: wrong type
			       "then,8\n"                    // wrong type
			       "1000,99999999999999999999\n" // out of range
			       "2000-99-99,10\n"             // wrong type
			       "30000,11\n"                  // 13
			       "19999,12\n"                  // late
			       "20000,13\n"                  // 15
			       "29999,14";

static void bad_rows_are_skipped_and_counted(void **state)
{
	struct operator_test t;
	file_text("bad.csv", bad_rows);
	source_ready(&t, "bad.csv", AUTO, SKIP);
	assert_string_equal(run_to_end(&t, 1000),
		"1970-01-01T00:00:01Z,1\n1970-01-01T00:00:30Z,11\n1970-01-01T00:00:20Z,13\n"
		"1970-01-01T00:00:29.999Z,14\n");
	assert_int_equal(test_dropped(&t, WEIR_DROP_MALFORMED), 5);
	assert_int_equal(test_dropped(&t, WEIR_DROP_WRONG_TYPE), 3);
	assert_int_equal(test_dropped(&t, WEIR_DROP_OUT_OF_RANGE), 1);
	assert_int_equal(test_dropped(&t, WEIR_DROP_LATE), 1);
	assert_int_equal(t.plan.output_count, 1);
	test_end(&t);
}

static void bad_rows_are_routed_with_line_reason_and_text(void **state)
{
	struct operator_test t;
	file_text("bad.csv", bad_rows);
	source_ready(&t, "bad.csv", AUTO, ROUTE);
	assert_string_equal(run_to_end(&t, 1),
		"1970-01-01T00:00:01Z,1\n"
		"! 3,malformed,\"1000,2,3\"\n"
		"! 4,malformed,1000\n"
		"! 5,malformed,\"\"\n"
		"! 6,malformed,\"1000,\"\"4\n5\"\"x\"\n"
		"! 8,malformed,\",6\"\n"
		"! 9,wrong_type,\"1000,seven\"\n"
		"! 10,wrong_type,\"then,8\"\n"
		"! 11,out_of_range,\"1000,99999999999999999999\"\n"
		"! 12,wrong_type,\"2000-99-99,10\"\n"
		"1970-01-01T00:00:30Z,11\n"
		"! 14,late,\"19999,12\"\n"
		"1970-01-01T00:00:20Z,13\n"
		"1970-01-01T00:00:29.999Z,14\n");
	assert_int_equal(t.links[0].ctx.produced, 14);
	assert_int_equal(t.plan.output_count, 2);
	assert_string_equal(t.plan.outputs[1].name, "rejects");
	test_end(&t);
}

struct figure {
	struct weir_reporter reporter;
	uint64_t malformed, late, others;
};

static void add_figure(struct weir_reporter *reporter, const char *name, uint64_t value)
{
	struct figure *f = (struct figure *)reporter;
	if (strcmp(name, "first_line_malformed") == 0)
		f->malformed = value;
	else if (strcmp(name, "first_line_late") == 0)
		f->late = value;
	else
		f->others++;
}

static void the_first_line_of_each_reason_is_reported(void **state)
{
	struct operator_test t;
	struct figure f = {.reporter = {add_figure}};
	file_text("bad.csv", bad_rows);
	source_ready(&t, "bad.csv", AUTO, SKIP);
	run_to_end(&t, 1000);
	source_csv.report(t.links[0].self, &f.reporter);
	assert_int_equal(f.malformed, 3);
	assert_int_equal(f.late, 14);
	assert_int_equal(f.others, 2);
	test_end(&t);
}

static void a_bad_row_stops_the_job_where_it_shall(void **state)
{
	static const struct {
		const char *text, *want;
	} table[] = {
		{"t,n\n1,1\n1,x\n", "in.csv:3: n (int64): `x` is not of the field's type"},
		{"t,n\n1,\xff\n", "in.csv:2: n (int64): `…` is not of the field's type"},
		{"t,n\n1,1,1\n", "in.csv:2: the line has not the schema's fields"},
		{"t,n\n\"1,1\n1,1\n", "in.csv:2: the line has not the schema's fields"},
		{"t,n\n,1\n", "in.csv:2: t (timestamp): `` is empty, but it is the event time"},
		{"t,n\n1,1\n20000,1\n9999,1\n", "in.csv:4: the record is earlier than"},
		{"t,n\n9223372036855,1\n",
			"in.csv:2: t (timestamp): `9223372036855` is out of the type's range"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct operator_test t;
		enum weir_flow flow;
		file_text("in.csv", table[i].text);
		source_ready(&t, "in.csv", AUTO, FAIL);
		while ((flow = test_produce(&t, 1)) == WEIR_DONE)
			;
		assert_int_equal(flow, WEIR_FAILED);
		if (strncmp(test_error(&t), table[i].want, strlen(table[i].want)) != 0)
			fail_msg("`%s`, not `%s`", test_error(&t), table[i].want);
		assert_non_null(strstr(test_error(&t), "on_error: skip"));
		test_end(&t);
	}
}

// Rows out of order, some late, some bad, over several watermarks.
static void write_mixed(const char *name, uint32_t rows)
{
	char *text = malloc(64 + (size_t)rows * 40), *at = text;
	uint32_t random = 1;
	at += sprintf(at, "t,n\n");
	for (uint32_t i = 0; i < rows; i++) {
		random = random * 1664525 + 1013904223;
		int jitter = (int)(random >> 16) % (random >> 30 ? 9000 : 14000);
		if (i % 97 == 96)
			at += sprintf(at, "%u,bad\n", i);
		else
			at += sprintf(at, "%d,%u\n", (int)(100000 + i * 100 - jitter), i);
	}
	file_write(name, text, (size_t)(at - text));
	free(text);
}

static void compress(const char *name, const char *into, size_t frame_bytes)
{
	FILE *f = fopen(name, "rb");
	char *text = malloc(16 << 20), *packed = malloc(16 << 20);
	size_t bytes = fread(text, 1, 16 << 20, f), used = 0;
	fclose(f);
	for (size_t at = 0; at < bytes; at += frame_bytes) {
		size_t part = bytes - at < frame_bytes ? bytes - at : frame_bytes;
		size_t done = ZSTD_compress(packed + used, (16 << 20) - used, text + at, part, 3);
		assert_false(ZSTD_isError(done));
		used += done;
	}
	file_write(into, packed, used);
	free(text);
	free(packed);
}

static char *run_whole(const char *path, uint64_t records_max, uint32_t full_every)
{
	struct operator_test t;
	source_ready(&t, path, AUTO, ROUTE);
	t.full_every = full_every;
	char *trace = strdup(run_to_end(&t, records_max));
	test_end(&t);
	return trace;
}

static void what_is_emitted_does_not_depend_on_cuts(void **state)
{
	write_mixed("mixed.csv", 5000);
	compress("mixed.csv", "mixed.zst", SIZE_MAX / 2);
	compress("mixed.csv", "frames.zst", 1000);
	char *want = run_whole("mixed.csv", 1000, 0);
	assert_non_null(strstr(want, "late"));
	assert_non_null(strstr(want, "\n@"));
	static const struct {
		const char *path;
		uint64_t records_max;
		uint32_t full_every;
	} table[] = {{"mixed.csv", 1, 0}, {"mixed.csv", 7, 3}, {"mixed.csv", 256, 1},
		{"mixed.csv", 255, 2}, {"mixed.csv", 100000, 1}, {"mixed.zst", 1000, 0},
		{"frames.zst", 13, 2}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char *got = run_whole(table[i].path, table[i].records_max, table[i].full_every);
		if (strcmp(got, want) != 0)
			fail_msg("cut %zu emits something else", i);
		free(got);
	}
	free(want);
}

// Every watermark promises what follows; every mark is as late as the bound allows.
static void watermarks_hold(void **state)
{
	write_mixed("mixed.csv", 5000);
	struct operator_test t;
	source_ready(&t, "mixed.csv", AUTO, SKIP);
	char *line, *save, *trace = strdup(run_to_end(&t, 64));
	long long mark = INT64_MIN, marks = 0, time_max = INT64_MIN;
	uint32_t records = 0;
	for (line = strtok_r(trace, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line == '@') {
			assert_int_equal(records % SOURCE_CSV_MARK_RECORDS, 0);
			assert_true(atoll(line + 1) > mark);
			mark = atoll(line + 1);
			assert_true(mark == time_max - 10000000000);
			marks++;
			continue;
		}
		struct tm tm = {0};
		char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &tm);
		assert_non_null(rest);
		long long time = timegm(&tm) * 1000000000LL;
		if (*rest == '.')
			time += atoi(rest + 1) * 1000000LL;
		assert_true(time >= mark);
		time_max = time > time_max ? time : time_max;
		records++;
	}
	assert_int_equal(marks, (records - 1) / SOURCE_CSV_MARK_RECORDS);
	free(trace);
	test_end(&t);
}

static void resume(struct operator_test *to, const struct operator_test *from)
{
	static uint8_t memory[SNAPSHOT_BLOCK_BYTES * 2];
	struct snapshot_writer w;
	struct snapshot_reader r;
	size_t bytes;
	uint32_t version;
	snapshot_begin(&w, memory, sizeof(memory));
	snapshot_section(&w, "source", source_csv.state_version);
	source_csv.snapshot(from->links[0].self, &w);
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	assert_int_equal(snapshot_open(&r, memory, bytes), 0);
	assert_int_equal(snapshot_find(&r, "source", &version), 0);
	assert_int_equal(source_csv.restore(to->links[0].self, &to->links[0].ctx, &r), 0);
}

static void a_restored_source_goes_on_where_the_other_was(void **state)
{
	static const char *const paths[] = {"mixed.csv", "mixed.zst", "frames.zst"};
	write_mixed("mixed.csv", 2000);
	compress("mixed.csv", "mixed.zst", SIZE_MAX / 2);
	compress("mixed.csv", "frames.zst", 1000);
	char *want = run_whole("mixed.csv", 1000, 0);
	for (size_t p = 0; p < 3; p++)
		for (uint64_t cut = 1; cut < 700; cut += 51) {
			struct operator_test first, second;
			source_ready(&first, paths[p], AUTO, ROUTE);
			first.full_every = cut % 2;
			while (first.links[0].ctx.produced < cut)
				test_produce(&first, cut - first.links[0].ctx.produced);
			source_ready(&second, paths[p], AUTO, ROUTE);
			test_produce(&second, 99); // it has been elsewhere
			second.trace.used = 0;
			resume(&second, &first);
			const char *head = test_trace(&first), *tail = run_to_end(&second, 64);
			if (strncmp(want, head, strlen(head)) != 0 ||
				strcmp(want + strlen(head), tail) != 0)
				fail_msg("%s cut at %d goes on elsewhere", paths[p], (int)cut);
			test_end(&first);
			test_end(&second);
		}
	free(want);
}

static void a_file_that_shrinks_is_noticed(void **state)
{
	struct operator_test t;
	enum weir_flow flow;
	write_mixed("mixed.csv", 200000); // more than one block
	source_ready(&t, "mixed.csv", AUTO, SKIP);
	assert_int_equal(test_produce(&t, 10), WEIR_DONE);
	assert_int_equal(truncate("mixed.csv", 2000000), 0);
	while ((flow = test_produce(&t, 1000)) == WEIR_DONE)
		;
	assert_int_equal(flow, WEIR_FAILED);
	assert_non_null(strstr(test_error(&t), "mixed.csv: ends at byte 2000000 but had"));
	test_end(&t);
}

static void what_is_appended_later_does_not_count(void **state)
{
	struct operator_test t;
	file_text("in.csv", "t,n\n1,1\n1,2\n");
	source_ready(&t, "in.csv", AUTO, FAIL);
	test_produce(&t, 1);
	FILE *f = fopen("in.csv", "ab");
	fputs("1,3\n", f);
	fclose(f);
	assert_string_equal(run_to_end(&t, 10),
		"1970-01-01T00:00:00.001Z,1\n1970-01-01T00:00:00.001Z,2\n");
	test_end(&t);
}

static void restoring_on_a_shorter_file_fails(void **state)
{
	static uint8_t memory[SNAPSHOT_BLOCK_BYTES * 2];
	struct operator_test first, second;
	struct snapshot_writer w;
	struct snapshot_reader r;
	size_t bytes;
	uint32_t version;
	file_text("in.csv", "t,n\n1,1\n1,2\n");
	source_ready(&first, "in.csv", AUTO, FAIL);
	snapshot_begin(&w, memory, sizeof(memory));
	snapshot_section(&w, "source", 1);
	source_csv.snapshot(first.links[0].self, &w);
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	file_text("in.csv", "t,n\n1,1\n");
	source_ready(&second, "in.csv", AUTO, FAIL);
	assert_int_equal(snapshot_open(&r, memory, bytes), 0);
	assert_int_equal(snapshot_find(&r, "source", &version), 0);
	assert_true(source_csv.restore(second.links[0].self, &second.links[0].ctx, &r) < 0);
	assert_non_null(strstr(test_error(&second), "put the old file back"));
	test_end(&first);
	test_end(&second);
}

static void damaged_zstd_stops_the_job(void **state)
{
	struct operator_test t;
	enum weir_flow flow;
	struct stat st;
	write_mixed("mixed.csv", 200000);
	compress("mixed.csv", "whole.zst", 1 << 19);
	assert_int_equal(stat("whole.zst", &st), 0);
	assert_int_equal(truncate("whole.zst", st.st_size - 3), 0);
	source_ready(&t, "whole.zst", AUTO, SKIP);
	while ((flow = test_produce(&t, 1000)) == WEIR_DONE)
		;
	assert_int_equal(flow, WEIR_FAILED);
	assert_non_null(strstr(test_error(&t), "whole.zst: ends in the middle of a zstd frame"));
	test_end(&t);
}

static void a_row_above_a_mebibyte_is_one_reject(void **state)
{
	struct operator_test t;
	char *text = malloc(4 << 20);
	size_t used = (size_t)sprintf(text, "t,n\n1000,1\n");
	memset(text + used, '7', 3 << 20);
	memcpy(text + used + (3 << 20), "\n1000,2\n", 9);
	file_text("huge.csv", text);
	source_ready(&t, "huge.csv", AUTO, ROUTE);
	const char *trace = run_to_end(&t, 1000);
	assert_int_equal(test_dropped(&t, WEIR_DROP_TOO_LARGE), 1);
	assert_non_null(strstr(trace, "! 3,too_large,7777"));
	assert_int_equal(strcmp(trace + strlen(trace) - 23, "1970-01-01T00:00:01Z,2\n"), 0);
	test_end(&t);
	free(text);
}

static void records_max_of_nothing_emits_at_most_a_mark(void **state)
{
	struct operator_test t;
	file_text("in.csv", "t,n\n1,1\n");
	source_ready(&t, "in.csv", AUTO, FAIL);
	assert_int_equal(test_produce(&t, 0), WEIR_DONE);
	assert_int_equal(t.links[0].ctx.produced, 0);
	assert_string_equal(run_to_end(&t, 5), "1970-01-01T00:00:00.001Z,1\n");
	assert_int_equal(test_produce(&t, 0), WEIR_END);
	test_end(&t);
}

static void pace_changes_only_when(void **state)
{
	struct operator_test t;
	write_mixed("mixed.csv", 1000);
	char *want = run_whole("mixed.csv", 1000, 0);
	source_begin(&t, "mixed.csv", AUTO, ROUTE);
	source_csv.unplan(&t.plan);
	param_int(&t, "pace", 1000);
	assert_int_equal(test_plan(&t), 0);
	assert_int_equal(test_create(&t), 0);
	struct weir_context *ctx = &t.links[0].ctx;
	ctx->start_ns = ctx->now_ns = 777;
	assert_int_equal(test_produce(&t, 100), WEIR_IDLE);
	assert_true(ctx->deadline_ns > ctx->now_ns);
	ctx->now_ns = ctx->start_ns + 100000000;
	enum weir_flow flow;
	while ((flow = test_produce(&t, 64)) == WEIR_DONE)
		;
	assert_int_equal(flow, WEIR_IDLE);
	assert_in_range(ctx->produced, 80, 101); // the first is due a little after the start
	while (flow != WEIR_END) {
		flow = test_produce(&t, 64);
		if (flow == WEIR_IDLE)
			ctx->now_ns = ctx->deadline_ns;
	}
	assert_string_equal(test_trace(&t), want);
	assert_in_range(ctx->now_ns, 990000000, 1030000000);
	free(want);
	test_end(&t);
}

static void check_complaint(const char *const *schema, const char *field, const char *want)
{
	struct operator_test t;
	test_begin(&t, &source_csv, NULL);
	param_text(&t, "path", "x.csv");
	param_pairs(&t, "schema", schema);
	struct weir_value *time = value_new(&t, &t.map, "event_time", NULL, 0);
	time->kind = WEIR_VALUE_MAP;
	value_new(&t, time, "field", field, 0);
	assert_int_equal(test_plan(&t), -EINVAL);
	if (strncmp(t.complaint, want, strlen(want)) != 0)
		fail_msg("`%s`, not `%s`", t.complaint, want);
	test_end(&t);
}

static void mistakes_in_the_parameters_are_named(void **state)
{
	check_complaint((const char *const[]){"t", "time", NULL}, "t", "t: `time` is no type");
	check_complaint((const char *const[]){"t", "timestamp", "t", "int64", NULL}, "t",
		"t: `t` is there twice");
	check_complaint((const char *const[]){"t", "int64", NULL}, "t", "field: `t` is int64");
	check_complaint((const char *const[]){"t", "timestamp", NULL}, "u",
		"field: `u` is not in the schema");
	check_complaint((const char *const[]){NULL}, "t", "schema: holds no field");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_found_or_not),
		cmocka_unit_test(a_bad_file_is_refused_at_once),
		cmocka_unit_test(bad_rows_are_skipped_and_counted),
		cmocka_unit_test(bad_rows_are_routed_with_line_reason_and_text),
		cmocka_unit_test(the_first_line_of_each_reason_is_reported),
		cmocka_unit_test(a_bad_row_stops_the_job_where_it_shall),
		cmocka_unit_test(what_is_emitted_does_not_depend_on_cuts),
		cmocka_unit_test(watermarks_hold),
		cmocka_unit_test(a_restored_source_goes_on_where_the_other_was),
		cmocka_unit_test(a_file_that_shrinks_is_noticed),
		cmocka_unit_test(what_is_appended_later_does_not_count),
		cmocka_unit_test(restoring_on_a_shorter_file_fails),
		cmocka_unit_test(damaged_zstd_stops_the_job),
		cmocka_unit_test(a_row_above_a_mebibyte_is_one_reject),
		cmocka_unit_test(records_max_of_nothing_emits_at_most_a_mark),
		cmocka_unit_test(pace_changes_only_when),
		cmocka_unit_test(mistakes_in_the_parameters_are_named),
	};
	return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
