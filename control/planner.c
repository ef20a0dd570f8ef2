#include "control/planner.h"

#include <errno.h>
#include <string.h>

#include "control/job_graph.h"
#include "control/stages.h"
#include "numa/assert.h"
#include "state/key.h"

// What records of a source weigh in the graph that is placed; each keyed or partial step passes on
// an eighth of what it gets, and costs twice as much a record.
enum { FLOW_SOURCE = 1 << 12, FLOW_SHRINK = 8 };

// Retention of all channels that leave a worker, and of one, where the job does not say.
enum { RETENTION_WORKER_BYTES = 256 << 20, RETENTION_LEAST_BYTES = 1 << 20 };

struct planner {
	struct job *job;
	struct heap *heap;
	struct stages stages;
	uint32_t first_task[STAGES_MAX]; // of a chain, by its first stage
	uint64_t flow[STAGES_MAX];       // what leaves a stage
	uint32_t task_count, channel_count;
	struct plan_task *tasks;
	uint32_t **inputs; // a task's channels
	struct plan_channel *channels;
	struct placement_task *weights;
	struct placement_edge *traffic;
};

static const struct stage *stage_at(const struct planner *p, uint32_t index)
{
	return &p->stages.stage[index];
}

static uint32_t channels_between(const struct planner *p, const struct stage *to)
{
	uint32_t upstream = stage_at(p, to->from)->parallelism;
	return to->exchange == EXCHANGE_HASH ? upstream * to->parallelism : upstream;
}

static int count_tasks(struct planner *p)
{
	for (uint32_t i = 0; i < p->stages.count; i++) {
		const struct stage *s = stage_at(p, i);
		if (stage_is_fused(&p->stages, i))
			continue;
		p->first_task[i] = p->task_count;
		p->task_count += s->parallelism;
		if (s->from != STAGE_NONE)
			p->channel_count += channels_between(p, s);
		if (p->task_count <= PLAN_TASKS_MAX && p->channel_count <= PLAN_CHANNELS_MAX)
			continue;
		job_operator_error(p->job, &p->job->operators[s->op], "parallelism",
			"the job would have over %u tasks or %u channels; give less parallelism",
			PLAN_TASKS_MAX, PLAN_CHANNELS_MAX);
		return -EINVAL;
	}
	return 0;
}

static const struct plan_step *chain_steps(struct planner *p, uint32_t chain, uint32_t *ret_count)
{
	uint32_t count = 0;
	for (uint32_t i = chain; i != STAGE_NONE; i = stage_at(p, i)->next)
		count++;
	struct plan_step *steps = heap_alloc(p->heap, count * sizeof(*steps));
	uint32_t at = 0;
	for (uint32_t i = chain; i != STAGE_NONE; i = stage_at(p, i)->next) {
		const struct stage *s = stage_at(p, i);
		steps[at++] = (struct plan_step){.kind = p->job->operators[s->op].kind,
			.plan = s->plan,
			.input = s->input,
			.operator_index = s->index};
	}
	*ret_count = count;
	return steps;
}

// What flows out of each stage, and what each task weighs.
static void weigh(struct planner *p)
{
	for (uint32_t i = 0; i < p->stages.count; i++) {
		const struct stage *s = stage_at(p, i);
		uint64_t in = s->from == STAGE_NONE ? FLOW_SOURCE : p->flow[s->from];
		bool shrinks = s->partial || (s->plan->key_count && s->from != STAGE_NONE);
		p->flow[i] = shrinks ? in / FLOW_SHRINK + 1 : in;
		uint64_t load = (shrinks ? 2 * in : in) / s->parallelism + 1;
		for (uint32_t t = 0; t < s->parallelism; t++)
			p->weights[p->first_task[s->chain] + t].weight += (uint32_t)load;
	}
}

static void name_task(struct planner *p, uint32_t task, uint32_t chain)
{
	const char *name = "";
	for (uint32_t i = chain; i != STAGE_NONE; i = stage_at(p, i)->next)
		name = heap_printf(p->heap, "%s%s%s", name, i == chain ? "" : "+",
			p->job->operators[stage_at(p, i)->op].id);
	p->weights[task] = (struct placement_task){
		.name = heap_printf(p->heap, "%s/%u", name, p->tasks[task].index),
		.nic = TOPOLOGY_NONE};
}

