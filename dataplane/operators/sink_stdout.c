#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/operators/sink_rows.h"
#include "dataplane/operators/sinks.h"
#include "numa/arena.h"

enum { BUFFER_BYTES = 64 << 10 };

static const struct weir_param params[] = {SINK_ROWS_PARAMS, {.name = NULL}};

static int sink_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	uint8_t *buffer;
	struct sink_rows *s = sink_rows_create(ctx, plan, BUFFER_BYTES, &buffer);
	if (s == NULL)
		return -ENOMEM;
	if (s->file->fd < 0)
		output_file_stream(s->file, STDOUT_FILENO, buffer, BUFFER_BYTES);
	*ret_self = s;
	return sink_rows_header(s, plan);
}

static enum weir_flow fail(struct weir_context *ctx, int error)
{
	return weir_fail(ctx, "stdout: cannot be written: %s; check what reads it",
		strerror(-error));
}

// Lines are shown as they come; only those of one batch go out together. None can be taken back, so
// a successor writes nothing until it has come as far as the dead instance had.
static enum weir_flow sink_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct sink_rows *s = self;
	int error = sink_rows_write(s, ctx, in);
	if (error == 0)
		error = output_file_flush(s->file);
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
	.unplan = sink_rows_unplan,
	.create = sink_create,
	.process = sink_process,
	.state_version = SINK_ROWS_STATE_VERSION,
	.snapshot = sink_rows_snapshot,
	.restore = sink_rows_restore,
};
