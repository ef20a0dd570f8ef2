#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/csv_writer.h"
#include "dataplane/operators/sinks.h"
#include "numa/arena.h"

enum { BUFFER_BYTES = 64 << 10 };

struct sink_stdout {
	struct output_file file; // only its buffer and descriptor are used
	struct csv_writer writer;
	struct batch_columns columns;
	uint64_t fields;
};

static const struct weir_param params[] = {
	{.name = "header",
		.type = WEIR_PARAM_BOOL,
		.default_text = "false",
		.doc = "Whether the first line names the fields."},
	{.name = "timestamps",
		.type = WEIR_PARAM_CHOICE,
		.choices = "ms|iso",
		.default_text = "ms",
		.doc = "Integer milliseconds since 1970 (what is finer is cut), or ISO 8601."},
	{.name = NULL},
};

static int sink_plan(struct weir_plan *plan)
{
	plan->fields_used = schema_all_fields(plan->input);
	plan->parallelism_max = 1;
	return 0;
}

static int sink_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct sink_stdout *s = arena_alloc(ctx->arena, sizeof(*s), 64);
	uint8_t *buffer = arena_alloc(ctx->arena, BUFFER_BYTES, 64);
	if (s == NULL || buffer == NULL ||
		batch_columns_create(&s->columns, plan->input, ctx->arena) != 0)
		return -ENOMEM;
	s->file = (struct output_file){.fd = STDOUT_FILENO, .buffer = buffer, .room = BUFFER_BYTES};
	s->fields = schema_all_fields(plan->input);
	s->writer = (struct csv_writer){.out = &s->file, .schema = plan->input,
		.times_iso = weir_param_int(plan->params, "timestamps", 0) != 0};
	*ret_self = s;
	return weir_param_int(plan->params, "header", 0) ? csv_write_names(&s->writer) : 0;
}

static enum weir_flow fail(struct weir_context *ctx, int error)
{
	return weir_fail(ctx, "stdout: cannot be written: %s; check what reads it",
		strerror(-error));
}

// Lines are shown as they come; only those of one batch go out together.
static enum weir_flow sink_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct sink_stdout *s = self;
	struct weir_batch rows;
	int error = 0;
	while (!batch_is_empty(in)) {
		const uint8_t *behind = batch_gather(in, s->fields, &s->columns, &rows);
		for (uint32_t i = 0; i < rows.count && error == 0; i++)
			error = csv_write_row(&s->writer, rows.columns, i);
		if (error != 0)
			return fail(ctx, error);
		ctx->counters->records_in += rows.count;
		batch_advance(in, rows.count, behind);
	}
	error = output_file_flush(&s->file);
	return error == 0 ? WEIR_DONE : fail(ctx, error);
}

const struct weir_operator sink_stdout = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "stdout",
	.summary = "CSV lines on standard output.",
	.role = WEIR_SINK,
	.params = params,
	.plan = sink_plan,
	.create = sink_create,
	.process = sink_process,
};
