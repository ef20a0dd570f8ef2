#include "control/replicas.h"

#include <errno.h>
#include <string.h>

#include "control/job_recovery.h"
#include "numa/assert.h"

// Retention of a channel with a replicated end, and of all that leave a worker, where the job does
// not say.
enum {
	RETENTION_BYTES = 16 << 20,
	RETENTION_LEAST_BYTES = 1 << 20,
	RETENTION_WORKER_BYTES = 256 << 20,
};

struct replicas {
	struct job *job;
	struct heap *heap;
	struct planned_job *planned;
	struct job_plan before;
	const struct workload_participant *participants;
	uint32_t participant_count;
	enum recovery_survive survive;
	// Where replicas go, by worker and by participant:
	const uint32_t *owners; // the participant whose worker it is
	uint64_t *weights;      // of a worker's replicated tasks
	uint64_t *worker_loads, *participant_loads;
	uint32_t *buddies; // the worker that has the replicas of a worker's tasks
	// What there is then, old and new:
	uint32_t task_count, channel_count;
	struct plan_task *tasks;
	struct plan_channel *channels;
	uint32_t *twins; // by old task: its replica, or PLAN_NONE
	// By old channel, the new one that joins other instances of its tasks, or PLAN_NONE:
	uint32_t *to_replica;   // from the producer to the consumer's replica
	uint32_t *from_replica; // from the producer's replica to the consumer
	uint32_t *between;      // from the producer's replica to the consumer's
};

// Returns NULL when no number of `of` has one in `table`.
static const uint32_t *mapped(const struct replicas *r, const uint32_t *table, const uint32_t *of,
	uint32_t count)
{
	bool any = false;
	uint32_t *numbers = heap_alloc(r->heap, (count + 1) * sizeof(*numbers));
	for (uint32_t i = 0; i < count; i++) {
		numbers[i] = table[of[i]];
		any |= numbers[i] != PLAN_NONE;
	}
	return any ? numbers : NULL;
}

static uint32_t *table_of(struct replicas *r, uint32_t count)
{
	uint32_t *table = heap_alloc(r->heap, (count + 1) * sizeof(*table));
	for (uint32_t i = 0; i < count; i++)
		table[i] = PLAN_NONE;
	return table;
}

// ---- who has a replica ----

static bool is_replicated(const struct job *job, const char *id)
{
	for (uint32_t i = 0; i < job->operator_count; i++)
		if (strcmp(job->operators[i].id, id) == 0)
			return job->operators[i].replicated;
	return false;
}

// One operator of it is enough: a task's steps share its log.
static void choose_tasks(struct replicas *r)
{
	r->twins = table_of(r, r->before.task_count);
	r->task_count = r->before.task_count;
	for (uint32_t t = 0; t < r->before.task_count; t++) {
		const struct plan_task *task = &r->before.tasks[t];
		bool chosen = false;
		for (uint32_t s = 0; s < task->step_count; s++)
			chosen |= is_replicated(r->job, task->steps[s].plan->id);
		if (chosen)
			r->twins[t] = r->task_count++;
	}
}

// ---- where it goes ----

static const uint32_t *worker_owners(struct heap *heap,
	const struct workload_participant *participants, uint32_t count)
{
	const struct workload_participant *last = &participants[count - 1];
	uint32_t workers = last->first_worker + last->workers;
	uint32_t *owners = heap_alloc(heap, workers * sizeof(*owners));
	for (uint32_t p = 0; p < count; p++)
		for (uint32_t i = 0; i < participants[p].workers; i++)
			owners[participants[p].first_worker + i] = p;
	return owners;
}

static const char *domain_of(const struct replicas *r, uint32_t participant)
{
	const struct workload_participant *p = &r->participants[participant];
	if (r->survive == RECOVERY_RACK)
		return p->rack == NULL ? "" : p->rack;
	return p->host == NULL ? p->node : p->host;
}

static void weigh(struct replicas *r)
{
	r->owners = worker_owners(r->heap, r->participants, r->participant_count);
	r->weights = heap_alloc(r->heap, r->before.worker_count * sizeof(*r->weights));
	r->worker_loads = heap_alloc(r->heap, r->before.worker_count * sizeof(*r->worker_loads));
	r->participant_loads =
		heap_alloc(r->heap, r->participant_count * sizeof(*r->participant_loads));
	r->buddies = table_of(r, r->before.worker_count);
	for (uint32_t t = 0; t < r->before.task_count; t++) {
		uint32_t worker = r->before.tasks[t].worker;
		uint32_t weight = r->planned->graph.tasks[t].weight;
		r->worker_loads[worker] += weight;
		r->participant_loads[r->owners[worker]] += weight;
		if (r->twins[t] != PLAN_NONE)
			r->weights[worker] += weight;
	}
}

