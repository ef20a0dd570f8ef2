#include "topology_fixture.h"

#include "control/commands.h"
#include "control/topo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

enum { ARGUMENTS_MAX = 8, TEXT_BYTES = 1 << 20 };

static char output[TEXT_BYTES], errors[TEXT_BYTES];

static void slurp(FILE *from, char *text)
{
	rewind(from);
	size_t got = fread(text, 1, TEXT_BYTES - 1, from);
	text[got] = '\0';
	fclose(from);
}

// Run `weir topo` in a child with these arguments, its output to where `out_path` says (NULL:
// `output`).  Returns its exit code.
static int topo_to(const char *out_path, char **arguments)
{
	char *argv[ARGUMENTS_MAX] = {"topo"};
	int argc = 1, status;
	FILE *out = tmpfile(), *err = tmpfile();
	assert_true(out && err);
	while (argc < ARGUMENTS_MAX - 1 && arguments[argc - 1]) {
		argv[argc] = arguments[argc - 1];
		argc++;
	}
	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(out_path ? open(out_path, O_WRONLY) : fileno(out), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		exit(topo_command(argc, argv));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	slurp(out, output);
	slurp(err, errors);
	return WEXITSTATUS(status);
}

#define TOPO(...) topo_to(NULL, (char *[]){__VA_ARGS__, NULL})

static long number(json_t *entry, const char *key)
{
	json_t *value = json_object_get(entry, key);
	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void json_tells_host_and_placement(void **state)
{
	assert_int_equal(TOPO("--json", "--workers", "3", "--xml",
				 WEIR_TEST_DATA "/host-2x64-smt-nic.xml"),
		0);
	json_t *root = json_loads(output, JSON_REJECT_DUPLICATES, NULL), *entry;
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "schema")), "weir-topo-1");
	assert_int_equal(json_array_size(json_object_get(root, "nodes")), 2);
	assert_int_equal(json_array_size(json_object_get(root, "caches")), 16);
	assert_int_equal(json_array_size(json_object_get(root, "cores")), 128);
	entry = json_array_get(json_object_get(root, "cores"), 3);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(entry, "pus"), 1)), 131);
	entry = json_array_get(json_object_get(root, "nics"), 0);
	assert_string_equal(json_string_value(json_object_get(entry, "pci")), "0000:41:00.0");
	assert_int_equal(number(entry, "node"), 1);
	assert_int_equal(json_array_size(json_object_get(root, "workers")), 3);
	entry = json_array_get(json_object_get(root, "workers"), 2);
	assert_int_equal(number(entry, "pu"), 3);
	assert_string_equal(json_string_value(json_object_get(entry, "seat")), "core");
	assert_non_null(strstr(json_string_value(json_object_get(entry, "reason")), "memory"));
	json_decref(root);
}

static void tasks_are_in_the_json(void **state)
{
	static const struct placement_task tasks[] = {
		{"a", 7, TOPOLOGY_NONE, 0}, {"c", 0, TOPOLOGY_NONE, 0}, {"b", 7, TOPOLOGY_NONE, 0}};
	static const struct placement_edge edges[] = {{0, 2, 9}, {0, 1, 1}};
	static const struct placement_graph graph = {tasks, edges, 3, 2};
	struct placement_request request = {&graph, 2, NULL, 0};
	struct topology topology = synthetic("core:3 pu:2");
	struct placement placement;
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	assert_int_equal(placement_compute(&topology, &request, &placement, NULL, 0), 0);
	assert_int_equal(topo_json(out, &topology, &graph, &placement), 0);
	fclose(out);
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	json_t *entry = json_array_get(json_object_get(root, "tasks"), 2);
	assert_string_equal(json_string_value(json_object_get(entry, "task")), "b");
	assert_int_equal(number(entry, "worker"), 1);
	assert_int_equal(number(entry, "weight"), 7);
	assert_int_equal(number(json_object_get(root, "traffic"), "all"), 10);
	assert_int_equal(number(json_object_get(root, "traffic"), "within_worker"), 1);
	assert_int_equal(number(json_object_get(root, "traffic"), "within_node"), 10);
	entry = json_array_get(json_object_get(root, "workers"), 1);
	assert_int_equal(number(entry, "core"), 2);
	assert_int_equal(number(entry, "pu"), 4);
	entry = json_array_get(json_object_get(root, "cores"), 1);
	assert_true(json_is_null(json_object_get(entry, "l3")));
	assert_int_equal(number(entry, "node"), 0);
	json_decref(root);
	free(text);
	placement_destroy(&placement);
	topology_destroy(&topology);
}

static void text_is_the_default(void **state)
{
	assert_int_equal(TOPO("--synthetic", "numa:2 core:4 pu:2", "--cpus", "4,2"), 0);
	assert_non_null(strstr(output, "worker 0 on PU 4: PU given; a core of its own"));
	assert_non_null(strstr(output, "worker 1 on PU 2: PU given"));
	assert_string_equal(errors, "");
}

