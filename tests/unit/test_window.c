// Windows against a model that keeps every record and looks at all of them for every window.
#include "tests/unit/window_fixture.h"

// The window's state through a snapshot into a fresh window of other capacity.
static void replace(struct fixture *f)
{
	struct snapshot_writer w;
	struct snapshot_reader r;
	size_t bytes;
	uint32_t version;
	snapshot_begin(&w, f->snapshot, SNAPSHOT_BYTES);
	snapshot_section(&w, "window", WINDOW_STATE_VERSION);
	fixture_snapshot(f, &w, 1 + (uint32_t)(draw(f) % 100));
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	window_destroy(&f->window);
	assert_int_equal(f->pool.used, 0);
	assert_int_equal(window_create(&f->window, &f->config, &f->pool, &f->arena), 0);
	f->window.keys_usual = draw(f) % 1000;
	assert_int_equal(snapshot_open(&r, f->snapshot, bytes), 0);
	assert_int_equal(snapshot_find(&r, "window", &version), 0);
	assert_int_equal(fixture_restore(f, &r, 1 + (uint32_t)(draw(f) % 100)), 0);
	assert_int_equal(snapshot_left(&r), 0);
}
static void run(const struct setting *setting, uint64_t seed)
{
	struct fixture f;
	fixture_create(&f, setting, seed);
	int64_t watermark = setting->first_time;
	while (f.record_count < setting->records) {
		uint32_t from = f.record_count, batch = 1 + (uint32_t)(draw(&f) % BATCH_ROWS_MAX);
		for (; batch != 0 && f.record_count < setting->records; batch--) {
			f.records[f.record_count] = record_draw(&f, watermark);
			f.record_count++;
		}
		feed(&f, from, f.record_count);
		if (draw(&f) % 4 == 0)
			replace(&f);
		watermark += (int64_t)(draw(&f) % (uint64_t)setting->spread);
		if (draw(&f) % 100 < setting->jump_percent)
			watermark += (int64_t)(draw(&f) % 1000) * setting->size;
		fire(&f, watermark);
		if (draw(&f) % 4 == 0)
			replace(&f);
	}
	fire(&f, INT64_MAX);
	model(&f);
	compare(&f);
	fixture_destroy(&f);
}

static void test_equals_model(void **state)
{
	static const struct setting settings[] = {
		{10, 10, 0, 25, 40, 3000, false, 5},
		{10, 2, -1000, 5, 40, 3000, false, 5},
		{10, 2, -7, 30, 300, 4000, false, 0},
		{100, 5, -200, 12, 20, 1500, true, 20},
		{64, 1, 50, 7, 10, 1200, false, 10},
		{9, 3, 0, 400, 8, 1500, true, 30},
		{60, 60, -100000, 100, 30, 2000, true, 10},
	};
	for (uint32_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		for (uint64_t seed = 1; seed <= 6; seed++) {
			struct setting setting = settings[i];
			setting.float_sum = seed % 2 == 0;
			run(&setting, seed * 77 + i);
		}
}

static void feed_one(struct fixture *f, int64_t time, int expect, struct window_drops *drops)
{
	int64_t key = 1, zero = 0;
	__int128 decimal = 0;
	const struct weir_column columns[FIELDS] = {{&time, NULL, 8}, {&key, NULL, 8}, {0},
		{&zero, NULL, 8}, {&zero, NULL, 8}, {&decimal, NULL, 16}};
	assert_int_equal(window_update(&f->window, columns, 0, 1, drops), expect);
}

static void test_far_times_cost_nothing_and_bad_ones_are_counted(void **state)
{
	struct fixture f;
	struct window_rows rows;
	struct window_drops drops = {0};
	fixture_create(&f, &(struct setting){10, 2, 0, 1, 1, 1, false, 0}, 1);
	feed_one(&f, 5, 0, &drops);
	feed_one(&f, INT64_MAX / 2, 0, &drops);
	feed_one(&f, INT64_MAX - 3, 0, &drops);
	feed_one(&f, INT64_MIN + 3, 0, &drops);
	assert_int_equal(drops.out_of_range, 2);
	fire(&f, INT64_MAX / 2);
	assert_int_equal(f.got.count, 5);
	assert_int_equal(f.got.list[0].start, -4);
	feed_one(&f, 7, 0, &drops);
	assert_int_equal(drops.late, 1);
	fire(&f, INT64_MAX);
	assert_int_equal(f.got.count, 10);
	assert_int_equal(window_fire(&f.window, INT64_MAX, &rows), 0);
	assert_int_equal(rows.count, 0);
	fixture_destroy(&f);
}

static void test_fires_at_the_end_not_before(void **state)
{
	struct fixture f;
	struct window_drops drops = {0};
	fixture_create(&f, &(struct setting){10, 5, 0, 1, 1, 1, false, 0}, 1);
	feed_one(&f, 4, 0, &drops);
	fire(&f, 4);
	assert_int_equal(f.got.count, 0);
	fire(&f, 5);
	assert_int_equal(f.got.count, 1);
	fire(&f, 9);
	assert_int_equal(f.got.count, 1);
	fire(&f, 10);
	assert_int_equal(f.got.count, 2);
	feed_one(&f, 9, 0, &drops);
	assert_int_equal(drops.late, 1);
	feed_one(&f, 10, 0, &drops);
	assert_int_equal(drops.late, 1);
	fixture_destroy(&f);
}

static void test_exhausted_pool_is_an_error(void **state)
{
	struct fixture f;
	struct pool small;
	struct window_drops drops = {0};
	fixture_create(&f, &(struct setting){10, 2, 0, 1, 1, 1, false, 0}, 1);
	assert_int_equal(pool_create(&small, &f.arena, 4096), 0);
	window_destroy(&f.window);
	assert_int_equal(window_create(&f.window, &f.config, &small, &f.arena), 0);
	feed_one(&f, 4, -ENOMEM, &drops);
	window_destroy(&f.window);
	assert_int_equal(small.used, 0);
	fixture_destroy(&f);
}

static void test_restore_refuses_another_shape(void **state)
{
	struct fixture f;
	struct snapshot_writer w;
	struct snapshot_reader r;
	struct window_drops drops = {0};
	size_t bytes;
	uint32_t version;
	fixture_create(&f, &(struct setting){10, 2, 0, 1, 1, 1, false, 0}, 1);
	feed_one(&f, 4, 0, &drops);
	snapshot_begin(&w, f.snapshot, SNAPSHOT_BYTES);
	snapshot_section(&w, "window", WINDOW_STATE_VERSION);
	fixture_snapshot(&f, &w, SNAPSHOT_PART_KEYS);
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	window_destroy(&f.window);
	f.config.size_ns = 20;
	assert_int_equal(window_create(&f.window, &f.config, &f.pool, &f.arena), 0);
	assert_int_equal(snapshot_open(&r, f.snapshot, bytes), 0);
	assert_int_equal(snapshot_find(&r, "window", &version), 0);
	assert_int_equal(fixture_restore(&f, &r, SNAPSHOT_PART_KEYS), -EINVAL);
	fixture_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equals_model),
		cmocka_unit_test(test_far_times_cost_nothing_and_bad_ones_are_counted),
		cmocka_unit_test(test_fires_at_the_end_not_before),
		cmocka_unit_test(test_exhausted_pool_is_an_error),
		cmocka_unit_test(test_restore_refuses_another_shape),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
