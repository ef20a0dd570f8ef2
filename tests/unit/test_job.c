// Job files from text to types along every edge, and what is said about those that are wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "control/job.h"
#include "error_text.h"
#include "job_kinds.h"

#define HEAD "version: 1\njob: test\noperators:\n"
#define SOURCE "- {id: source, kind: numbers}\n"
#define SINK "- {id: sink, kind: swallow, input: source}\n"

static void load(struct job *job, const char *text, const char *set)
{
	struct job_source source = {.file = "f.yaml",
		.text = text,
		.bytes = strlen(text),
		.sets = &set,
		.set_count = set ? 1 : 0,
		.kinds = job_kinds};
	job_load(job, &source);
}

static void a_sound_job_is_ordered_and_typed(void **state)
{
	struct job job;
	load(&job,
		"version: 1\njob: test\noperators:\n"
		"- {id: sink, kind: swallow, input: sum}\n"
		"- {id: sum, kind: sum, input: source.odd, key: b, parallelism: 2}\n"
		"- {id: source, kind: numbers, outputs: true}\n",
		NULL);
	assert_int_equal(job.errors.count, 0);
	assert_int_equal(job.order_count, 3);
	assert_int_equal(job.order[0], 2);
	assert_int_equal(job.order[1], 1);
	assert_int_equal(job.order[2], 0);
	assert_string_equal(job.operators[1].output_name, "odd");
	assert_int_equal(job.operators[1].parallelism, 2);
	assert_int_equal(job.operators[1].plan->keys[0], 2);
	assert_ptr_equal(job.operators[0].plan->input, &job.operators[1].plan->outputs[0].schema);
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	job_print_types(&job, out);
	fclose(out);
	assert_string_equal(text,
		"  source.odd: time int64, a int64, b int64, c int64\n"
		"  source.even: a int64, b int64, c int64\n"
		"  sum: time int64, key int64, sum int64\n");
	free(text);
	job_destroy(&job);
}

struct bad {
	const char *text, *errors;
};

