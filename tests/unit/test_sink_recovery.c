// The sinks that write rows, killed at any time and followed by a successor that replays: each line
// is written once and none is missing, byte for byte.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "dataplane/operators/sink_rows.h"
#include "dataplane/operators/sinks.h"
#include "operator_fixture.h"

enum {
	SEEDS = 30,
	BATCHES = 80,
	ROWS_MAX = 48,
	TEXT_MAX = 2000,
	OUTPUT_ROOM = BATCHES * ROWS_MAX * (TEXT_MAX + 32),
	SNAPSHOT_ROOM = 1 << 20,
	KILLS_MAX = 20,
	PIPE_BYTES = 4096,
	DEATHS_MAX = OUTPUT_ROOM / PIPE_BYTES,
};

static struct weir_schema schema;
static int64_t numbers[ROWS_MAX];
static struct weir_slice texts[ROWS_MAX];
static uint8_t letters[TEXT_MAX];
static struct weir_column columns[2] = {{numbers, NULL, 8}, {texts, NULL, sizeof(texts[0])}};
static char *expected, *found;
static size_t expected_bytes, found_bytes;

// What a run keeps of itself: the last snapshot, and which batch came behind it.
static uint8_t snapshot[SNAPSHOT_ROOM];
static size_t snapshot_size;
static uint32_t snapshot_batch;
static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (random_state >> 33) % below;
}

static int set_up(void **state)
{
	schema_add(&schema, "number", WEIR_INT64, 0, 0);
	schema_add(&schema, "text", WEIR_STRING, 0, 0);
	schema_layout(&schema);
	for (int i = 0; i < TEXT_MAX; i++)
		letters[i] = (uint8_t)('a' + i % 26);
	expected = malloc(OUTPUT_ROOM);
	found = malloc(OUTPUT_ROOM);
	return folder_enter(state);
}

static int tear_down(void **state)
{
	free(expected);
	free(found);
	return folder_leave(state);
}

// Batch number i, always the same one.
static struct weir_batch batch_at(uint32_t i)
{
	uint64_t mixed = (i + 1) * 0x9E3779B97F4A7C15u;
	uint32_t count = 1 + (uint32_t)(mixed >> 40) % ROWS_MAX;
	for (uint32_t r = 0; r < count; r++) {
		mixed = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9u;
		numbers[r] = (int64_t)mixed >> 20;
		texts[r] = (struct weir_slice){letters, 1 + (uint32_t)(mixed >> 50) % TEXT_MAX, 0};
	}
	return (struct weir_batch){.form = WEIR_COLUMNS, .count = count, .columns = columns};
}

static void expect_all(void)
{
	expected_bytes = (size_t)sprintf(expected, "number,text\n");
	for (uint32_t i = 0; i < BATCHES; i++) {
		struct weir_batch batch = batch_at(i);
		for (uint32_t r = 0; r < batch.count; r++)
			expected_bytes += (size_t)sprintf(expected + expected_bytes, "%lld,%.*s\n",
				(long long)numbers[r], (int)texts[r].length,
				(const char *)texts[r].data);
	}
}

static void check_found(void)
{
	expect_all();
	assert_int_equal(found_bytes, expected_bytes);
	assert_memory_equal(found, expected, expected_bytes);
}

static void begin(struct operator_test *t, const struct weir_operator *kind)
{
	test_begin(t, kind, &schema);
	param_text(t, "path", "out.csv");
	param_int(t, "header", 1);
	assert_int_equal(test_plan(t), 0);
	assert_int_equal(test_create(t), 0);
	snapshot_size = 0;
	snapshot_batch = 0;
	found_bytes = 0;
}

static void take_snapshot(const struct operator_test *t, uint32_t next_batch)
{
	struct snapshot_writer w;
	snapshot_begin(&w, snapshot, sizeof(snapshot));
	snapshot_section(&w, "it", t->kind->state_version);
	t->kind->snapshot(t->links[0].self, &w);
	assert_int_equal(snapshot_end(&w, &snapshot_size), 0);
	snapshot_batch = next_batch;
}