static void make_tasks(struct planner *p)
{
	for (uint32_t i = 0; i < p->stages.count; i++) {
		if (stage_is_fused(&p->stages, i))
			continue;
		uint32_t step_count, count = stage_at(p, i)->parallelism;
		const struct plan_step *steps = chain_steps(p, i, &step_count);
		for (uint32_t t = 0; t < count; t++) {
			p->tasks[p->first_task[i] + t] = (struct plan_task){.index = t,
				.count = count,
				.step_count = step_count,
				.steps = steps};
			name_task(p, p->first_task[i] + t, i);
		}
	}
}

static uint32_t channel_add(struct planner *p, uint32_t from, uint32_t to, const struct stage *s)
{
	uint32_t channel = p->channel_count++;
	uint64_t weight = p->flow[s->from] /
		(stage_at(p, s->from)->parallelism *
			(s->exchange == EXCHANGE_HASH ? s->parallelism : 1));
	p->channels[channel] = (struct plan_channel){from, to, s->input};
	p->traffic[channel] = (struct placement_edge){from, to, (uint32_t)weight + 1};
	p->inputs[to][p->tasks[to].input_count++] = channel;
	return channel;
}

// The edge of one task of the producer to the tasks of stage `s`.
static struct plan_edge make_edge(struct planner *p, const struct stage *s, uint32_t stage,
	uint32_t index)
{
	uint32_t from = p->first_task[stage_at(p, s->from)->chain] + index;
	uint32_t to = p->first_task[stage];
	bool hash = s->exchange == EXCHANGE_HASH;
	uint32_t count = hash ? s->parallelism : 1;
	uint32_t *channels = heap_alloc(p->heap, count * sizeof(*channels));
	if (!hash)
		channels[0] = channel_add(p, from, s->parallelism == 1 ? to : to + index, s);
	for (uint32_t k = 0; hash && k < count; k++)
		channels[k] = channel_add(p, from, to + k, s);
	return (struct plan_edge){.exchange = s->exchange,
		.input = s->produced,
		.output = s->input,
		.fields = s->fields,
		.keys = hash ? s->keys : NULL,
		.key_count = hash ? s->key_count : 0,
		.channel_count = count,
		.channels = channels};
}

static uint32_t count_readers(const struct planner *p, uint32_t stage)
{
	uint32_t count = 0;
	for (uint32_t i = stage + 1; i < p->stages.count; i++)
		count += stage_at(p, i)->from == stage && !stage_is_fused(&p->stages, i);
	return count;
}

static void make_edges(struct planner *p, uint32_t stage)
{
	const struct stage *from = stage_at(p, stage);
	uint32_t count = count_readers(p, stage);
	for (uint32_t t = 0; count && t < from->parallelism; t++) {
		struct plan_task *task = &p->tasks[p->first_task[from->chain] + t];
		struct plan_edge *edges = heap_alloc(p->heap, count * sizeof(*edges));
		for (uint32_t i = stage + 1; i < p->stages.count; i++) {
			const struct stage *to = stage_at(p, i);
			if (to->from == stage && !stage_is_fused(&p->stages, i))
				edges[task->edge_count++] = make_edge(p, to, i, t);
		}
		task->edges = edges;
	}
}

static void make_inputs(struct planner *p)
{
	for (uint32_t i = 0; i < p->stages.count; i++) {
		const struct stage *s = stage_at(p, i);
		if (stage_is_fused(&p->stages, i) || s->from == STAGE_NONE)
			continue;
		uint32_t a_task = channels_between(p, s) / s->parallelism;
		for (uint32_t t = p->first_task[i]; t < p->first_task[i] + s->parallelism; t++) {
			p->inputs[t] = heap_alloc(p->heap, a_task * sizeof(uint32_t));
			p->tasks[t].inputs = p->inputs[t];
		}
	}
}

static void make_graph(struct planner *p)
{
	p->tasks = heap_alloc(p->heap, p->task_count * sizeof(*p->tasks));
	p->inputs = heap_alloc(p->heap, p->task_count * sizeof(*p->inputs));
	p->weights = heap_alloc(p->heap, p->task_count * sizeof(*p->weights));
	p->channels = heap_alloc(p->heap, p->channel_count * sizeof(*p->channels));
	p->traffic = heap_alloc(p->heap, p->channel_count * sizeof(*p->traffic));
	uint32_t channels = p->channel_count;
	p->channel_count = 0;
	make_tasks(p);
	weigh(p);
	make_inputs(p);
	for (uint32_t i = 0; i < p->stages.count; i++)
		make_edges(p, i);
	ASSERT(p->channel_count == channels);
}

