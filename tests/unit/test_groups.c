// Groups of a pane: many more keys than the cache holds, merged into one entry a key in order of
// first appearance, within bounded room, through snapshots.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "state/groups.h"

enum { KEYS = 3000, ROWS = 200000, POOL_BYTES = 64 << 20, SNAPSHOT_BYTES = 4 << 20 };

struct fixture {
	struct arena arena;
	struct pool pool;
	struct aggregates aggregates;
	struct groups groups;
	uint64_t rows[KEYS + 1]; // by key, null last
	int64_t most[KEYS + 1];
	uint32_t first[KEYS + 1], keys; // order of first appearance
	uint64_t seed;
};

static uint32_t draw(struct fixture *f, uint32_t below)
{
	f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(f->seed >> 33) % below;
}

static int setup(void **state)
{
	static struct fixture f;
	struct weir_field field = {.type = WEIR_INT64}, result;
	memset(&f, 0, sizeof(f));
	aggregates_begin(&f.aggregates, TABLE_INT64_HEAD);
	if (arena_create(&f.arena, POOL_BYTES + 4096, -1, true) ||
		pool_create(&f.pool, &f.arena, POOL_BYTES) ||
		aggregates_add(&f.aggregates, AGGREGATE_MAX, 0, &field, &result) ||
		groups_create(&f.groups, &f.aggregates, &f.pool, 1))
		return -1;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	groups_destroy(&f->groups);
	int leaked = f->pool.used != 0;
	arena_destroy(&f->arena);
	return leaked;
}

// Key KEYS is null, key k the number (k - 5) * 1024, so that they meet in a plain cache too.
static void add(struct fixture *f, uint32_t key, int64_t value)
{
	assert_int_equal(groups_reserve(&f->groups), 0);
	uint8_t *entry = key == KEYS ? groups_take_null(&f->groups)
				     : groups_take(&f->groups, ((int64_t)key - 5) * 1024);
	uint8_t *const entries[] = {entry};
	const uint32_t row = 0;
	((struct table_entry *)entry)->rows++;
	const struct weir_column column = {&value, NULL, 8};
	cells_update(&f->aggregates, entries, &column, &row, 1);
	if (f->rows[key]++ == 0)
		f->first[f->keys++] = key;
	if (f->rows[key] == 1 || value > f->most[key])
		f->most[key] = value;
}

static void fill(struct fixture *f, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i++)
		add(f, draw(f, 50) == 0 ? KEYS : draw(f, KEYS), (int64_t)draw(f, 1u << 30));
}

static void check(struct fixture *f)
{
	do
		assert_int_equal(groups_merge(&f->groups, 1 + draw(f, 3 * KEYS)), 0);
	while (!groups_are_merged(&f->groups));
	assert_int_equal(f->groups.count, f->keys);
	for (uint32_t i = 0; i < f->keys; i++) {
		uint32_t key = f->first[i];
		const uint8_t *entry = groups_at(&f->groups, f->aggregates.entry_bytes, i);
		int64_t most;
		memcpy(&most, entry + f->aggregates.cells[2].offset, sizeof(most));
		assert_int_equal(f->groups.null_number == i, key == KEYS);
		if (key != KEYS)
			assert_int_equal(entry_word(entry), ((int64_t)key - 5) * 1024);
		assert_int_equal(entry_rows(entry), f->rows[key]);
		assert_int_equal(most, f->most[key]);
	}
}

static void test_merges_in_order_and_in_bounds(void **state)
{
	struct fixture *f = *state;
	for (uint32_t i = 0; i < 4; i++) {
		fill(f, ROWS);
		assert_true(f->groups.room <= 16 * KEYS);
		if (i % 2 == 0)
			check(f);
	}
	check(f);
}

static void test_keys_that_hardly_repeat_are_merged_rarely(void **state)
{
	struct fixture *f = *state;
	uint32_t merges = 0, distinct = 0;
	for (uint32_t i = 0; i < ROWS; i++) {
		assert_int_equal(groups_reserve(&f->groups), 0);
		((struct table_entry *)groups_take(&f->groups, (int64_t)i))->rows++;
		merges += f->groups.distinct != distinct;
		distinct = f->groups.distinct;
	}
	assert_true(merges <= 4);
	assert_int_equal(f->groups.count, ROWS);
}

