// Records from outside: what passes is byte for byte what the builder makes of its fields.
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "state/record.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/random_row.h"

enum { SCHEMAS = 24, PREFIX_BYTES = 1 };

// The first byte of an input names the schema; it decides all of it.
static const struct weir_schema *schema_of(uint8_t which)
{
	static struct weir_schema schemas[SCHEMAS];
	static bool made;

	for (uint64_t i = 0; !made && i < SCHEMAS; i++) {
		uint64_t seed = i;
		random_schema(&seed, i < 2 ? 1 : (uint32_t)(3 * i) % 60, &schemas[i]);
	}
	made = true;
	return &schemas[which % SCHEMAS];
}

static void set_field(struct record_builder *b, uint32_t field, const uint8_t *record)
{
	const struct weir_field *f = &b->schema->fields[field];
	struct weir_slice text;

	switch (f->type) {
	case WEIR_BOOL:
		record_set_bool(b, field, record_bool(record, f->offset));
		break;
	case WEIR_FLOAT64:
		record_set_float64(b, field, record_float64(record, f->offset));
		break;
	case WEIR_DECIMAL:
		record_set_decimal(b, field, record_decimal(record, f->offset));
		break;
	case WEIR_STRING:
	case WEIR_BYTES:
		text = record_slice(record, f->offset);
		record_set_text(b, field, text.data, text.length);
		break;
	default:
		record_set_int64(b, field, record_int64(record, f->offset));
	}
}

static void rebuild(const struct weir_schema *schema, const uint8_t *record)
{
	alignas(8) static uint8_t again[FUZZ_INPUT_BYTES_MAX];
	struct record_builder b;

	record_begin(&b, schema, again, sizeof(again));
	for (uint32_t i = 0; i < schema->field_count; i++)
		if (!record_is_null(record, i))
			set_field(&b, i, record);
	VERIFY(record_end(&b) == record_length(record));
	VERIFY(memcmp(again, record, record_length(record)) == 0);
	VERIFY(record_hash(again) == record_hash(record));
}

size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	alignas(8) static uint8_t record[RANDOM_RECORD_MAX];
	uint64_t seed = index;
	struct random_row row;
	uint32_t bytes;

	if (index >= 4 * SCHEMAS)
		return 0;
	random_row(&seed, schema_of((uint8_t)index), 20 * (index / SCHEMAS), &row);
	bytes = random_build(schema_of((uint8_t)index), &row, record, sizeof(record));
	VERIFY(bytes && bytes < bytes_max);
	data[0] = (uint8_t)index;
	memcpy(data + PREFIX_BYTES, record, bytes);
	return PREFIX_BYTES + bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	const struct weir_schema *schema = schema_of(bytes ? data[0] : 0);
	uint32_t record_bytes = bytes ? (uint32_t)(bytes - PREFIX_BYTES) : 0;
	uint8_t *record = malloc(record_bytes ? record_bytes : 1);

	VERIFY(record);
	if (record_bytes)
		memcpy(record, data + PREFIX_BYTES, record_bytes);
	if (record_validate(schema, record, record_bytes) == 0) {
		VERIFY(record_length(record) <= record_bytes);
		rebuild(schema, record);
	}
	free(record);
	return 0;
}
