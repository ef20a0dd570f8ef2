#include "dataplane/operators/source_nexmark.h"

#include <errno.h>

#include "dataplane/operators/nexmark_walk.h"
#include "numa/arena.h"

// At once; fewer would do, more would not stay in the first cache level.
enum { EVENTS_AT_ONCE = 64 };

struct source_nexmark {
	struct nexmark_walk walk;
	uint8_t *rows; // of the last run
};

static const struct weir_param params[] = {
	{.name = "events",
		.type = WEIR_PARAM_INT,
		.required = true,
		.max = NEXMARK_EVENTS_MAX,
		.doc = "Events in all."},
	{.name = "rate",
		.type = WEIR_PARAM_RATE,
		.default_text = "10000/s",
		.min = 1,
		.max = NEXMARK_RATE_MAX,
		.doc = "Events a second of event time."},
	{.name = "group",
		.type = WEIR_PARAM_INT,
		.default_text = "1",
		.min = 1,
		.max = NEXMARK_GROUP_MAX,
		.doc = "Events are out of order within groups of so many; 1: in order."},
	NEXMARK_WALK_PARAMS,
	{.name = NULL},
};

static int source_plan(struct weir_plan *plan)
{
	return walk_plan(plan, plan->params);
}

static int source_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct source_nexmark *s = arena_alloc(ctx->arena, sizeof(*s), 64);
	uint8_t *rows = arena_alloc(ctx->arena, EVENTS_AT_ONCE * NEXMARK_RECORD_ROOM, 64);
	if (!s || !rows)
		return -ENOMEM;
	s->walk = *(const struct nexmark_walk *)plan->detail;
	s->rows = rows;
	walk_start(&s->walk, ctx);
	*ret_self = s;
	return 0;
}

static enum weir_flow emit_run(struct source_nexmark *s, struct weir_context *ctx, uint64_t events)
{
	uint8_t *at = s->rows;
	for (uint64_t i = 0; i < events; i++)
		at += nexmark_record(&s->walk.nexmark, s->walk.number + i, at);
	walk_advance(&s->walk, ctx, events);
	struct weir_batch batch = {.form = WEIR_PACKED, .first = s->rows, .limit = at};
	return weir_emit(ctx, &batch);
}

static enum weir_flow source_produce(void *self, struct weir_context *ctx, uint64_t records_max)
{
	struct source_nexmark *s = self;
	uint64_t events;
	uint64_t most = records_max < EVENTS_AT_ONCE ? records_max : EVENTS_AT_ONCE;
	enum weir_flow flow = walk_next(&s->walk, ctx, most, &events);
	return events == 0 ? flow : emit_run(s, ctx, events);
}

static void source_snapshot(const void *self, struct snapshot_writer *w)
{
	walk_snapshot(&((const struct source_nexmark *)self)->walk, w);
}

static int source_restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	return walk_restore(&((struct source_nexmark *)self)->walk, r);
}

const struct weir_operator source_nexmark = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "nexmark",
	.summary = "The people, auctions and bids of the NEXMark benchmark, as Apache Beam makes "
		   "them.",
	.role = WEIR_SOURCE,
	.params = params,
	.plan = source_plan,
	.unplan = walk_unplan,
	.create = source_create,
	.produce = source_produce,
	.state_version = 1,
	.snapshot = source_snapshot,
	.restore = source_restore,
};
