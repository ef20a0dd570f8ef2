#include <errno.h>
#include <inttypes.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/engine_frames.h"
#include "dataplane/engine_parts.h"
#include "numa/assert.h"

// Fixed memory of one operator instance, apart from state and recovery.
enum { LINK_BYTES = 12 << 20, LOG_ENTRIES = 1 << 18 };
// Of each snapshot's room: most states fit, and then no snapshot waits for memory to be cleared.
enum { SNAPSHOT_TOUCHED_BYTES = 2 << 20, PAGE_BYTES = 4096 };

int engine_no_memory(struct engine *e, const char *what, uint64_t bytes)
{
	snprintf(e->error, sizeof(e->error),
		"not enough memory for %s (%" PRIu64 " MiB); lower workers.state_memory, "
		"exchange.credit or checkpoint sizes, or free memory",
		what, bytes >> 20);
	return -ENOMEM;
}

static void *table(struct engine *e, size_t count, size_t bytes)
{
	return arena_alloc(&e->tables, (count + 1) * bytes, 64);
}

static int build_tables(struct engine *e)
{
	const struct job_plan *plan = e->config.plan;
	size_t ends = plan->channel_count + 1;
	size_t bytes = (e->worker_count + 1) * sizeof(struct engine_worker) +
		(plan->task_count + 1) * (sizeof(struct task) + 256) +
		ends *
			(sizeof(struct channel) + sizeof(struct sender) + sizeof(struct receiver) +
				sizeof(struct follower) + 64) +
		engine_losses_bytes(e) + (1 << 16);
	if (arena_create(&e->tables, bytes, -1, false) != 0)
		return engine_no_memory(e, "the job's tables", bytes);
	e->checkpoint.control = &e->control;
	e->checkpoint.interval_ns = plan->recovery ? plan->checkpoint_interval_ns : 0;
	e->task_count = plan->task_count;
	e->channel_count = plan->channel_count;
	e->workers = table(e, e->worker_count, sizeof(*e->workers));
	e->tasks = table(e, e->task_count, sizeof(*e->tasks));
	e->checkpoint.tasks = table(e, e->task_count, sizeof(*e->checkpoint.tasks));
	e->channels = table(e, e->channel_count, sizeof(*e->channels));
	e->senders = table(e, e->channel_count, sizeof(*e->senders));
	e->receivers = table(e, e->channel_count, sizeof(*e->receivers));
	e->sender_of = table(e, e->channel_count, sizeof(*e->sender_of));
	e->receiver_of = table(e, e->channel_count, sizeof(*e->receiver_of));
	e->followers = table(e, e->channel_count, sizeof(*e->followers));
	engine_create_losses(e);
	return 0;
}

// Whose memory a channel's credit is: the receiving worker's, or the sending one's towards another
// node. NULL: no sender of this node needs any.
struct engine_worker *engine_frames_of(const struct engine *e, uint32_t channel)
{
	const struct plan_channel *planned = &e->config.plan->channels[channel];
	if (!engine_owns(e, planned->from))
		return NULL;
	return engine_worker_of(e, engine_owns(e, planned->to) ? planned->to : planned->from);
}

static uint32_t frames_needed(const struct engine *e, const struct engine_worker *w)
{
	const struct job_plan *plan = e->config.plan;
	uint32_t frames = 0;
	for (uint32_t c = 0; c < plan->channel_count; c++)
		if (engine_frames_of(e, c) == w)
			frames += plan->channel_frames + CHANNEL_CONTROL_FRAMES;
	return frames;
}

static int build_frames(struct engine *e, struct engine_worker *w)
{
	const struct job_plan *plan = e->config.plan;
	uint32_t frames = frames_needed(e, w);
	if (frames == 0)
		return 0;
	unsigned socket = rte_lcore_to_socket_id((unsigned)e->config.worker_cpus[w->index]);
	uint16_t room = (uint16_t)(RTE_PKTMBUF_HEADROOM + plan->frame_bytes);
	w->frames = engine_frames_create(frames, room, (int)socket);
	if (w->frames != NULL)
		return 0;
	engine_no_memory(e, "frames", (uint64_t)frames * room);
	return -ENOBUFS;
}

static int build_all_frames(struct engine *e)
{
	int error = 0;
	for (uint32_t w = 0; w < e->worker_count && error == 0; w++) {
		e->workers[w].index = w;
		error = build_frames(e, &e->workers[w]);
	}
	return error;
}