static const char *const *operator_ids(struct planner *p)
{
	uint32_t count = p->job->operator_count + p->stages.partial_count;
	const char **ids = heap_alloc(p->heap, count * sizeof(*ids));
	for (uint32_t i = 0; i < p->stages.count; i++) {
		const struct stage *s = stage_at(p, i);
		const char *id = p->job->operators[s->op].id;
		ids[s->index] = s->partial ? heap_printf(p->heap, "%s.partial", id) : id;
	}
	return ids;
}

// The channels of a job share what its workers give; enough for some frames in any case.
static int64_t retention_default(const struct job_plan *plan)
{
	uint64_t channels = plan->channel_count == 0 ? 1 : plan->channel_count;
	int64_t share = (int64_t)((uint64_t)RETENTION_WORKER_BYTES * plan->worker_count / channels);
	return share < RETENTION_LEAST_BYTES ? RETENTION_LEAST_BYTES : share;
}

static void take_settings(const struct job *job, struct job_plan *plan)
{
	const struct weir_value *workers = weir_param_find(job->settings, "workers");
	const struct weir_value *exchange = weir_param_find(job->settings, "exchange");
	const struct weir_value *checkpoint = weir_param_find(job->settings, "checkpoint");
	plan->worker_state_bytes = (uint64_t)weir_param_int(workers, "state_memory", 0);
	plan->frame_bytes = (uint32_t)weir_param_int(exchange, "frame", 0);
	plan->channel_frames = (uint32_t)weir_param_int(exchange, "credit", 0);
	plan->recovery = checkpoint != NULL;
	plan->checkpoint_interval_ns = weir_param_int(checkpoint, "interval", 0);
	plan->channel_retention_bytes =
		(uint64_t)weir_param_int(checkpoint, "retention", retention_default(plan));
	plan->task_snapshot_bytes = (uint64_t)weir_param_int(checkpoint, "snapshot", 0);
}

int planner_plan(struct job *job, uint32_t workers, struct planned_job *ret_planned)
{
	ASSERT(job->errors.count == 0 && workers > 0);
	struct planner *p = heap_alloc(&job->heap, sizeof(*p));
	p->job = job;
	p->heap = &job->heap;
	int rc = stages_plan(job, workers, &p->stages);
	if (rc == 0)
		rc = count_tasks(p);
	if (rc < 0)
		return rc;
	make_graph(p);
	*ret_planned = (struct planned_job){
		.plan = {.name = job->name,
			.id = 1,
			.version = 1,
			.group_bits = KEY_GROUP_BITS_DEFAULT,
			.worker_count = workers,
			.operator_count = job->operator_count + p->stages.partial_count,
			.operator_ids = operator_ids(p),
			.task_count = p->task_count,
			.tasks = p->tasks,
			.channel_count = p->channel_count,
			.channels = p->channels},
		.tasks = p->tasks,
		.graph = {p->weights, p->traffic, p->task_count, p->channel_count}};
	take_settings(job, &ret_planned->plan);
	return 0;
}

void planner_place(struct job *job, struct planned_job *planned, const struct placement *placement)
{
	size_t count = placement->worker_count;
	uint32_t *renumbered = heap_alloc(&job->heap, count * sizeof(*renumbered));
	planned->worker_cpus = heap_alloc(&job->heap, count * sizeof(int));
	planned->worker_nodes = heap_alloc(&job->heap, count * sizeof(int));
	bool *used = heap_alloc(&job->heap, count * sizeof(*used));
	for (uint32_t i = 0; i < planned->plan.task_count; i++)
		used[placement->tasks[i].worker] = true;
	uint32_t workers = 0;
	for (size_t w = 0; w < count; w++) {
		if (!used[w])
			continue;
		planned->worker_cpus[workers] = (int)placement->workers[w].pu;
		planned->worker_nodes[workers] = placement->workers[w].node;
		planned->shares_cpu |= placement->workers[w].seat == PLACEMENT_SHARED;
		renumbered[w] = workers++;
	}
	for (uint32_t i = 0; i < planned->plan.task_count; i++)
		planned->tasks[i].worker = renumbered[placement->tasks[i].worker];
	planned->plan.worker_count = workers;
}
