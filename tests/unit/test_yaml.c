// YAML files as trees with places, and what is said about those that are none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/yaml.h"
#include "error_text.h"

struct fixture {
	struct heap heap;
	struct errors errors;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->errors.heap = &f->heap;
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

static struct weir_value *parse(struct fixture *f, const char *text)
{
	return yaml_parse(&f->heap, &f->errors, "f.yaml", text, strlen(text));
}

static void values_have_names_texts_and_lines(void **state)
{
	struct fixture *f = *state;
	const struct weir_value *root = parse(f,
		"# a\tcomment\n"
		"a: 1\n"
		"b: [x: int64, y, \"q z\"]\n"
		"c:\n"
		"d:\n"
		"  e: ''\n"
		"  f:\n"
		"    250ms\n");
	assert_non_null(root);
	assert_int_equal(f->errors.count, 0);
	assert_int_equal(root->kind, WEIR_VALUE_MAP);
	assert_int_equal(root->count, 4);
	const struct weir_value *a = weir_param_find(root, "a");
	assert_string_equal(a->text, "1");
	assert_int_equal(a->line, 2);
	assert_string_equal(a->file, "f.yaml");
	const struct weir_value *b = weir_param_find(root, "b");
	assert_int_equal(b->kind, WEIR_VALUE_LIST);
	assert_int_equal(b->count, 3);
	assert_string_equal(b->items[0]->items[0]->name, "x");
	assert_string_equal(b->items[0]->items[0]->text, "int64");
	assert_null(b->items[1]->name);
	assert_string_equal(b->items[2]->text, "q z");
	const struct weir_value *c = weir_param_find(root, "c");
	assert_int_equal(c->kind, WEIR_VALUE_SCALAR);
	assert_null(c->text);
	assert_int_equal(c->line, 4);
	const struct weir_value *d = weir_param_find(root, "d");
	assert_int_equal(d->line, 5);
	assert_string_equal(weir_param_text(d, "e", "none"), "");
	assert_int_equal(weir_param_find(d, "f")->line, 8);
	assert_null(weir_param_find(root, "e"));
	assert_null(weir_param_find(a, "a"));
}

static void paths_are_those_of_set(void **state)
{
	struct fixture *f = *state;
	const struct weir_value *root = parse(f, "window: {size: 1, more: [a, b: c]}\n");
	const struct value_root at = {root, "hourly"};
	const struct weir_value *window = weir_param_find(root, "window");
	const struct weir_value *more = weir_param_find(window, "more");
	assert_string_equal(value_path(&f->heap, &at, NULL), "hourly");
	assert_string_equal(value_path(&f->heap, &at, weir_param_find(window, "size")),
		"hourly.window.size");
	assert_string_equal(value_path(&f->heap, &at, more->items[0]), "hourly.window.more[1]");
	assert_string_equal(value_path(&f->heap, &at, more->items[1]->items[0]),
		"hourly.window.more[2].b");
}

static void errors_come_in_the_order_of_lines(void **state)
{
	struct fixture *f = *state;
	errors_add(&f->errors, "f.yaml", 9, "nine");
	errors_add(&f->errors, "f.yaml", 3, "three");
	errors_add(&f->errors, "f.yaml", 9, "nine again");
	errors_add(&f->errors, "--set a.b=c", 0, "flag");
	assert_errors(&f->errors,
		"--set a.b=c: flag\nf.yaml:3: three\nf.yaml:9: nine\n"
		"f.yaml:9: nine again\n");
}

static void errors_beyond_the_bound_are_counted(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < ERRORS_MAX + 3; i++)
		errors_add(&f->errors, "f", 1, "x");
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	errors_print(&f->errors, out);
	fclose(out);
	assert_non_null(strstr(text, "\nand 3 more\n"));
	free(text);
}

struct bad {
	const char *text, *errors;
};

