// Parameters against their tables: what is filled in and what is said about mistakes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "control/params.h"
#include "control/suggest.h"
#include "control/units.h"
#include "control/yaml.h"
#include "error_text.h"

static const struct weir_param window_table[] = {
	{.name = "size", .type = WEIR_PARAM_DURATION, .required = true, .min = 1, .doc = "length"},
	{.name = "slide", .type = WEIR_PARAM_DURATION, .default_text = "2s", .doc = "step"},
	{.name = NULL},
};

static const struct weir_param inner_table[] = {
	{.name = "events",
		.type = WEIR_PARAM_INT,
		.default_text = "10",
		.min = 1,
		.max = 100,
		.doc = "how many"},
	{.name = NULL},
};

static const struct weir_operator source_kind = {
	.kind = "generator", .role = WEIR_SOURCE, .params = inner_table};
static const struct weir_operator sink_kind = {
	.kind = "swallow", .role = WEIR_SINK, .params = inner_table};
static const struct weir_operator *const kinds[] = {&source_kind, &sink_kind, NULL};

static const struct weir_param table[] = {
	{.name = "text", .type = WEIR_PARAM_STRING, .default_text = "hello", .doc = "a text"},
	{.name = "flag", .type = WEIR_PARAM_BOOL, .default_text = "true", .doc = "a flag"},
	{.name = "number", .type = WEIR_PARAM_INT, .min = -5, .max = 5, .doc = "a number"},
	{.name = "time", .type = WEIR_PARAM_DURATION, .doc = "a time"},
	{.name = "room", .type = WEIR_PARAM_SIZE, .min = 512, .max = 64 << 10, .doc = "a size"},
	{.name = "rate", .type = WEIR_PARAM_RATE, .doc = "a rate"},
	{.name = "mode",
		.type = WEIR_PARAM_CHOICE,
		.choices = "fail|skip|route",
		.default_text = "fail",
		.doc = "a choice"},
	{.name = "field", .type = WEIR_PARAM_FIELD, .doc = "a field"},
	{.name = "key", .type = WEIR_PARAM_FIELDS, .default_text = "[]", .doc = "fields"},
	{.name = "pairs", .type = WEIR_PARAM_PAIRS, .doc = "pairs"},
	{.name = "window", .type = WEIR_PARAM_MAP, .children = window_table, .doc = "a window"},
	{.name = "from", .type = WEIR_PARAM_OPERATOR, .doc = "a source"},
	{.name = NULL},
};

struct fixture {
	struct heap heap;
	struct errors errors;
	struct weir_schema schema;
	struct params_scope scope;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->errors.heap = &f->heap;
	schema_add(&f->schema, "auction", WEIR_INT64, 0, 0);
	schema_add(&f->schema, "bidder", WEIR_INT64, 0, 0);
	schema_layout(&f->schema);
	f->scope = (struct params_scope){&f->heap, &f->errors, kinds, {NULL, "op"}, &f->schema};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	heap_destroy(&f->heap);
	free(f);
	return 0;
}

static struct weir_value *check(struct fixture *f, const char *text)
{
	struct weir_value *raw = yaml_parse(&f->heap, &f->errors, "f.yaml", text, strlen(text));
	assert_non_null(raw);
	f->scope.root.value = raw;
	params_check_names(&f->scope, table, NULL, raw, "op");
	return params_fill(&f->scope, table, raw);
}

static void every_type_is_worked_out(void **state)
{
	struct fixture *f = *state;
	struct weir_value *p = check(f,
		"text: a b\nflag: false\nnumber: -3\ntime: 250ms\nroom: 64KiB\nrate: 600/min\n"
		"mode: route\nfield: bidder\nkey: [bidder, auction]\npairs: [a: count(), b]\n"
		"window: {size: 1h}\nfrom: {kind: generator, events: 7}\n");
	assert_int_equal(f->errors.count, 0);
	assert_string_equal(weir_param_text(p, "text", NULL), "a b");
	assert_int_equal(weir_param_int(p, "flag", -1), 0);
	assert_int_equal(weir_param_int(p, "number", 0), -3);
	assert_int_equal(weir_param_int(p, "time", 0), 250000000);
	assert_int_equal(weir_param_int(p, "room", 0), 65536);
	assert_int_equal(weir_param_int(p, "rate", 0), 10);
	assert_int_equal(weir_param_int(p, "mode", -1), 2);
	assert_int_equal(weir_param_int(p, "field", -1), 1);
	const struct weir_value *key = weir_param_find(p, "key");
	assert_int_equal(key->count, 2);
	assert_int_equal(key->items[0]->integer, 1);
	assert_int_equal(key->items[1]->integer, 0);
	const struct weir_value *pairs = weir_param_find(p, "pairs");
	assert_string_equal(pairs->items[0]->name, "a");
	assert_string_equal(pairs->items[0]->text, "count()");
	assert_string_equal(pairs->items[1]->name, "b");
	assert_string_equal(pairs->items[1]->text, "b");
	const struct weir_value *window = weir_param_find(p, "window");
	assert_int_equal(weir_param_int(window, "size", 0), 3600000000000);
	assert_int_equal(weir_param_int(window, "slide", 0), 2000000000);
	const struct weir_value *from = weir_param_find(p, "from");
	assert_string_equal(from->text, "generator");
	assert_int_equal(weir_param_int(from, "events", 0), 7);
}

