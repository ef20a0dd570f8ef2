// The production workload, between an agent and which everything that is told is looked at.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/whole/whole.h"

static struct whole_life *life_of(const struct workload *workload)
{
	return (struct whole_life *)((char *)(uintptr_t)workload -
		offsetof(struct whole_life, workload));
}

struct whole_part *whole_part_of(struct whole *w, const struct workload_part *inner)
{
	struct whole_part *part = w->parts;
	while (part && part->inner != inner)
		part = part->next;
	return part;
}

static struct whole_part *part_of(const struct workload *workload,
	const struct workload_part *inner)
{
	struct whole_part *part = whole_part_of(life_of(workload)->whole, inner);
	VERIFY(part);
	return part;
}

uint32_t whole_part_count(const struct process *p)
{
	uint32_t count = 0;
	for (struct whole_part *part = whole_of(p->cluster)->parts; part; part = part->next)
		count += part->life->process == p && !part->life->dead && part->inner;
	return count;
}

// ---- its trace, the events of docs/protocol.md

#define TRACE(part, event, ...)                                                                    \
	cluster_trace_part((part)->life->process,                                                  \
		&(struct cluster_trace_part){(part)->run->job, (part)->place, (part)->repair},     \
		event, __VA_ARGS__)

static bool is_in(const uint32_t *list, uint32_t count, uint32_t place)
{
	bool found = false;
	for (uint32_t i = 0; i < count && !found; i++)
		found = list[i] == place;
	return found;
}

static void trace_place(struct whole_part *part, uint32_t place,
	const struct workload_status *status)
{
	struct whole_listed *was = &part->listed[place];
	const struct whole_listed is = {
		.admitted = is_in(status->admitted, status->admitted_count, place),
		.repaired = is_in(status->repaired, status->repaired_count, place),
		.gave_up = part->admitted[place] != 0 &&
			is_in(status->lost, status->lost_count, place)};
	if (is.admitted && !was->admitted)
		TRACE(part, "place_admitted", "place=%u boot=%" PRIx64, place,
			part->admitted[place]);
	if (is.repaired && !was->repaired)
		TRACE(part, "place_repaired", "place=%u boot=%" PRIx64, place,
			part->admitted[place]);
	if (is.gave_up && !was->gave_up)
		TRACE(part, "place_given_up", "place=%u", place);
	*was = is;
}

static void trace_status(struct whole_part *part, const struct workload_status *status)
{
	for (uint32_t p = 0; p < part->run->world.place_count; p++)
		if (p != part->place)
			trace_place(part, p, status);
}

// ---- what it is told

static int work_prepare(struct workload *workload, const struct workload_request *request,
	struct workload_part **ret_part)
{
	struct whole_life *life = life_of(workload);
	struct whole_part *part = calloc(1, sizeof(*part));
	VERIFY(part);
	part->life = life;
	part->place = request->self;
	part->slot = UINT32_MAX;
	part->repair = request->repair;
	part->run = whole_run_begin(life->whole, request);
	VERIFY(life->inner->ops->prepare(life->inner, request, &part->inner) == 0);
	part->next = life->whole->parts;
	life->whole->parts = part;
	*ret_part = part->inner;
	return 0;
}

static void work_start(struct workload *workload, struct workload_part *inner)
{
	struct whole_part *part = part_of(workload, inner);
	struct whole_life *life = part->life;
	if (part->repair == 0)
		ledger_start(&life->whole->cluster, life->process, part->run->job,
			part->run->incarnation);
	life->inner->ops->start(life->inner, inner);
}

static void work_interrupt(struct workload *workload, struct workload_part *inner)
{
	struct workload *own = life_of(workload)->inner;
	own->ops->interrupt(own, inner);
}

static void work_publish(struct workload *workload, struct workload_part *inner)
{
	struct workload *own = life_of(workload)->inner;
	whole_run_publish(part_of(workload, inner));
	own->ops->publish(own, inner);
}

// A dead process's agent discards nothing.
static void work_discard(struct workload *workload, struct workload_part *inner)
{
	struct whole_part *part = part_of(workload, inner);
	if (!part->life->process->up)
		return;
	whole_run_discard(part);
	part->inner = NULL;
	part->life->inner->ops->discard(part->life->inner, inner);
}

// What the production one sees of its threads; it has none here.
static void tell_starved(struct whole_part *part, struct workload_status *status)
{
	int64_t starved_ns = process_starved_ns(part->life->process);
	if (status->progress != part->progress)
		part->starved_ns = starved_ns;
	part->progress = status->progress;
	status->starved_ns = starved_ns - part->starved_ns;
	part->life->whole->seen[WHOLE_STARVED] += status->starved_ns != 0;
}

static void work_status(const struct workload *workload, const struct workload_part *inner,
	struct workload_status *ret_status)
{
	const struct workload *own = life_of(workload)->inner;
	struct whole_part *part = part_of(workload, inner);
	own->ops->status(own, inner, ret_status);
	tell_starved(part, ret_status);
	trace_status(part, ret_status);
}

// Only one that is taken for dead may come to grief.
static void look_for_failure(struct whole_part *part)
{
	struct cluster *c = &part->life->whole->cluster;
	struct whole_run *run = part->run;
	struct workload_status status;
	if (part->failed || !part->inner)
		return;
	part->life->inner->ops->status(part->life->inner, part->inner, &status);
	part->failed = status.state == WORKLOAD_FAILED;
	bool lost =
		part->slot == UINT32_MAX ? part->repair != 0 : run->world.nodes[part->slot].lost;
	if (part->failed && !lost)
		cluster_violate(c, "job %s on %s: %s", run->job, part->life->process->name,
			status.error);
}

static int64_t work_step(struct workload *workload, int64_t now_ns)
{
	struct whole_life *life = life_of(workload);
	int64_t next_ns = life->inner->ops->step(life->inner, now_ns);
	for (struct whole_part *part = life->whole->parts; part; part = part->next)
		if (part->life == life)
			look_for_failure(part);
	return next_ns;
}

static void work_lose(struct workload *workload, struct workload_part *inner, uint32_t lost,
	uint64_t successor, bool alone)
{
	struct workload *own = life_of(workload)->inner;
	struct whole_part *part = part_of(workload, inner);
	TRACE(part, alone ? "alone_told" : "loss_told", "place=%u successor=%" PRIx64, lost,
		successor);
	whole_run_lose(part, lost, alone);
	own->ops->lose(own, inner, lost, successor, alone);
}

static void work_admit(struct workload *workload, struct workload_part *inner,
	const struct workload_admission *admission)
{
	struct workload *own = life_of(workload)->inner;
	struct whole_part *part = part_of(workload, inner);
	TRACE(part, admission->feed ? "feed_told" : "admission_told", "place=%u boot=%" PRIx64,
		admission->place, admission->boot);
	whole_run_admit(part, admission);
	own->ops->admit(own, inner, admission);
}

void whole_work_create(struct whole_life *life)
{
	static const struct workload_ops ops = {.prepare = work_prepare,
		.start = work_start,
		.interrupt = work_interrupt,
		.publish = work_publish,
		.discard = work_discard,
		.status = work_status,
		.step = work_step,
		.lose = work_lose,
		.admit = work_admit};
	life->workload.ops = &ops;
}