static int restore(struct operator_test *t)
{
	struct snapshot_reader r;
	uint32_t version;
	assert_int_equal(snapshot_open(&r, snapshot, snapshot_size), 0);
	assert_int_equal(snapshot_find(&r, "it", &version), 0);
	int error = t->kind->restore(t->links[0].self, &t->links[0].ctx, &r);
	assert_true(error != 0 || snapshot_left(&r) == 0);
	return error;
}

// Returns the batch that the successor is to be given next.
static uint32_t replace(struct operator_test *t)
{
	if (t->kind->destroy != NULL)
		t->kind->destroy(t->links[0].self);
	arena_destroy(&t->arena);
	t->links[0].ctx.error[0] = 0;
	assert_int_equal(test_create(t), 0);
	if (snapshot_size != 0)
		assert_int_equal(restore(t), 0);
	return snapshot_batch;
}

static enum weir_flow give(struct operator_test *t, uint32_t i)
{
	struct weir_batch batch = batch_at(i);
	return test_process(t, &batch);
}

// All batches, with snapshots and deaths in between.
static void run(struct operator_test *t)
{
	uint32_t kills = 0;
	for (uint32_t i = 0; i < BATCHES;) {
		if (draw(8) == 0)
			take_snapshot(t, i);
		if (draw(8) == 0 && kills++ < KILLS_MAX) {
			i = replace(t);
			continue;
		}
		assert_int_equal(give(t, i++), WEIR_DONE);
	}
}

static size_t read_all(const char *name)
{
	FILE *f = fopen(name, "rb");
	assert_non_null(f);
	size_t bytes = fread(found, 1, OUTPUT_ROOM, f);
	fclose(f);
	return bytes;
}

static void end_csv(struct operator_test *t)
{
	struct chain_link *l = &t->links[0];
	assert_int_equal(t->kind->finish(l->self, &l->ctx), WEIR_DONE);
	while (draw(2) == 0) { // finished tasks die, too
		for (uint32_t i = replace(t); i < BATCHES; i++)
			assert_int_equal(give(t, i), WEIR_DONE);
		assert_int_equal(t->kind->finish(l->self, &l->ctx), WEIR_DONE);
	}
	assert_int_equal(access("out.csv", F_OK), -1);
	assert_int_equal(t->kind->publish(l->self, &l->ctx), 0);
	test_end(t);
}

static void a_file_is_the_same_whoever_dies(void **state)
{
	struct operator_test t;
	for (random_state = 1; random_state <= SEEDS;) {
		uint64_t seed = random_state;
		begin(&t, &sink_csv);
		run(&t);
		end_csv(&t);
		found_bytes = read_all("out.csv");
		check_found();
		assert_int_equal(unlink("out.csv"), 0);
		random_state = seed + 1;
	}
}

// What a dead instance had written behind the end, for whatever reason, is no part of the file.
static void what_reaches_beyond_is_cut(void **state)
{
	struct operator_test t;
	begin(&t, &sink_csv);
	for (uint32_t i = 0; i < BATCHES; i++)
		assert_int_equal(give(&t, i), WEIR_DONE);
	take_snapshot(&t, BATCHES);
	for (uint32_t i = 0; i < BATCHES; i++)
		assert_int_equal(give(&t, i), WEIR_DONE);
	assert_int_equal(replace(&t), BATCHES);
	assert_int_equal(t.kind->finish(t.links[0].self, &t.links[0].ctx), WEIR_DONE);
	assert_int_equal(t.kind->publish(t.links[0].self, &t.links[0].ctx), 0);
	test_end(&t);
	found_bytes = read_all("out.csv");
	check_found();
	assert_int_equal(unlink("out.csv"), 0);
}

// As one of another process, which has only the snapshot, taken behind so many batches.
static int restore_elsewhere(struct operator_test *t, uint32_t batches)
{
	begin(t, &sink_csv);
	for (uint32_t i = 0; i < batches; i++)
		assert_int_equal(give(t, i), WEIR_DONE);
	take_snapshot(t, batches);
	test_end(t);
	size_t size = snapshot_size;
	begin(t, &sink_csv);
	snapshot_size = size;
	snapshot_batch = batches;
	return restore(t);
}