// The next one, in a circle, of those in another domain whose workers have least to do.  Returns
// PLAN_NONE when there is no other domain.
static uint32_t other_participant(const struct replicas *r, uint32_t of)
{
	uint32_t best = PLAN_NONE;
	for (uint32_t i = 1; i < r->participant_count; i++) {
		uint32_t p = (of + i) % r->participant_count;
		if (strcmp(domain_of(r, p), domain_of(r, of)) == 0)
			continue;
		if (best == PLAN_NONE ||
			r->participant_loads[p] * r->participants[best].workers <
				r->participant_loads[best] * r->participants[p].workers)
			best = p;
	}
	return best;
}

// What a worker has stays together. Its peer there is the first to be tried.
static void choose_buddy(struct replicas *r, uint32_t worker, uint32_t participant)
{
	const struct workload_participant *p = &r->participants[participant];
	uint32_t peer = worker - r->participants[r->owners[worker]].first_worker;
	uint32_t best = p->first_worker + peer % p->workers;
	for (uint32_t i = 1; i < p->workers; i++) {
		uint32_t w = p->first_worker + (peer + i) % p->workers;
		if (r->worker_loads[w] < r->worker_loads[best])
			best = w;
	}
	r->buddies[worker] = best;
	r->worker_loads[best] += r->weights[worker];
	r->participant_loads[participant] += r->weights[worker];
}

static int choose_buddies(struct replicas *r)
{
	for (uint32_t p = 0; p < r->participant_count; p++) {
		const struct workload_participant *of = &r->participants[p];
		uint32_t other = other_participant(r, p);
		for (uint32_t w = of->first_worker; w < of->first_worker + of->workers; w++) {
			if (r->weights[w] == 0)
				continue;
			if (other == PLAN_NONE)
				return -EINVAL;
			choose_buddy(r, w, other);
		}
	}
	return 0;
}

static void say_one_domain(const struct replicas *r)
{
	if (r->survive == RECOVERY_RACK)
		job_recovery_error(r->job,
			"the job's nodes are all in rack %s, and no replica outlives it; give the "
			"job more workers, or nodes in another rack, or write survive: 1 host",
			domain_of(r, 0));
	else
		job_recovery_error(r->job,
			"the job's nodes are all on host %s, and no replica outlives it; give the "
			"job more workers, or nodes on another host, or leave the section out",
			domain_of(r, 0));
}

// ---- what joins the instances ----

static uint32_t join(struct replicas *r, uint32_t from, uint32_t to,
	const struct weir_schema *schema)
{
	if (from == PLAN_NONE || to == PLAN_NONE)
		return PLAN_NONE;
	if (r->channels != NULL)
		r->channels[r->channel_count] = (struct plan_channel){from, to, schema};
	return r->channel_count++;
}

// Channels between tasks first, then logs. Without room for them they are only counted.
static void make_channels(struct replicas *r)
{
	r->channel_count = r->before.channel_count;
	for (uint32_t c = 0; c < r->before.channel_count; c++) {
		const struct plan_channel *old = &r->before.channels[c];
		uint32_t from = r->twins[old->from], to = r->twins[old->to];
		r->to_replica[c] = join(r, old->from, to, old->schema);
		r->from_replica[c] = join(r, from, old->to, old->schema);
		r->between[c] = join(r, from, to, old->schema);
	}
}

static int make_room(struct replicas *r)
{
	r->to_replica = table_of(r, r->before.channel_count);
	r->from_replica = table_of(r, r->before.channel_count);
	r->between = table_of(r, r->before.channel_count);
	make_channels(r);
	uint32_t replicas = r->task_count - r->before.task_count;
	uint32_t channels = r->channel_count + 2 * replicas; // with logs, one each way
	if (r->task_count > PLAN_TASKS_MAX || channels > PLAN_CHANNELS_MAX) {
		job_recovery_error(r->job,
			"with replicas the job would have over %u tasks or %u channels; give its "
			"operators less parallelism, or list fewer in operators",
			PLAN_TASKS_MAX, PLAN_CHANNELS_MAX);
		return -EINVAL;
	}
	r->tasks = heap_alloc(r->heap, r->task_count * sizeof(*r->tasks));
	r->channels = heap_alloc(r->heap, channels * sizeof(*r->channels));
	memcpy(r->tasks, r->before.tasks, r->before.task_count * sizeof(*r->tasks));
	memcpy(r->channels, r->before.channels, r->before.channel_count * sizeof(*r->channels));
	make_channels(r);
	return 0;
}

static const struct plan_edge *make_edges(struct replicas *r, const struct plan_task *task,
	const uint32_t *channels, const uint32_t *twins)
{
	struct plan_edge *edges = heap_alloc(r->heap, (task->edge_count + 1) * sizeof(*edges));
	for (uint32_t e = 0; e < task->edge_count; e++) {
		const struct plan_edge *edge = &task->edges[e];
		edges[e] = *edge;
		if (channels != NULL)
			edges[e].channels =
				mapped(r, channels, edge->channels, edge->channel_count);
		edges[e].twins = mapped(r, twins, edge->channels, edge->channel_count);
	}
	return edges;
}

