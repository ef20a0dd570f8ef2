// Windows of every aggregate beside a model that keeps every record and looks at all of them for
// every window.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "state/window.h"

enum { RECORDS_MAX = 4000, KEYS_MAX = 300, POOL_BYTES = 64 << 20, SNAPSHOT_BYTES = 32 << 20 };
enum { FIELD_TIME, FIELD_KEY, FIELD_TEXT, FIELD_INT, FIELD_FLOAT, FIELD_DECIMAL, FIELDS };

struct record {
	int64_t time, key, value;
	double real;
	__int128 decimal;
	bool key_null, value_null;
};

struct row {
	int64_t start, end, key, rows, values, min, max;
	__int128 sum, decimal_max, average;
	double real_sum, real_min;
	bool key_null, value_null;
};

struct rows {
	struct row *list;
	uint32_t count, room;
};

struct setting {
	int64_t size, slide, first_time, spread;
	uint32_t keys, records;
	bool text_key;
	uint32_t jump_percent;
	bool float_sum; // of which there is none in a listed pane
};

struct fixture {
	struct setting setting;
	struct weir_schema schema;
	struct window_config config;
	struct arena arena;
	struct pool pool;
	struct window window;
	struct batch_columns results;
	struct record *records;
	uint32_t record_count;
	struct rows got, want;
	uint8_t *snapshot;
	uint64_t seed;
};