// What the snapshot holds of the file may be all there is of it.
static void another_process_needs_the_file_as_well(void **state)
{
	struct operator_test t;
	assert_int_equal(restore_elsewhere(&t, BATCHES), -ENODATA);
	assert_non_null(strstr(test_error(&t), "out.csv: its lines up to the checkpoint went"));
	test_end(&t);
	assert_int_equal(restore_elsewhere(&t, 1), 0);
	for (uint32_t i = 1; i < BATCHES; i++)
		assert_int_equal(give(&t, i), WEIR_DONE);
	random_state = 1;
	end_csv(&t);
	found_bytes = read_all("out.csv");
	check_found();
	assert_int_equal(unlink("out.csv"), 0);
}

static uint64_t file_bytes(const struct operator_test *t)
{
	return ((const struct sink_rows *)t->links[0].self)->file->at;
}

// A part of its state is as small however much the file holds.
static void write_in_parts(const struct operator_test *t, struct snapshot_writer *w)
{
	uint64_t parts = 1;
	while (!t->kind->snapshot_part(t->links[0].self, w, parts == 1))
		parts++;
	assert_true(w->overflow || parts >= file_bytes(t) / SNAPSHOT_PART_BYTES);
}

static int read_in_parts(struct operator_test *t, struct snapshot_reader *r)
{
	int result = 1;
	uint64_t parts = 0;
	for (; result == 1; parts++)
		result = t->kind->restore_part(t->links[0].self, &t->links[0].ctx, r, parts == 0);
	assert_true(result != 0 || parts >= file_bytes(t) / SNAPSHOT_PART_BYTES);
	return result;
}

// The first try has too little room, and says how much it takes.
static size_t take_whole(const struct operator_test *t, uint8_t *out, size_t room)
{
	struct snapshot_writer w;
	size_t bytes = 0;
	for (size_t tried = 4096;; tried = snapshot_needed(&w)) {
		assert_true(tried <= room);
		snapshot_begin(&w, out, tried);
		w.whole = true;
		snapshot_section(&w, "it", t->kind->state_version);
		write_in_parts(t, &w);
		int error = snapshot_end(&w, &bytes);
		if (error == 0)
			return bytes;
		assert_int_equal(error, -ENOSPC);
		assert_true(snapshot_needed(&w) > tried);
	}
}

static int restore_from(struct operator_test *t, const uint8_t *data, size_t bytes)
{
	struct snapshot_reader r;
	uint32_t version;
	assert_int_equal(snapshot_open(&r, data, bytes), 0);
	assert_int_equal(snapshot_find(&r, "it", &version), 0);
	return read_in_parts(t, &r);
}

static void the_file_goes_along_where_all_is_asked_for(void **state)
{
	static uint8_t whole[OUTPUT_ROOM];
	static const uint32_t behind[] = {0, 1, BATCHES / 2, BATCHES};
	struct operator_test t;
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		begin(&t, &sink_csv);
		for (uint32_t b = 0; b < behind[i]; b++)
			assert_int_equal(give(&t, b), WEIR_DONE);
		size_t bytes = take_whole(&t, whole, sizeof(whole));
		test_end(&t); // and its file with it
		begin(&t, &sink_csv);
		assert_int_equal(restore_from(&t, whole, bytes), 0);
		for (uint32_t b = behind[i]; b < BATCHES; b++)
			assert_int_equal(give(&t, b), WEIR_DONE);
		assert_int_equal(t.kind->publish(t.links[0].self, &t.links[0].ctx), 0);
		test_end(&t);
		found_bytes = read_all("out.csv");
		check_found();
		assert_int_equal(unlink("out.csv"), 0);
	}
}

static void a_disk_that_cannot_take_the_file_is_named(void **state)
{
	static uint8_t whole[OUTPUT_ROOM];
	struct operator_test t;
	struct rlimit before, none;
	begin(&t, &sink_csv);
	for (uint32_t b = 0; b < BATCHES; b++)
		assert_int_equal(give(&t, b), WEIR_DONE);
	size_t bytes = take_whole(&t, whole, sizeof(whole));
	test_end(&t);
	begin(&t, &sink_csv);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	int error = restore_from(&t, whole, bytes);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(error, -EFBIG);
	assert_non_null(strstr(test_error(&t), "out.csv: cannot be written: File too large"));
	test_end(&t);
}

