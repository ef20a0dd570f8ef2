#include "dataplane/operators/source_csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/frame.h"
#include "dataplane/input_file.h"
#include "dataplane/nexmark.h"
#include "dataplane/operators/source_csv_plan.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "state/record.h"
#include "state/snapshot.h"
#include "state/utf8.h"

enum {
	WINDOW_BYTES = CSV_ROW_BYTES_MAX + INPUT_BLOCK_BYTES,
	BATCH_BYTES = 64 << 10,              // a batch ends once it holds so many
	RECORD_ROOM = 2 * CSV_ROW_BYTES_MAX, // of any row's record
	REJECT_TEXT_BYTES = 4096,            // of a rejected line that is passed on
};

struct source_csv {
	const struct source_csv_settings *settings;
	struct input_file file;
	struct csv_reader reader;
	struct csv_layout layout;
	struct csv_row row;
	uint8_t *window, *batch;
	uint32_t record_bytes; // of the last one built, were it too large
	// Position: what a snapshot holds, besides the reader's offset and line.
	uint64_t records;                      // emitted, rejects that are routed included
	int64_t time_max_ns;                   // of the records so far
	int64_t marked_ns;                     // the last watermark
	bool mark_done;                        // the one before record `records`
	uint64_t first_lines[WEIR_DROP_COUNT]; // where each reason came up first
};

// ---- reading

// Keep what the window still holds and append to it.  Returns 0 or -errno.
static int fill(struct source_csv *s)
{
	struct csv_reader *r = &s->reader;
	size_t kept = (size_t)(r->limit - r->at), bytes;
	ASSERT(!r->last && kept < WINDOW_BYTES);
	if (kept != 0)
		memmove(s->window, r->at, kept);
	r->at = s->window;
	r->limit = s->window + kept;
	size_t room = WINDOW_BYTES - kept;
	room = room < INPUT_BLOCK_BYTES ? room : INPUT_BLOCK_BYTES;
	int error = input_file_read(&s->file, s->window + kept, room, &bytes);
	if (error != 0)
		return error;
	r->limit += bytes;
	r->last = bytes < room;
	return 0;
}

// Returns 1 with s->row, 0 at the end, or -errno.
static int next_row(struct source_csv *s)
{
	for (;;) {
		enum csv_status status = csv_row_next(&s->reader, &s->row);
		if (status != CSV_MORE)
			return status == CSV_ROW;
		int error = fill(s);
		if (error != 0)
			return error;
	}
}

// Returns 1 if a row follows, 0 at the end, or -errno.
static int peek(struct source_csv *s)
{
	while (s->reader.at == s->reader.limit && !s->reader.last) {
		int error = fill(s);
		if (error != 0)
			return error;
	}
	return s->reader.at < s->reader.limit;
}

static void skip_byte_order_mark(struct csv_reader *r)
{
	if (r->limit - r->at < 3 || memcmp(r->at, "\xEF\xBB\xBF", 3) != 0)
		return;
	r->at += 3;
	r->offset += 3;
}

static enum weir_flow fail_header(struct source_csv *s, struct weir_context *ctx, int error,
	uint32_t field)
{
	const char *name = s->settings->schema.fields[field].name;
	return weir_fail(ctx,
		error == -EEXIST
			? "%s:1: two columns are named `%s`; rename one of them"
			: "%s:1: the header has no column `%s`; name the fields as the columns are,"
			  " or set `header: no`",
		s->file.path, name);
}

// Read on from byte `offset` of the text, which is in line `line`.
static int go_to(struct source_csv *s, uint64_t offset, uint64_t line)
{
	int error = input_file_seek(&s->file, offset, s->window, WINDOW_BYTES);
	csv_start(&s->reader, offset, line);
	s->reader.at = s->reader.limit = s->window;
	return error;
}

// Decide whether the first row is a header, and leave the reader at the first record's.
static enum weir_flow read_header(struct source_csv *s, struct weir_context *ctx)
{
	const struct source_csv_settings *to = s->settings;
	uint64_t start = s->reader.offset;
	uint32_t field;
	csv_layout_plain(&s->layout, &to->schema, to->times);
	if (to->header == HEADER_NO)
		return WEIR_DONE;
	int rc = next_row(s);
	if (rc < 0)
		return weir_fail(ctx, "%s", s->file.error);
	if (rc == 0)
		return weir_fail(ctx,
			"%s: is empty; it should at least hold a header line. Check"
			" what writes it, or set `header: no`",
			to->path);
	int error = s->row.reject != WEIR_DROP_COUNT
		? -ENOENT
		: csv_layout_header(&s->layout, &to->schema, to->times, &s->row, &field);
	if (error == 0)
		return WEIR_DONE;
	if (s->row.reject != WEIR_DROP_COUNT && to->header == HEADER_YES)
		return weir_fail(ctx, "%s:1: the header is %s; correct its quotes", to->path,
			weir_drop_names[s->row.reject]);
	if (to->header == HEADER_YES || error == -EEXIST)
		return fail_header(s, ctx, error, field);
	csv_layout_plain(&s->layout, &to->schema, to->times);
	if (go_to(s, start, 1) != 0)
		return weir_fail(ctx, "%s", s->file.error);
	return WEIR_DONE;
}

