// What clients ask. Reading is answered from memory; what changes a job is answered once written.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

static void reply_send(struct controller *c, uint64_t peer, uint64_t number, Weir__Reply *reply)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	char warning[2 * REASON_BYTES] = "";
	const struct meta *meta = c->config.meta;
	const char *trouble = meta->ops->trouble ? meta->ops->trouble(meta) : NULL;
	if (c->silent_since_ns)
		snprintf(warning, sizeof(warning),
			"metadata has not answered for %" PRId64 " s; jobs run on, nothing can be "
			"changed%s%s",
			(c->now_ns - c->silent_since_ns) / 1000000000, trouble ? "; " : "",
			trouble ? trouble : "");
	else if (c->phase != PHASE_LEADING)
		snprintf(warning, sizeof(warning), "no controller leads; this is what was so last");
	else if (trouble)
		snprintf(warning, sizeof(warning), "%s", trouble);
	reply->warning = warning;
	reply->controller = (char *)c->config.name;
	reply->term = c->term;
	message.number = number;
	message.body_case = WEIR__MESSAGE__BODY_REPLY;
	message.reply = reply;
	message_send(c->config.bus, peer, &message);
}

static void reply_error(struct controller *c, uint64_t peer, uint64_t number, bool wrong_use,
	const char *error)
{
	Weir__Reply reply = WEIR__REPLY__INIT;
	reply.error = (char *)error;
	reply.wrong_use = wrong_use;
	reply_send(c, peer, number, &reply);
}

static void fill_parts(struct controller *c, const struct job_entry *job, Weir__JobStatus *status)
{
	const Weir__JobRecord *record = job->record;
	status->parts = calloc(record->n_participants + 1, sizeof(*status->parts));
	VERIFY(status->parts);
	for (size_t i = 0; i < record->n_participants; i++) {
		struct node *node = registry_node(c, record->participants[i]->node);
		struct part *part = node ? node_part(node, record->id, record->incarnation) : NULL;
		Weir__Part *told = job->last ? job->last[i] : part ? part->told : NULL;
		if (told && !record->participants[i]->lost) {
			told->participant = (uint32_t)i;
			status->parts[status->n_parts++] = told;
		}
	}
}

static void reply_jobs(struct controller *c, uint64_t peer, uint64_t number,
	const struct job_entry *only)
{
	Weir__Reply reply = WEIR__REPLY__INIT;
	Weir__JobStatus *jobs = calloc(c->job_count + 1, sizeof(*jobs));
	char survives[REASON_BYTES];
	Weir__RepairStatus repair = WEIR__REPAIR_STATUS__INIT;
	reply.jobs = calloc(c->job_count + 1, sizeof(*reply.jobs));
	VERIFY(jobs && reply.jobs);
	for (uint32_t i = 0; i < c->job_count; i++) {
		struct job_entry *job = c->jobs[i];
		Weir__JobStatus *status = &jobs[reply.n_jobs];
		if ((only && job != only) || job->entry.revision == 0)
			continue;
		weir__job_status__init(status);
		status->record = job->record;
		status->waiting = job_is_ended(job) ? (char *)"" : job->waiting;
		if (only) {
			fill_parts(c, job, status);
			takeover_survives(c, job, survives);
			status->survives = survives;
			status->repair = repair_status(c, job, &repair) ? &repair : NULL;
		}
		reply.jobs[reply.n_jobs++] = status;
	}
	if (only)
		reply.job = only->record->id;
	reply_send(c, peer, number, &reply);
	for (size_t i = 0; i < reply.n_jobs; i++)
		free(reply.jobs[i]->parts);
	free(reply.jobs);
	free(jobs);
}

static void fill_node(struct controller *c, const struct node *node, Weir__NodeStatus *status)
{
	static const char *const states[] = {"unknown", "joining", "alive", "dead"};
	uint32_t first;
	weir__node_status__init(status);
	status->record = node->record;
	bool alive = node->state == NODE_ALIVE;
	status->state = (char *)(alive && node->leaving ? "leaving" : states[node->state]);
	status->reason = (char *)(node->state == NODE_DEAD ? node->reason : "");
	status->free_workers = alive ? deploy_free_workers(c, node, &first) : 0;
	if (node->heard_ns)
		status->silent_ns = (uint64_t)(c->now_ns - node->heard_ns);
	if (alive)
		status->silence_ns = (uint64_t)membership_silence_ns(c, node);
	status->parts = calloc(node->part_count + 1, sizeof(*status->parts));
	VERIFY(status->parts);
	for (uint32_t i = 0; i < node->part_count && alive; i++)
		status->parts[status->n_parts++] = node->parts[i].told;
}

static void reply_nodes(struct controller *c, uint64_t peer, uint64_t number)
{
	Weir__Reply reply = WEIR__REPLY__INIT;
	Weir__NodeStatus *nodes = calloc(c->node_count + 1, sizeof(*nodes));
	reply.nodes = calloc(c->node_count + 1, sizeof(*reply.nodes));
	VERIFY(nodes && reply.nodes);
	for (uint32_t i = 0; i < c->node_count; i++) {
		fill_node(c, c->nodes[i], &nodes[i]);
		reply.nodes[reply.n_nodes++] = &nodes[i];
	}
	reply_send(c, peer, number, &reply);
	for (uint32_t i = 0; i < c->node_count; i++)
		free(nodes[i].parts);
	free(reply.nodes);
	free(nodes);
}

