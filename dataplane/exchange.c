#include "dataplane/exchange.h"

#include <errno.h>
#include <stdalign.h>

#include "numa/arena.h"
#include "numa/assert.h"

static int edge_create(struct exchange_edge *edge, const struct plan_edge *plan,
	struct sender *senders, uint32_t group_bits, struct arena *arena)
{
	uint32_t groups = 1u << group_bits;
	*edge = (struct exchange_edge){
		.plan = plan, .group_bits = group_bits, .channel_count = plan->channel_count};
	edge->senders =
		arena_alloc(arena, plan->channel_count * sizeof(struct sender *), alignof(void *));
	edge->channel_of_group = arena_alloc(arena, groups * sizeof(uint16_t), 64);
	if (edge->senders == NULL || edge->channel_of_group == NULL)
		return -ENOMEM;
	for (uint32_t c = 0; c < plan->channel_count; c++)
		edge->senders[c] = &senders[c];
	for (uint32_t g = 0; g < groups; g++)
		edge->channel_of_group[g] =
			(uint16_t)((uint64_t)g * plan->channel_count >> group_bits);
	edge->kernel = exchange_choose_kernel(edge);
	return 0;
}

int exchange_create(struct exchange *x, const struct plan_task *task, struct sender *senders,
	uint32_t group_bits, struct arena *arena)
{
	*x = (struct exchange){
		.edge_count = task->edge_count, .senders = senders, .end_watermark = INT64_MAX};
	x->edges = arena_alloc(arena, task->edge_count * sizeof(*x->edges), 64);
	if (x->edges == NULL)
		return -ENOMEM;
	for (uint32_t e = 0; e < task->edge_count; e++) {
		int error = edge_create(&x->edges[e], &task->edges[e], senders + x->sender_count,
			group_bits, arena);
		if (error != 0)
			return error;
		x->sender_count += task->edges[e].channel_count;
	}
	return 0;
}

// With several edges each works through its own copy of the batch; it counts as consumed when the
// slowest is done.
static enum weir_flow process_spread(struct exchange *x, struct weir_context *ctx,
	struct weir_batch *in)
{
	enum weir_flow worst = WEIR_DONE;
	for (uint32_t e = 0; e < x->edge_count; e++) {
		struct exchange_edge *edge = &x->edges[e];
		if (!x->spread) {
			edge->pending = *in;
			edge->pending.schema = edge->plan->input;
		}
		if (batch_is_empty(&edge->pending))
			continue;
		enum weir_flow flow = edge->kernel(edge, ctx, &edge->pending);
		if (flow != WEIR_DONE && worst != WEIR_FAILED)
			worst = flow;
	}
	x->spread = worst == WEIR_FULL;
	if (worst != WEIR_DONE)
		return worst;
	in->first = in->limit;
	in->at = in->count;
	return WEIR_DONE;
}

static enum weir_flow process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct exchange *x = self;
	if (x->edge_count != 1)
		return process_spread(x, ctx, in);
	in->schema = x->edges[0].plan->input;
	return x->edges[0].kernel(&x->edges[0], ctx, in);
}

enum weir_flow exchange_mark(struct exchange *x, enum frame_type type, int64_t watermark_ns,
	uint32_t epoch)
{
	for (; x->mark_at < x->sender_count; x->mark_at++)
		if (!sender_mark(&x->senders[x->mark_at], type, watermark_ns, epoch))
			return WEIR_FULL;
	x->mark_at = 0;
	return WEIR_DONE;
}

static enum weir_flow watermark(void *self, struct weir_context *ctx, int64_t watermark_ns)
{
	return exchange_mark(self, FRAME_WATERMARK, watermark_ns, 0);
}

static enum weir_flow finish(void *self, struct weir_context *ctx)
{
	struct exchange *x = self;
	return exchange_mark(x, FRAME_END, x->end_watermark, 0);
}

uint32_t exchange_retained(struct exchange *x)
{
	uint32_t most = 0;
	for (uint32_t i = 0; i < x->sender_count; i++) {
		struct sender *s = &x->senders[i];
		if (retention_eighths(&s->retention, s->retention.first) >= 4)
			sender_trim(s);
		uint32_t eighths = retention_eighths(&s->retention, s->retention.first);
		most = eighths > most ? eighths : most;
	}
	return most;
}

uint32_t exchange_since_barrier(const struct exchange *x)
{
	uint32_t most = 0;
	for (uint32_t i = 0; i < x->sender_count; i++) {
		const struct sender *s = &x->senders[i];
		uint32_t eighths = retention_eighths(&s->retention, s->barrier_at);
		most = eighths > most ? eighths : most;
	}
	return most;
}

const struct sender *exchange_stuck(const struct exchange *x)
{
	for (uint32_t i = 0; i < x->sender_count; i++)
		if (sender_is_stuck(&x->senders[i]))
			return &x->senders[i];
	return NULL;
}

void exchange_run_on(struct exchange *x, bool on)
{
	for (uint32_t i = 0; i < x->sender_count; i++)
		sender_run_on(&x->senders[i], on);
}

void exchange_flush(struct exchange *x, int64_t now_ns, int64_t max_age_ns)
{
	for (uint32_t i = 0; i < x->sender_count; i++) {
		struct sender *s = &x->senders[i];
		if (s->follower_count == 0 && s->resend != s->next_number)
			sender_resend(s);
		if (s->items != 0 && now_ns - s->opened_ns >= max_age_ns)
			sender_flush(s);
		sender_push(s);
	}
}

const struct weir_operator exchange_operator = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "exchange",
	.summary = "Sends rows to the tasks downstream.",
	.role = WEIR_SINK,
	.process = process,
	.watermark = watermark,
	.finish = finish,
};
