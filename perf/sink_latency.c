#include "perf/sink_latency.h"

#include <errno.h>
#include <stddef.h>

#include "numa/arena.h"
#include "numa/clock.h"
#include "state/table.h"

struct sink {
	struct latency_log *log;
	uint32_t key_at, due_at;
	struct table counts;
};

static struct latency_log *logs_in_use;

void sink_latency_use(struct latency_log *logs)
{
	logs_in_use = logs;
}

static const struct weir_param params[] = {
	{.name = "key",
		.type = WEIR_PARAM_FIELD,
		.required = true,
		.doc = "The int64 field to count by."},
	{.name = "keys",
		.type = WEIR_PARAM_INT,
		.default_text = "0",
		.min = 0,
		.max = 1 << 24,
		.doc = "Keys of a task to make room for at the start, so that its table need "
		       "not grow while records wait."},
	{.name = NULL},
};

static int sink_plan(struct weir_plan *plan)
{
	int key = (int)weir_param_int(plan->params, "key", 0);
	int due = schema_find(plan->input, "scheduled");

	if (due < 0 || plan->input->fields[key].type != WEIR_INT64) {
		weir_plan_error(plan, weir_param_find(plan->params, "key"),
			"needs an int64 key and scheduled records");
		return -EINVAL;
	}
	plan->keys[0] = (uint16_t)key;
	plan->key_count = 1;
	plan->fields_used = 1ULL << key | 1ULL << due;
	return 0;
}

static int sink_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct sink *s = arena_alloc(ctx->arena, sizeof(*s), 64);

	if (s == NULL)
		return -ENOMEM;
	s->log = &logs_in_use[ctx->task_index];
	s->key_at = plan->input->fields[plan->keys[0]].offset;
	s->due_at = plan->input->fields[schema_find(plan->input, "scheduled")].offset;
	table_create(&s->counts, ctx->pool, TABLE_INT64, false, TABLE_INT64_HEAD, NULL);
	if (table_reserve(&s->counts, (uint32_t)weir_param_int(plan->params, "keys", 0)) != 0)
		return -ENOMEM;
	*ret_self = s;
	return 0;
}

static enum weir_flow sink_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct sink *s = self;
	uint64_t first = s->log->count, at = first;

	for (; in->first < in->limit; in->first += record_length(in->first)) {
		if (record_variant(in->first) != in->schema->variant)
			continue;
		uint8_t *entry = table_take_int64(&s->counts, record_int64(in->first, s->key_at));
		if (entry == NULL)
			return weir_fail(ctx, "the sink's table is full");
		((struct table_entry *)entry)->rows++;
		if (at < s->log->room)
			s->log->samples[at++].due_ns = record_int64(in->first, s->due_at);
		ctx->counters->records_in++;
	}
	int64_t done_ns = clock_now_ns();
	for (uint64_t i = first; i < at; i++)
		s->log->samples[i].done_ns = done_ns;
	s->log->count = at;
	return WEIR_DONE;
}

const struct weir_operator sink_latency = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "latency",
	.summary = "Counts by key and notes every record's latency.",
	.role = WEIR_SINK,
	.params = params,
	.plan = sink_plan,
	.create = sink_create,
	.process = sink_process,
};
