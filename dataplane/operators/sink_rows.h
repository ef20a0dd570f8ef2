// What the sinks that write CSV share: their parameters, how batches become lines, and how one that
// dies is followed by another in this process: the file belongs to the plan and outlives both. The
// snapshot says how much of it had been written, and holds the lines that had not yet; one for
// another process holds the file as well, up to SINK_ROWS_CARRIED_MAX.
#pragma once

#include "dataplane/csv_writer.h"
#include "dataplane/operator.h"

struct sink_rows {
	struct output_file *file; // the plan's; its buffer is this instance's
	struct csv_writer writer;
	struct batch_columns columns;
	uint64_t fields;
	uint64_t carried; // of the file, to go into a snapshot or to come out of one still
};

#define SINK_ROWS_PARAMS                                                                           \
	{.name = "header",                                                                         \
		.type = WEIR_PARAM_BOOL,                                                           \
		.default_text = "false",                                                           \
		.doc = "Whether the first line names the fields."},                                \
	{                                                                                          \
		.name = "timestamps", .type = WEIR_PARAM_CHOICE, .choices = "ms|iso",              \
		.default_text = "ms",                                                              \
		.doc = "Integer milliseconds since 1970 (what is finer is cut), or ISO 8601."      \
	}

// All fields are used, by one task.
int sink_rows_plan(struct weir_plan *plan);
// Remove what was written and not published.
void sink_rows_unplan(struct weir_plan *plan);

// Take an instance with scratch columns and a buffer of `buffer_bytes` from ctx->arena. The file of
// a dead instance is taken over; one that is not open (its fd is -1) is the caller's to open.
// Returns the instance and its buffer, or NULL without memory.
struct sink_rows *sink_rows_create(struct weir_context *ctx, const struct weir_plan *plan,
	size_t buffer_bytes, uint8_t **ret_buffer);

// The line of names, if the parameters ask for it.  Returns 0 or -errno of the file.
int sink_rows_header(struct sink_rows *s, const struct weir_plan *plan);

// Write all rows of a batch.  Returns 0 or -errno of the file.
int sink_rows_write(struct sink_rows *s, struct weir_context *ctx, struct weir_batch *in);

enum { SINK_ROWS_STATE_VERSION = 2, SINK_ROWS_CARRIED_MAX = 64 << 20 };
void sink_rows_snapshot(const void *self, struct snapshot_writer *w);
bool sink_rows_snapshot_part(void *self, struct snapshot_writer *w, bool first);
int sink_rows_restore_part(void *self, struct weir_context *ctx, struct snapshot_reader *r,
	bool first);
int sink_rows_restore(void *self, struct weir_context *ctx, struct snapshot_reader *r);
