#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/operators/sink_rows.h"
#include "dataplane/operators/sinks.h"
#include "numa/arena.h"

enum { BUFFER_BYTES = 64 << 10 };

static const struct weir_param params[] = {SINK_ROWS_PARAMS, {.name = NULL}};

// Of the file only its buffer and descriptor are used.
static int sink_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct sink_rows *s = arena_alloc(ctx->arena, sizeof(*s), 64);
	uint8_t *buffer = s == NULL ? NULL : sink_rows_create(s, ctx, plan, BUFFER_BYTES);
	if (buffer == NULL)
		return -ENOMEM;
	s->file = (struct output_file){.fd = STDOUT_FILENO, .buffer = buffer, .room = BUFFER_BYTES};
	*ret_self = s;
	return sink_rows_header(s, plan);
}

static enum weir_flow fail(struct weir_context *ctx, int error)
{
	return weir_fail(ctx, "stdout: cannot be written: %s; check what reads it",
		strerror(-error));
}

// Lines are shown as they come; only those of one batch go out together.
static enum weir_flow sink_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct sink_rows *s = self;
	int error = sink_rows_write(s, ctx, in);
	if (error == 0)
		error = output_file_flush(&s->file);
	return error == 0 ? WEIR_DONE : fail(ctx, error);
}

const struct weir_operator sink_stdout = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "stdout",
	.summary = "CSV lines on standard output.",
	.role = WEIR_SINK,
	.immediate = true,
	.params = params,
	.plan = sink_rows_plan,
	.create = sink_create,
	.process = sink_process,
};