static const struct bad bad_jobs[] = {
	{"[a]", "f.yaml:1: a job file is a map: `version: 1`, `job:` and `operators:`\n"},
	{"version: 1\njob: \"a\\n\\e[1mb\"\noperators:\n" SOURCE SINK,
		"f.yaml:2: job: a??[1mb is no name; write 1 to 63 of a-z, 0-9, _ and -\n"},
	{"version: 1\njob: test\n",
		"f.yaml:1: operators is missing; add `operators:` with a source and a sink\n"},
	{"job: test\noperators:\n" SOURCE SINK,
		"f.yaml:1: version is missing; add `version:` (Version of the job file's format: "
		"1.)\n"},
	{"version: 2\njob: a b\noperators: []\n",
		"f.yaml:1: version: 2 is not known to this weir; write version: 1\n"
		"f.yaml:2: job: a b is no name; write 1 to 63 of a-z, 0-9, _ and -\n"
		"f.yaml:3: operators: is no list of operators; write `- id: …` and `kind: …` "
		"for each\n"},
	{"operator: 1\n" HEAD SOURCE SINK,
		"f.yaml:1: operator: is not a parameter of a job; did you mean operators?; known "
		"are version, job, workers, exchange, checkpoint, recovery, operators\n"},
	{HEAD SOURCE SINK "workers: {cont: 2}\nexchange: {frame: 1MiB, credit: 0}\n",
		"f.yaml:6: workers.cont: is not a parameter of workers; did you mean count?; known "
		"are count, cpus, wait, state_memory\n"
		"f.yaml:7: exchange.frame: 1MiB is out of bounds; write 512B to 60KiB\n"
		"f.yaml:7: exchange.credit: 0 is out of bounds; write 1 to 256\n"},
	{HEAD SOURCE SINK "workers: {cpus: 3-}\n",
		"f.yaml:6: workers.cpus: 3- is no list of CPUs; write OS indices, as in 2-5,8\n"},
	{HEAD SOURCE SINK "workers: {cpus: 5-4}\n",
		"f.yaml:6: workers.cpus: 5-4 is no list of CPUs; write OS indices, as in 2-5,8\n"},
	{HEAD SOURCE SINK "workers:\n  cpus: 2-3,1\n  count: 2\n",
		"f.yaml:7: workers.cpus: 2-3,1 lists 3 CPUs, count says 2; make them equal, or "
		"leave count out\n"},
	{HEAD "- 1\n" SOURCE SINK,
		"f.yaml:4: operators[1]: is no operator; write `- id: …` and "
		"`kind: …`\n"},
	{HEAD SOURCE "- {kind: swallow, input: source}\n",
		"f.yaml:5: operators[2]: id is missing; add `id:` (The operator's name in the job: "
		"a-z, 0-9, _ and -.)\n"},
	{HEAD SOURCE "- {id: sink, input: source}\n",
		"f.yaml:5: sink: kind is missing; add `kind:` (What it does; `weir kinds` lists "
		"the kinds.)\n"},
	{HEAD SOURCE "- {id: sink, kind: swalow, input: source}\n",
		"f.yaml:5: sink.kind: swalow is not a kind of operator; did you mean swallow?; "
		"`weir kinds` lists them\n"},
	{HEAD SOURCE "- {id: Sink!, kind: swallow, input: source}\n",
		"f.yaml:5: Sink!.id: Sink! is no id; write 1 to 63 of a-z, 0-9, _ and -\n"},
	{HEAD SOURCE SINK "- {id: sink, kind: swallow, input: source}\n",
		"f.yaml:6: sink.id: sink is the id of an operator in line 5; choose another\n"},
	{HEAD SOURCE "- {id: workers, kind: swallow, input: source}\n",
		"f.yaml:5: workers.id: workers is the name of a section; choose another\n"},
	{HEAD SOURCE "- {id: sink, kind: swallow}\n" SINK,
		"f.yaml:5: sink: input is missing; add `input:` with the id of the operator it "
		"reads\n"
		"f.yaml:6: sink.id: sink is the id of an operator in line 5; choose another\n"},
	{HEAD "- {id: source, kind: numbers, input: sink}\n" SINK,
		"f.yaml:4: source.input: numbers is a source and reads no input; remove it\n"},
	{HEAD SOURCE "- {id: sink, kind: swallow, input: sorce}\n",
		"f.yaml:5: sink.input: there is no operator sorce; did you mean source?\n"},
	{HEAD SOURCE SINK "- {id: keep, kind: keep, input: source}\n",
		"f.yaml:6: keep: nothing reads it; give it to a sink with `input: keep`, or remove "
		"it\n"},
	{HEAD SOURCE SINK "- {id: more, kind: swallow, input: sink}\n",
		"f.yaml:6: more.input: sink is a sink and gives nothing; read source instead\n"},
	{HEAD SOURCE SINK "- {id: a, kind: keep, input: b}\n- {id: b, kind: keep, input: a}\n"
			  "- {id: end, kind: swallow, input: a}\n",
		"f.yaml:6: a.input: goes round in a circle: a, which reads b, which reads a; let "
		"one of them read something else\n"},
	{HEAD SOURCE "- {id: sink, kind: swallow, input: source.odd}\n",
		"f.yaml:5: sink.input: source has no output odd; write source\n"},
	{HEAD "- {id: source, kind: numbers, outputs: true}\n" SINK,
		"f.yaml:5: sink.input: source has several outputs; write one of "
		"source.odd, source.even\n"},
	{HEAD "- {id: source, kind: numbers, outputs: true}\n"
	      "- {id: sink, kind: swallow, input: source.evn}\n",
		"f.yaml:5: sink.input: source has no output evn; write "
		"source.odd, source.even\n"},
	{HEAD SOURCE "- {id: sum, kind: sum, input: source, key: bb}\n"
		     "- {id: sink, kind: swallow, input: sum, tasks_mx: 1}\n",
		"f.yaml:5: sum.key: bb is not a field of the input; did you mean b?; fields are "
		"time, a, b, c\n"
		"f.yaml:6: sink.tasks_mx: is not a parameter of kind swallow; did you mean "
		"tasks_max?; known are tasks_max, id, kind, input, parallelism\n"},
	{HEAD SOURCE "- id: sum\n  kind: sum\n  input: source\n  key: b\n  of: b\n"
		     "- {id: sink, kind: swallow, input: sum}\n",
		"f.yaml:9: sum.of: b is the key; sum another field\n"},
	{HEAD SOURCE "- {id: sink, kind: swallow, input: source, tasks_max: 1, parallelism: 2}\n",
		"f.yaml:5: sink.parallelism: 2 is more than this swallow can use; write 1\n"},
	{HEAD SOURCE "- {id: sink, kind: swallow, input: source, parallelism: 0}\n",
		"f.yaml:5: sink.parallelism: 0 is out of bounds; write 1 to 1024\n"},
};

