// CSV as RFC 4180 describes it: rows are found in a window of memory that the caller fills, and
// parsed straight into records.
//
// Beyond the RFC: a line ends with LF or CR LF, the last one with the text's end; an unquoted
// empty field is null, a quoted one the empty string; a quote inside an unquoted field, or
// anything but a separator behind a closing quote, makes the row malformed up to its line's end.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/counters.h"
#include "state/schema.h"

enum {
	CSV_ROW_BYTES_MAX = 1 << 20, // a longer row is rejected as too large
	CSV_COLUMNS_MAX = 1024,
	CSV_HEAD_BYTES = 1024 // what is kept of a row that is too large
};

struct csv_field {
	const uint8_t *data; // without the quotes around it
	uint32_t length;
	bool quoted;
	bool doubled; // holds doubled quotes
};

struct csv_row {
	const uint8_t *data; // raw, without its line end; cut to CSV_HEAD_BYTES when too large
	uint32_t length;
	uint64_t line;         // of its first byte, from 1
	enum weir_drop reject; // MALFORMED or TOO_LARGE; WEIR_DROP_COUNT: none
	uint32_t field_count;
	struct csv_field fields[CSV_COLUMNS_MAX];
};

struct csv_reader {
	const uint8_t *at, *limit; // the window: what has not been read
	bool last;                 // nothing comes behind `limit`
	uint64_t offset;           // of `at` in the whole text
	uint64_t line;             // of `at`, from 1
	// A row that is too large, being passed over.
	uint32_t skip_state; // 0: none
	uint64_t skip_line;
	uint32_t head_length;
	uint8_t head[CSV_HEAD_BYTES];
};

enum csv_status {
	CSV_ROW,  // a row; valid as long as the window
	CSV_MORE, // move [at, limit) to the window's start, append at least a byte or set `last`
	CSV_END
};

void csv_start(struct csv_reader *r, uint64_t offset, uint64_t line);

// Take the next row off the window. A window of CSV_ROW_BYTES_MAX and more always makes progress.
enum csv_status csv_row_next(struct csv_reader *r, struct csv_row *row);

enum csv_times { CSV_TIMES_AUTO, CSV_TIMES_ISO, CSV_TIMES_MS };

// How columns become fields.
struct csv_layout {
	const struct weir_schema *schema;
	uint32_t column_count;
	uint16_t columns[SCHEMA_FIELDS_MAX]; // of each field
	enum csv_times times;
};

// Field i is column i.
void csv_layout_plain(struct csv_layout *layout, const struct weir_schema *schema,
	enum csv_times times);

// Find the fields in a header row by name; other columns are ignored.  Returns 0, or -ENOENT with
// the index of a field that is missing, or -EEXIST with that of one that is there twice.
int csv_layout_header(struct csv_layout *layout, const struct weir_schema *schema,
	enum csv_times times, const struct csv_row *header, uint32_t *ret_field);

#define CSV_NO_FIELD UINT32_MAX

struct csv_reject {
	enum weir_drop reason;
	uint32_t field; // CSV_NO_FIELD: the row as a whole
};

// Build a row's record at `out` (aligned to 8).  Returns its length, or 0 and why it is rejected.
uint32_t csv_record(const struct csv_layout *layout, const struct csv_row *row, uint8_t *out,
	uint32_t room, struct csv_reject *ret_reject);
