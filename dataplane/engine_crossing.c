// What of a job goes to other nodes and comes from there, laid out for each of this node's workers.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "dataplane/engine_parts.h"

static bool crosses(const struct engine *e, uint32_t channel)
{
	const struct plan_channel *planned = &e->config.plan->channels[channel];
	return engine_owns(e, planned->from) != engine_owns(e, planned->to);
}

static uint32_t worker_at(const struct engine *e, uint32_t task)
{
	return e->config.plan->tasks[task].worker;
}

static uint32_t channels_of(const struct engine *e, uint32_t worker)
{
	const struct job_plan *plan = e->config.plan;
	uint32_t count = 0;
	for (uint32_t c = 0; c < plan->channel_count; c++)
		count += crosses(e, c) &&
			(worker_at(e, plan->channels[c].from) == worker ||
				worker_at(e, plan->channels[c].to) == worker);
	return count;
}

uint64_t engine_crossing_bytes(const struct engine *e, uint32_t index)
{
	enum { CHANNEL = sizeof(struct outlet) + sizeof(struct inlet) + 64, FIXED = 16 << 10 };
	enum { RINGS = CHANNEL_FRAMES_MAX * 32 + 8192, SESSION = 64 + sizeof(struct crossing_way) };
	uint32_t channels = channels_of(e, e->config.first_worker + index);
	if (channels == 0)
		return 0;
	return channels * (uint64_t)(CHANNEL + RINGS) +
		e->config.plan->worker_count * (uint64_t)SESSION + FIXED;
}

uint32_t engine_frame_bytes(const struct engine *e, uint32_t channel)
{
	uint32_t bytes = e->config.plan->frame_bytes;
	if (!crosses(e, channel) || e->config.network == NULL)
		return bytes;
	uint32_t most = e->config.network->packet_max - SESSION_HEADER_BYTES;
	return bytes < most ? bytes : most;
}

// Both ends say what a record needs at least; one with longer texts is told of when it comes.
static int check_records(struct engine *e, uint32_t channel)
{
	const struct weir_schema *schema = e->config.plan->channels[channel].schema;
	uint32_t needed = schema == NULL ? FRAME_LOG_ENTRY_BYTES : schema->fixed_bytes;
	uint32_t most = engine_frame_bytes(e, channel) - FRAME_HEADER_BYTES;
	if (needed <= most)
		return 0;
	snprintf(e->error, sizeof(e->error),
		"records of at least %" PRIu32 " bytes are to cross to another node, and a link's "
		"packet has room for %" PRIu32 "; raise links.mtu",
		needed, most);
	return -EMSGSIZE;
}

static void add_channel(struct engine *e, uint32_t channel)
{
	const struct plan_channel *planned = &e->config.plan->channels[channel];
	if (engine_owns(e, planned->from))
		crossing_add_outlet(&engine_worker_of(e, planned->from)->crossing,
			&e->channels[channel], worker_at(e, planned->to));
	else
		crossing_add_inlet(&engine_worker_of(e, planned->to)->crossing,
			&e->channels[channel], e->receiver_of[channel],
			worker_at(e, planned->from));
}

static bool is_here(const struct engine *e, uint32_t channel)
{
	const struct plan_channel *planned = &e->config.plan->channels[channel];
	return engine_owns(e, planned->from) || engine_owns(e, planned->to);
}

static int create_crossing(struct engine *e, uint32_t index)
{
	struct engine_worker *w = &e->workers[index];
	uint32_t own = e->config.first_worker + index;
	uint32_t channels = channels_of(e, own);
	if (channels == 0)
		return 0;
	w->worker.crossing = &w->crossing;
	int error = crossing_create(&w->crossing, e->config.network, own, channels,
		e->config.plan->worker_count, &w->arena);
	return error;
}

int engine_build_crossings(struct engine *e)
{
	int error = 0;
	if (e->config.network == NULL)
		return 0;
	for (uint32_t w = 0; w < e->worker_count && error == 0; w++)
		error = create_crossing(e, w);
	for (uint32_t c = 0; c < e->channel_count && error == 0; c++) {
		if (!crosses(e, c) || !is_here(e, c))
			continue;
		error = check_records(e, c);
		if (error == 0)
			add_channel(e, c);
	}
	return error;
}
