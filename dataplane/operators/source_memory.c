#include "dataplane/operators/source_memory.h"

#include <errno.h>
#include <string.h>

#include "dataplane/operators/nexmark_walk.h"
#include "numa/arena.h"
#include "numa/assert.h"

// Rows from one entry of the index to the next.
enum { INDEX_ROWS = NEXMARK_BLOCK_STEP };

struct source_memory {
	struct nexmark_walk walk;
	const uint64_t *index; // offset of every INDEX_ROWS-th row, and of the end
	const uint8_t *rows;
};

static const struct weir_param params[] = {
	{.name = "from",
		.type = WEIR_PARAM_OPERATOR,
		.required = true,
		.doc = "The source whose rows to lay out in memory, a kind and its parameters: "
		       "nexmark with events, rate and group."},
	{.name = "loops",
		.type = WEIR_PARAM_INT,
		.default_text = "1",
		.min = 1,
		.max = 10000,
		.doc = "How often to read the rows, one time after the other; event time starts "
		       "anew each time, so windows close in the last."},
	NEXMARK_WALK_PARAMS,
	{.name = NULL},
};

static uint64_t index_count(uint64_t events)
{
	return (events + INDEX_ROWS - 1) / INDEX_ROWS + 1;
}

static size_t index_bytes(uint64_t events)
{
	return (index_count(events) * sizeof(uint64_t) + 63) & ~(size_t)63;
}

// The parameters of a walk are the memory source's own; those of `from` would be ignored.
static int check_from(struct weir_plan *plan, const struct weir_value *from)
{
	if (strcmp(from->text, "nexmark") != 0) {
		weir_plan_error(plan, from, "%s cannot be laid out in memory; use nexmark",
			from->text);
		return -EINVAL;
	}
	const struct weir_value *misplaced = weir_param_find(from, "pace");
	if (weir_param_int(from, "scheduled", 0))
		misplaced = weir_param_find(from, "scheduled");
	if (weir_param_int(from, "block", NEXMARK_BLOCK_EVENTS) != NEXMARK_BLOCK_EVENTS)
		misplaced = weir_param_find(from, "block");
	if (!misplaced)
		return 0;
	weir_plan_error(plan, misplaced, "means nothing here; write it beside `from`");
	return -EINVAL;
}

static int source_plan(struct weir_plan *plan)
{
	const struct weir_value *from = weir_param_find(plan->params, "from");
	int error = check_from(plan, from);
	if (error)
		return error;
	error = walk_plan(plan, from);
	struct nexmark_walk *walk = plan->detail;
	const struct nexmark *n = &walk->nexmark;
	uint64_t loops = (uint64_t)weir_param_int(plan->params, "loops", 1);
	walk->total = n->events * loops;
	if (!error && loops > 1 && n->pace != 0) {
		weir_plan_error(plan, weir_param_find(plan->params, "loops"),
			"records are scheduled for the first loop only; remove loops or scheduled");
		error = -EINVAL;
	}
	plan->shared_bytes = index_bytes(n->events) + nexmark_bytes_max(n) + NEXMARK_RECORD_ROOM;
	return error;
}

static int source_share(struct weir_plan *plan, void *memory)
{
	const struct nexmark *n = &((const struct nexmark_walk *)plan->detail)->nexmark;
	uint64_t *index = memory;
	uint8_t *rows = (uint8_t *)memory + index_bytes(n->events);
	uint8_t *limit = (uint8_t *)memory + plan->shared_bytes - NEXMARK_RECORD_ROOM;
	uint8_t *at = rows;
	for (uint64_t number = 0; number < n->events; number++) {
		if (number % INDEX_ROWS == 0)
			index[number / INDEX_ROWS] = (uint64_t)(at - rows);
		at += nexmark_record(n, number, at);
		VERIFY(at <= limit);
	}
	index[index_count(n->events) - 1] = (uint64_t)(at - rows);
	return 0;
}

void source_memory_rows(const struct weir_plan *plan, const uint8_t **ret_first,
	const uint8_t **ret_limit, uint64_t *ret_count, uint32_t *ret_loops)
{
	const struct nexmark_walk *walk = plan->detail;
	const uint64_t *index = plan->shared;
	uint64_t events = walk->nexmark.events;
	const uint8_t *rows = (const uint8_t *)plan->shared + index_bytes(events);
	*ret_first = rows;
	*ret_limit = rows + index[index_count(events) - 1];
	*ret_count = events;
	*ret_loops = events == 0 ? 1 : (uint32_t)(walk->total / events);
}

static int source_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct source_memory *s = arena_alloc(ctx->arena, sizeof(*s), 64);
	if (!s)
		return -ENOMEM;
	s->walk = *(const struct nexmark_walk *)plan->detail;
	s->index = plan->shared;
	s->rows = (const uint8_t *)plan->shared + index_bytes(s->walk.nexmark.events);
	walk_start(&s->walk, ctx);
	*ret_self = s;
	return 0;
}

// Where row `number` begins, or, for the number behind the last row, ends.
static const uint8_t *row_find(const struct source_memory *s, uint64_t number)
{
	uint64_t last = index_count(s->walk.nexmark.events) - 1;
	if (number == s->walk.nexmark.events)
		return s->rows + s->index[last];
	const uint8_t *at = s->rows + s->index[number / INDEX_ROWS];
	for (uint64_t steps = number % INDEX_ROWS; steps > 0; steps--)
		at += record_length(at);
	return at;
}

static enum weir_flow source_produce(void *self, struct weir_context *ctx, uint64_t records_max)
{
	struct source_memory *s = self;
	uint64_t events;
	enum weir_flow flow = walk_next(&s->walk, ctx, records_max, &events);
	if (events == 0)
		return flow;
	uint64_t row = s->walk.number % s->walk.nexmark.events;
	if (events > s->walk.nexmark.events - row)
		events = s->walk.nexmark.events - row;
	struct weir_batch batch = {
		.form = WEIR_PACKED, .first = row_find(s, row), .limit = row_find(s, row + events)};
	walk_advance(&s->walk, ctx, events);
	return weir_emit(ctx, &batch);
}

static void source_snapshot(const void *self, struct snapshot_writer *w)
{
	walk_snapshot(&((const struct source_memory *)self)->walk, w);
}

static int source_restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	return walk_restore(&((struct source_memory *)self)->walk, r);
}

const struct weir_operator source_memory = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "memory",
	.summary = "The rows of another source, laid out in memory before the clock starts.",
	.role = WEIR_SOURCE,
	.params = params,
	.plan = source_plan,
	.unplan = walk_unplan,
	.share = source_share,
	.create = source_create,
	.produce = source_produce,
	.state_version = 1,
	.snapshot = source_snapshot,
	.restore = source_restore,
};