static void a_file_too_large_to_go_along_is_refused(void **state)
{
	struct operator_test t;
	struct snapshot_writer w;
	size_t bytes;
	begin(&t, &sink_csv);
	struct output_file *file = ((struct sink_rows *)t.links[0].self)->file;
	file->at = SINK_ROWS_CARRIED_MAX + 1;
	snapshot_begin(&w, snapshot, sizeof(snapshot));
	w.whole = true;
	snapshot_section(&w, "it", t.kind->state_version);
	t.kind->snapshot(t.links[0].self, &w);
	assert_int_equal(snapshot_end(&w, &bytes), -EFBIG);
	assert_non_null(strstr(w.refused, "64 MiB"));
	take_snapshot(&t, 0); // for this process none of it is needed
	test_end(&t);
}

// Version 1 had only the lines that were not yet written.
static void a_section_of_before_is_read(void **state)
{
	struct operator_test t;
	struct snapshot_writer w;
	size_t bytes;
	expect_all();
	begin(&t, &sink_csv);
	snapshot_begin(&w, snapshot, sizeof(snapshot));
	snapshot_section(&w, "it", 1);
	snapshot_u64(&w, 0);
	snapshot_u64(&w, 1000);
	snapshot_bytes(&w, expected, 1000);
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	assert_int_equal(restore_from(&t, snapshot, bytes), 0);
	assert_int_equal(t.kind->publish(t.links[0].self, &t.links[0].ctx), 0);
	test_end(&t);
	assert_int_equal(read_all("out.csv"), 1000);
	assert_memory_equal(found, expected, 1000);
	assert_int_equal(unlink("out.csv"), 0);
}

static int standard_output(int fd)
{
	fflush(stdout);
	int saved = dup(STDOUT_FILENO);
	dup2(fd, STDOUT_FILENO);
	close(fd);
	return saved;
}

static void standard_output_gets_each_line_once(void **state)
{
	struct operator_test t;
	for (random_state = 1; random_state <= SEEDS;) {
		uint64_t seed = random_state;
		int saved = standard_output(open("shown", O_RDWR | O_CREAT | O_TRUNC, 0600));
		begin(&t, &sink_stdout);
		run(&t);
		test_end(&t);
		dup2(saved, STDOUT_FILENO);
		close(saved);
		found_bytes = read_all("shown");
		check_found();
		random_state = seed + 1;
	}
	assert_int_equal(unlink("shown"), 0);
}

static void drain(int fd)
{
	ssize_t bytes;
	while ((bytes = read(fd, found + found_bytes, OUTPUT_ROOM - found_bytes)) > 0)
		found_bytes += (size_t)bytes;
}

// A pipe that is full takes a part of a line, and the sink dies of it.
static void a_line_written_in_part_is_gone_on_with(void **state)
{
	struct operator_test t;
	int ends[2];
	uint32_t deaths = 0;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
	int saved = standard_output(ends[1]);
	begin(&t, &sink_stdout);
	for (uint32_t i = 0; i < BATCHES;) {
		enum weir_flow flow = give(&t, i);
		drain(ends[0]);
		i = flow == WEIR_FAILED ? replace(&t) : i + 1;
		deaths += flow == WEIR_FAILED;
		assert_true(deaths < DEATHS_MAX);
		if (flow != WEIR_FAILED && i % 5 == 0)
			take_snapshot(&t, i);
	}
	test_end(&t);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(ends[0]);
	assert_true(deaths > BATCHES);
	check_found();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_the_same_whoever_dies),
		cmocka_unit_test(what_reaches_beyond_is_cut),
		cmocka_unit_test(another_process_needs_the_file_as_well),
		cmocka_unit_test(the_file_goes_along_where_all_is_asked_for),
		cmocka_unit_test(a_disk_that_cannot_take_the_file_is_named),
		cmocka_unit_test(a_file_too_large_to_go_along_is_refused),
		cmocka_unit_test(a_section_of_before_is_read),
		cmocka_unit_test(standard_output_gets_each_line_once),
		cmocka_unit_test(a_line_written_in_part_is_gone_on_with),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
