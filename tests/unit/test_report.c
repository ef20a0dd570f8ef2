// The report of a run: what is in its JSON and its table.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "control/progress.h"
#include "control/report.h"

static struct report_operator operators[] = {
	{.id = "source",
		.kind = "nexmark",
		.role = WEIR_SOURCE,
		.leads = true,
		.figures = {.counters = {.records_in = 1010, .records_out = 1000},
			.tasks = 2,
			.busy_share = 0.5}},
	{.id = "best",
		.kind = "top",
		.role = WEIR_TRANSFORM,
		.leads = true,
		.figures = {.counters = {.records_in = 990, .records_out = 10},
			.tasks = 1,
			.busy_share = 0.5,
			.backpressured_share = 0.25}},
	{.id = "sink",
		.kind = "null",
		.role = WEIR_SINK,
		.figures = {.counters = {.records_in = 10}, .tasks = 1, .busy_share = 0.5},
		.result_count = 2,
		.results = {{"count", 10}, {"hash", 0xfedcba98}}},
};

static struct report sample(void)
{
	operators[0].figures.counters.dropped[WEIR_DROP_LATE] = 7;
	operators[0].figures.counters.dropped[WEIR_DROP_MALFORMED] = 3;
	return (struct report){.job = "q5",
		.state = "finished",
		.seconds = 2,
		.workers = 2,
		.operator_count = 3,
		.operators = operators};
}

static void json_has_every_operator_and_the_total(void **state)
{
	struct report report = sample();
	char *text = report_json(&report);
	json_t *root = json_loads(text, 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "schema")), "weir-report-1");
	assert_string_equal(json_string_value(json_object_get(root, "state")), "finished");
	assert_null(json_object_get(root, "error"));
	const json_t *total = json_object_get(root, "total");
	assert_int_equal(json_integer_value(json_object_get(total, "records_in")), 1010);
	assert_int_equal(json_integer_value(json_object_get(total, "records_out")), 10);
	assert_int_equal(json_integer_value(json_object_get(total, "late")), 7);
	assert_true(json_real_value(json_object_get(total, "records_per_second")) == 505);
	assert_true(json_real_value(json_object_get(total, "busy_share")) == 0.75);
	assert_true(json_real_value(json_object_get(total, "backpressured_share")) == 0.125);
	const json_t *list = json_object_get(root, "operators");
	assert_int_equal(json_array_size(list), 3);
	const json_t *source = json_array_get(list, 0);
	const json_t *dropped = json_object_get(source, "dropped");
	assert_int_equal(json_integer_value(json_object_get(dropped, "malformed")), 3);
	assert_int_equal(json_integer_value(json_object_get(dropped, "frame_gap")), 0);
	assert_true(json_real_value(json_object_get(source, "records_per_second")) == 505);
	const json_t *sink = json_array_get(list, 2);
	assert_int_equal(json_integer_value(json_object_get(sink, "count")), 10);
	assert_string_equal(json_string_value(json_object_get(sink, "hash")), "00000000fedcba98");
	json_decref(root);
	free(text);
}

static void a_failed_run_says_why(void **state)
{
	struct report report = sample();
	report.state = "failed";
	report.error = "sink: disk full";
	report.seconds = 0;
	char *text = report_json(&report);
	assert_non_null(strstr(text, "\"error\": \"sink: disk full\""));
	assert_non_null(strstr(text, "\"state\": \"failed\""));
	assert_null(strstr(text, "nan"));
	assert_null(strstr(text, "inf"));
	free(text);
}

static void the_table_names_drops_and_results(void **state)
{
	struct report report = sample();
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	report_print(&report, out);
	fclose(out);
	assert_non_null(strstr(text, "  source: 7 late\n"));
	assert_non_null(strstr(text, "count 10  hash 00000000fedcba98\n"));
	assert_non_null(strstr(text,
		"finished: 1010 records in 2.000 s, 0.000505 million/s, 2 "
		"workers\n"));
	free(text);
}

static void checkpoints_are_reported_with_what_is_wrong_with_them(void **state)
{
	struct report report = sample();
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	report.recovery = true;
	report.checkpoints = (struct engine_checkpoints){
		.committed = 4, .pause_ns_max = 1500000, .snapshot_bytes_max = 4096};
	report_print(&report, out);
	fflush(out);
	assert_non_null(strstr(text,
		"checkpoints: 4 committed, longest pause 1.500 ms, largest snapshot 4096 bytes\n"));
	assert_null(strstr(text, "early"));
	assert_null(strstr(text, "waited"));
	report.checkpoints.early = 2;
	report.checkpoints.waiting_share_max = 0.25;
	report_print(&report, out);
	fclose(out);
	assert_non_null(strstr(text, "  2 early, half of a channel's retention"));
	assert_non_null(strstr(text, "  a task waited 25.0% of the time"));
	free(text);
	text = report_json(&report);
	assert_non_null(strstr(text, "\"early\": 2"));
	free(text);
}

static void the_progress_line_shows_the_rate_since_the_last(void **state)
{
	char *text = NULL;
	size_t bytes = 0;
	struct progress progress = {.out = open_memstream(&text, &bytes)};
	progress_clear(&progress);
	fflush(progress.out);
	assert_int_equal(bytes, 0);
	progress_show(&progress, 1000000, 1, NULL);
	progress_show(&progress, 4000000, 2, NULL);
	assert_non_null(strstr(text, "2 s  4000000 records  3 million/s"));
	assert_null(strstr(text, "checkpoints"));
	const struct engine_checkpoints some = {
		.committed = 12, .early = 3, .waiting_share_max = 0.25};
	const struct progress_job job = {.event_ns = INT64_MIN, .checkpoints = &some};
	progress_show(&progress, 4000000, 3, &job);
	assert_non_null(strstr(text, "  12 checkpoints, 3 early, waited 25%"));
	progress_clear(&progress);
	fclose(progress.out);
	assert_string_equal(text + bytes - 4, "\r\033[K");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_has_every_operator_and_the_total),
		cmocka_unit_test(a_failed_run_says_why),
		cmocka_unit_test(the_table_names_drops_and_results),
		cmocka_unit_test(checkpoints_are_reported_with_what_is_wrong_with_them),
		cmocka_unit_test(the_progress_line_shows_the_rate_since_the_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