static void source_destroy(void *self)
{
	if (self != NULL)
		input_file_close(&((struct source_csv *)self)->file);
}

static int source_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct source_csv *s = arena_alloc(ctx->arena, sizeof(*s), 64);
	uint8_t *block = arena_alloc(ctx->arena, INPUT_BLOCK_BYTES, 64);
	uint8_t *window = arena_alloc(ctx->arena, WINDOW_BYTES, 64);
	uint8_t *batch = arena_alloc(ctx->arena, BATCH_BYTES + RECORD_ROOM, 64);
	if (s == NULL || block == NULL || window == NULL || batch == NULL)
		return -ENOMEM;
	s->settings = plan->detail;
	s->window = window;
	s->batch = batch;
	s->time_max_ns = s->marked_ns = INT64_MIN;
	s->mark_done = true; // none before the first record
	int error = input_file_open(&s->file, s->settings->path, block);
	csv_start(&s->reader, 0, 1);
	s->reader.at = s->reader.limit = window;
	if (error == 0)
		error = fill(s);
	skip_byte_order_mark(&s->reader);
	if (error != 0)
		weir_fail(ctx, "%s", s->file.error);
	else if (read_header(s, ctx) == WEIR_FAILED)
		error = -EINVAL;
	if (error != 0)
		source_destroy(s);
	else
		*ret_self = s;
	return error;
}

// ---- rows that are rejected

static const char *complaint(const struct csv_reject *reject)
{
	switch (reject->reason) {
	case WEIR_DROP_MALFORMED:
		return reject->field != CSV_NO_FIELD
			? "is empty, but it is the event time"
			: "the line has not the schema's fields, or its quotes do not match";
	case WEIR_DROP_WRONG_TYPE:
		return "is not of the field's type";
	case WEIR_DROP_INVALID_UTF8:
		return "is not UTF-8";
	case WEIR_DROP_TOO_LARGE:
		return "the line is longer than 1 MiB";
	case WEIR_DROP_LATE:
		return "the record is earlier than out_of_order allows";
	default:
		return "is out of the type's range";
	}
}

static enum weir_flow fail_size(struct source_csv *s, struct weir_context *ctx)
{
	uint32_t room = s->settings->record_bytes_max;
	const char *remedy = "shorten it";
	if (room < FRAME_BYTES_MAX - FRAME_HEADER_BYTES)
		remedy = s->record_bytes <= FRAME_BYTES_MAX - FRAME_HEADER_BYTES
			? "raise exchange.frame"
			: "shorten it (60KiB is the most for exchange.frame)";
	return weir_fail(ctx,
		"%s:%" PRIu64 ": the record has %u bytes, more than the %u that a frame holds; %s,"
		" or set `on_error: skip`",
		s->file.path, s->row.line, s->record_bytes, room, remedy);
}

static enum weir_flow fail_row(struct source_csv *s, struct weir_context *ctx,
	const struct csv_reject *reject)
{
	const char *path = s->file.path, *why = complaint(reject);
	if (s->record_bytes != 0)
		return fail_size(s, ctx);
	if (reject->field == CSV_NO_FIELD)
		return weir_fail(ctx, "%s:%" PRIu64 ": %s; correct it, or set `on_error: skip`",
			path, s->row.line, why);
	const struct csv_field *field = &s->row.fields[s->layout.columns[reject->field]];
	const struct weir_field *type = &s->settings->schema.fields[reject->field];
	char name[32];
	type_print(type, name, sizeof(name));
	bool readable = field->length <= 40 && utf8_is_valid(field->data, field->length);
	return weir_fail(ctx,
		"%s:%" PRIu64 ": %s (%s): `%.*s` %s; correct it, or set"
		" `on_error: skip`",
		path, s->row.line, type->name, name, readable ? (int)field->length : 3,
		readable ? (const char *)field->data : "…", why);
}

