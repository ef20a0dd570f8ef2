#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "control/job_recovery.h"
#include "control/replicas.h"
#include "control/spread.h"
#include "control/workload_part.h"
#include "numa/assert.h"

static const char *keep_text(struct heap *heap, const char *text)
{
	return heap_text(heap, text, strlen(text));
}

static const char *const *keep_texts(struct heap *heap, const char *const *texts, uint32_t count)
{
	const char **kept = heap_alloc(heap, (count + 1) * sizeof(*kept));
	for (uint32_t i = 0; i < count; i++)
		kept[i] = keep_text(heap, texts[i]);
	return kept;
}

struct workload_participant part_keep_participant(struct heap *heap,
	const struct workload_participant *p)
{
	struct workload_participant kept = *p;
	kept.node = keep_text(heap, p->node);
	kept.host = p->host == NULL ? NULL : keep_text(heap, p->host);
	kept.rack = p->rack == NULL ? NULL : keep_text(heap, p->rack);
	kept.links = keep_texts(heap, p->links, p->link_count);
	return kept;
}

void part_keep_request(struct workload_part *part, const struct workload_request *request)
{
	struct heap *heap = &part->heap;
	uint32_t count = request->participant_count;
	part->participants = heap_alloc(heap, count * sizeof(*part->participants));
	for (uint32_t i = 0; i < count; i++)
		part->participants[i] = part_keep_participant(heap, &request->participants[i]);
	part->request = *request;
	part->request.job = keep_text(heap, request->job);
	part->request.text = heap_text(heap, request->text, request->text_bytes);
	part->request.sets = keep_texts(heap, request->sets, request->set_count);
	part->request.participants = part->participants;
	part->lost = heap_alloc(heap, count * sizeof(*part->lost));
	part->admissions = heap_alloc(heap, count * sizeof(*part->admissions));
	part->admitted = heap_alloc(heap, count * sizeof(*part->admitted));
	part->repaired = heap_alloc(heap, count * sizeof(*part->repaired));
}

static int load(const struct workload_engine *w, struct workload_part *part)
{
	const struct workload_request *request = &part->request;
	const struct job_source source = {.file = request->job,
		.text = request->text,
		.bytes = request->text_bytes,
		.sets = (const char **)(uintptr_t)request->sets,
		.set_count = request->set_count,
		.kinds = w->config.kinds};
	part->job = calloc(1, sizeof(*part->job));
	if (part->job == NULL)
		return -ENOMEM;
	job_load(part->job, &source);
	return part->job->errors.count == 0 ? 0 : -EINVAL;
}

static int plan(struct workload_part *part)
{
	const struct workload_request *request = &part->request;
	const struct workload_participant *last =
		&request->participants[request->participant_count - 1];
	uint32_t workers = last->first_worker + last->workers;
	int error = planner_plan(part->job, workers, &part->planned);
	if (error != 0)
		return error;
	part->planned.plan.id = (uint32_t)XXH3_64bits(request->job, strlen(request->job));
	part->planned.plan.version = request->plan_version;
	spread_tasks(&part->planned, &part->job->heap, workers);
	if (job_recovery(part->job) != NULL)
		error = replicas_plan(part->job, &part->planned, request->participants,
			request->participant_count);
	if (error != 0)
		return error;
	if (part->planned.plan.hot)
		part->covers = replicas_cover(&part->planned.plan, &part->job->heap,
			request->participants, request->participant_count);
	part->plan_hash = spread_plan_hash(&part->planned.plan);
	return 0;
}

static void say_errors(struct workload_part *part)
{
	const struct error_line *line = &part->job->errors.lines[0];
	snprintf(part->error, sizeof(part->error), "%s:%u: %s", line->file, line->line, line->text);
	fail(part, part->error);
}