static void every_bad_job_is_said_line_by_line(void **state)
{
	for (size_t i = 0; i < sizeof(bad_jobs) / sizeof(bad_jobs[0]); i++) {
		struct job job;
		load(&job, bad_jobs[i].text, NULL);
		assert_errors(&job.errors, bad_jobs[i].errors);
		job_destroy(&job);
	}
}

static void flags_change_the_job_before_it_is_checked(void **state)
{
	static const char text[] = HEAD SOURCE "- {id: sum, kind: sum, input: source, key: b}\n"
					       "- {id: sink, kind: swallow, input: sum}\n";
	struct job job;
	load(&job, text, "source.events=7");
	assert_int_equal(job.errors.count, 0);
	assert_int_equal(weir_param_int(job.operators[0].plan->params, "events", 0), 7);
	job_destroy(&job);
	load(&job, text, "sum.key=c");
	assert_int_equal(job.errors.count, 0);
	assert_int_equal(job.operators[1].plan->keys[0], 3);
	job_destroy(&job);
	load(&job, text, "workers.cpus=4-6,0");
	assert_int_equal(job.errors.count, 0);
	assert_int_equal(job.cpu_count, 4);
	assert_int_equal(job.cpus[2], 6);
	assert_int_equal(job.cpus[3], 0);
	job_destroy(&job);
	load(&job, text, "checkpoint.interval=2s");
	assert_int_equal(job.errors.count, 0);
	const struct weir_value *checkpoint = weir_param_find(job.settings, "checkpoint");
	assert_int_equal(weir_param_int(checkpoint, "interval", 0), 2000000000);
	assert_int_equal(weir_param_int(checkpoint, "snapshot", 0), 64 << 20);
	job_destroy(&job);
}

static void a_flag_replaces_a_whole_section(void **state)
{
	struct job job;
	load(&job, HEAD "- {id: source, kind: numbers, events: 3}\n" SINK,
		"exchange={frame: 4KiB, credit: 5}");
	assert_errors(&job.errors, "");
	const struct weir_value *exchange = weir_param_find(job.settings, "exchange");
	assert_int_equal(weir_param_int(exchange, "frame", 0), 4096);
	assert_int_equal(weir_param_int(exchange, "credit", 0), 5);
	job_destroy(&job);
}