// The groups through a snapshot into fresh ones, to be restored from *r.
static void replace(struct fixture *f, uint8_t *memory, struct snapshot_reader *r,
	struct group_directory *d)
{
	struct snapshot_writer w;
	size_t bytes;
	uint32_t version;
	snapshot_begin(&w, memory, SNAPSHOT_BYTES);
	snapshot_section(&w, "groups", 1);
	const struct group_source source = groups_source(&f->groups);
	struct group_run run;
	group_run_begin(&run, 12, &source, &w);
	while (!group_run_write(&run, &source, &w))
		;
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	groups_destroy(&f->groups);
	assert_int_equal(groups_create(&f->groups, &f->aggregates, &f->pool, 1), 0);
	assert_int_equal(snapshot_open(r, memory, bytes), 0);
	assert_int_equal(snapshot_find(r, "groups", &version), 0);
	assert_int_equal(group_directory_read(d, r), 0);
	assert_int_equal(groups_restore_begin(&f->groups, d->count, r), 0);
	while (!groups_restore_prepare(&f->groups))
		;
}

static void test_snapshot_keeps_unmerged_entries(void **state)
{
	struct fixture *f = *state;
	uint8_t *memory = malloc(SNAPSHOT_BYTES);
	for (uint32_t i = 0; i < 3; i++) {
		struct snapshot_reader r;
		struct group_directory d;
		fill(f, 20000);
		replace(f, memory, &r, &d);
		assert_int_equal(group_run_read(&f->groups, groups_restore_key, &r), 0);
		assert_int_equal(snapshot_left(&r), 0);
	}
	check(f);
	free(memory);
}

// Key groups one by one in any order, with rows between them of keys that are not there yet.
static void test_restored_by_key_group(void **state)
{
	struct fixture *f = *state;
	uint8_t *memory = malloc(SNAPSHOT_BYTES);
	struct snapshot_reader r;
	struct group_directory d;
	uint32_t null_group = key_group(table_null_hash(), 12);
	fill(f, 20000);
	replace(f, memory, &r, &d);
	for (uint32_t k = 0; k < 4096; k++) {
		uint32_t group = (k * 1001 + null_group) % 4096;
		assert_int_equal(group_run_read_group(&d, group, 12, &f->groups, groups_restore_key,
					 &r),
			0);
		fill(f, 10);
	}
	assert_int_equal(f->groups.absent, 0);
	check(f);
	free(memory);
}

static void write_entry(struct snapshot_writer *w, uint32_t number, uint32_t key_bytes,
	uint64_t rows)
{
	static const uint8_t zeros[64];
	snapshot_u32(w, 0);
	snapshot_u32(w, number);
	snapshot_u32(w, key_bytes);
	snapshot_bytes(w, zeros, key_bytes);
	snapshot_u64(w, rows);
	snapshot_bytes(w, zeros, 16);
}

static void test_damaged_snapshot(void **state)
{
	struct fixture *f = *state;
	// count, then number, bytes of the key and rows of two entries
	static const uint32_t bad[][7] = {{2, 0, 8, 1, 0, 8, 1}, {2, 0, 8, 1, 2, 8, 1},
		{2, 0, 8, 1, 1, 8, 0}, {2, 0, 0, 1, 1, 0, 1}, {2, 0, 8, 1, 1, 5, 1},
		{3, 0, 8, 1, 1, 8, 1}, {1u << 30, 0, 8, 1, 1, 8, 1}};
	uint8_t *memory = malloc(SNAPSHOT_BYTES);
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct snapshot_writer w;
		struct snapshot_reader r;
		size_t bytes;
		uint32_t version;
		snapshot_begin(&w, memory, SNAPSHOT_BYTES);
		snapshot_section(&w, "groups", 1);
		snapshot_u32(&w, bad[i][0]);
		write_entry(&w, bad[i][1], bad[i][2], bad[i][3]);
		write_entry(&w, bad[i][4], bad[i][5], bad[i][6]);
		snapshot_u32(&w, GROUP_RUN_END);
		assert_int_equal(snapshot_end(&w, &bytes), 0);
		groups_destroy(&f->groups);
		assert_int_equal(groups_create(&f->groups, &f->aggregates, &f->pool, 1), 0);
		assert_int_equal(snapshot_open(&r, memory, bytes), 0);
		assert_int_equal(snapshot_find(&r, "groups", &version), 0);
		int error = groups_restore_begin(&f->groups, snapshot_read_u32(&r), &r);
		while (!error && !groups_restore_prepare(&f->groups))
			;
		if (!error)
			error = group_run_read(&f->groups, groups_restore_key, &r);
		assert_int_equal(error, -EBADMSG);
	}
	free(memory);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_merges_in_order_and_in_bounds),
		T(test_keys_that_hardly_repeat_are_merged_rarely),
		T(test_snapshot_keeps_unmerged_entries), T(test_restored_by_key_group),
		T(test_damaged_snapshot)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