// The text of a rejected line, cut, what is not UTF-8 in it replaced by `?`.
static uint32_t reject_text(const struct csv_row *row, uint32_t room, uint8_t *out)
{
	uint32_t length = row->length < room ? row->length : room;
	if (length != 0)
		memcpy(out, row->data, length);
	while (length > 0 && length < row->length && (row->data[length] & 0xC0) == 0x80)
		length--;
	if (utf8_is_valid(out, length))
		return length;
	for (uint32_t i = 0; i < length; i++)
		if (out[i] >= 0x80)
			out[i] = '?';
	return length;
}

static uint32_t reject_record(const struct source_csv *s, enum weir_drop reason, uint8_t *out)
{
	uint8_t text[REJECT_TEXT_BYTES];
	struct record_builder b;
	const char *name = weir_drop_names[reason];
	uint32_t bytes = (uint32_t)strlen(name);
	uint32_t others = s->settings->rejects.fixed_bytes + bytes + RECORD_ALIGN;
	uint32_t room = s->settings->record_bytes_max - others;
	room = room < REJECT_TEXT_BYTES ? room : REJECT_TEXT_BYTES;
	record_begin(&b, &s->settings->rejects, out, RECORD_ROOM);
	record_set_int64(&b, 0, (int64_t)s->row.line);
	record_set_text(&b, 1, name, bytes);
	record_set_text(&b, 2, text, reject_text(&s->row, room, text));
	return record_end(&b);
}

// Count it and do as on_error says.  Returns the bytes of a record for the rejects.
static uint32_t reject(struct source_csv *s, struct weir_context *ctx,
	const struct csv_reject *reject, uint8_t *out)
{
	weir_drop(ctx, reject->reason, 1);
	if (s->first_lines[reject->reason] == 0)
		s->first_lines[reject->reason] = s->row.line;
	if (s->settings->on_error == ON_ERROR_FAIL)
		fail_row(s, ctx, reject);
	if (s->settings->on_error != ON_ERROR_ROUTE)
		return 0;
	ctx->counters->routed++;
	return reject_record(s, reject->reason, out);
}

// ---- producing

static int64_t less_bound(const struct source_csv *s)
{
	int64_t bound = s->settings->bound_ns;
	return s->time_max_ns < INT64_MIN + bound ? INT64_MIN : s->time_max_ns - bound;
}

// A record needs a time, and one within the bound.  Returns whether it has.
static bool check_time(struct source_csv *s, const uint8_t *record, struct csv_reject *ret_reject)
{
	int field = s->settings->time_field;
	if (field < 0)
		return true;
	*ret_reject = (struct csv_reject){WEIR_DROP_MALFORMED, (uint32_t)field};
	if (record_is_null(record, (uint32_t)field))
		return false;
	int64_t time = record_int64(record, s->settings->schema.fields[field].offset);
	*ret_reject = (struct csv_reject){WEIR_DROP_LATE, CSV_NO_FIELD};
	if (time < less_bound(s))
		return false;
	if (time > s->time_max_ns)
		s->time_max_ns = time;
	return true;
}

// Turn the row into a record, or into one for the rejects.  Returns its bytes; 0: there is none.
static uint32_t build(struct source_csv *s, struct weir_context *ctx, uint8_t *out)
{
	struct csv_reject why;
	uint32_t bytes = csv_record(&s->layout, &s->row, out, RECORD_ROOM, &why);
	s->record_bytes = 0;
	if (UNLIKELY(bytes > s->settings->record_bytes_max)) {
		why = (struct csv_reject){WEIR_DROP_TOO_LARGE, CSV_NO_FIELD};
		s->record_bytes = bytes;
		bytes = 0;
	}
	if (bytes != 0 && !check_time(s, out, &why))
		bytes = 0;
	return bytes != 0 ? bytes : reject(s, ctx, &why, out);
}

// Emit the watermark that goes before the next record, if one is due.
static enum weir_flow mark(struct source_csv *s, struct weir_context *ctx)
{
	if (s->mark_done || s->settings->time_field < 0)
		return WEIR_DONE;
	s->mark_done = true;
	int64_t watermark = less_bound(s);
	if (watermark <= s->marked_ns)
		return WEIR_DONE;
	s->marked_ns = watermark;
	return weir_emit_watermark(ctx, watermark);
}

// Records that may be emitted now: up to the next watermark, and what the pace allows.
static uint64_t allowed(const struct source_csv *s, const struct weir_context *ctx,
	uint64_t records_max)
{
	uint64_t most = SOURCE_CSV_MARK_RECORDS - s->records % SOURCE_CSV_MARK_RECORDS;
	most = most < records_max ? most : records_max;
	if (s->settings->pace == 0 || ctx->replays)
		return most;
	uint64_t due = nexmark_due_count(s->settings->pace, ctx->now_ns - ctx->start_ns);
	uint64_t left = due > s->records ? due - s->records : 0;
	return most < left ? most : left;
}

