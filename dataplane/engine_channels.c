// The channels of an engine's tasks, with the ends that are this node's.
#include <stdio.h>

#include "dataplane/engine_parts.h"
#include "numa/assert.h"

static uint32_t record_bytes(const struct weir_schema *schema)
{
	return schema == NULL || schema->has_text ? 0 : (schema->fixed_bytes + 7) & ~7u;
}

// Either end may be on another node; then the transport stands in its place.
static int create_channel(struct engine *e, uint32_t c)
{
	enum { TELL_NS = 200000 };
	const struct job_plan *plan = e->config.plan;
	const struct plan_channel *planned = &plan->channels[c];
	bool sends = engine_owns(e, planned->from), receives = engine_owns(e, planned->to);
	bool followed = engine_is_followed(e, c);
	if (!sends && !receives)
		return 0;
	struct channel_config config = {
		.id = c,
		.job = plan->id,
		.plan_version = plan->version,
		.frame_bytes = engine_frame_bytes(e, c),
		.frames = plan->channel_frames,
		.record_bytes = record_bytes(planned->schema),
		.retention_bytes = plan->recovery || followed ? plan->channel_retention_bytes : 0,
		.checksum = WEIR_ASSERT || !sends || !receives,
		.tell_ns = followed ? TELL_NS : 0,
	};
	struct engine_worker *home = engine_worker_of(e, receives ? planned->to : planned->from);
	return channel_create(&e->channels[c], &config, &home->arena);
}

// Ends stand where their tasks expect them: senders by edge, receivers by input. Channels to and
// from a replica share the sender or receiver of the one beside them.
static void number_edges(struct engine *e, const struct plan_task *task, struct sender **s)
{
	for (uint32_t i = 0; i < task->edge_count; i++) {
		const struct plan_edge *edge = &task->edges[i];
		for (uint32_t c = 0; c < edge->channel_count; c++) {
			if (edge->twins != NULL && edge->twins[c] != PLAN_NONE)
				e->sender_of[edge->twins[c]] = *s;
			e->sender_of[edge->channels[c]] = (*s)++;
		}
	}
}

static void number_inputs(struct engine *e, const struct plan_task *task, struct receiver **r)
{
	for (uint32_t i = 0; i < task->input_count; i++) {
		if (task->standby_inputs != NULL && task->standby_inputs[i] != PLAN_NONE)
			e->receiver_of[task->standby_inputs[i]] = *r;
		e->receiver_of[task->inputs[i]] = (*r)++;
	}
}

static int create_sender(struct engine *e, uint32_t channel)
{
	struct sender *s = e->sender_of[channel];
	uint32_t from = e->config.plan->channels[channel].from;
	int error = sender_create(s, &e->channels[channel], engine_frames_of(e, channel)->frames,
		&engine_worker_of(e, from)->arena);
	s->incarnation = e->config.incarnation;
	return error;
}

static int create_senders(struct engine *e, const struct plan_task *task, struct follower **f)
{
	int error = 0;
	for (uint32_t i = 0; i < task->edge_count; i++) {
		const struct plan_edge *edge = &task->edges[i];
		for (uint32_t c = 0; c < edge->channel_count && error == 0; c++)
			error = engine_is_followed(e, edge->channels[c])
				? engine_create_followed(e, edge, c, f)
				: create_sender(e, edge->channels[c]);
	}
	return error;
}

static uint32_t producer_worker(const struct engine *e, uint32_t channel)
{
	const struct job_plan *plan = e->config.plan;
	return plan->tasks[plan->channels[channel].from].worker;
}

// Whatever sends when a new replica is made does so under less than its boot number: all that
// would take over later got other incarnations after it (docs/protocol.md, rule G14).
static void await_state(struct engine *e, const struct plan_task *task, struct receiver *r)
{
	VERIFY(e->config.network != NULL); // its other instance is on another node
	r->waits = true;
	r->known = e->config.network->boots[task->worker];
}

static void create_receivers(struct engine *e, const struct plan_task *task)
{
	for (uint32_t i = 0; i < task->input_count; i++) {
		struct receiver *r = e->receiver_of[task->inputs[i]];
		receiver_create(r, &e->channels[task->inputs[i]]);
		if (e->config.repair)
			await_state(e, task, r);
		else
			receiver_expect(r, e->config.incarnation);
		r->tells = engine_is_followed(e, task->inputs[i]);
		if (task->standby_inputs == NULL || task->standby_inputs[i] == PLAN_NONE)
			continue;
		r->standby = &e->channels[task->standby_inputs[i]];
		r->from = producer_worker(e, task->inputs[i]);
		r->standby_from = producer_worker(e, task->standby_inputs[i]);
	}
}

int engine_build_channels(struct engine *e)
{
	const struct job_plan *plan = e->config.plan;
	struct sender *s = e->senders;
	struct receiver *r = e->receivers;
	struct follower *f = e->followers;
	int error = 0;
	for (uint32_t c = 0; c < plan->channel_count && error == 0; c++)
		error = create_channel(e, c);
	for (uint32_t t = 0; t < plan->task_count && error == 0; t++) {
		if (!engine_owns(e, t))
			continue;
		number_edges(e, &plan->tasks[t], &s);
		number_inputs(e, &plan->tasks[t], &r);
		create_receivers(e, &plan->tasks[t]);
		error = create_senders(e, &plan->tasks[t], &f);
	}
	return error == 0 ? 0
			  : engine_no_memory(e, "a job's channels", plan->channel_retention_bytes);
}