static const struct bad bad_flags[] = {
	{"source", "--set source: write --set operator.parameter=value\n"},
	{"events=1", "--set events=1: write --set operator.parameter=value\n"},
	{"sorce.events=1",
		"--set sorce.events=1: the job has no operator or section sorce; did you "
		"mean source?\n"},
	{"source.evnts=1",
		"--set source.evnts=1: source.evnts: is not a parameter of kind numbers; "
		"did you mean events?; known are outputs, events, id, kind, input, parallelism\n"},
	{"source.events=x", "--set source.events=x: source.events: x is not a whole number\n"},
	{"source.events.more=1",
		"--set source.events.more=1: more cannot be set in what is not a "
		"map; set the whole of it\n"},
	{"workers.count=0",
		"--set workers.count=0: workers.count: 0 is out of bounds; write 1 to "
		"1024\n"},
	{"exchange={frme: 4KiB}",
		"--set exchange={frme: 4KiB}: exchange.frme: is not a parameter of exchange; did "
		"you mean frame?; known are frame, credit\n"},
	{"exchange={frame: 1}",
		"--set exchange={frame: 1}: exchange.frame: 1 is not a size: write a whole number "
		"and its unit, B, KiB, MiB, GiB or TiB\n"},
	{"exchange=4",
		"--set exchange=4: exchange: is a single value; write a map, {name: value}\n"},
	{"source.events=[1",
		"--set source.events=[1: not YAML: flow sequence without a closing "
		"bracket; check indentation, brackets and quotes around here\n"},
};

static void bad_flags_are_named(void **state)
{
	for (size_t i = 0; i < sizeof(bad_flags) / sizeof(bad_flags[0]); i++) {
		struct job job;
		load(&job, HEAD "- {id: source, kind: numbers, events: 3}\n" SINK,
			bad_flags[i].text);
		assert_errors(&job.errors, bad_flags[i].errors);
		job_destroy(&job);
	}
}

static void too_many_operators_are_refused(void **state)
{
	char text[64 + 8 * JOB_OPERATORS_MAX] = HEAD;
	for (int i = 0; i <= JOB_OPERATORS_MAX; i++)
		strcat(text, "- {}\n");
	struct job job;
	load(&job, text, NULL);
	assert_errors(&job.errors,
		"f.yaml:3: operators: has 257 operators; at most 256 are allowed\n");
	job_destroy(&job);
}

static void kinds_built_otherwise_are_refused(void **state)
{
	struct weir_operator kind = keep_kind;
	const struct weir_operator *const kinds[] = {&numbers_kind, &kind, &swallow_kind, NULL};
	const char *text = HEAD "- {id: source, kind: numbers}\n"
				"- {id: it, kind: keep, input: source}\n"
				"- {id: sink, kind: swallow, input: it}\n";
	const struct job_source source = {
		.file = "f.yaml", .text = text, .bytes = strlen(text), .kinds = kinds};
	static const struct {
		uint32_t size, version;
		const char *errors;
	} built[] = {
		{sizeof(kind), WEIR_OPERATOR_VERSION, ""},
		{sizeof(kind) + 64, WEIR_OPERATOR_VERSION, ""}, // with a later header
		{WEIR_OPERATOR_SIZE_MIN, WEIR_OPERATOR_VERSION, ""},
		{WEIR_OPERATOR_SIZE_MIN - 8, WEIR_OPERATOR_VERSION,
			"f.yaml:5: it.kind: kind keep cannot be run: its `size` is less than that "
			"of any operator; set it to sizeof(struct weir_operator)\n"},
		{sizeof(kind), WEIR_OPERATOR_VERSION + 1,
			"f.yaml:5: it.kind: kind keep cannot be run: it is built with another "
			"version of dataplane/operator.h; build it anew\n"},
	};
	for (size_t i = 0; i < sizeof(built) / sizeof(built[0]); i++) {
		struct job job;
		kind.size = built[i].size;
		kind.version = built[i].version;
		job_load(&job, &source);
		assert_errors(&job.errors, built[i].errors);
		job_destroy(&job);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_job_is_ordered_and_typed),
		cmocka_unit_test(every_bad_job_is_said_line_by_line),
		cmocka_unit_test(flags_change_the_job_before_it_is_checked),
		cmocka_unit_test(a_flag_replaces_a_whole_section),
		cmocka_unit_test(bad_flags_are_named),
		cmocka_unit_test(too_many_operators_are_refused),
		cmocka_unit_test(kinds_built_otherwise_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
