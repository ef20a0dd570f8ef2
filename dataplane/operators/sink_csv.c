#include <errno.h>
#include <string.h>

#include "dataplane/operators/sink_rows.h"
#include "dataplane/operators/sinks.h"
#include "numa/arena.h"

// A snapshot holds what is in the buffer, so it is no larger than writing well takes.
enum { BUFFER_BYTES = 256 << 10 };

static const struct weir_param params[] = {
	{.name = "path",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "The file, which appears, or is replaced, once the job has ended well."},
	SINK_ROWS_PARAMS,
	{.name = NULL},
};

// Say why writing failed and what helps.  Returns WEIR_FAILED.
static enum weir_flow fail(struct weir_context *ctx, const char *path, int error)
{
	switch (-error) {
	case ENOSPC:
	case EDQUOT:
		return weir_fail(ctx,
			"%s: the disk is full; free space there or let `path` name"
			" another one",
			path);
	case EISDIR:
		return weir_fail(ctx, "%s: is a directory; let `path` name a file in it", path);
	case EINVAL:
		return weir_fail(ctx,
			"%s: is there and is no regular file; let `path` name"
			" another, or use the sink `stdout`",
			path);
	case ENOENT:
	case ENOTDIR:
		return weir_fail(ctx, "%s: its directory does not exist; make it or correct `path`",
			path);
	case EACCES:
	case EPERM:
	case EROFS:
		return weir_fail(ctx,
			"%s: its directory may not be written to; give this user"
			" permission or let `path` name another one",
			path);
	default:
		return weir_fail(ctx, "%s: cannot be written: %s; check the disk and `path`", path,
			strerror(-error));
	}
}

static int sink_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	uint8_t *buffer;
	struct sink_rows *s = sink_rows_create(ctx, plan, BUFFER_BYTES, &buffer);
	if (s == NULL)
		return -ENOMEM;
	const char *path = weir_param_text(plan->params, "path", "");
	int error = 0;
	if (s->file->fd < 0)
		error = output_file_open(s->file, path, buffer, BUFFER_BYTES);
	if (error == 0)
		error = sink_rows_header(s, plan);
	if (error != 0)
		fail(ctx, path, error);
	else
		*ret_self = s;
	return error;
}

static enum weir_flow sink_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct sink_rows *s = self;
	int error = sink_rows_write(s, ctx, in);
	return error == 0 ? WEIR_DONE : fail(ctx, s->file->path, error);
}

static enum weir_flow sink_finish(void *self, struct weir_context *ctx)
{
	struct sink_rows *s = self;
	int error = output_file_sync(s->file);
	return error == 0 ? WEIR_DONE : fail(ctx, s->file->path, error);
}

static int sink_publish(void *self, struct weir_context *ctx)
{
	struct sink_rows *s = self;
	int error = output_file_publish(s->file);
	if (error != 0)
		fail(ctx, s->file->path, error);
	return error;
}

// What is wrong with the state itself is said elsewhere.
static int say(const struct sink_rows *s, struct weir_context *ctx, int result)
{
	if (result < 0 && result != -EBADMSG && result != -ENODATA)
		fail(ctx, s->file->path, result);
	return result;
}

static int sink_restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	return say(self, ctx, sink_rows_restore(self, ctx, r));
}

static int sink_restore_part(void *self, struct weir_context *ctx, struct snapshot_reader *r,
	bool first)
{
	return say(self, ctx, sink_rows_restore_part(self, ctx, r, first));
}

const struct weir_operator sink_csv = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "csv",
	.summary = "A CSV file (RFC 4180) that appears complete or not at all.",
	.role = WEIR_SINK,
	.params = params,
	.plan = sink_rows_plan,
	.unplan = sink_rows_unplan,
	.create = sink_create,
	.process = sink_process,
	.finish = sink_finish,
	.state_version = SINK_ROWS_STATE_VERSION,
	.snapshot = sink_rows_snapshot,
	.restore = sink_restore,
	.publish = sink_publish,
	.snapshot_part = sink_rows_snapshot_part,
	.restore_part = sink_restore_part,
};
