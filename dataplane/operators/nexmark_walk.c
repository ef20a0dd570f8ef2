#include "dataplane/operators/nexmark_walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "numa/assert.h"
#include "state/snapshot.h"

static int plan_nexmark(struct weir_plan *plan, const struct weir_value *sequence,
	struct nexmark *ret_nexmark)
{
	int error = nexmark_init(ret_nexmark, weir_param_int(sequence, "events", 0),
		weir_param_int(sequence, "rate", 0), weir_param_int(sequence, "group", 0));
	ASSERT(error != -EINVAL); // the table's bounds are nexmark_init's
	if (error)
		weir_plan_error(plan, weir_param_find(sequence, "events"),
			"the events would go on beyond the year 2262; lower events or raise rate");
	return error ? -EINVAL : 0;
}

static int plan_walk(struct weir_plan *plan, struct nexmark_walk *w)
{
	const struct weir_value *params = plan->params;
	w->pace = (uint64_t)weir_param_int(params, "pace", 0);
	w->block = (uint64_t)weir_param_int(params, "block", NEXMARK_BLOCK_EVENTS);
	if (w->block % NEXMARK_BLOCK_STEP != 0) {
		weir_plan_error(plan, weir_param_find(params, "block"),
			"%" PRIu64 " is no multiple of %d; write %d or remove it", w->block,
			NEXMARK_BLOCK_STEP, NEXMARK_BLOCK_EVENTS);
		return -EINVAL;
	}
	if (!weir_param_int(params, "scheduled", 0))
		return 0;
	w->nexmark.pace = w->pace;
	if (w->pace == 0) {
		weir_plan_error(plan, weir_param_find(params, "scheduled"),
			"needs a pace to be scheduled by; give the source a pace");
		return -EINVAL;
	}
	return 0;
}

static void plan_outputs(struct weir_plan *plan, bool scheduled)
{
	for (int kind = 0; kind < NEXMARK_KINDS; kind++) {
		struct weir_output *output = &plan->outputs[kind];
		output->name = nexmark_kind_name((enum nexmark_kind)kind);
		nexmark_schema((enum nexmark_kind)kind, &output->schema);
		if (!scheduled)
			continue;
		VERIFY(schema_add(&output->schema, "scheduled", WEIR_INT64, 0, 0) == 0);
		schema_layout(&output->schema);
	}
	plan->output_count = NEXMARK_KINDS;
}

int walk_plan(struct weir_plan *plan, const struct weir_value *sequence)
{
	struct nexmark_walk *w = calloc(1, sizeof(*w));
	VERIFY(w != NULL);
	plan->detail = w;
	int error = plan_nexmark(plan, sequence, &w->nexmark);
	w->total = w->nexmark.events;
	if (!error)
		error = plan_walk(plan, w);
	plan_outputs(plan, w->nexmark.pace != 0);
	return error;
}

void walk_unplan(struct weir_plan *plan)
{
	free(plan->detail);
	plan->detail = NULL;
}

void walk_start(struct nexmark_walk *w, const struct weir_context *ctx)
{
	w->number = ctx->task_index * w->block;
	w->stride = (ctx->task_count - 1) * w->block;
	w->mark_due = false;
}

enum weir_flow walk_next(struct nexmark_walk *w, struct weir_context *ctx, uint64_t events_max,
	uint64_t *ret_events)
{
	*ret_events = 0;
	if (w->number >= w->total)
		return WEIR_END;
	bool mark_due = w->mark_due && w->total - w->number <= w->nexmark.events;
	w->mark_due = false;
	if (mark_due) {
		enum weir_flow flow = weir_emit_watermark(ctx,
			nexmark_watermark_ns(&w->nexmark, w->number % w->nexmark.events));
		if (flow != WEIR_DONE)
			return flow;
	}
	uint64_t limit = (w->number / w->block + 1) * w->block;
	if (limit > w->total)
		limit = w->total;
	if (w->pace != 0 && !ctx->replays) {
		uint64_t due = nexmark_due_count(w->pace, ctx->now_ns - ctx->start_ns);
		limit = limit < due ? limit : due;
	}
	if (limit <= w->number) {
		ctx->deadline_ns = ctx->start_ns + nexmark_due_ns(w->pace, w->number);
		return WEIR_IDLE;
	}
	uint64_t events = limit - w->number;
	*ret_events = events < events_max ? events : events_max;
	return WEIR_DONE;
}

void walk_advance(struct nexmark_walk *w, struct weir_context *ctx, uint64_t events)
{
	w->number += events;
	ctx->produced += events;
	if (w->number % w->block != 0)
		return;
	w->number += w->stride;
	w->mark_due = true;
}

void walk_snapshot(const struct nexmark_walk *w, struct snapshot_writer *writer)
{
	snapshot_u64(writer, w->number);
	snapshot_u32(writer, w->mark_due);
}

int walk_restore(struct nexmark_walk *w, struct snapshot_reader *reader)
{
	uint64_t number = snapshot_read_u64(reader);
	uint32_t mark_due = snapshot_read_u32(reader);
	if (reader->error || mark_due > 1)
		return reader->error ? reader->error : -EBADMSG;
	w->number = number;
	w->mark_due = mark_due;
	return 0;
}
