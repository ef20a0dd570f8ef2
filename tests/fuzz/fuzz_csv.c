// CSV from outside: rows are the same wherever the text is cut or the reader starts anew, and what
// becomes a record is a sound one.
#include <stdalign.h>
#include <string.h>

#include "dataplane/csv.h"
#include "numa/assert.h"
#include "state/record.h"
#include "tests/fuzz/fuzz.h"

enum { PREFIX_BYTES = 2, ROOM = 256 };

// The first byte of an input: how the text is cut; the second: how times are written.
struct reading {
	const uint8_t *text;
	size_t bytes;
	size_t cut; // bytes given at a time
	bool anew;  // a new reader for every row
	const struct csv_layout *layout;
};

struct outcome {
	uint64_t rows, hash, rejects;
};

static const struct csv_layout *layout_of(uint8_t times)
{
	static struct weir_schema schema;
	static struct csv_layout layout;

	if (schema.field_count == 0) {
		schema_add(&schema, "i", WEIR_INT64, 0, 0);
		schema_add(&schema, "s", WEIR_STRING, 0, 0);
		schema_add(&schema, "t", WEIR_TIMESTAMP, 0, 0);
		schema_add(&schema, "d", WEIR_DECIMAL, 10, 2);
		schema_add(&schema, "f", WEIR_FLOAT64, 0, 0);
		schema_add(&schema, "b", WEIR_BOOL, 0, 0);
		schema_add(&schema, "x", WEIR_BYTES, 0, 0);
		schema_layout(&schema);
	}
	csv_layout_plain(&layout, &schema, times % 3);
	return &layout;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 0x9E3779B97F4A7C15 + (hash >> 29);
}

static void take(struct outcome *outcome, const struct csv_layout *layout,
	const struct csv_row *row)
{
	alignas(8) static uint8_t record[ROOM];
	struct csv_reject reject = {.reason = row->reject, .field = CSV_NO_FIELD};
	uint32_t length = 0;

	outcome->rows++;
	if (row->reject == WEIR_DROP_COUNT)
		length = csv_record(layout, row, record, sizeof(record), &reject);
	VERIFY(length != 0 || reject.reason < WEIR_DROP_COUNT);
	if (length != 0) {
		VERIFY(record_validate(layout->schema, record, length) == 0);
		outcome->hash = mix(outcome->hash, record_hash(record));
	} else {
		outcome->rejects++;
	}
	outcome->hash = mix(outcome->hash, row->line * 64 + reject.reason);
	for (uint32_t i = 0; i < row->length; i++)
		outcome->hash += row->data[i];
}

static struct outcome read_all(const struct reading *reading)
{
	static struct csv_row row;
	static struct csv_reader r;
	struct outcome outcome = {0};
	enum csv_status status;

	csv_start(&r, 0, 1);
	r.at = r.limit = reading->text;
	r.last = reading->bytes == 0;
	while ((status = csv_row_next(&r, &row)) != CSV_END) {
		size_t left = (size_t)(reading->text + reading->bytes - r.limit);

		if (status == CSV_MORE) {
			VERIFY(!r.last);
			r.limit += left < reading->cut ? left : reading->cut;
			r.last = left <= reading->cut;
			continue;
		}
		take(&outcome, reading->layout, &row);
		VERIFY(r.offset == (size_t)(r.at - reading->text));
		if (reading->anew) {
			struct csv_reader before = r;
			csv_start(&r, before.offset, before.line);
			r.at = before.at;
			r.limit = before.limit;
			r.last = before.last;
		}
	}
	VERIFY(r.at == reading->text + reading->bytes);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < PREFIX_BYTES)
		return 0;
	struct reading reading = {.text = data + PREFIX_BYTES,
		.bytes = bytes - PREFIX_BYTES,
		.cut = bytes,
		.layout = layout_of(data[1])};
	struct outcome whole = read_all(&reading), cut, anew;

	reading.cut = 1 + data[0] % 16 + bytes / 64; // rows are read again for every cut
	cut = read_all(&reading);
	reading.anew = true;
	anew = read_all(&reading);
	VERIFY(whole.rows == cut.rows && whole.hash == cut.hash && whole.rejects == cut.rejects);
	VERIFY(whole.rows == anew.rows && whole.hash == anew.hash);
	return 0;
}
