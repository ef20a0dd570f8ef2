// Tables: finding, order of creation, the null key, growth bit by bit, snapshots, damage, and a
// pool that runs dry.
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

static void fill_one(struct table *t, uint32_t i)
{
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

static void fill(struct table *t, uint32_t keys)
{
	for (uint32_t i = 0; i < keys; i++)
		fill_one(t, i);
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
	const struct group_source source = table_source(&f->table);
	struct group_run run;
	group_run_begin(&run, 12, &source, &w);
	while (!group_run_write(&run, &source, &w))
		;
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

static int restore_begin(struct fixture *f, uint32_t count, const struct snapshot_reader *r)
{
	int error = table_restore_begin(&f->table, count, r);
	while (!error && !table_restore_prepare(&f->table))
		;
	return error;
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
	struct group_directory d;
	for (int form = TABLE_INT64; form <= TABLE_BYTES; form++) {
		begin(f, (enum table_form)form);
		fill(&f->table, 3000);
		save(f);
		load_begin(f, &r, (enum table_form)form);
		// Of another capacity, so that every key is at home elsewhere.
		table_reserve(&f->table, 20000);
		assert_int_equal(group_directory_read(&d, &r), 0);
		assert_int_equal(restore_begin(f, d.count, &r), 0);
		assert_int_equal(group_run_read(&f->table, table_restore_key, &r), 0);
		assert_int_equal(snapshot_left(&r), 0);
		check(&f->table, 3000);
		table_destroy(&f->table);
	}
}

// Groups in any order, new keys between them, and so many that the table grows on the way.
static void test_restored_by_key_group(void **state)
{
	struct fixture *f = *state;
	struct snapshot_reader r;
	struct group_directory d;
	for (int form = TABLE_INT64; form <= TABLE_BYTES; form++) {
		begin(f, (enum table_form)form);
		fill(&f->table, 1000);
		save(f);
		load_begin(f, &r, (enum table_form)form);
		assert_int_equal(group_directory_read(&d, &r), 0);
		assert_int_equal(d.count, 1000);
		assert_int_equal(restore_begin(f, d.count, &r), 0);
		uint32_t added = 1000, capacity = table_capacity(&f->table);
		for (uint32_t k = 0; k < 4096; k++) {
			uint32_t group = (k * 1001 + 17) % 4096;
			assert_int_equal(group_run_read_group(&d, group, 12, &f->table,
						 table_restore_key, &r),
				0);
			if (k % 2 == 0 && added < 3000)
				fill_one(&f->table, added++);
			uint32_t known = 1000 + k % (added - 1000), count = f->table.count;
			assert_int_equal(entry_rows(take(&f->table, known)), known % 3 + 1);
			assert_int_equal(f->table.count, count);
		}
		assert_int_equal(f->table.absent, 0);
		assert_int_equal(added, 3000);
		assert_true(table_capacity(&f->table) > capacity);
		check(&f->table, 3000);
		table_destroy(&f->table);
	}
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
		snapshot_u32(&w, GROUP_RUN_END);
		assert_int_equal(snapshot_end(&w, &f->snapshot_bytes), 0);
		load_begin(f, &r, TABLE_INT64);
		uint32_t count = snapshot_read_u32(&r);
		int error = restore_begin(f, count, &r);
		if (!error)
			error = group_run_read(&f->table, table_restore_key, &r);
		assert_int_equal(error, -EBADMSG);
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

enum { MODEL_KEYS = 30000, MODEL_TAKES = 60000 };

// What a table must hold: of each key its rows, and the keys in order of creation. The null key is
// number MODEL_KEYS.
struct model {
	uint32_t rows[MODEL_KEYS + 1];
	uint32_t order[MODEL_KEYS + 1];
	uint32_t count;
	uint64_t seed;
};

static uint32_t draw(struct model *m, uint32_t below)
{
	m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((m->seed >> 33) % below);
}

static uint8_t *take_any(struct table *t, uint32_t key)
{
	return key == MODEL_KEYS ? table_take_null(t) : take(t, key);
}

static void model_take(struct model *m, struct table *t, uint32_t key)
{
	uint8_t *entry = take_any(t, key);
	assert_non_null(entry);
	assert_int_equal(entry_rows(entry), m->rows[key]);
	if (m->rows[key]++ == 0)
		m->order[m->count++] = key;
	assert_int_equal(entry[t->head], (uint8_t)(6 + m->rows[key]));
	((struct table_entry *)entry)->rows++;
	entry[t->head]++;
}

// Without a take, which would help the growth along.
static void model_check(const struct model *m, struct table *t)
{
	assert_int_equal(t->count, m->count);
	for (uint32_t i = 0; i < m->count; i++) {
		const uint8_t *entry = table_at(t, i);
		uint32_t key = m->order[i];
		assert_int_equal(entry_rows(entry), m->rows[key]);
		assert_int_equal(entry[t->head], (uint8_t)(7 + m->rows[key]));
		if (key != MODEL_KEYS && t->form == TABLE_INT64)
			assert_int_equal(entry_word(entry), (int64_t)key * 3 - 1000);
	}
}

static bool is_moving(const struct table *t)
{
	return t->beside.unmoved != 0;
}

static bool is_clearing(const struct table *t)
{
	return t->beside.slots != NULL && t->beside.unmoved == 0;
}

// Old keys and new ones at random, the share of new ones changing, so that growth stands still at
// every point; the table looked through wherever it does.
static void interleave(struct fixture *f, enum table_form form, uint64_t seed)
{
	static struct model m;
	uint32_t seen_moving = 0, seen_clearing = 0;
	memset(&m, 0, sizeof(m));
	m.seed = seed;
	begin(f, form);
	if (seed % 2 == 1)
		table_expect(&f->table, MODEL_KEYS);
	for (uint32_t i = 0, fresh = 0; i < MODEL_TAKES; i++) {
		uint32_t share = i / 1000 % 3 * 48 + 2, key = draw(&m, fresh + 1) % MODEL_KEYS;
		if (draw(&m, 100) < share && fresh < MODEL_KEYS)
			key = fresh++;
		if (form == TABLE_INT64 && draw(&m, 500) == 0)
			key = MODEL_KEYS;
		model_take(&m, &f->table, key);
		seen_moving += is_moving(&f->table);
		seen_clearing += is_clearing(&f->table);
		if (i % 997 == 0)
			model_check(&m, &f->table);
	}
	model_check(&m, &f->table);
	assert_true(seen_moving > 100 && seen_clearing > 100);
	table_destroy(&f->table);
	assert_int_equal(f->pool.used, 0);
}

static void test_interleavings_against_a_model(void **state)
{
	struct fixture *f = *state;
	for (uint64_t seed = 0; seed < 8; seed++)
		interleave(f, seed / 2 % 2 == 0 ? TABLE_INT64 : TABLE_BYTES, seed);
}

// An entry stays where it is through all takes that were promised to be quiet.
static void test_quiet_takes_leave_entries(void **state)
{
	static uint8_t *entries[KEYS];
	struct fixture *f = *state;
	uint32_t from = 0, quiet_moving = 0;
	begin(f, TABLE_INT64);
	for (uint32_t i = 0; i < KEYS; i++) {
		bool quiet = table_is_quiet(&f->table);
		entries[i] = take(&f->table, i);
		((struct table_entry *)entries[i])->rows = 1;
		if (!quiet)
			from = i;
		quiet_moving += quiet && is_moving(&f->table);
		for (uint32_t k = from; k <= i && i - from < 100; k++)
			assert_ptr_equal(entries[k], table_at(&f->table, k));
	}
	assert_true(quiet_moving > 1000);
}

// No key pays for all the others: a take clears and moves no more than this of a large table.
static void test_growth_is_bounded(void **state)
{
	struct fixture *f = *state;
	begin(f, TABLE_INT64);
	for (uint32_t i = 0; i < KEYS; i++) {
		struct table_beside before = f->table.beside;
		((struct table_entry *)take(&f->table, i))->rows = 1;
		struct table_beside *after = &f->table.beside;
		bool was_moving = before.unmoved != 0, ends = after->slots != before.slots;
		if (was_moving && !ends)
			assert_in_range(after->moved - before.moved, 0, 64);
		if (was_moving && ends)
			assert_in_range(before.unmoved, 1, 64);
		if (!was_moving && is_clearing(&f->table))
			assert_in_range(after->cleared - before.cleared, 0, 400 * STRIDE);
		if (!was_moving && is_moving(&f->table))
			assert_in_range(after->moved, 0, 64);
		assert_true(f->table.count <= table_capacity(&f->table) / 2 * 17 / 16);
	}
}

// Keys until the table is in the midst of clearing, or of moving.
static uint32_t fill_until(struct table *t, bool moving)
{
	uint32_t i = 0;
	while (i < 5000 ||
		(moving ? t->beside.moved < 1000 || t->beside.unmoved < 1000
			: t->beside.cleared == 0 || t->beside.unmoved != 0)) {
		uint8_t *entry = take(t, i);
		assert_non_null(entry);
		((struct table_entry *)entry)->rows = i % 3 + 1;
		entry[t->head] = (uint8_t)i;
		i++;
	}
	return i;
}

static void test_snapshot_in_mid_growth(void **state)
{
	struct fixture *f = *state;
	struct snapshot_reader r;
	struct group_directory d;
	for (int i = 0; i < 4; i++) {
		enum table_form form = i < 2 ? TABLE_INT64 : TABLE_BYTES;
		begin(f, form);
		uint32_t keys = fill_until(&f->table, i % 2 == 1);
		save(f);
		load_begin(f, &r, form);
		assert_int_equal(group_directory_read(&d, &r), 0);
		assert_int_equal(restore_begin(f, d.count, &r), 0);
		assert_int_equal(group_run_read(&f->table, table_restore_key, &r), 0);
		check(&f->table, keys);
		table_destroy(&f->table);
	}
}

// To be seen: one that never grew writes the same bytes.
static void test_snapshot_does_not_show_growth(void **state)
{
	static uint8_t grown[SNAPSHOT_BYTES];
	struct fixture *f = *state;
	begin(f, TABLE_BYTES);
	uint32_t keys = fill_until(&f->table, true);
	save(f);
	size_t bytes = f->snapshot_bytes;
	memcpy(grown, f->snapshot, bytes);
	table_destroy(&f->table);
	begin(f, TABLE_BYTES);
	assert_int_equal(table_reserve(&f->table, keys), 0);
	fill(&f->table, keys);
	assert_null(f->table.beside.slots);
	save(f);
	assert_int_equal(f->snapshot_bytes, bytes);
	assert_memory_equal(f->snapshot, grown, bytes);
}

static void test_destroy_in_mid_growth(void **state)
{
	struct fixture *f = *state;
	for (int moving = 0; moving < 2; moving++) {
		begin(f, TABLE_BYTES);
		fill_until(&f->table, moving);
		table_destroy(&f->table);
		assert_int_equal(f->pool.used, 0);
	}
}

static void test_reserve_in_mid_growth(void **state)
{
	struct fixture *f = *state;
	for (int moving = 0; moving < 2; moving++) {
		begin(f, TABLE_INT64);
		uint32_t keys = fill_until(&f->table, moving);
		assert_int_equal(table_reserve(&f->table, 60000), 0);
		assert_null(f->table.beside.slots);
		check(&f->table, keys);
		for (uint32_t i = keys; i < 60000; i++) {
			assert_true(f->table.count < f->table.limit);
			((struct table_entry *)take(&f->table, i))->rows = 1;
		}
		table_destroy(&f->table);
	}
}

// Take all blocks of so many bytes, each linked to the one before through its first word.
static void **hoard(struct pool *pool, size_t bytes)
{
	void **last = NULL, **block;
	while ((block = pool_alloc(pool, bytes)) != NULL) {
		*block = last;
		last = block;
	}
	return last;
}

static void hoard_free(struct pool *pool, size_t bytes, void **hoarded)
{
	for (void **next; hoarded != NULL; hoarded = next) {
		next = *hoarded;
		pool_free(pool, hoarded, bytes);
	}
}

static void all_found(struct table *t, uint32_t keys)
{
	assert_int_equal(t->count, keys);
	for (uint32_t i = 0; i < keys; i++)
		assert_int_equal(entry_rows(take(t, i)), i % 3 + 1);
	assert_int_equal(t->count, keys);
}

// Without its next slots a table goes on up to its brim, and takes them as soon as it can.
static void test_no_memory_for_the_next_slots(void **state)
{
	struct fixture *f = *state;
	struct table *t = &f->table;
	begin(f, TABLE_INT64);
	uint32_t keys = 0, limit;
	for (; keys < 5000 || t->count < t->limit || t->beside.slots != NULL; keys++)
		((struct table_entry *)take(t, keys))->rows = keys % 3 + 1;
	assert_null(t->beside.slots);
	limit = t->count;
	size_t next_bytes = 2ull * table_capacity(t) * STRIDE;
	void **hoarded = hoard(&f->pool, next_bytes);
	for (uint8_t *entry; (entry = take(t, keys)) != NULL; keys++)
		((struct table_entry *)entry)->rows = keys % 3 + 1;
	assert_int_equal(keys, limit + limit / 16);
	all_found(t, keys);
	assert_null(take(t, keys));
	hoard_free(&f->pool, next_bytes, hoarded);
	for (; keys < 2 * limit; keys++)
		((struct table_entry *)take(t, keys))->rows = keys % 3 + 1;
	all_found(t, keys);
}

// A key for whose text there is no memory leaves nothing, wherever the growth stands.
static void test_no_memory_for_a_text_in_mid_growth(void **state)
{
	static uint8_t text[4 << 20];
	struct fixture *f = *state;
	struct table *t = &f->table;
	for (int moving = 0; moving < 2; moving++) {
		begin(f, TABLE_BYTES);
		uint32_t keys = fill_until(t, moving);
		void **hoarded = hoard(&f->pool, 2 * sizeof(text));
		for (int i = 0; i < 5; i++)
			assert_null(table_take_bytes(t, 5, text, sizeof(text)));
		assert_int_equal(is_moving(t), moving);
		all_found(t, keys);
		hoard_free(&f->pool, 2 * sizeof(text), hoarded);
		for (uint32_t i = keys; i < 3 * keys; i++)
			((struct table_entry *)take(t, i))->rows = i % 3 + 1;
		all_found(t, 3 * keys);
		table_destroy(t);
	}
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_int64_keys), T(test_bytes_keys),
		T(test_null_is_not_zero), T(test_keys_of_one_task_spread_over_the_table),
		T(test_snapshot), T(test_restored_by_key_group), T(test_damaged_snapshot),
		T(test_exhausted_pool), T(test_interleavings_against_a_model),
		T(test_quiet_takes_leave_entries), T(test_growth_is_bounded),
		T(test_snapshot_in_mid_growth), T(test_snapshot_does_not_show_growth),
		T(test_destroy_in_mid_growth), T(test_reserve_in_mid_growth),
		T(test_no_memory_for_the_next_slots), T(test_no_memory_for_a_text_in_mid_growth)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
