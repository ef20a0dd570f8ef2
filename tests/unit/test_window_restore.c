// Windows' state as it is read again: what earlier versions wrote, and by key group.
#include "tests/unit/window_fixture.h"

// Half of a golden run: records behind a watermark that advances.
static void golden_half(struct fixture *f, int64_t first)
{
	for (int64_t i = 0; i < 5; i++) {
		uint32_t from = f->record_count;
		while (f->record_count < from + 100) {
			f->records[f->record_count] = record_draw(f, first + 4 * i);
			f->record_count++;
		}
		feed(f, from, f->record_count);
		fire(f, first + 4 * i);
	}
}

static const struct {
	const char *name;
	struct setting setting;
} golden[] = {
	{"tumbling", {10, 10, 0, 25, 40, 0, false, 0, false}},
	{"text", {10, 10, 0, 25, 40, 0, true, 0, true}},
	{"hopping", {10, 2, 0, 25, 40, 0, false, 0, true}},
};
enum { GOLDEN_COUNT = sizeof(golden) / sizeof(*golden) };

static void golden_path(uint32_t version, char *out, size_t bytes)
{
	snprintf(out, bytes, "%s/snapshot/window_v%u.snapshot", WEIR_TEST_DATA, version);
}

static void golden_write(uint32_t version)
{
	static uint8_t memory[1 << 20];
	struct snapshot_writer w;
	size_t bytes;
	snapshot_begin(&w, memory, sizeof(memory));
	for (uint32_t i = 0; i < GOLDEN_COUNT; i++) {
		struct fixture f;
		fixture_create(&f, &golden[i].setting, i);
		golden_half(&f, 0);
		snapshot_section(&w, golden[i].name, version);
		fixture_snapshot(&f, &w, SNAPSHOT_PART_KEYS);
		fixture_destroy(&f);
	}
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	char path[512];
	golden_path(version, path, sizeof(path));
	FILE *out = fopen(path, "wxb");
	assert_non_null(out);
	assert_int_equal(fwrite(memory, 1, bytes, out), bytes);
	fclose(out);
}

// All of it, or one key group after the other.
static void restore(struct fixture *f, struct snapshot_reader *r, bool by_group)
{
	struct group_set absent;
	if (!by_group) {
		assert_int_equal(fixture_restore(f, r, 5), 0);
		return;
	}
	assert_int_equal(group_set_create(&absent, &f->arena, f->config.group_bits), 0);
	assert_int_equal(window_restore_begin(&f->window, r, &absent), 0);
	assert_true(f->window.groups_absent > 10);
	struct snapshot_reader whole = *r;
	for (uint32_t i = 0; i < 4096; i++) {
		uint32_t group = (i * 1001 + 5) % 4096;
		if (group_set_has(&absent, group))
			assert_int_equal(window_restore_group(&f->window, &whole, group), 0);
	}
	assert_int_equal(f->window.groups_absent, 0);
}

static void golden_read(uint32_t version, bool by_group)
{
	static uint8_t memory[1 << 20];
	char path[512];
	golden_path(version, path, sizeof(path));
	FILE *in = fopen(path, "rb");
	assert_non_null(in);
	size_t bytes = fread(memory, 1, sizeof(memory), in);
	fclose(in);
	for (uint32_t i = 0; i < GOLDEN_COUNT; i++) {
		struct fixture f;
		struct snapshot_reader r;
		uint32_t found;
		fixture_create(&f, &golden[i].setting, i);
		golden_half(&f, 0);
		window_destroy(&f.window);
		assert_int_equal(window_create(&f.window, &f.config, &f.pool, &f.arena), 0);
		assert_int_equal(snapshot_open(&r, memory, bytes), 0);
		assert_int_equal(snapshot_find(&r, golden[i].name, &found), 0);
		assert_int_equal(found, version);
		restore(&f, &r, by_group);
		assert_int_equal(snapshot_left(&r), 0);
		golden_half(&f, 20);
		fire(&f, INT64_MAX);
		model(&f);
		compare(&f);
		fixture_destroy(&f);
	}
}

// Windows' state as each version wrote it is read for ever. When it changes, today's files stay
// and a new one joins; it is made by WEIR_GOLDEN_WRITE=1 build/tests/unit/test_window.
static void test_golden_files_are_read(void **state)
{
	if (getenv("WEIR_GOLDEN_WRITE"))
		golden_write(WINDOW_STATE_VERSION);
	for (uint32_t version = 1; version <= WINDOW_STATE_VERSION; version++)
		golden_read(version, false);
	for (uint32_t version = WINDOW_GROUPS_VERSION; version <= WINDOW_STATE_VERSION; version++)
		golden_read(version, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_files_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
