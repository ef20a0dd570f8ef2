// Records from outside: what record_validate lets through is read by everything that reads records
// and built anew, and must come out the same. The first byte of the input picks the schema.
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "numa/arena.h"
#include "numa/assert.h"
#include "state/key.h"
#include "state/utf8.h"
#include "tests/unit/random_row.h"

enum { SCHEMAS = 64, KEY_FIELDS = 8, ARENA_BYTES = 8 << 20 };

static struct weir_schema schemas[SCHEMAS];
static struct batch_columns columns[SCHEMAS];

static void prepare(void)
{
	static struct arena arena;
	static bool done;
	uint64_t seed = 1;
	if (done)
		return;
	VERIFY(arena_create(&arena, ARENA_BYTES, -1, true) == 0);
	for (uint32_t i = 0; i < SCHEMAS; i++) {
		random_schema(&seed, i, &schemas[i]);
		VERIFY(batch_columns_create(&columns[i], &schemas[i], &arena) == 0);
	}
	done = true;
}

size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	static struct random_row row;
	uint64_t seed = index;
	if (index == 4 * SCHEMAS)
		return 0;
	prepare();
	data[0] = (uint8_t)(index % SCHEMAS);
	random_row(&seed, &schemas[data[0]], 25 * (index / SCHEMAS), &row);
	return 1 + random_build(&schemas[data[0]], &row, data + 1, (uint32_t)bytes_max - 1);
}

// Every text lies inside, and every string is UTF-8.
static void texts_check(const struct weir_schema *s, const uint8_t *record)
{
	for (uint32_t i = 0; i < s->field_count; i++) {
		if (!type_is_text(s->fields[i].type))
			continue;
		struct weir_slice text = record_slice(record, s->fields[i].offset);
		VERIFY(text.data >= record);
		VERIFY(text.data + text.length <= record + record_length(record));
		VERIFY(s->fields[i].type == WEIR_BYTES || utf8_is_valid(text.data, text.length));
	}
}

// A key of the first fields is the same from the record and from columns.
static void key_check(const struct weir_schema *s, const uint8_t *record,
	const struct weir_batch *row)
{
	static const uint16_t fields[KEY_FIELDS] = {0, 1, 2, 3, 4, 5, 6, 7};
	uint32_t count = s->field_count < KEY_FIELDS ? s->field_count : KEY_FIELDS;
	uint32_t room = 64 + 2 * record_length(record);
	uint8_t *a = malloc(room), *b = malloc(room);
	uint32_t length = key_encode(s, fields, count, record, a, room);
	VERIFY(a && b && length <= room);
	VERIFY(key_encode_columns(s, fields, count, row->columns, 0, b, room) == length);
	VERIFY(memcmp(a, b, length) == 0);
	free(a);
	free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	prepare();
	if (bytes == 0)
		return 0;
	uint32_t pick = data[0] % SCHEMAS;
	const struct weir_schema *s = &schemas[pick];
	const uint8_t *record = data + 1;
	if (record_validate(s, record, (uint32_t)bytes - 1) != 0)
		return 0;
	uint32_t length = record_length(record);
	VERIFY(length <= bytes - 1);
	texts_check(s, record);
	struct weir_batch in = {
		.form = WEIR_PACKED, .first = record, .limit = record + length, .schema = s};
	struct weir_batch row;
	uint64_t all = s->field_count ? ~0ULL >> (64 - s->field_count) : 0;
	VERIFY(batch_gather(&in, all, &columns[pick], &row) == in.limit && row.count == 1);
	key_check(s, record, &row);
	uint8_t *again = malloc(length);
	VERIFY(again && batch_record(s, row.columns, 0, again, length) == length);
	VERIFY(memcmp(again, record, length) == 0);
	VERIFY(record_hash(again) == record_hash(record));
	free(again);
	return 0;
}