int part_reach(struct workload_engine *w, struct workload_part *part, uint32_t participant,
	char *why)
{
	const struct workload_participant *p = &part->participants[participant];
	char reason[240];
	int error = 0;
	for (uint32_t i = 0; i < p->workers && error == 0; i++) {
		uint32_t worker = p->first_worker + i;
		part->numbers[worker] = (uint16_t)(p->node_worker + i);
		part->boots[worker] = p->boot == 0 ? part->request.incarnation : p->boot;
		part->peers[worker] = CROSSING_NO_PEER;
		if (participant == part->request.self || p->lost)
			continue;
		pthread_mutex_lock(&w->reaching);
		error = w->config.peers->reach(w->config.peers, p->links, p->link_count,
			part->numbers[worker], &part->peers[worker], reason, sizeof(reason));
		pthread_mutex_unlock(&w->reaching);
	}
	if (error != 0)
		snprintf(why, ERROR_BYTES, "node %.64s: %s", p->node, reason);
	return error;
}

// What comes from other nodes must find room, as far as credit lets it come.
static int check_buffers(const struct workload_engine *w, struct workload_part *part)
{
	const struct job_plan *job = &part->planned.plan;
	const struct workload_participant *self = &part->request.participants[part->request.self];
	uint64_t needed = 0;
	for (uint32_t c = 0; c < job->channel_count; c++) {
		uint32_t from = job->tasks[job->channels[c].from].worker;
		uint32_t to = job->tasks[job->channels[c].to].worker;
		if (to - self->first_worker < self->workers &&
			from - self->first_worker >= self->workers)
			needed += job->channel_frames + CHANNEL_CONTROL_FRAMES;
	}
	if (needed <= w->config.peers->buffers)
		return 0;
	snprintf(part->error, sizeof(part->error),
		"channels from other nodes may hold %" PRIu64 " packets here, and a link has room "
		"for %" PRIu32 "; raise links.buffers to that, or lower exchange.credit",
		needed, w->config.peers->buffers);
	return -ENOBUFS;
}

// How the participants' workers reach each other.
static int connect(struct workload_engine *w, struct workload_part *part)
{
	const struct workload_request *request = &part->request;
	uint32_t workers = part->planned.plan.worker_count;
	part->numbers = heap_alloc(&part->heap, workers * sizeof(*part->numbers));
	part->peers = heap_alloc(&part->heap, workers * sizeof(*part->peers));
	part->boots = heap_alloc(&part->heap, workers * sizeof(*part->boots));
	if (w->config.peers == NULL || workers > NETWORK_WORKERS_MAX) {
		snprintf(part->error, sizeof(part->error),
			w->config.peers == NULL
				? "the node has no links to other nodes; give it `links:`"
				: "over %d workers; give the job fewer",
			NETWORK_WORKERS_MAX);
		return -EINVAL;
	}
	if (part->planned.plan.recovery) {
		snprintf(part->error, sizeof(part->error),
			"checkpoint: barriers are not coordinated between nodes yet; leave the "
			"section out, or give the job the workers of one node");
		return -ENOTSUP;
	}
	int error = check_buffers(w, part);
	for (uint32_t i = 0; i < request->participant_count && error == 0; i++)
		error = part_reach(w, part, i, part->error);
	part->network = w->config.peers->network;
	part->network.boots = part->boots;
	part->network.workers = part->numbers;
	part->network.peers = part->peers;
	return error;
}

void part_build(struct workload_engine *w, struct workload_part *part)
{
	bool apart = part->request.participant_count > 1;
	int error = load(w, part);
	if (error == 0)
		error = plan(part);
	if (error == 0 && apart)
		error = connect(w, part);
	if (part->job != NULL && part->job->errors.count != 0) {
		say_errors(part);
		return;
	}
	if (error != 0) {
		fail(part, part->error[0] != 0 ? part->error : strerror(-error));
		return;
	}
	const struct workload_participant *self = &part->request.participants[part->request.self];
	const struct engine_config config = {.plan = &part->planned.plan,
		.node = w->config.node,
		.node_worker = self->node_worker,
		.network = apart ? &part->network : NULL,
		.first_worker = self->first_worker,
		.worker_count = self->workers,
		.worker_cpus = w->config.worker_cpus + self->node_worker,
		.worker_nodes = w->config.worker_nodes == NULL
			? NULL
			: w->config.worker_nodes + self->node_worker,
		.incarnation = part->request.incarnation,
		.repair = part->request.repair != 0,
		.lazy = w->config.lazy};
	if (engine_create(&config, part->error, sizeof(part->error), &part->engine) != 0)
		fail(part, part->error);
	else
		set_state(part, WORKLOAD_PREPARED);
}