static void reply_events(struct controller *c, uint64_t peer, uint64_t number, uint64_t after)
{
	Weir__Reply reply = WEIR__REPLY__INIT;
	uint64_t oldest = c->event_count > EVENTS_MAX ? c->event_count - EVENTS_MAX : 0;
	uint64_t first = after > oldest ? after : oldest;
	Weir__Event *events = calloc(EVENTS_MAX, sizeof(*events));
	reply.events = calloc(EVENTS_MAX, sizeof(*reply.events));
	VERIFY(events && reply.events);
	for (uint64_t i = first; i < c->event_count; i++) {
		Weir__Event *event = &events[reply.n_events];
		weir__event__init(event);
		event->number = i + 1;
		event->at = c->events[i % EVENTS_MAX].wall_ns;
		event->text = c->events[i % EVENTS_MAX].text;
		reply.events[reply.n_events++] = event;
	}
	reply_send(c, peer, number, &reply);
	free(reply.events);
	free(events);
}

static void await(struct controller *c, struct job_entry *job, uint64_t peer, uint64_t number)
{
	if (job->waiter_count == WAITERS_MAX) {
		reply_error(c, peer, number, false, "others wait for this job already; ask again");
		return;
	}
	job->waiters[job->waiter_count++] = (struct waiter){peer, number};
}

void requests_answer(struct controller *c, struct job_entry *job, const char *error)
{
	uint32_t count = job->waiter_count;
	job->waiter_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (error)
			reply_error(c, job->waiters[i].peer, job->waiters[i].number, false, error);
		else
			reply_jobs(c, job->waiters[i].peer, job->waiters[i].number, job);
	}
}

void requests_redirect(struct controller *c, struct job_entry *job)
{
	for (uint32_t i = 0; i < job->waiter_count; i++)
		election_redirect(c, job->waiters[i].peer, job->waiters[i].number);
	job->waiter_count = 0;
}

static void add_job(struct controller *c, uint64_t peer, uint64_t number,
	const Weir__Submit *submit, Weir__JobRecord *record)
{
	Weir__JobSpec *spec = record_copy(submit->spec);
	spec->format = MESSAGE_VERSION;
	record->submitted_at = c->wall_ns;
	record->term = c->term;
	struct job_entry *job = registry_add_job(c, record, spec);
	if (!job) {
		record_free(record);
		record_free(spec);
		reply_error(c, peer, number, false, "there are as many jobs as there can be");
		return;
	}
	job->entry.dirty = true;
	await(c, job, peer, number);
}

// A client that got no answer asks again, with the same token, and gets the same job.
static void submit(struct controller *c, uint64_t peer, uint64_t number, const Weir__Submit *submit)
{
	char *errors = NULL;
	Weir__JobRecord *record =
		submission_check(submit->spec, submit->token, c->config.kinds, &errors);
	if (!record) {
		reply_error(c, peer, number, true, errors);
		free(errors);
		return;
	}
	struct job_entry *job = registry_job(c, record->id);
	if (!job) {
		add_job(c, peer, number, submit, record);
		return;
	}
	if (strcmp(job->record->token, submit->token) != 0)
		reply_error(c, peer, number, false, "the job's id is taken; submit it again");
	else if (job->entry.revision == 0)
		await(c, job, peer, number);
	else
		reply_jobs(c, peer, number, job);
	record_free(record);
}

static struct job_entry *named(struct controller *c, uint64_t peer, uint64_t number, const char *id)
{
	char error[REASON_BYTES];
	struct job_entry *job = registry_job(c, id);
	if (job && job->entry.revision != 0)
		return job;
	bool leads = c->phase == PHASE_LEADING;
	snprintf(error, sizeof(error),
		leads ? "there is no job %.100s; `weir list` lists them"
		      : "nobody leads, and controller %.100s has not known of the job; ask again "
			"once one leads",
		leads ? id : c->config.name);
	reply_error(c, peer, number, leads, error);
	return NULL;
}

static void cancel(struct controller *c, uint64_t peer, uint64_t number, const Weir__Cancel *cancel)
{
	char error[REASON_BYTES];
	struct job_entry *job = named(c, peer, number, cancel->job);
	if (!job)
		return;
	if (job_is_ended(job)) {
		snprintf(error, sizeof(error), "job %s is %s already", job->record->id,
			job_state_name(job->record->state));
		reply_error(c, peer, number, false, error);
		return;
	}
	if (job->wish != WISH_CANCEL)
		job->wish = cancel->publish ? WISH_INTERRUPT : WISH_CANCEL;
	job->look = true;
	await(c, job, peer, number);
}

static bool only_reads(const Weir__Request *request)
{
	return request->what_case != WEIR__REQUEST__WHAT_SUBMIT &&
		request->what_case != WEIR__REQUEST__WHAT_CANCEL;
}

void requests_take(struct controller *c, uint64_t peer, uint64_t number,
	const Weir__Request *request)
{
	bool elsewhere = *c->leader_address && strcmp(c->leader_address, c->config.address) != 0;
	struct job_entry *job = NULL;
	if (c->phase != PHASE_LEADING &&
		((elsewhere && !c->silent_since_ns) || !only_reads(request))) {
		election_redirect(c, peer, number);
		return;
	}
	switch (request->what_case) {
	case WEIR__REQUEST__WHAT_SUBMIT:
		submit(c, peer, number, request->submit);
		break;
	case WEIR__REQUEST__WHAT_CANCEL:
		cancel(c, peer, number, request->cancel);
		break;
	case WEIR__REQUEST__WHAT_STATUS:
		job = named(c, peer, number, request->status);
		if (job)
			reply_jobs(c, peer, number, job);
		break;
	case WEIR__REQUEST__WHAT_NODES:
		reply_nodes(c, peer, number);
		break;
	case WEIR__REQUEST__WHAT_EVENTS:
		reply_events(c, peer, number, request->events);
		break;
	default:
		reply_jobs(c, peer, number, NULL);
	}
}