static void defaults_are_filled_in(void **state)
{
	struct fixture *f = *state;
	struct weir_value *p = check(f, "\n\nnumber: 1\n");
	assert_int_equal(f->errors.count, 0);
	assert_string_equal(weir_param_text(p, "text", NULL), "hello");
	assert_int_equal(weir_param_int(p, "flag", -1), 1);
	assert_int_equal(weir_param_int(p, "mode", -1), 0);
	assert_int_equal(weir_param_find(p, "mode")->line, 3);
	assert_int_equal(weir_param_find(p, "key")->count, 0);
	assert_null(weir_param_find(p, "time"));
	assert_null(weir_param_find(p, "window"));
}

static void fields_wait_for_a_known_input(void **state)
{
	struct fixture *f = *state;
	f->scope.input = NULL;
	check(f, "field: nothing\nkey: [none]\n");
	assert_int_equal(f->errors.count, 0);
}

struct bad {
	const char *text, *errors;
};

static const struct bad bad_params[] = {
	{"flg: true",
		"f.yaml:1: op.flg: is not a parameter of op; did you mean flag?; known are "
		"text, flag, number, time, room, rate, mode, field, key, pairs, window, from\n"},
	{"window: {slide: 1s}", "f.yaml:1: op.window: size is missing; add `size:` (length)\n"},
	{"window: {size: 1s, slid: 1s}",
		"f.yaml:1: op.window.slid: is not a parameter of window; "
		"did you mean slide?; known are size, slide\n"},
	{"window: 3s", "f.yaml:1: op.window: is a single value; write a map, {name: value}\n"},
	{"text: [a]", "f.yaml:1: op.text: is a list; write a value\n"},
	{"text: {a: 1}", "f.yaml:1: op.text: is a map; write a value\n"},
	{"text:", "f.yaml:1: op.text: is empty; write a value or remove it\n"},
	{"flag: yes", "f.yaml:1: op.flag: yes is neither true nor false\n"},
	{"number: x", "f.yaml:1: op.number: x is not a whole number\n"},
	{"number: 1.5", "f.yaml:1: op.number: 1.5 is not a whole number\n"},
	{"number: 99999999999999999999",
		"f.yaml:1: op.number: 99999999999999999999 is too large\n"},
	{"number: 6", "f.yaml:1: op.number: 6 is out of bounds; write -5 to 5\n"},
	{"number: -6", "f.yaml:1: op.number: -6 is out of bounds; write -5 to 5\n"},
	{"time: 10",
		"f.yaml:1: op.time: 10 is not a time: write a whole number and its unit, "
		"ns, us, ms, s, m, h or d\n"},
	{"time: -1s", "f.yaml:1: op.time: -1s is out of bounds; write at least 0\n"},
	{"window: {size: 0}", "f.yaml:1: op.window.size: 0 is out of bounds; write at least 1ns\n"},
	{"time: 9000000d", "f.yaml:1: op.time: 9000000d is too large\n"},
	{"room: 64KB",
		"f.yaml:1: op.room: 64KB is not a size: write a whole number and its unit, "
		"B, KiB, MiB, GiB or TiB\n"},
	{"room: 128KiB", "f.yaml:1: op.room: 128KiB is out of bounds; write 512B to 64KiB\n"},
	{"rate: 10/h",
		"f.yaml:1: op.rate: 10/h is not a rate: write a number with /s, k/s, M/s "
		"or /min\n"},
	{"rate: 30/min",
		"f.yaml:1: op.rate: 30/min is no whole number a second; write a multiple "
		"of 60/min\n"},
	{"mode: skp", "f.yaml:1: op.mode: skp is not one of fail|skip|route; did you mean skip?\n"},
	{"field: biddr",
		"f.yaml:1: op.field: biddr is not a field of the input; did you mean "
		"bidder?; fields are auction, bidder\n"},
	{"key: bidder", "f.yaml:1: op.key: is a single value; write a list of fields, [a, b]\n"},
	{"key: [bidder,\n  xyz, bidder]",
		"f.yaml:2: op.key[2]: xyz is not a field of the input; fields are auction, bidder\n"
		"f.yaml:2: op.key[3]: bidder is in the list twice; remove one or give it another "
		"name\n"},
	{"key: [[a]]", "f.yaml:1: op.key[1]: is a list; write the name of a field\n"},
	{"pairs: [a: 1, a: 2]",
		"f.yaml:1: op.pairs[2]: a is in the list twice; remove one or give "
		"it another name\n"},
	{"pairs: {a: 1}", "f.yaml:1: op.pairs: is a map; write a list, [name: text, name: text]\n"},
	{"pairs: [a: decimal(38,0)]",
		"f.yaml:1: op.pairs[1].a: decimal(38 has unmatched parentheses; put quotes around "
		"a text with a comma\n"
		"f.yaml:1: op.pairs[2]: 0) has unmatched parentheses; put quotes around a text "
		"with a comma\n"},
	{"pairs: [a: [b]]", "f.yaml:1: op.pairs[1].a: is a list; write `name: text` or `name`\n"},
	{"from: generator",
		"f.yaml:1: op.from: is a single value; write a map with a kind, "
		"{kind: nexmark}\n"},
	{"from: {events: 1}",
		"f.yaml:1: op.from: kind is missing; add `kind:` (`weir kinds` lists them)\n"},
	{"from: {kind: genertor}",
		"f.yaml:1: op.from.kind: genertor is not a kind of operator; "
		"did you mean generator?; `weir kinds` lists them\n"},
	{"from: {kind: swallow}",
		"f.yaml:1: op.from: swallow is not a source; name a kind of source\n"},
	{"from: {kind: generator, evens: 3}",
		"f.yaml:1: op.from.evens: is not a parameter of generator; did you mean events?; "
		"known are events, kind\n"},
	{"from: {kind: generator, events: 101}",
		"f.yaml:1: op.from.events: 101 is out of bounds; write 1 to 100\n"},
};

