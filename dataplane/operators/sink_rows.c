#include "dataplane/operators/sink_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "numa/arena.h"
#include "numa/assert.h"
#include "state/snapshot.h"

int sink_rows_plan(struct weir_plan *plan)
{
	plan->fields_used = schema_all_fields(plan->input);
	plan->parallelism_max = 1;
	struct output_file *file = calloc(1, sizeof(*file));
	VERIFY(file != NULL);
	file->fd = file->directory = -1;
	plan->detail = file;
	return 0;
}

void sink_rows_unplan(struct weir_plan *plan)
{
	if (plan->detail != NULL)
		output_file_discard(plan->detail);
	free(plan->detail);
	plan->detail = NULL;
}

struct sink_rows *sink_rows_create(struct weir_context *ctx, const struct weir_plan *plan,
	size_t buffer_bytes, uint8_t **ret_buffer)
{
	struct sink_rows *s = arena_alloc(ctx->arena, sizeof(*s), 64);
	uint8_t *buffer = arena_alloc(ctx->arena, buffer_bytes, 64);
	if (s == NULL || buffer == NULL ||
		batch_columns_create(&s->columns, plan->input, ctx->arena) != 0)
		return NULL;
	s->file = plan->detail;
	s->fields = schema_all_fields(plan->input);
	s->writer = (struct csv_writer){.out = s->file,
		.schema = plan->input,
		.times_iso = weir_param_int(plan->params, "timestamps", 0) != 0};
	output_file_succeed(s->file, buffer, buffer_bytes);
	*ret_buffer = buffer;
	return s;
}

int sink_rows_header(struct sink_rows *s, const struct weir_plan *plan)
{
	return weir_param_int(plan->params, "header", 0) ? csv_write_names(&s->writer) : 0;
}

int sink_rows_write(struct sink_rows *s, struct weir_context *ctx, struct weir_batch *in)
{
	struct weir_batch rows;
	while (!batch_is_empty(in)) {
		const uint8_t *behind = batch_gather(in, s->fields, &s->columns, &rows);
		for (uint32_t i = 0; i < rows.count; i++) {
			int error = csv_write_row(&s->writer, rows.columns, i);
			if (error != 0)
				return error;
		}
		ctx->counters->records_in += rows.count;
		batch_advance(in, rows.count, behind);
	}
	return 0;
}

// The file has no name that another process could find it by, and may lie on another host.
static void put_file(const struct output_file *file, struct snapshot_writer *w)
{
	uint8_t part[16384];
	if (w->whole && file->at > SINK_ROWS_CARRIED_MAX)
		snapshot_refuse(w,
			"a csv sink has written over 64 MiB, more than goes along to a new "
			"replica");
	uint64_t carried = w->whole && w->refused == NULL ? file->at : 0;
	snapshot_u64(w, carried);
	for (uint64_t at = 0; at < carried && w->refused == NULL;) {
		size_t bytes = carried - at < sizeof(part) ? carried - at : sizeof(part);
		if (output_file_read(file, part, bytes, at) != 0)
			snapshot_refuse(w, "a csv sink's file cannot be read back");
		snapshot_bytes(w, part, bytes);
		at += bytes;
	}
}

void sink_rows_snapshot(const void *self, struct snapshot_writer *w)
{
	const struct output_file *file = ((const struct sink_rows *)self)->file;
	snapshot_u64(w, file->at);
	put_file(file, w);
	snapshot_u64(w, file->used);
	snapshot_bytes(w, file->buffer, file->used);
}

// Also lines that a larger buffer than ours had held.
static int restore_lines(struct output_file *file, struct snapshot_reader *r)
{
	uint8_t part[4096];
	int error = 0;
	for (uint64_t left = snapshot_read_u64(r); left != 0 && r->error == 0 && error == 0;) {
		size_t bytes = left < sizeof(part) ? left : sizeof(part);
		snapshot_read(r, part, bytes);
		error = r->error != 0 ? r->error : output_file_write(file, part, bytes);
		left -= bytes;
	}
	return error != 0 ? error : r->error;
}

// What goes along is written from the file's beginning.
static int restore_file(struct output_file *file, struct snapshot_reader *r, uint64_t at)
{
	struct snapshot_reader carried = *r;
	uint64_t bytes = r->version < 2 ? 0 : snapshot_read_u64(r);
	if (bytes == 0)
		return output_file_seek(file, at);
	if (bytes != at)
		return -EBADMSG;
	int error = output_file_seek(file, 0);
	if (error == 0)
		error = restore_lines(file, &carried);
	if (error == 0)
		error = output_file_flush(file);
	*r = carried;
	return error;
}

int sink_rows_restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	struct output_file *file = ((struct sink_rows *)self)->file;
	uint64_t at = snapshot_read_u64(r);
	int error = restore_file(file, r, at);
	if (error == -ENODATA)
		weir_fail(ctx,
			"%s: its lines up to the checkpoint went with the process that wrote them; "
			"run the job from its beginning",
			file->path);
	return error != 0 ? error : restore_lines(file, r);
}
