// window_aggregate: groups of records by key and window of event time, reduced to aggregates.
#include "dataplane/operators/window_aggregate.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/operators/window_parts.h"

enum { STEP_PARTS = 2 }; // of a firing window, in a step of its task

static void unplan(struct weir_plan *plan)
{
	free(plan->detail);
	plan->detail = NULL;
}

static int create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	const struct window_detail *detail = plan->detail;
	struct window_operator *op = arena_alloc(ctx->arena, sizeof(*op), 64);
	if (op == NULL)
		return -ENOMEM;
	op->plan = plan;
	op->detail = detail;
	if (batch_columns_create(&op->input, plan->input, ctx->arena) ||
		batch_columns_create(&op->output, &plan->outputs[0].schema, ctx->arena))
		return -ENOMEM;
	int error = window_create(&op->window, &detail->config, ctx->pool, ctx->arena);
	if (!error)
		*ret_self = op;
	return error;
}

static void destroy(void *self)
{
	struct window_operator *op = self;
	if (op != NULL)
		window_destroy(&op->window);
}

static enum weir_flow exhausted(struct weir_context *ctx)
{
	return weir_fail(ctx,
		"state memory is exhausted, %zu bytes in use; raise workers.state_memory, or "
		"shorten the window",
		ctx->pool->used);
}

static void drops_count(struct weir_context *ctx, const struct window_drops *drops)
{
	if (LIKELY((drops->late | drops->out_of_range | drops->too_large) == 0))
		return;
	weir_drop(ctx, WEIR_DROP_LATE, drops->late);
	weir_drop(ctx, WEIR_DROP_OUT_OF_RANGE, drops->out_of_range);
	weir_drop(ctx, WEIR_DROP_TOO_LARGE, drops->too_large);
}

static int gathered_add(struct window_operator *op, struct weir_batch *in,
	struct window_drops *drops, uint64_t *rows_in)
{
	while (!batch_is_empty(in)) {
		struct weir_batch rows;
		const uint8_t *behind = batch_gather(in, op->detail->fields, &op->input, &rows);
		int error = window_update(&op->window, rows.columns, 0, rows.count, drops);
		if (error)
			return error;
		batch_advance(in, rows.count, behind);
		*rows_in += rows.count;
	}
	return 0;
}

static enum weir_flow process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct window_operator *op = self;
	const struct window_packed *packed = &op->detail->packed;
	struct window_drops drops = {0};
	int error = in->form == WEIR_PACKED && packed->usable
		? window_packed_add(&op->window, packed, in, &drops, &ctx->counters->records_in)
		: gathered_add(op, in, &drops, &ctx->counters->records_in);
	drops_count(ctx, &drops);
	return error ? exhausted(ctx) : WEIR_DONE;
}

static enum weir_flow rows_emit(struct window_operator *op, struct weir_context *ctx,
	const struct window_rows *rows)
{
	struct weir_batch batch;
	uint32_t aggregate;
	if (window_output(op, rows, &batch, &aggregate)) {
		uint32_t field = 2 + op->detail->config.key_count + aggregate;
		return weir_fail(ctx, "%s leaves the range of decimal(38); sum less",
			op->plan->outputs[0].schema.fields[field].name);
	}
	return weir_emit(ctx, &batch);
}

// However many keys a window has: others on this worker are not to wait for all of them.
static enum weir_flow watermark(void *self, struct weir_context *ctx, int64_t watermark_ns)
{
	struct window_operator *op = self;
	for (int parts = 0; parts < STEP_PARTS; parts++) {
		struct window_rows rows;
		if (window_fire(&op->window, watermark_ns, &rows))
			return exhausted(ctx);
		if (!op->window.firing)
			return WEIR_DONE;
		enum weir_flow flow = rows.count == 0 ? WEIR_DONE : rows_emit(op, ctx, &rows);
		if (flow != WEIR_DONE)
			return flow;
	}
	ctx->goes_on = true;
	return WEIR_FULL;
}

static bool snapshot_part(void *self, struct snapshot_writer *w, bool first)
{
	struct window_operator *op = self;
	return window_snapshot(&op->window, w, first);
}

static void snapshot(const void *self, struct snapshot_writer *w)
{
	for (bool first = true; !snapshot_part((void *)self, w, first);)
		first = false;
}

static int restored(struct weir_context *ctx, int error)
{
	if (error == -ENOMEM)
		exhausted(ctx);
	if (error == -EINVAL)
		weir_fail(ctx, "the snapshot is of another window or other aggregates");
	return error;
}

static int restore_part(void *self, struct weir_context *ctx, struct snapshot_reader *r, bool first)
{
	struct window_operator *op = self;
	return restored(ctx, window_restore(&op->window, r, first));
}

static int restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	int result = restore_part(self, ctx, r, true);
	while (result == 1)
		result = restore_part(self, ctx, r, false);
	return result;
}

static int restore_begin(void *self, struct weir_context *ctx, struct snapshot_reader *r,
	struct group_set *absent)
{
	struct window_operator *op = self;
	return restored(ctx, window_restore_begin(&op->window, r, absent));
}

static int restore_group(void *self, struct weir_context *ctx, struct snapshot_reader *r,
	uint32_t group)
{
	struct window_operator *op = self;
	return restored(ctx, window_restore_group(&op->window, r, group));
}

static void keys(void *self, struct weir_context *ctx, const struct weir_batch *in,
	struct group_set *needed)
{
	struct window_operator *op = self;
	struct weir_batch rest = *in;
	if (op->window.listed) { // it appends, and merges later; but null has one entry
		group_set_add_hash(needed, table_null_hash());
		return;
	}
	while (!batch_is_empty(&rest)) {
		struct weir_batch rows;
		const uint8_t *behind =
			batch_gather(&rest, op->detail->key_fields, &op->input, &rows);
		window_keys(&op->window, rows.columns, rows.count, needed);
		batch_advance(&rest, rows.count, behind);
	}
}

static bool watermark_reads(const void *self, int64_t watermark_ns)
{
	const struct window_operator *op = self;
	return window_is_due(&op->window, watermark_ns);
}

const struct weir_operator window_aggregate = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "window_aggregate",
	.summary = "Aggregates of records grouped by key and window of event time.",
	.role = WEIR_TRANSFORM,
	.params = window_params,
	.plan = window_plan,
	.unplan = unplan,
	.create = create,
	.destroy = destroy,
	.process = process,
	.watermark = watermark,
	.state_version = WINDOW_STATE_VERSION,
	.snapshot = snapshot,
	.restore = restore,
	.groups_version = WINDOW_GROUPS_VERSION,
	.restore_begin = restore_begin,
	.restore_group = restore_group,
	.keys = keys,
	.watermark_reads = watermark_reads,
	.snapshot_part = snapshot_part,
	.restore_part = restore_part,
};
