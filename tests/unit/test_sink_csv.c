#include <fcntl.h>
#include <sys/mount.h>

#include "dataplane/operators/sinks.h"
#include "operator_fixture.h"

enum { ROWS = 40000 };

static struct weir_schema schema;
static int64_t numbers[BATCH_ROWS_MAX];
static struct weir_slice texts[BATCH_ROWS_MAX];
static uint8_t nulls[BATCH_ROWS_MAX];
static struct weir_column columns[2] = {{numbers, NULL, 8}, {texts, nulls, sizeof(texts[0])}};

static int set_up(void **state)
{
	schema_add(&schema, "time", WEIR_TIMESTAMP, 0, 0);
	schema_add(&schema, "a,b", WEIR_STRING, 0, 0);
	schema_layout(&schema);
	for (int64_t i = 0; i < (int64_t)BATCH_ROWS_MAX; i++) {
		numbers[i] = (i - 1) * 1500000;
		texts[i] = (struct weir_slice){(const uint8_t *)"say \"x\"", i % 8, 0};
		nulls[i] = i == 3;
	}
	return folder_enter(state);
}

static struct weir_batch batch_of(uint32_t rows)
{
	return (struct weir_batch){.form = WEIR_COLUMNS, .count = rows, .columns = columns};
}

static void sink_begin(struct operator_test *t, const char *path, int header, int iso)
{
	test_begin(t, &sink_csv, &schema);
	param_text(t, "path", path);
	param_int(t, "header", header);
	param_int(t, "timestamps", iso);
	assert_int_equal(test_plan(t), 0);
	assert_int_equal(t->plan.parallelism_max, 1);
	assert_int_equal(t->plan.fields_used, 3);
}