// Build up to `most` records.  Returns how many, with their end; the rest of *ret_rc is next_row's.
static uint64_t collect(struct source_csv *s, struct weir_context *ctx, uint64_t most,
	uint8_t **ret_limit, int *ret_rc)
{
	uint8_t *at = s->batch;
	uint64_t records = 0;
	*ret_rc = 1;
	while (records < most && at < s->batch + BATCH_BYTES) {
		*ret_rc = next_row(s);
		if (*ret_rc != 1)
			break;
		uint32_t bytes = build(s, ctx, at);
		at += bytes;
		records += bytes != 0;
		if (UNLIKELY(ctx->error[0] != '\0'))
			break;
	}
	*ret_limit = at;
	return records;
}

static enum weir_flow emit(struct source_csv *s, struct weir_context *ctx, uint64_t records,
	const uint8_t *limit)
{
	s->records += records;
	s->mark_done = s->records % SOURCE_CSV_MARK_RECORDS != 0;
	ctx->produced += records;
	struct weir_batch batch = {.form = WEIR_PACKED, .first = s->batch, .limit = limit};
	return weir_emit(ctx, &batch);
}

static enum weir_flow source_produce(void *self, struct weir_context *ctx, uint64_t records_max)
{
	struct source_csv *s = self;
	uint8_t *limit;
	uint64_t most = allowed(s, ctx, records_max);
	if (most == 0 && records_max != 0) {
		ctx->deadline_ns = ctx->start_ns + nexmark_due_ns(s->settings->pace, s->records);
		return WEIR_IDLE;
	}
	int rc = peek(s);
	if (rc < 0)
		return weir_fail(ctx, "%s", s->file.error);
	if (rc == 0)
		return WEIR_END;
	if (most == 0)
		return WEIR_DONE;
	enum weir_flow flow = mark(s, ctx);
	if (flow != WEIR_DONE)
		return flow;
	uint64_t records = collect(s, ctx, most, &limit, &rc);
	if (rc < 0)
		return weir_fail(ctx, "%s", s->file.error);
	if (ctx->error[0] != '\0')
		return WEIR_FAILED;
	if (records == 0)
		return WEIR_END;
	return emit(s, ctx, records, limit);
}

// ---- position

static void source_snapshot(const void *self, struct snapshot_writer *w)
{
	const struct source_csv *s = self;
	snapshot_u64(w, s->records);
	snapshot_u64(w, s->reader.offset);
	snapshot_u64(w, s->reader.line);
	snapshot_u64(w, s->file.size);
	snapshot_i64(w, s->time_max_ns);
	snapshot_i64(w, s->marked_ns);
	snapshot_u32(w, s->mark_done);
	snapshot_bytes(w, s->first_lines, sizeof(s->first_lines));
}

static int source_restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	struct source_csv *s = self;
	s->records = snapshot_read_u64(r);
	uint64_t offset = snapshot_read_u64(r), line = snapshot_read_u64(r);
	uint64_t size = snapshot_read_u64(r);
	s->time_max_ns = snapshot_read_i64(r);
	s->marked_ns = snapshot_read_i64(r);
	s->mark_done = snapshot_read_u32(r) != 0;
	snapshot_read(r, s->first_lines, sizeof(s->first_lines));
	if (r->error != 0)
		return r->error;
	if (size > s->file.size) {
		weir_fail(ctx,
			"%s: has %" PRIu64 " bytes, fewer than the %" PRIu64 " it had before;"
			" put the old file back",
			s->file.path, s->file.size, size);
		return -ESTALE;
	}
	s->file.size = size;
	int error = go_to(s, offset, line);
	if (error != 0)
		weir_fail(ctx, "%s", s->file.error);
	return error;
}

static void source_report(const void *self, struct weir_reporter *reporter)
{
	const struct source_csv *s = self;
	char name[64];
	for (uint32_t i = 0; i < WEIR_DROP_COUNT; i++) {
		if (s->first_lines[i] == 0)
			continue;
		snprintf(name, sizeof(name), "first_line_%s", weir_drop_names[i]);
		reporter->add(reporter, name, s->first_lines[i]);
	}
}

const struct weir_operator source_csv = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "csv",
	.summary = "The rows of a CSV file (RFC 4180), typed by a schema.",
	.role = WEIR_SOURCE,
	.params = source_csv_params,
	.plan = source_csv_plan,
	.unplan = source_csv_unplan,
	.create = source_create,
	.destroy = source_destroy,
	.produce = source_produce,
	.state_version = 1,
	.snapshot = source_snapshot,
	.restore = source_restore,
	.report = source_report,
};