static uint64_t task_bytes(const struct engine *e, uint32_t index)
{
	const struct job_plan *plan = e->config.plan;
	const struct plan_task *task = &plan->tasks[index];
	uint64_t bytes = (uint64_t)LINK_BYTES * (task->step_count + 1);
	for (uint32_t i = 0; i < task->edge_count; i++)
		bytes += task->edges[i].channel_count *
			(plan->recovery ? plan->channel_retention_bytes + plan->frame_bytes + 4096
					: 4096);
	bytes += task->input_count * (uint64_t)(CHANNEL_FRAMES_MAX * 32 + 8192);
	if (plan->recovery || task->standing != PLAN_SINGLE)
		bytes += LOG_ENTRIES * sizeof(struct order_entry);
	return bytes + engine_replica_bytes(e, index);
}

static uint64_t worker_bytes(const struct engine *e, uint32_t index)
{
	const struct job_plan *plan = e->config.plan;
	uint64_t bytes = plan->worker_state_bytes + (1 << 20);
	for (uint32_t t = 0; t < plan->task_count; t++)
		if (engine_is_on(e, t, index))
			bytes += task_bytes(e, t) + 64;
	return bytes + engine_crossing_bytes(e, index);
}

static uint64_t room_of_snapshots(const struct engine *e, uint32_t index)
{
	const struct job_plan *plan = e->config.plan;
	uint64_t bytes = 0;
	for (uint32_t t = 0; t < plan->task_count && plan->recovery; t++)
		if (engine_is_on(e, t, index))
			bytes += 2 * plan->task_snapshot_bytes +
				plan->tasks[t].input_count * 2 * sizeof(uint64_t) + 4096;
	return bytes;
}

// All workers' memory but that of snapshots is touched at start; better refused than ended by the
// kernel.
static int check_memory(struct engine *e)
{
	uint64_t needed = 0, available = arena_available_bytes();
	for (uint32_t w = 0; w < e->worker_count && !e->config.lazy; w++)
		needed += worker_bytes(e, w);
	if (available == 0 || needed <= available)
		return 0;
	snprintf(e->error, sizeof(e->error),
		"%" PRIu32 " workers need %" PRIu64 " MiB of memory and %" PRIu64
		" MiB are free; lower workers.count, workers.state_memory or checkpoint.retention",
		e->worker_count, needed >> 20, available >> 20);
	return -ENOMEM;
}

static int build_worker(struct engine *e, uint32_t index)
{
	const struct job_plan *plan = e->config.plan;
	struct engine_worker *w = &e->workers[index];
	uint64_t bytes = worker_bytes(e, index);
	uint32_t tasks = 0;
	for (uint32_t t = 0; t < plan->task_count; t++)
		tasks += engine_is_on(e, t, index);
	int node = e->config.worker_nodes == NULL ? -1 : e->config.worker_nodes[index];
	if (arena_create(&w->arena, bytes, node, e->config.lazy) != 0)
		return engine_no_memory(e, "a worker's state and buffers", bytes);
	bytes = room_of_snapshots(e, index);
	if (bytes != 0 && arena_create(&w->snapshots, bytes, node, true) != 0)
		return engine_no_memory(e, "the snapshots of a worker's tasks", bytes);
	if (pool_create(&w->state, &w->arena, plan->worker_state_bytes) != 0)
		return engine_no_memory(e, "a worker's state", plan->worker_state_bytes);
	w->worker.tasks = arena_alloc(&w->arena, (tasks + 1) * sizeof(struct task *), 64);
	w->worker.loads = arena_alloc(&w->arena, (tasks + 1) * sizeof(struct worker_load), 64);
	w->worker.loads_shown =
		arena_alloc(&w->arena, (tasks + 1) * sizeof(struct worker_load), 64);
	w->worker.checkpoint = plan->recovery ? &e->checkpoint : NULL;
	w->worker.work = arena_alloc(&w->arena, (tasks + 1) * sizeof(uint32_t), 64);
	return 0;
}

struct task_config engine_task_config(struct engine *e, uint32_t task)
{
	const struct job_plan *plan = e->config.plan;
	const struct plan_task *planned = &plan->tasks[task];
	struct engine_worker *w = engine_worker_of(e, task);
	return (struct task_config){
		.plan = planned,
		.id = task,
		.group_bits = plan->group_bits,
		.recovery = plan->recovery,
		.log_entries = LOG_ENTRIES,
		.snapshot_bytes = plan->task_snapshot_bytes,
		.arena = &w->arena,
		.snapshot_arena = &w->snapshots,
		.pool = &w->state,
		.control = &e->control,
		.receivers = planned->input_count == 0 ? NULL : e->receiver_of[planned->inputs[0]],
		.senders = planned->edge_count == 0 ? NULL
						    : e->sender_of[planned->edges[0].channels[0]],
	};
}

