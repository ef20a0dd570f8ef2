#include "dataplane/operators/sink_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "numa/arena.h"
#include "numa/assert.h"
#include "state/snapshot.h"

enum { PIECE_BYTES = 16384, PART_PIECES = 4 };

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
static void file_begin(struct sink_rows *s, struct snapshot_writer *w)
{
	if (w->whole && s->file->at > SINK_ROWS_CARRIED_MAX)
		snapshot_refuse(w,
			"a csv sink has written over 64 MiB, more than goes along to a new "
			"replica");
	uint64_t carried = w->whole && w->refused == NULL ? s->file->at : 0;
	snapshot_u64(w, s->file->at);
	snapshot_u64(w, carried);
	s->carried = snapshot_fits(w, carried) ? carried : 0;
}

// A piece of the file.
static void file_put(struct sink_rows *s, struct snapshot_writer *w)
{
	uint8_t piece[PIECE_BYTES];
	uint32_t bytes = s->carried < sizeof(piece) ? (uint32_t)s->carried : sizeof(piece);
	if (output_file_read(s->file, piece, bytes, s->file->at - s->carried) != 0)
		snapshot_refuse(w, "a csv sink's file cannot be read back");
	snapshot_bytes(w, piece, bytes);
	s->carried -= bytes;
}

bool sink_rows_snapshot_part(void *self, struct snapshot_writer *w, bool first)
{
	struct sink_rows *s = self;
	if (first)
		file_begin(s, w);
	for (int i = 0; i < PART_PIECES && s->carried != 0; i++)
		file_put(s, w);
	if (s->carried != 0)
		return false;
	snapshot_u64(w, s->file->used);
	snapshot_bytes(w, s->file->buffer, s->file->used);
	return true;
}

void sink_rows_snapshot(const void *self, struct snapshot_writer *w)
{
	for (bool first = true; !sink_rows_snapshot_part((void *)self, w, first);)
		first = false;
}

// Also lines that a larger buffer than ours had held.
static int lines_restore(struct output_file *file, struct snapshot_reader *r, uint64_t bytes)
{
	uint8_t piece[PIECE_BYTES];
	int error = 0;
	while (bytes != 0 && r->error == 0 && error == 0) {
		size_t next = bytes < sizeof(piece) ? bytes : sizeof(piece);
		snapshot_read(r, piece, next);
		error = r->error != 0 ? r->error : output_file_write(file, piece, next);
		bytes -= next;
	}
	return error != 0 ? error : r->error;
}

// What goes along is written from the file's beginning.
static int file_restore(struct sink_rows *s, struct snapshot_reader *r)
{
	uint64_t at = snapshot_read_u64(r);
	s->carried = r->version < 2 ? 0 : snapshot_read_u64(r);
	if (r->error != 0 || (s->carried != 0 && s->carried != at))
		return -EBADMSG;
	return output_file_seek(s->file, s->carried != 0 ? 0 : at);
}

int sink_rows_restore_part(void *self, struct weir_context *ctx, struct snapshot_reader *r,
	bool first)
{
	struct sink_rows *s = self;
	int error = first ? file_restore(s, r) : 0;
	if (error == -ENODATA)
		weir_fail(ctx,
			"%s: its lines up to the checkpoint went with the process that wrote them; "
			"run the job from its beginning",
			s->file->path);
	uint64_t most = PART_PIECES * PIECE_BYTES;
	uint64_t bytes = s->carried < most ? s->carried : most;
	if (error == 0)
		error = lines_restore(s->file, r, bytes);
	s->carried -= bytes;
	if (error != 0 || s->carried != 0)
		return error != 0 ? error : 1;
	error = output_file_flush(s->file);
	return error != 0 ? error : lines_restore(s->file, r, snapshot_read_u64(r));
}

int sink_rows_restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	int result = sink_rows_restore_part(self, ctx, r, true);
	while (result == 1)
		result = sink_rows_restore_part(self, ctx, r, false);
	return result;
}
