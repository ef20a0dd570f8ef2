// What replicated tasks need beyond others: followers instead of a sender's own credit, and the
// channels of their logs.
#include "dataplane/engine_parts.h"
#include "numa/assert.h"

bool engine_is_followed(const struct engine *e, uint32_t channel)
{
	const struct job_plan *plan = e->config.plan;
	const struct plan_channel *planned = &plan->channels[channel];
	return plan->hot && planned->schema != NULL &&
		(plan->tasks[planned->from].standing != PLAN_SINGLE ||
			plan->tasks[planned->to].standing != PLAN_SINGLE);
}

uint64_t engine_replica_bytes(const struct engine *e, uint32_t task)
{
	enum { RINGS = CHANNEL_FRAMES_MAX * 32 + 8192, RELEASE = REPLICA_RELEASES * 8 };
	const struct job_plan *plan = e->config.plan;
	const struct plan_task *t = &plan->tasks[task];
	uint64_t bytes = 0;
	if (!plan->hot)
		return 0;
	for (uint32_t i = 0; i < t->edge_count; i++)
		bytes += t->edges[i].channel_count *
			(plan->channel_retention_bytes + plan->frame_bytes + RELEASE + 4096);
	return bytes + (t->input_count + 3) * (uint64_t)RINGS;
}

static int create_follower(struct engine *e, uint32_t channel, struct follower *f)
{
	const struct plan_channel *planned = &e->config.plan->channels[channel];
	*f = (struct follower){.channel = &e->channels[channel],
		.worker = e->config.plan->tasks[planned->to].worker};
	return credit_create(&f->credit, f->channel, engine_frames_of(e, channel)->frames);
}

int engine_create_followed(struct engine *e, const struct plan_edge *edge, uint32_t index,
	struct follower **next)
{
	uint32_t channel = edge->channels[index];
	uint32_t twin = edge->twins == NULL ? PLAN_NONE : edge->twins[index];
	uint32_t from = e->config.plan->channels[channel].from;
	struct sender *s = e->sender_of[channel];
	struct follower *followers = *next;
	int error = create_follower(e, channel, (*next)++);
	if (error == 0 && twin != PLAN_NONE)
		error = create_follower(e, twin, (*next)++);
	if (error == 0)
		error = sender_create_followed(s, followers, (uint32_t)(*next - followers),
			&engine_worker_of(e, from)->arena);
	if (error == 0 && e->config.plan->tasks[from].standing != PLAN_REPLICA && !e->config.repair)
		sender_open(s, e->config.incarnation);
	return error;
}

const struct replica_config *engine_replica_config(struct engine *e, uint32_t task,
	struct replica_config *config)
{
	const struct job_plan *plan = e->config.plan;
	const struct plan_task *t = &plan->tasks[task];
	if (t->standing == PLAN_SINGLE)
		return NULL;
	uint32_t senders = 0, twin = plan->tasks[t->twin].worker, log = plan->tasks[t->twin].log;
	enum replica_role role = e->config.repair ? REPLICA_WAITS
		: t->standing == PLAN_PRIMARY     ? REPLICA_OWNER
						  : REPLICA_FOLLOWS;
	for (uint32_t i = 0; i < t->edge_count; i++)
		senders += t->edges[i].channel_count;
	*config = (struct replica_config){.role = role,
		.twin_worker = twin,
		.out = &e->channels[t->log],
		.in = &e->channels[log],
		.told = &engine_worker_of(e, task)->worker.told,
		.pool = engine_frames_of(e, t->log)->frames,
		.incarnation = e->config.network == NULL
			? e->config.incarnation
			: crossing_boot(e->config.network, t->worker, twin),
		.sender_count = senders,
		.arena = &engine_worker_of(e, task)->arena};
	return config;
}

static void drain_rings(struct engine *e, uint32_t channel)
{
	if (e->channels[channel].forward != NULL)
		channel_drain(&e->channels[channel], NULL, NULL);
}

void engine_drain_replicas(struct engine *e)
{
	const struct job_plan *plan = e->config.plan;
	for (uint32_t i = 0; i < e->channel_count && plan->hot; i++)
		credit_drain(&e->followers[i].credit);
	for (uint32_t t = 0; t < e->task_count && plan->hot; t++) {
		credit_drain(&e->tasks[t].replica.credit);
		replica_drain(&e->tasks[t].replica);
		if (plan->tasks[t].standing != PLAN_SINGLE)
			drain_rings(e, plan->tasks[t].log);
	}
}
