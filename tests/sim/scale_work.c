#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/scale_world.h"

enum { PREPARE_MS_MAX = 100, HASH = 5 };

// One a node. It runs until it is told to go.
struct workload_part {
	enum workload_state state;
	int64_t prepared_at_ns;
	uint64_t progress;
	uint32_t participants;
};

static struct scale_actor *actor_of(const struct workload *workload)
{
	return (struct scale_actor *)((char *)(uintptr_t)workload -
		offsetof(struct scale_actor, workload));
}

static int work_prepare(struct workload *workload, const struct workload_request *request,
	struct workload_part **ret_part)
{
	struct scale_actor *actor = actor_of(workload);
	struct workload_part *part = calloc(1, sizeof(*part));
	VERIFY(part && !actor->part);
	part->state = WORKLOAD_PREPARING;
	part->prepared_at_ns = actor->world->meta.time.now_ns +
		(int64_t)random_in(&actor->world->meta.random, 1, PREPARE_MS_MAX) * MS;
	part->participants = request->participant_count;
	actor->part = *ret_part = part;
	return 0;
}

static void work_start(struct workload *workload, struct workload_part *part)
{
	part->state = WORKLOAD_RUNNING;
	actor_of(workload)->world->running++;
}

static void work_end(struct workload *workload, struct workload_part *part)
{
	actor_of(workload)->world->disturbed = true;
}

static void work_discard(struct workload *workload, struct workload_part *part)
{
	struct scale_actor *actor = actor_of(workload);
	actor->world->disturbed = true;
	actor->part = NULL;
	free(part);
}

static void work_status(const struct workload *workload, const struct workload_part *part,
	struct workload_status *ret_status)
{
	bool prepared = part->state >= WORKLOAD_PREPARED;
	*ret_status = (struct workload_status){.state = part->state,
		.plan_hash = prepared ? HASH : 0,
		.progress = part->progress,
		.cover_count = prepared ? part->participants : 0,
		.covers = actor_of(workload)->world->covers};
}

static int64_t work_step(struct workload *workload, int64_t now_ns)
{
	struct workload_part *part = actor_of(workload)->part;
	if (part == NULL)
		return INT64_MAX;
	part->progress++;
	if (part->state != WORKLOAD_PREPARING)
		return INT64_MAX;
	if (now_ns < part->prepared_at_ns)
		return part->prepared_at_ns;
	part->state = WORKLOAD_PREPARED;
	return INT64_MAX;
}

static void work_lose(struct workload *workload, struct workload_part *part, uint32_t lost,
	uint64_t successor, bool alone)
{
	actor_of(workload)->world->disturbed = true;
}

static void work_admit(struct workload *workload, struct workload_part *part,
	const struct workload_admission *admission)
{
	actor_of(workload)->world->disturbed = true;
}

void scale_work_create(struct scale_actor *actor)
{
	static const struct workload_ops ops = {.prepare = work_prepare,
		.start = work_start,
		.interrupt = work_end,
		.publish = work_end,
		.discard = work_discard,
		.status = work_status,
		.step = work_step,
		.lose = work_lose,
		.admit = work_admit};
	actor->workload.ops = &ops;
}

void scale_work_destroy(struct scale_actor *actor)
{
	free(actor->part);
	actor->part = NULL;
}