static void wrong_use_is_one_line_with_the_remedy(void **state)
{
	static const struct {
		char *arguments[5];
		const char *error;
	} table[] = {
		{{"--synthetic", "numa:two"}, "--synthetic \"numa:two\": no description"},
		{{"--xml", "/nonexistent"}, "--xml /nonexistent: No such file"},
		{{"--xml", "/dev/null"}, "no topology of hwloc; give a file that `lstopo"},
		{{"--xml", "a", "--synthetic", "b"}, "b is a second host; give one"},
		{{"--workers", "0"}, "--workers 0: write a whole number from 1 on"},
		{{"--workers", "two"}, "--workers two: write a whole number from 1 on"},
		{{"--workers", "60000"}, "60000 workers; give 1 to 4096"},
		{{"--cpus", "x"}, "--cpus x is no list of CPUs"},
		{{"--cpus", "4095"}, "topo: CPU 4095 cannot be used; those that can are "},
		{{"--frobnicate"}, "unrecognized option '--frobnicate'"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(topo_to(NULL, (char **)table[i].arguments), 2);
		if (!strstr(errors, table[i].error))
			fail_msg("%s\nlacks: %s", errors, table[i].error);
		assert_string_equal(output, "");
	}
}

static void write_job(char *path, const char *settings)
{
	int file = mkstemp(path);
	assert_true(file >= 0);
	assert_true(dprintf(file,
			    "version: 1\njob: j\n%soperators:\n"
			    "  - {id: source, kind: nexmark, events: 10}\n"
			    "  - {id: sink, kind: null, input: source.bid}\n",
			    settings) > 0);
	close(file);
}

static void a_job_s_tasks_are_placed(void **state)
{
	char path[] = "/tmp/weir-test-topo-XXXXXX";
	write_job(path, "");
	assert_int_equal(TOPO("--workers", "3", "--synthetic", "core:8 pu:2", path), 0);
	assert_non_null(strstr(output, "; 3 workers, 3 tasks\n"));
	for (int i = 0; i < 3; i++) {
		char line[96];
		snprintf(line, sizeof(line),
			"worker %d on PU %d, 33 %% of the load: source+sink/%d", i, 2 * i + 2, i);
		assert_non_null(strstr(output, line));
	}
	assert_int_equal(TOPO("--synthetic", "core:8 pu:2", path), 0);
	assert_non_null(strstr(output, "; 7 workers, 7 tasks\n"));
	assert_int_equal(TOPO("--set", "workers.count=2", "--synthetic", "core:8 pu:2", path), 0);
	assert_non_null(strstr(output, "; 2 workers, 2 tasks\n"));
	unlink(path);
}

static void the_cpus_are_the_flag_s_or_the_job_s(void **state)
{
	char path[] = "/tmp/weir-test-topo-XXXXXX";
	write_job(path, "workers: {cpus: \"5,3\"}\n");
	assert_int_equal(TOPO("--synthetic", "core:8 pu:1", path), 0);
	assert_non_null(strstr(output, "worker 0 on PU 5, 50 % of the load: source+sink/0"));
	assert_non_null(strstr(output, "worker 1 on PU 3, 50 % of the load: source+sink/1"));
	assert_int_equal(TOPO("--cpus", "6", "--synthetic", "core:8 pu:1", path), 0);
	assert_non_null(strstr(output, "worker 0 on PU 6, 100 % of the load: source+sink/0"));
	assert_int_equal(TOPO("--synthetic", "core:4 pu:1", path), 2);
	assert_non_null(strstr(errors, ": CPU 5 cannot be used; those that can are 0-3\n"));
	unlink(path);
}

static void a_job_that_is_wrong_is_not_placed(void **state)
{
	char path[] = "/tmp/weir-test-topo-XXXXXX";
	int file = mkstemp(path);
	assert_true(file >= 0);
	assert_true(dprintf(file,
			    "version: 1\njob: j\noperators:\n"
			    "  - {id: source, kind: nexmark, events: 10}\n") > 0);
	close(file);
	assert_int_equal(TOPO(path), 2);
	assert_non_null(strstr(errors, ":4: source: nothing reads it"));
	assert_int_equal(TOPO("--set", "source.event=9", path), 2);
	assert_non_null(strstr(errors, "source.event"));
	assert_string_equal(output, "");
	unlink(path);
	assert_int_equal(TOPO(path), 2);
	assert_non_null(strstr(errors, "No such file"));
	assert_int_equal(TOPO(path, path), 2);
	assert_non_null(strstr(errors, "is a second"));
}

static void a_full_disk_is_a_failure(void **state)
{
	if (access("/dev/full", W_OK))
		skip();
	assert_int_equal(topo_to("/dev/full", (char *[]){"--json", NULL}), 1);
	assert_non_null(strstr(errors, "cannot be written"));
	assert_int_equal(topo_to("/dev/full", (char *[]){NULL}), 1);
	assert_non_null(strstr(errors, "cannot be written"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_tells_host_and_placement),
		cmocka_unit_test(tasks_are_in_the_json),
		cmocka_unit_test(text_is_the_default),
		cmocka_unit_test(wrong_use_is_one_line_with_the_remedy),
		cmocka_unit_test(a_job_s_tasks_are_placed),
		cmocka_unit_test(the_cpus_are_the_flag_s_or_the_job_s),
		cmocka_unit_test(a_job_that_is_wrong_is_not_placed),
		cmocka_unit_test(a_full_disk_is_a_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
