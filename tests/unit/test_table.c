// Tables: finding, order of creation, growth, the null key, snapshots by key group, damage.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "state/table.h"

enum { KEYS = 50000, POOL_BYTES = 32 << 20, SNAPSHOT_BYTES = 8 << 20, STRIDE = 40 };

struct fixture {
	struct arena arena;
	struct pool pool;
	struct table table;
	uint8_t *snapshot;
	size_t snapshot_bytes;
};

static const uint8_t initial[STRIDE] = {7};

static int setup(void **state)
{
	static struct fixture f;
	if (arena_create(&f.arena, POOL_BYTES + SNAPSHOT_BYTES + 8192, -1, true) ||
		pool_create(&f.pool, &f.arena, POOL_BYTES))
		return -1;
	f.snapshot = arena_alloc(&f.arena, SNAPSHOT_BYTES, 64);
	*state = &f;
	return f.snapshot == NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	table_destroy(&f->table);
	int leaked = f->pool.used != 0;
	arena_destroy(&f->arena);
	return leaked;
}

static void begin(struct fixture *f, enum table_form form)
{
	table_create(&f->table, &f->pool, form, true, STRIDE, initial);
}

static uint8_t *take(struct table *t, uint32_t i)
{
	char text[40];
	if (t->form == TABLE_INT64)
		return table_take_int64(t, (int64_t)i * 3 - 1000);
	uint32_t bytes = (uint32_t)snprintf(text, sizeof(text), "%u%.*s", i, (int)(i % 20),
		"####################");
	return table_take_bytes(t, key_hash(text, bytes), (uint8_t *)text, bytes);
}

static void fill(struct table *t, uint32_t keys)
{
	for (uint32_t i = 0; i < keys; i++)
		for (uint32_t again = 0; again <= i % 3; again++) {
			uint8_t *entry = take(t, i);
			assert_non_null(entry);
			assert_int_equal(entry_rows(entry), again);
			if (again == 0)
				assert_int_equal(entry[t->head], 7);
			((struct table_entry *)entry)->rows++;
			entry[t->head] = (uint8_t)i;
		}
}

static void check(struct table *t, uint32_t keys)
{
	assert_int_equal(t->count, keys);
	for (uint32_t i = 0; i < keys; i++) {
		uint8_t *entry = table_at(t, i);
		assert_ptr_equal(entry, take(t, i));
		assert_int_equal(entry_rows(entry), i % 3 + 1);
		assert_int_equal(entry[t->head], (uint8_t)i);
	}
	assert_int_equal(t->count, keys);
}

static void test_int64_keys(void **state)
{
	struct fixture *f = *state;
	begin(f, TABLE_INT64);
	fill(&f->table, KEYS);
	check(&f->table, KEYS);
}

static void test_bytes_keys(void **state)
{
	struct fixture *f = *state;
	begin(f, TABLE_BYTES);
	fill(&f->table, KEYS);
	check(&f->table, KEYS);
}

static void test_null_is_not_zero(void **state)
{
	struct fixture *f = *state;
	begin(f, TABLE_INT64);
	uint8_t *null = table_take_null(&f->table);
	((struct table_entry *)null)->rows = 5;
	uint8_t *zero = table_take_int64(&f->table, 0);
	((struct table_entry *)zero)->rows = 6;
	assert_ptr_not_equal(null, zero);
	assert_true(table_hash(&f->table, null) != table_hash(&f->table, zero));
	table_reserve(&f->table, 1000);
	assert_int_equal(entry_rows(table_take_null(&f->table)), 5);
	assert_int_equal(entry_rows(table_take_int64(&f->table, 0)), 6);
	assert_ptr_equal(table_at(&f->table, 0), table_take_null(&f->table));
	assert_int_equal(f->table.count, 2);
}

static void save(struct fixture *f)
{
	struct snapshot_writer w;
	snapshot_begin(&w, f->snapshot, SNAPSHOT_BYTES);
	snapshot_section(&w, "table", 1);
	table_snapshot(&f->table, 12, &w);
	assert_int_equal(snapshot_end(&w, &f->snapshot_bytes), 0);
}

static void load_begin(struct fixture *f, struct snapshot_reader *r, enum table_form form)
{
	uint32_t version;
	table_destroy(&f->table);
	begin(f, form);
	assert_int_equal(snapshot_open(r, f->snapshot, f->snapshot_bytes), 0);
	assert_int_equal(snapshot_find(r, "table", &version), 0);
}