static const char *content(const char *name)
{
	static char text[4096];
	FILE *f = fopen(name, "rb");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

static uint32_t files_here(void)
{
	FILE *f = popen("ls -A | wc -l", "r");
	int count = -1;
	assert_int_equal(fscanf(f, "%d", &count), 1);
	pclose(f);
	return (uint32_t)count;
}

static void finish(struct operator_test *t)
{
	struct chain_link *l = &t->links[0];
	assert_int_equal(t->kind->finish(l->self, &l->ctx), WEIR_DONE);
	assert_int_equal(t->kind->publish(l->self, &l->ctx), 0);
}

static void rows_are_written_as_they_must_be(void **state)
{
	struct operator_test t;
	struct weir_batch batch = batch_of(8);
	sink_begin(&t, "out.csv", 1, 0);
	assert_int_equal(test_create(&t), 0);
	assert_int_equal(test_process(&t, &batch), WEIR_DONE);
	assert_int_equal(t.links[0].counters.records_in, 8);
	finish(&t);
	test_end(&t);
	assert_string_equal(content("out.csv"),
		"time,\"a,b\"\n-2,\"\"\n0,s\n1,sa\n3,\n4,say \n"
		"6,\"say \"\"\"\n7,\"say \"\"x\"\n9,\"say \"\"x\"\"\"\n");
	sink_begin(&t, "out.csv", 0, 1);
	assert_int_equal(test_create(&t), 0);
	batch = batch_of(2);
	struct weir_slice plain = texts[1];
	texts[1] = (struct weir_slice){(const uint8_t *)"\r", 1, 0};
	assert_int_equal(test_process(&t, &batch), WEIR_DONE);
	texts[1] = plain;
	finish(&t);
	test_end(&t);
	assert_string_equal(content("out.csv"),
		"1969-12-31T23:59:59.998500Z,\"\"\n1970-01-01T00:00:00Z,\"\r\"\n");
	assert_int_equal(unlink("out.csv"), 0);
}

static void nothing_shows_before_it_is_published(void **state)
{
	struct operator_test t;
	struct weir_batch batch = batch_of(200);
	file_text("out.csv", "old");
	sink_begin(&t, "out.csv", 0, 0);
	assert_int_equal(test_create(&t), 0);
	assert_int_equal(test_process(&t, &batch), WEIR_DONE);
	assert_int_equal(t.kind->finish(t.links[0].self, &t.links[0].ctx), WEIR_DONE);
	assert_string_equal(content("out.csv"), "old");
	test_end(&t); // without publish
	assert_string_equal(content("out.csv"), "old");
	assert_int_equal(files_here(), 1);
	assert_int_equal(unlink("out.csv"), 0);
}

static void check_create_fails(const char *path, const char *want)
{
	struct operator_test t;
	sink_begin(&t, path, 0, 0);
	assert_true(test_create(&t) < 0);
	if (strncmp(test_error(&t), path, strlen(path)) != 0 || !strstr(test_error(&t), want))
		fail_msg("`%s` lacks `%s`", test_error(&t), want);
	test_end(&t);
}

static void a_bad_target_is_refused_at_once(void **state)
{
	assert_int_equal(mkdir("folder", 0777), 0);
	assert_int_equal(mkfifo("pipe", 0666), 0);
	file_text("file", "x");
	check_create_fails("folder", "is a directory");
	check_create_fails("folder/", "is a directory");
	check_create_fails("no/out.csv", "its directory does not exist");
	check_create_fails("file/out.csv", "its directory does not exist");
	check_create_fails("pipe", "is no regular file");
	check_create_fails("/dev/null", "is no regular file");
	assert_int_equal(chmod("folder", 0555), 0);
	if (geteuid() != 0)
		check_create_fails("folder/out.csv", "may not be written to");
	assert_int_equal(rmdir("folder") + unlink("pipe") + unlink("file"), 0);
	assert_int_equal(files_here(), 0);
}

static enum weir_flow fill(struct operator_test *t)
{
	enum weir_flow flow = WEIR_DONE;
	struct weir_batch batch = batch_of(BATCH_ROWS_MAX);
	for (uint32_t rows = 0; rows < ROWS && flow == WEIR_DONE; rows += BATCH_ROWS_MAX)
		flow = test_process(t, &batch);
	if (flow == WEIR_DONE)
		flow = t->kind->finish(t->links[0].self, &t->links[0].ctx);
	return flow;
}

// Skipped where no file system may be mounted.
static void a_full_disk_stops_the_job_and_leaves_nothing(void **state)
{
	struct operator_test t;
	assert_int_equal(mkdir("small", 0777), 0);
	if (mount("none", "small", "tmpfs", 0, "size=64k") != 0) {
		assert_int_equal(rmdir("small"), 0);
		skip();
	}
	file_text("small/out.csv", "old");
	sink_begin(&t, "small/out.csv", 0, 0);
	assert_int_equal(test_create(&t), 0);
	enum weir_flow flow = fill(&t);
	char error[512];
	snprintf(error, sizeof(error), "%s", test_error(&t));
	test_end(&t);
	bool old = strcmp(content("small/out.csv"), "old") == 0;
	int others = system("test \"$(ls -A small)\" = out.csv");
	assert_int_equal(umount("small"), 0);
	assert_int_equal(rmdir("small"), 0);
	assert_int_equal(flow, WEIR_FAILED);
	assert_string_equal(error,
		"small/out.csv: the disk is full; free space there or let `path`"
		" name another one");
	assert_true(old);
	assert_int_equal(others, 0);
}

static void standard_output_gets_every_line(void **state)
{
	struct operator_test t;
	struct weir_batch batch = batch_of(3);
	int saved = dup(STDOUT_FILENO), file = open("shown", O_RDWR | O_CREAT | O_TRUNC, 0600);
	fflush(stdout);
	dup2(file, STDOUT_FILENO);
	test_begin(&t, &sink_stdout, &schema);
	param_int(&t, "header", 1);
	int planned = test_plan(&t), created = test_create(&t);
	enum weir_flow flow = test_process(&t, &batch);
	close(STDOUT_FILENO);
	enum weir_flow closed = test_process(&t, &batch);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(file);
	assert_int_equal(planned + created, 0);
	assert_int_equal(flow, WEIR_DONE);
	assert_int_equal(closed, WEIR_FAILED);
	assert_non_null(strstr(test_error(&t), "stdout: cannot be written"));
	assert_string_equal(content("shown"), "time,\"a,b\"\n-2,\"\"\n0,s\n1,sa\n");
	assert_int_equal(unlink("shown"), 0);
	test_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_written_as_they_must_be),
		cmocka_unit_test(nothing_shows_before_it_is_published),
		cmocka_unit_test(a_bad_target_is_refused_at_once),
		cmocka_unit_test(a_full_disk_stops_the_job_and_leaves_nothing),
		cmocka_unit_test(standard_output_gets_every_line),
	};
	return cmocka_run_group_tests(tests, set_up, folder_leave);
}
