#include "dataplane/operators/sink_rows.h"

#include "numa/arena.h"

int sink_rows_plan(struct weir_plan *plan)
{
	plan->fields_used = schema_all_fields(plan->input);
	plan->parallelism_max = 1;
	return 0;
}

uint8_t *sink_rows_create(struct sink_rows *s, struct weir_context *ctx,
	const struct weir_plan *plan, size_t buffer_bytes)
{
	if (batch_columns_create(&s->columns, plan->input, ctx->arena) != 0)
		return NULL;
	s->fields = schema_all_fields(plan->input);
	s->writer = (struct csv_writer){.out = &s->file,
		.schema = plan->input,
		.times_iso = weir_param_int(plan->params, "timestamps", 0) != 0};
	return arena_alloc(ctx->arena, buffer_bytes, 64);
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