// The keys of one task of sixteen are not crowded into a sixteenth of its table.
static void test_keys_of_one_task_spread_over_the_table(void **state)
{
	struct fixture *f = *state;
	uint64_t used[16] = {0};
	begin(f, TABLE_INT64);
	for (int64_t key = 0; f->table.count < 20000; key++)
		if (key_hash_int64(key) >> 60 == 5)
			((struct table_entry *)table_take_int64(&f->table, key))->rows = 1;
	uint32_t capacity = table_capacity(&f->table);
	for (uint32_t slot = 0; slot < capacity; slot++)
		if (entry_rows(f->table.slots + (uint64_t)slot * f->table.stride) != 0)
			used[(uint64_t)slot * 16 / capacity]++;
	for (int i = 0; i < 16; i++)
		assert_in_range(used[i], 20000 / 16 / 2, 20000 / 16 * 2);
}

static void test_snapshot(void **state)
{
	struct fixture *f = *state;
	struct snapshot_reader r;
	for (int form = TABLE_INT64; form <= TABLE_BYTES; form++) {
		begin(f, (enum table_form)form);
		fill(&f->table, 3000);
		save(f);
		load_begin(f, &r, (enum table_form)form);
		// Of another capacity, so that every key is at home elsewhere.
		table_reserve(&f->table, 20000);
		assert_int_equal(table_restore(&f->table, &r), 0);
		assert_int_equal(snapshot_left(&r), 0);
		check(&f->table, 3000);
		table_destroy(&f->table);
	}
}

static void test_snapshot_is_by_key_group(void **state)
{
	struct fixture *f = *state;
	begin(f, TABLE_INT64);
	fill(&f->table, 3000);
	uint32_t *groups = table_groups(&f->table, 4), last = 0;
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t group =
			key_group(table_hash(&f->table, table_at(&f->table, groups[i])), 4);
		assert_true(group >= last);
		assert_true(i == 0 || group > last || groups[i] > groups[i - 1]);
		last = group;
	}
	assert_int_equal(last, 15);
	table_groups_free(&f->table, groups);
}

// Numbers that repeat or are too large, keys that repeat, a count that is not the keys'.
static void test_damaged_snapshot(void **state)
{
	struct fixture *f = *state;
	struct snapshot_writer w;
	struct snapshot_reader r;
	static const uint32_t bad[][5] = {// count, then number and key of two keys
		{2, 0, 5, 0, 6}, {2, 0, 5, 2, 6}, {2, 0, 5, 1, 5}, {3, 0, 5, 1, 6}, {1, 0, 5, 1, 6},
		{1u << 31, 0, 5, 1, 6}};
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snapshot_begin(&w, f->snapshot, SNAPSHOT_BYTES);
		snapshot_section(&w, "table", 1);
		snapshot_u32(&w, bad[i][0]);
		for (uint32_t k = 0; k < 2; k++) {
			snapshot_u32(&w, 0);
			snapshot_u32(&w, bad[i][1 + 2 * k]);
			snapshot_u32(&w, sizeof(int64_t));
			snapshot_i64(&w, bad[i][2 + 2 * k]);
			snapshot_u64(&w, 1);
			snapshot_bytes(&w, initial, STRIDE - TABLE_INT64_HEAD);
		}
		snapshot_u32(&w, TABLE_KEYS_END);
		assert_int_equal(snapshot_end(&w, &f->snapshot_bytes), 0);
		load_begin(f, &r, TABLE_INT64);
		assert_int_equal(table_restore(&f->table, &r), -EBADMSG);
	}
}

static void test_exhausted_pool(void **state)
{
	struct fixture *f = *state;
	begin(f, TABLE_INT64);
	uint32_t i = 0;
	uint8_t *entry;
	while ((entry = take(&f->table, i)) != NULL) {
		((struct table_entry *)entry)->rows = 1;
		i++;
	}
	assert_true(i >= POOL_BYTES / STRIDE / 8);
	assert_int_equal(f->table.count, i);
	assert_int_equal(entry_rows(take(&f->table, i - 1)), 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_int64_keys), T(test_bytes_keys),
		T(test_null_is_not_zero), T(test_keys_of_one_task_spread_over_the_table),
		T(test_snapshot), T(test_snapshot_is_by_key_group), T(test_damaged_snapshot),
		T(test_exhausted_pool)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