static const struct bad bad_texts[] = {
	{"", "f.yaml:1: the file is empty; `--help` of its program shows one\n"},
	{"# nothing\n", "f.yaml:1: the file is empty; `--help` of its program shows one\n"},
	{"a: 1\nb: 2\na: 3\nb: 4\n",
		"f.yaml:3: a: given twice, first in line 1; remove one\n"
		"f.yaml:4: b: given twice, first in line 2; remove one\n"},
	{"a: 1\nb:\n\tc: 1\n", "f.yaml:3: indented with a tab; use spaces\n"},
	{"a: 1\nb:\n  \tc: 1\n", "f.yaml:3: indented with a tab; use spaces\n"},
	{"a: &x 1\nb: *x\n",
		"f.yaml:1: anchors, aliases and tags (& * !) are not supported; "
		"write the value out\n"},
	{"a: 1\nb: *x\n",
		"f.yaml:2: anchors, aliases and tags (& * !) are not supported; "
		"write the value out\n"},
	{"a: 1\nb: !!int 3\n",
		"f.yaml:2: anchors, aliases and tags (& * !) are not supported; "
		"write the value out\n"},
	{"a: 1\n*x : 3\n",
		"f.yaml:2: anchors, aliases and tags (& * !) are not supported; "
		"write the value out\n"},
	{"a:\n  <<: {b: 1}\n",
		"f.yaml:2: merge keys (<<) are not supported; write the values out\n"},
	{"? [a, b]\n: 3\n", "f.yaml:1: a key must be a plain word\n"},
	{"a: 1\n---\nb: 2\n",
		"f.yaml:2: a second document begins; keep one in a file, without further `---`\n"},
	{"a: 1\nb: \xff\n", "f.yaml:2: not UTF-8; save the file as UTF-8\n"},
	{"a: 1\nb: \"x\\0\"\n", "f.yaml:2: text with an escape that is no character; remove it\n"},
	{"a: [1\nb: 2\n",
		"f.yaml:3: not YAML: flow sequence without a closing bracket; "
		"check indentation, brackets and quotes around here\n"},
};

static void every_bad_text_is_said_plainly(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(bad_texts) / sizeof(bad_texts[0]); i++) {
		f->errors.count = 0;
		assert_null(parse(f, bad_texts[i].text));
		assert_errors(&f->errors, bad_texts[i].errors);
	}
}

static void a_nul_byte_is_refused(void **state)
{
	struct fixture *f = *state;
	assert_null(yaml_parse(&f->heap, &f->errors, "f.yaml", "a: 1\n\0b: 2", 10));
	assert_errors(&f->errors, "f.yaml:2: a NUL byte; is this a text file?\n");
}

static void depth_and_number_of_values_are_bounded(void **state)
{
	struct fixture *f = *state;
	char text[2 * YAML_VALUES_MAX + 8] = "";
	memset(text, '[', YAML_DEPTH_MAX);
	memset(text + YAML_DEPTH_MAX, ']', YAML_DEPTH_MAX);
	assert_non_null(parse(f, text));
	memset(text, '[', YAML_DEPTH_MAX + 1);
	memset(text + YAML_DEPTH_MAX + 1, ']', YAML_DEPTH_MAX + 1);
	assert_null(parse(f, text));
	assert_errors(&f->errors, "f.yaml:1: nested too deeply; 24 levels are allowed\n");
	f->errors.count = 0;
	for (int i = 0; i < YAML_VALUES_MAX; i++)
		memcpy(text + 2 * i, i ? ",a" : "[a", 2);
	strcpy(text + 2 * YAML_VALUES_MAX, "]");
	assert_null(parse(f, text));
	assert_errors(&f->errors, "f.yaml:1: more than 10000 values; is this a job file?\n");
}

static void files_that_cannot_be_read_are_named(void **state)
{
	struct fixture *f = *state;
	assert_null(yaml_load(&f->heap, &f->errors, "/nowhere/q.yaml"));
	assert_errors(&f->errors, "/nowhere/q.yaml: cannot be read: No such file or directory\n");
	f->errors.count = 0;
	assert_null(yaml_load(&f->heap, &f->errors, "/"));
	assert_errors(&f->errors, "/: cannot be read: Is a directory\n");
	f->errors.count = 0;
	assert_null(yaml_load(&f->heap, &f->errors, "/dev/zero"));
	assert_errors(&f->errors, "/dev/zero: larger than 1 MiB; is this a job file?\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_have_names_texts_and_lines, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(paths_are_those_of_set, set_up, tear_down),
		cmocka_unit_test_setup_teardown(errors_come_in_the_order_of_lines, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(errors_beyond_the_bound_are_counted, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(every_bad_text_is_said_plainly, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_nul_byte_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(depth_and_number_of_values_are_bounded, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(files_that_cannot_be_read_are_named, set_up,
			tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
