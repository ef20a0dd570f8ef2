#include <errno.h>
#include <string.h>

#include "dataplane/csv_writer.h"
#include "dataplane/operators/sinks.h"
#include "numa/arena.h"

enum { BUFFER_BYTES = 1 << 20 };

struct sink_csv {
	struct output_file file;
	struct csv_writer writer;
	struct batch_columns columns;
	uint64_t fields;
};

static const struct weir_param params[] = {
	{.name = "path",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "The file, which appears, or is replaced, once the job has ended well."},
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

// Say why writing failed and what helps.  Returns WEIR_FAILED.
static enum weir_flow fail(struct weir_context *ctx, const char *path, int error)
{
	switch (-error) {
	case ENOSPC:
	case EDQUOT:
		return weir_fail(ctx, "%s: the disk is full; free space there or let `path` name"
			" another one", path);
	case EISDIR:
		return weir_fail(ctx, "%s: is a directory; let `path` name a file in it", path);
	case EINVAL:
		return weir_fail(ctx, "%s: is there and is no regular file; let `path` name"
			" another, or use the sink `stdout`", path);
	case ENOENT:
	case ENOTDIR:
		return weir_fail(ctx, "%s: its directory does not exist; make it or correct `path`",
			path);
	case EACCES:
	case EPERM:
	case EROFS:
		return weir_fail(ctx, "%s: its directory may not be written to; give this user"
			" permission or let `path` name another one", path);
	default:
		return weir_fail(ctx, "%s: cannot be written: %s; check the disk and `path`", path,
			strerror(-error));
	}
}

static void sink_destroy(void *self)
{
	if (self != NULL)
		output_file_discard(&((struct sink_csv *)self)->file);
}

static int sink_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct sink_csv *s = arena_alloc(ctx->arena, sizeof(*s), 64);
	uint8_t *buffer = arena_alloc(ctx->arena, BUFFER_BYTES, 64);
	if (s == NULL || buffer == NULL ||
		batch_columns_create(&s->columns, plan->input, ctx->arena) != 0)
		return -ENOMEM;
	const char *path = weir_param_text(plan->params, "path", "");
	s->fields = schema_all_fields(plan->input);
	s->writer = (struct csv_writer){.out = &s->file, .schema = plan->input,
		.times_iso = weir_param_int(plan->params, "timestamps", 0) != 0};
	int error = output_file_open(&s->file, path, buffer, BUFFER_BYTES);
	if (error == 0 && weir_param_int(plan->params, "header", 0))
		error = csv_write_names(&s->writer);
	if (error != 0) {
		fail(ctx, path, error);
		sink_destroy(s);
		return error;
	}
	*ret_self = s;
	return 0;
}

static enum weir_flow sink_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct sink_csv *s = self;
	struct weir_batch rows;
	int error = 0;
	while (!batch_is_empty(in)) {
		const uint8_t *behind = batch_gather(in, s->fields, &s->columns, &rows);
		for (uint32_t i = 0; i < rows.count && error == 0; i++)
			error = csv_write_row(&s->writer, rows.columns, i);
		if (error != 0)
			return fail(ctx, s->file.path, error);
		ctx->counters->records_in += rows.count;
		batch_advance(in, rows.count, behind);
	}
	return WEIR_DONE;
}

static enum weir_flow sink_finish(void *self, struct weir_context *ctx)
{
	struct sink_csv *s = self;
	int error = output_file_sync(&s->file);
	return error == 0 ? WEIR_DONE : fail(ctx, s->file.path, error);
}

static int sink_publish(void *self, struct weir_context *ctx)
{
	struct sink_csv *s = self;
	int error = output_file_publish(&s->file);
	if (error != 0)
		fail(ctx, s->file.path, error);
	return error;
}

const struct weir_operator sink_csv = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "csv",
	.summary = "A CSV file (RFC 4180) that appears complete or not at all.",
	.role = WEIR_SINK,
	.params = params,
	.plan = sink_plan,
	.create = sink_create,
	.destroy = sink_destroy,
	.process = sink_process,
	.finish = sink_finish,
	.publish = sink_publish,
};