static void every_mistake_is_said_with_its_remedy(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(bad_params) / sizeof(bad_params[0]); i++) {
		f->errors.count = 0;
		check(f, bad_params[i].text);
		assert_errors(&f->errors, bad_params[i].errors);
	}
}

static void numbers_at_the_limits(void **state)
{
	int64_t value = 0;
	assert_null(units_parse(WEIR_PARAM_INT, "9223372036854775807", &value));
	assert_true(value == INT64_MAX);
	assert_null(units_parse(WEIR_PARAM_INT, "-9223372036854775808", &value));
	assert_true(value == INT64_MIN);
	assert_non_null(units_parse(WEIR_PARAM_INT, "9223372036854775808", &value));
	assert_non_null(units_parse(WEIR_PARAM_INT, "-9223372036854775809", &value));
	assert_non_null(units_parse(WEIR_PARAM_INT, "", &value));
	assert_non_null(units_parse(WEIR_PARAM_INT, "-", &value));
	assert_null(units_parse(WEIR_PARAM_DURATION, "0", &value));
	assert_null(units_parse(WEIR_PARAM_DURATION, "2 h", &value));
	assert_true(value == 7200000000000);
	assert_null(units_parse(WEIR_PARAM_RATE, "10000", &value));
	assert_true(value == 10000);
	assert_null(units_parse(WEIR_PARAM_RATE, "3M/s", &value));
	assert_true(value == 3000000);
	assert_null(units_parse(WEIR_PARAM_SIZE, "1TiB", &value));
	assert_true(value == 1LL << 40);
}

static void numbers_print_in_their_largest_unit(void **state)
{
	char text[48];
	units_print(WEIR_PARAM_DURATION, 90000000000, text, sizeof(text));
	assert_string_equal(text, "90s");
	units_print(WEIR_PARAM_SIZE, 4096, text, sizeof(text));
	assert_string_equal(text, "4KiB");
	units_print(WEIR_PARAM_RATE, 2000, text, sizeof(text));
	assert_string_equal(text, "2k/s");
	units_print(WEIR_PARAM_DURATION, 0, text, sizeof(text));
	assert_string_equal(text, "0");
}

static const char *suggested(const char *word, const char *const *known)
{
	struct suggestion s;
	suggest_start(&s, word);
	for (; *known; known++)
		suggest_offer(&s, *known);
	return s.best;
}

static void only_near_words_are_suggested(void **state)
{
	static const char *const known[] = {"window", "workers", "path", "key", NULL};
	assert_string_equal(suggested("widnow", known), "window");
	assert_string_equal(suggested("worker", known), "workers");
	assert_string_equal(suggested("pth", known), "path");
	assert_string_equal(suggested("keys", known), "key");
	assert_null(suggested("zzz", known));
	assert_null(suggested("x", known));
	char word[200];
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	assert_null(suggested(word, known));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_type_is_worked_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(defaults_are_filled_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fields_wait_for_a_known_input, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_mistake_is_said_with_its_remedy, set_up,
			tear_down),
		cmocka_unit_test(numbers_at_the_limits),
		cmocka_unit_test(numbers_print_in_their_largest_unit),
		cmocka_unit_test(only_near_words_are_suggested),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