static void make_replica(struct replicas *r, uint32_t primary, uint32_t replica)
{
	const struct plan_task *old = &r->before.tasks[primary];
	struct plan_task *task = &r->tasks[replica];
	*task = *old;
	task->worker = r->buddies[old->worker];
	task->edges = make_edges(r, old, r->from_replica, r->between);
	task->inputs = mapped(r, r->to_replica, old->inputs, old->input_count);
	task->standby_inputs = mapped(r, r->between, old->inputs, old->input_count);
	task->standing = PLAN_REPLICA;
	task->twin = primary;
	task->log = join(r, replica, primary, NULL);
}

static void make_tasks(struct replicas *r)
{
	for (uint32_t t = 0; t < r->before.task_count; t++) {
		const struct plan_task *old = &r->before.tasks[t];
		struct plan_task *task = &r->tasks[t];
		task->edges = make_edges(r, old, NULL, r->to_replica);
		task->standby_inputs = mapped(r, r->from_replica, old->inputs, old->input_count);
		if (r->twins[t] == PLAN_NONE)
			continue;
		make_replica(r, t, r->twins[t]);
		task->standing = PLAN_PRIMARY;
		task->twin = r->twins[t];
		task->log = join(r, t, r->twins[t], NULL);
	}
}

// ---- settings ----

static uint64_t retention_default(const struct replicas *r)
{
	uint64_t channels = 1, all = (uint64_t)RETENTION_WORKER_BYTES * r->before.worker_count;
	for (uint32_t c = 0; c < r->channel_count; c++) {
		const struct plan_channel *channel = &r->channels[c];
		channels += channel->schema != NULL &&
			(r->tasks[channel->from].standing != PLAN_SINGLE ||
				r->tasks[channel->to].standing != PLAN_SINGLE);
	}
	uint64_t share = all / channels;
	if (share > RETENTION_BYTES)
		return RETENTION_BYTES;
	return share < RETENTION_LEAST_BYTES ? RETENTION_LEAST_BYTES : share;
}

static void finish(struct replicas *r)
{
	struct job_plan *plan = &r->planned->plan;
	plan->hot = true;
	plan->task_count = r->task_count;
	plan->tasks = r->planned->tasks = r->tasks;
	plan->channel_count = r->channel_count;
	plan->channels = r->channels;
	plan->channel_retention_bytes = (uint64_t)weir_param_int(job_recovery(r->job), "retention",
		(int64_t)retention_default(r));
}

int replicas_plan(struct job *job, struct planned_job *planned,
	const struct workload_participant *participants, uint32_t participant_count)
{
	ASSERT(participant_count > 0 && !planned->plan.hot);
	struct replicas r = {.job = job,
		.heap = &job->heap,
		.planned = planned,
		.before = planned->plan,
		.participants = participants,
		.participant_count = participant_count,
		.survive = (enum recovery_survive)weir_param_int(job_recovery(job), "survive",
			RECOVERY_HOST)};
	choose_tasks(&r);
	if (r.task_count == r.before.task_count)
		return 0;
	weigh(&r);
	if (choose_buddies(&r) < 0) {
		say_one_domain(&r);
		return -EINVAL;
	}
	int error = make_room(&r);
	if (error < 0)
		return error;
	make_tasks(&r);
	finish(&r);
	return 0;
}

// ---- what a loss means ----

static void cover(const struct job_plan *plan, const uint32_t *owners, uint32_t participant,
	bool *by, bool *ret_whole)
{
	*ret_whole = true;
	for (uint32_t t = 0; t < plan->task_count; t++) {
		const struct plan_task *task = &plan->tasks[t];
		if (owners[task->worker] != participant)
			continue;
		if (task->standing == PLAN_SINGLE)
			*ret_whole = false;
		else
			by[owners[plan->tasks[task->twin].worker]] = true;
	}
}

struct workload_cover *replicas_cover(const struct job_plan *plan, struct heap *heap,
	const struct workload_participant *participants, uint32_t participant_count)
{
	const uint32_t *owners = worker_owners(heap, participants, participant_count);
	struct workload_cover *covers = heap_alloc(heap, participant_count * sizeof(*covers));
	for (uint32_t p = 0; p < participant_count; p++) {
		bool *has = heap_alloc(heap, participant_count * sizeof(*has));
		uint32_t *by = heap_alloc(heap, participant_count * sizeof(*by));
		cover(plan, owners, p, has, &covers[p].whole);
		covers[p].by = by;
		for (uint32_t i = 0; i < participant_count; i++)
			if (has[i])
				by[covers[p].by_count++] = i;
	}
	return covers;
}
