// What the sinks that write CSV share: their parameters and how batches become lines.
#pragma once

#include "dataplane/csv_writer.h"
#include "dataplane/operator.h"

struct sink_rows {
	struct output_file file;
	struct csv_writer writer;
	struct batch_columns columns;
	uint64_t fields;
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

// Take scratch columns and a buffer of `buffer_bytes` for the file from ctx->arena; the file itself
// is the caller's to open.  Returns the buffer, or NULL without memory.
uint8_t *sink_rows_create(struct sink_rows *s, struct weir_context *ctx,
	const struct weir_plan *plan, size_t buffer_bytes);

// The line of names, if the parameters ask for it.  Returns 0 or -errno of the file.
int sink_rows_header(struct sink_rows *s, const struct weir_plan *plan);

// Write all rows of a batch.  Returns 0 or -errno of the file.
int sink_rows_write(struct sink_rows *s, struct weir_context *ctx, struct weir_batch *in);