static int build_task(struct engine *e, uint32_t task)
{
	struct replica_config replica;
	struct task_config config = engine_task_config(e, task);
	config.replica = engine_replica_config(e, task, &replica);
	struct worker *w = &engine_worker_of(e, task)->worker;
	e->checkpoint.tasks[e->checkpoint.task_count++] = &e->tasks[task];
	w->tasks[w->task_count++] = &e->tasks[task];
	w->running++;
	return task_create(&e->tasks[task], &config, e->error, sizeof(e->error));
}

static void touch_snapshots(const struct task *t)
{
	for (int i = 0; i < 2; i++) {
		volatile uint8_t *data = t->snapshots.kept[i].data;
		for (size_t at = 0; at < SNAPSHOT_TOUCHED_BYTES && at < t->snapshots.room;
			at += PAGE_BYTES)
			data[at] = 0;
	}
}

static int build_tasks(struct engine *e)
{
	int error = 0;
	for (uint32_t t = 0; t < e->task_count && error == 0; t++)
		if (engine_owns(e, t))
			error = build_task(e, t);
	for (uint32_t t = 0; t < e->task_count && error == 0 && !e->config.lazy; t++)
		touch_snapshots(&e->tasks[t]);
	return error;
}

int engine_share(struct weir_plan *plan, const struct weir_operator *kind, struct arena *arena)
{
	void *memory = arena_alloc(arena, plan->shared_bytes, 64);
	if (memory == NULL)
		return -ENOMEM;
	int error = kind->share(plan, memory);
	if (error == 0)
		plan->shared = memory;
	return error;
}

static int build_shared(struct engine *e)
{
	const struct job_plan *plan = e->config.plan;
	struct weir_plan *source = NULL;
	const struct weir_operator *kind = NULL;
	for (uint32_t t = 0; t < plan->task_count; t++) {
		const struct plan_step *step = &plan->tasks[t].steps[0];
		if (!engine_owns(e, t) || step->plan == source || step->plan->shared_bytes == 0 ||
			step->plan->shared != NULL)
			continue;
		if (source != NULL) {
			snprintf(e->error, sizeof(e->error),
				"%s: only one source of a job may "
				"lay out its rows in memory (%s does)",
				step->plan->id, source->id);
			return -EINVAL;
		}
		source = step->plan;
		kind = step->kind;
	}
	if (source == NULL)
		return 0;
	if (arena_create(&e->shared, source->shared_bytes + 4096, -1, true) != 0)
		return engine_no_memory(e, "a source's rows", source->shared_bytes);
	int error = engine_share(source, kind, &e->shared);
	if (error != 0)
		snprintf(e->error, sizeof(e->error), "%s: its rows could not be laid out in memory",
			source->id);
	return error;
}

int engine_build(struct engine *e)
{
	const struct engine_config *config = &e->config;
	e->worker_count =
		config->worker_count == 0 ? config->plan->worker_count : config->worker_count;
	VERIFY(!config->repair || (config->plan->hot && !config->plan->recovery));
	int error = check_memory(e);
	if (error == 0)
		error = build_tables(e);
	if (error == 0) // before state takes what huge pages there are
		error = build_all_frames(e);
	for (uint32_t w = 0; w < e->worker_count && error == 0; w++)
		error = build_worker(e, w);
	if (error == 0)
		error = build_shared(e);
	if (error == 0)
		error = engine_build_channels(e);
	if (error == 0)
		error = engine_build_crossings(e);
	if (error == 0)
		error = build_tasks(e);
	for (uint32_t w = 0; w < e->worker_count && error == 0; w++) {
		arena_seal(&e->workers[w].arena);
		arena_seal(&e->workers[w].snapshots);
	}
	return error;
}

static void forget_shared(struct engine *e)
{
	const struct job_plan *plan = e->config.plan;
	for (uint32_t t = 0; t < plan->task_count && e->shared.base != NULL; t++) {
		struct weir_plan *source = plan->tasks[t].steps[0].plan;
		if ((uint8_t *)source->shared >= e->shared.base &&
			(uint8_t *)source->shared < e->shared.base + e->shared.bytes)
			source->shared = NULL;
	}
	arena_destroy(&e->shared);
}

void engine_dismantle(struct engine *e)
{
	for (uint32_t t = 0; t < e->task_count; t++)
		task_destroy(&e->tasks[t]);
	engine_end_loans(e);
	for (uint32_t c = 0; c < e->channel_count; c++)
		if (e->sender_of[c] != NULL || e->receiver_of[c] != NULL)
			channel_drain(&e->channels[c], e->sender_of[c], e->receiver_of[c]);
	engine_drain_replicas(e);
	for (uint32_t w = 0; w < e->worker_count && e->workers != NULL; w++) {
		engine_frames_free(e->workers[w].frames);
		arena_destroy(&e->workers[w].arena);
		arena_destroy(&e->workers[w].snapshots);
	}
	forget_shared(e);
	arena_destroy(&e->tables);
}