static inline uint64_t draw(struct fixture *f)
{
	f->seed += 0x9E3779B97F4A7C15u;
	uint64_t z = (f->seed ^ f->seed >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

static inline struct row *rows_add(struct rows *rows)
{
	if (rows->count == rows->room) {
		rows->room = rows->room == 0 ? 1024 : 2 * rows->room;
		rows->list = realloc(rows->list, rows->room * sizeof(*rows->list));
	}
	struct row *row = &rows->list[rows->count++];
	memset(row, 0, sizeof(*row));
	return row;
}

static inline void aggregates_make(struct fixture *f)
{
	static const struct {
		enum aggregate_function function;
		int field;
	} list[] = {{AGGREGATE_COUNT, -1}, {AGGREGATE_COUNT, FIELD_INT}, {AGGREGATE_SUM, FIELD_INT},
		{AGGREGATE_MIN, FIELD_INT}, {AGGREGATE_MAX, FIELD_INT}, {AGGREGATE_AVG, FIELD_INT},
		{AGGREGATE_SUM, FIELD_FLOAT}, {AGGREGATE_MIN, FIELD_FLOAT},
		{AGGREGATE_MAX, FIELD_DECIMAL}};
	struct aggregates *a = &f->config.aggregates;
	enum table_form form = window_form(&f->schema, f->config.keys, 1);
	aggregates_begin(a, window_head_bytes(form));
	struct weir_schema results = {0};
	for (uint32_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct weir_field field;
		enum aggregate_function function = list[i].function;
		if (i == 6 && !f->setting.float_sum)
			function = AGGREGATE_MAX;
		const struct weir_field *of =
			list[i].field < 0 ? NULL : &f->schema.fields[list[i].field];
		assert_int_equal(aggregates_add(a, function, list[i].field, of, &field), 0);
		char name[8] = {(char)('a' + i)};
		assert_int_equal(schema_add(&results, name, field.type, field.precision,
					 field.scale),
			0);
	}
	schema_layout(&results);
	assert_int_equal(batch_columns_create(&f->results, &results, &f->arena), 0);
}

static inline void fixture_create(struct fixture *f, const struct setting *setting, uint64_t seed)
{
	memset(f, 0, sizeof(*f));
	f->setting = *setting;
	f->seed = seed;
	f->records = calloc(RECORDS_MAX, sizeof(*f->records));
	f->snapshot = malloc(SNAPSHOT_BYTES);
	assert_int_equal(arena_create(&f->arena, POOL_BYTES + (4 << 20), -1, true), 0);
	assert_int_equal(pool_create(&f->pool, &f->arena, POOL_BYTES), 0);
	schema_add(&f->schema, "time", WEIR_TIMESTAMP, 0, 0);
	schema_add(&f->schema, "key", WEIR_INT64, 0, 0);
	schema_add(&f->schema, "text", WEIR_STRING, 0, 0);
	schema_add(&f->schema, "value", WEIR_INT64, 0, 0);
	schema_add(&f->schema, "real", WEIR_FLOAT64, 0, 0);
	schema_add(&f->schema, "decimal", WEIR_DECIMAL, 38, 2);
	schema_layout(&f->schema);
	f->config.size_ns = setting->size;
	f->config.slide_ns = setting->slide;
	f->config.schema = &f->schema;
	f->config.time_field = FIELD_TIME;
	f->config.key_count = 1;
	f->config.keys[0] = setting->text_key ? FIELD_TEXT : FIELD_KEY;
	f->config.group_bits = 12;
	aggregates_make(f);
	assert_int_equal(window_create(&f->window, &f->config, &f->pool, &f->arena), 0);
}

static inline void fixture_destroy(struct fixture *f)
{
	window_destroy(&f->window);
	assert_int_equal(f->pool.used, 0);
	arena_destroy(&f->arena);
	free(f->records);
	free(f->snapshot);
	free(f->got.list);
	free(f->want.list);
}

// One row of the window under test: feed records [from, to).
static inline void feed(struct fixture *f, uint32_t from, uint32_t to)
{
	static int64_t times[BATCH_ROWS_MAX], keys[BATCH_ROWS_MAX], values[BATCH_ROWS_MAX];
	static double reals[BATCH_ROWS_MAX];
	static __int128 decimals[BATCH_ROWS_MAX];
	static struct weir_slice texts[BATCH_ROWS_MAX];
	static char letters[BATCH_ROWS_MAX][24];
	static uint8_t key_nulls[BATCH_ROWS_MAX], value_nulls[BATCH_ROWS_MAX];
	struct window_drops drops = {0};
	uint32_t count = to - from;
	for (uint32_t i = 0; i < count; i++) {
		const struct record *r = &f->records[from + i];
		times[i] = r->time;
		keys[i] = r->key;
		values[i] = r->value;
		reals[i] = r->real;
		decimals[i] = r->decimal;
		key_nulls[i] = r->key_null;
		value_nulls[i] = r->value_null;
		int length = snprintf(letters[i], sizeof(letters[i]), "%lld", (long long)r->key);
		texts[i] = (struct weir_slice){(uint8_t *)letters[i], (uint32_t)length, 0};
	}
	const struct weir_column columns[FIELDS] = {{times, NULL, 8}, {keys, key_nulls, 8},
		{texts, key_nulls, sizeof(struct weir_slice)}, {values, value_nulls, 8},
		{reals, NULL, 8}, {decimals, NULL, 16}};
	assert_int_equal(window_update(&f->window, columns, 0, count, &drops), 0);
	assert_int_equal(drops.late + drops.out_of_range + drops.too_large, 0);
}

static inline int64_t text_key(const uint8_t *text, bool *ret_null)
{
	uint32_t length, mask = 0;
	memcpy(&length, text, 4);
	if (length == 0)
		memcpy(&mask, text + 4, 4);
	*ret_null = mask == 1;
	char digits[24] = {0};
	memcpy(digits, text + 4, length);
	return atoll(digits);
}

static inline void take(struct fixture *f, const struct window_rows *rows)
{
	uint32_t which;
	assert_int_equal(aggregates_results(&f->config.aggregates, rows->cells, rows->count,
				 &f->results, 0, &which),
		0);
	const struct weir_column *c = f->results.columns;
	for (uint32_t i = 0; i < rows->count; i++) {
		struct row *row = rows_add(&f->got);
		row->start = rows->start_ns;
		row->end = rows->end_ns;
		row->key_null = rows->null_row == i;
		if (f->setting.text_key)
			row->key = text_key(rows->texts[i], &row->key_null);
		else
			row->key = row->key_null ? 0 : rows->words[i];
		row->rows = ((const int64_t *)c[0].data)[i];
		row->values = ((const int64_t *)c[1].data)[i];
		row->value_null = c[2].nulls != NULL && c[2].nulls[i];
		assert_int_equal(row->value_null, row->values == 0);
		if (!row->value_null) {
			memcpy(&row->sum, (const __int128 *)c[2].data + i, 16);
			row->min = ((const int64_t *)c[3].data)[i];
			row->max = ((const int64_t *)c[4].data)[i];
			memcpy(&row->average, (const __int128 *)c[5].data + i, 16);
		}
		row->real_sum = ((const double *)c[6].data)[i];
		row->real_min = ((const double *)c[7].data)[i];
		memcpy(&row->decimal_max, (const __int128 *)c[8].data + i, 16);
	}
}

static inline void fire(struct fixture *f, int64_t watermark)
{
	struct window_rows rows;
	do {
		assert_int_equal(window_fire(&f->window, watermark, &rows), 0);
		assert_true(rows.count <= BATCH_ROWS_MAX);
		take(f, &rows);
	} while (f->window.firing);
}
static inline int64_t floor_to(int64_t time, int64_t step)
{
	int64_t rest = time % step;
	return time - rest - (rest < 0 ? step : 0);
}

// The model. A key is born in a pane when it had no record in the panes - 1 before; rows of a
// window come in the order of (pane, first record there) in which their keys were born.
struct model_key {
	int64_t born_pane, last_pane;
	uint32_t born_rank;
	bool seen;
};

static inline uint32_t key_slot(const struct record *r)
{
	return r->key_null ? 0 : (uint32_t)r->key + 1;
}

static inline void model_row(struct fixture *f, int64_t start, int64_t end, uint32_t slot)
{
	struct row *row = rows_add(&f->want);
	row->start = start;
	row->end = end;
	row->key = slot == 0 ? 0 : (int64_t)slot - 1;
	row->key_null = slot == 0;
	for (uint32_t i = 0; i < f->record_count; i++) {
		const struct record *r = &f->records[i];
		if (key_slot(r) != slot || r->time < start || r->time >= end)
			continue;
		if (row->rows == 0 || r->real < row->real_min)
			row->real_min = r->real;
		if (row->rows == 0 || r->decimal > row->decimal_max)
			row->decimal_max = r->decimal;
		row->rows++;
		if (f->setting.float_sum)
			row->real_sum += r->real;
		else if (r->real > row->real_sum)
			row->real_sum = r->real;
		if (r->value_null)
			continue;
		if (row->values == 0 || r->value < row->min)
			row->min = r->value;
		if (row->values == 0 || r->value > row->max)
			row->max = r->value;
		row->values++;
		row->sum += r->value;
	}
	row->value_null = row->values == 0;
	if (row->values == 0)
		return;
	__int128 twice = row->sum * 2000000, n = row->values;
	row->average = twice < 0 ? -((-twice + n) / (2 * n)) : (twice + n) / (2 * n);
}

static inline int older(const void *a, const void *b, void *keys)
{
	const struct model_key *x = (struct model_key *)keys + *(const uint32_t *)a;
	const struct model_key *y = (struct model_key *)keys + *(const uint32_t *)b;
	if (x->born_pane != y->born_pane)
		return x->born_pane < y->born_pane ? -1 : 1;
	return x->born_rank < y->born_rank ? -1 : 1;
}

static inline void model_window(struct fixture *f, struct model_key *keys, int64_t start)
{
	uint32_t live[KEYS_MAX + 1], count = 0;
	int64_t end = start + f->setting.size;
	for (uint32_t k = 0; k <= f->setting.keys; k++)
		if (keys[k].seen && keys[k].last_pane >= start)
			live[count++] = k;
	qsort_r(live, count, sizeof(*live), older, keys);
	for (uint32_t i = 0; i < count; i++)
		model_row(f, start, end, live[i]);
}

static inline void model_births(struct fixture *f, struct model_key *keys, int64_t pane)
{
	for (uint32_t i = 0; i < f->record_count; i++) {
		const struct record *r = &f->records[i];
		struct model_key *key = &keys[key_slot(r)];
		if (floor_to(r->time, f->setting.slide) != pane)
			continue;
		if (!key->seen || key->last_pane <= pane - f->setting.size) {
			key->born_pane = pane;
			key->born_rank = i;
		}
		key->seen = true;
		key->last_pane = pane;
	}
}

static inline int64_t next_pane(const struct fixture *f, int64_t after)
{
	int64_t next = INT64_MAX;
	for (uint32_t i = 0; i < f->record_count; i++) {
		int64_t pane = floor_to(f->records[i].time, f->setting.slide);
		if (pane > after && pane < next)
			next = pane;
	}
	return next;
}

static inline void model(struct fixture *f)
{
	struct model_key keys[KEYS_MAX + 1] = {0};
	int64_t slide = f->setting.slide, pane = next_pane(f, INT64_MIN);
	while (pane != INT64_MAX) {
		model_births(f, keys, pane);
		int64_t next = next_pane(f, pane);
		// Windows ending with this pane, then with empty ones up to the next that is not.
		for (int64_t last = pane; last < next && last < pane + f->setting.size;
			last += slide)
			model_window(f, keys, last + slide - f->setting.size);
		pane = next;
	}
}

static inline struct record record_draw(struct fixture *f, int64_t watermark)
{
	uint64_t bits = draw(f);
	struct record r = {.time = watermark + (int64_t)(draw(f) % (uint64_t)f->setting.spread),
		.key = (int64_t)(draw(f) % f->setting.keys),
		.value = (int64_t)draw(f),
		.real = (double)(int64_t)(bits % 4096),
		.decimal = (__int128)draw(f) << (bits % 60),
		.key_null = bits >> 32 & 15 ? false : true,
		.value_null = bits >> 40 & 3 ? false : true};
	// Sums of few values meet 64 bits from both sides.
	if (bits >> 50 & 1)
		r.value >>= 40;
	if (r.key_null)
		r.key = 0;
	return r;
}

static inline void compare(const struct fixture *f)
{
	assert_int_equal(f->got.count, f->want.count);
	for (uint32_t i = 0; i < f->got.count; i++)
		if (memcmp(&f->got.list[i], &f->want.list[i], sizeof(struct row)) != 0)
			fail_msg("row %u of %u differs: end %lld key %lld, want end %lld key %lld",
				i, f->got.count, (long long)f->got.list[i].end,
				(long long)f->got.list[i].key, (long long)f->want.list[i].end,
				(long long)f->want.list[i].key);
}

// Write the window's state, `part_keys` a part, each of one pane or of the sliding groups at most.
static inline void fixture_snapshot(struct fixture *f, struct snapshot_writer *w,
	uint32_t part_keys)
{
	uint32_t parts = 1;
	w->part_keys = part_keys;
	while (!window_snapshot(&f->window, w, parts == 1))
		parts++;
	assert_true(parts >= f->window.parts.runs);
}

// Restore it likewise.  Returns 0 or -errno.
static inline int fixture_restore(struct fixture *f, struct snapshot_reader *r, uint32_t part_keys)
{
	int result = 1;
	uint32_t parts = 0;
	r->part_keys = part_keys;
	for (; result == 1; parts++)
		result = window_restore(&f->window, r, parts == 0);
	assert_true(result != 0 || parts >= 2 * f->window.parts.runs);
	return result;
}
