// Expressions from outside: they compile or are refused with a place, and a row's value is the same
// whether it is evaluated alone or in a batch.
#include <string.h>

#include "dataplane/expression.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "state/batch.h"
#include "tests/fuzz/fuzz.h"

enum { ROWS = 33, TEXT_BYTES = 2048 };

static struct weir_schema schema;
static struct weir_column columns[7];
static struct arena arena;

static int64_t integers[ROWS], times[ROWS];
static double reals[ROWS];
static __int128 decimals[ROWS];
static uint8_t booleans[ROWS], nulls[ROWS];
static struct weir_slice strings[ROWS], bytes[ROWS];

static void prepare(void)
{
	static const int64_t edges[] = {0, 1, -1, 7, INT64_MAX, INT64_MIN, 1000000007};
	static const char *const words[] = {
		"", "a", "12", "-0.5", "true", "Gr\303\274\303\237e", "2001-02-03T04:05:06Z"};
	for (int i = 0; i < ROWS; i++) {
		const char *word = words[i % 7];
		integers[i] = edges[i % 7];
		times[i] = edges[(i + 3) % 7];
		reals[i] = (double)edges[(i + 1) % 7] / 3;
		decimals[i] = edges[(i + 2) % 7] % 1000000;
		booleans[i] = i % 2;
		strings[i] = bytes[i] =
			(struct weir_slice){(const uint8_t *)word, (uint32_t)strlen(word), 0};
		nulls[i] = i % 5 == 4;
	}
	schema_add(&schema, "i", WEIR_INT64, 0, 0);
	schema_add(&schema, "t", WEIR_TIMESTAMP, 0, 0);
	schema_add(&schema, "f", WEIR_FLOAT64, 0, 0);
	schema_add(&schema, "d", WEIR_DECIMAL, 8, 2);
	schema_add(&schema, "b", WEIR_BOOL, 0, 0);
	schema_add(&schema, "s", WEIR_STRING, 0, 0);
	schema_add(&schema, "x", WEIR_BYTES, 0, 0);
	schema_layout(&schema);
	const void *data[] = {integers, times, reals, decimals, booleans, strings, bytes};
	for (uint32_t i = 0; i < schema.field_count; i++)
		columns[i] = (struct weir_column){
			data[i], i == 2 ? NULL : nulls, type_column_bytes(schema.fields[i].type)};
	VERIFY(arena_create(&arena, 16 << 20, -1, true) == 0);
}

static const void *value_at(const struct weir_column *c, uint32_t row)
{
	return (const uint8_t *)c->data + (size_t)row * c->stride;
}

static void check_same(const struct weir_field *type, const struct weir_column *a, uint32_t i,
	const struct weir_column *b, uint32_t j)
{
	bool null = a->nulls != NULL && a->nulls[i];
	VERIFY(null == (b->nulls != NULL && b->nulls[j]));
	if (null)
		return;
	if (!type_is_text(type->type)) {
		VERIFY(memcmp(value_at(a, i), value_at(b, j), type_column_bytes(type->type)) == 0);
		return;
	}
	const struct weir_slice *x = value_at(a, i), *y = value_at(b, j);
	VERIFY(x->length == y->length && memcmp(x->data, y->data, x->length) == 0);
}

static void evaluate(const struct expression *x)
{
	struct expression_state *whole, *single;
	uint8_t errors[BATCH_ROWS_MAX] = {0};
	const struct weir_field *type = expression_type(x);
	arena.used = 0;
	VERIFY(expression_state_create(x, &arena, &whole) == 0);
	VERIFY(expression_state_create(x, &arena, &single) == 0);
	struct weir_column all = expression_eval(x, whole, columns, ROWS, errors);
	for (uint32_t i = 0; i < ROWS; i++) {
		struct weir_column row[7], one;
		uint8_t error[BATCH_ROWS_MAX] = {0};
		for (uint32_t f = 0; f < schema.field_count; f++)
			row[f] = (struct weir_column){value_at(&columns[f], i),
				columns[f].nulls ? columns[f].nulls + i : NULL, columns[f].stride};
		one = expression_eval(x, single, row, 1, error);
		VERIFY(error[0] == errors[i] && error[0] <= WEIR_DROP_COUNT);
		if (!error[0])
			check_same(type, &all, i, &one, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	char text[TEXT_BYTES], error[512] = "";
	struct expression *x;
	if (schema.field_count == 0)
		prepare();
	length = length < sizeof(text) - 1 ? length : sizeof(text) - 1;
	memcpy(text, data, length);
	text[length] = '\0';
	int rc = expression_compile(text, &schema, error, sizeof(error), &x);
	VERIFY(rc == 0 || strncmp(error, "at character ", 13) == 0);
	if (rc != 0)
		return 0;
	evaluate(x);
	expression_free(x);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	static const char *const seeds[] = {
		"i + 2 * (i - 3) % 7 / -i",
		"d * 0.908 + cast(i as decimal(20,3))",
		"t - 10s > timestamp '2001-01-01T00:00:00Z' and not b",
		"s in ('a', '', null) or x is not null",
		"coalesce(substring(s, 2, i), 'x') <> cast(f as string)",
		"cast(s as int64) = length(s) or cast(s as timestamp) = t",
		"mod(abs(i), 1000) >= 1.5e3 and cast(x as string) < s",
		"cast(s as decimal(5,1)) / d is null or cast(b as int64) = 1",
		"(t % 1h) / 1ms - cast(f as int64) + cast(cast(i as bool) as int64)",
	};
	if (index >= sizeof(seeds) / sizeof(seeds[0]))
		return 0;
	size_t length = strlen(seeds[index]);
	VERIFY(length <= bytes_max);
	memcpy(data, seeds[index], length);
	return length;
}
