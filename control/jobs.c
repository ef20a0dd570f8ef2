// The life of a job. A state is acted on once it is written, and it is left only by another write;
// the ended states are final.
//
//   submitted → preparing → running → publishing → finished, interrupted
//                         any but publishing → cancelled; any → failed
//
// A running job whose plan has replicas for what a lost participant did goes on: takeover.c; and is
// given a new one in its place: repair.c.
// A job that is publishing fails only when a part's output is lost for certain: until then a node
// that is silent may have been told to publish.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

// What the participants of a job came to.
struct tally {
	uint32_t prepared, ended, published, lost;
	bool interrupted, differs, leaving;
	uint64_t plan_hash;
};

static bool state_is_ended(Weir__JobState state)
{
	return state >= WEIR__JOB_STATE__JOB_FINISHED;
}

bool job_is_ended(const struct job_entry *job)
{
	return state_is_ended(job->record->state);
}

bool job_end_is_written(const struct job_entry *job)
{
	return state_is_ended(job->settled);
}

void job_change(struct controller *c, struct job_entry *job, Weir__JobState state)
{
	VERIFY(!job_is_ended(job) && entry_is_settled(&job->entry));
	ASSERT(state >= job->record->state);
	repair_change(c, job, state);
	job->record->state = state;
	job->record->term = c->term;
	if (state_is_ended(state))
		job->record->ended_at = c->wall_ns;
	job->entry.dirty = true;
}

void job_fail(struct controller *c, struct job_entry *job, const char *format, ...)
{
	char why[MESSAGE_TEXT_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	text_set(&job->record->error, why);
	job_change(c, job, WEIR__JOB_STATE__JOB_FAILED);
}

// Nodes forget the parts of a job that has ended; its figures stay with this leader.
static void keep_last(struct controller *c, struct job_entry *job)
{
	const Weir__JobRecord *record = job->record;
	job->last = calloc(record->n_participants + 1, sizeof(*job->last));
	VERIFY(job->last);
	for (size_t i = 0; i < record->n_participants; i++) {
		struct node *node = registry_node(c, record->participants[i]->node);
		struct part *part = node ? node_part(node, record->id, record->incarnation) : NULL;
		if (part && !record->participants[i]->lost)
			job->last[i] = record_copy(part->told);
	}
}

void jobs_settled(struct controller *c, struct job_entry *job)
{
	const Weir__JobRecord *record = job->record;
	bool is_news = // records are also written for losses and new replicas
		record->state != job->settled || record->state == WEIR__JOB_STATE__JOB_SUBMITTED;
	job->look = true;
	job->first_leader |= c->phase == PHASE_LEADING && is_news &&
		record->state == WEIR__JOB_STATE__JOB_RUNNING;
	job->settled = record->state;
	takeover_settled(c, job);
	if (is_news && c->phase == PHASE_LEADING) // not what another leader wrote
		events_add(c, "job %s is %s%s%s", record->id, job_state_name(record->state),
			*record->error ? ": " : "", record->error);
	job->prepare_until_ns = c->now_ns + c->config.prepare_ns;
	if (job_is_ended(job) || record->interrupt || job->wish == WISH_NONE)
		requests_answer(c, job, NULL);
	if (!job_is_ended(job))
		return;
	if (!job->last)
		keep_last(c, job);
	for (uint32_t i = 0; i < c->node_count; i++)
		c->nodes[i]->look = true;
}

void jobs_look_at(struct controller *c, const struct node *node)
{
	for (uint32_t i = 0; i < c->job_count; i++) {
		struct job_entry *job = c->jobs[i];
		job->look |= job->record->state == WEIR__JOB_STATE__JOB_SUBMITTED ||
			repair_is_wanted(job);
		for (uint32_t k = 0; k < job->record->n_participants && !job->look; k++)
			job->look =
				strcmp(job->record->participants[k]->node, node->record->name) == 0;
	}
}

// An end counts once the part knows what it has taken over.
static void count_part(const struct job_entry *job, uint32_t i, struct tally *tally,
	const struct part *part)
{
	const Weir__Part *told = part->told;
	if (told->state < WEIR__PART_STATE__PART_PREPARED)
		return;
	if (tally->prepared == 0)
		tally->plan_hash = told->plan_hash;
	tally->differs |= told->plan_hash != tally->plan_hash;
	tally->prepared++;
	tally->ended +=
		told->state >= WEIR__PART_STATE__PART_FINISHED && takeover_is_known(job, i, told);
	tally->interrupted |= told->state == WEIR__PART_STATE__PART_INTERRUPTED;
}

// Have a part do what the job's state asks for, unless it was told to over this connection.
static void drive_part(struct controller *c, struct job_entry *job, uint32_t i,
	const struct part *part)
{
	Weir__JobState state = job->record->state;
	if (!part && state == WEIR__JOB_STATE__JOB_PREPARING) {
		deploy_command(c, job, i, COMMAND_PREPARE);
		return;
	}
	if (!part || state != WEIR__JOB_STATE__JOB_RUNNING)
		return;
	if (part->told->state == WEIR__PART_STATE__PART_PREPARED)
		deploy_command(c, job, i, COMMAND_START);
	if (part->told->state == WEIR__PART_STATE__PART_RUNNING && job->record->interrupt)
		deploy_command(c, job, i, COMMAND_INTERRUPT);
}

static void look_at_part(struct controller *c, struct job_entry *job, uint32_t i,
	struct tally *tally)
{
	struct node *node = job->nodes[i];
	if (node && node->state != NODE_ALIVE &&
		job->record->state == WEIR__JOB_STATE__JOB_PREPARING)
		snprintf(job->waiting, sizeof(job->waiting), "node %.96s, to prepare",
			node->record->name);
	if (!node || node->state != NODE_ALIVE)
		return;
	struct part *part = node_part(node, job->record->id, job->record->incarnation);
	tally->leaving |= node->leaving;
	if (part)
		count_part(job, i, tally, part);
	drive_part(c, job, i, part);
}

// What the loss of each participant means, as one of them planned it; all have the same plan.
static void take_covers(struct job_entry *job)
{
	Weir__JobRecord *record = job->record;
	struct part *part = node_part(job->nodes[0], record->id, record->incarnation);
	if (record->n_covers > 0 || part->told->n_covers != record->n_participants)
		return;
	record->covers = calloc(record->n_participants, sizeof(*record->covers));
	VERIFY(record->covers);
	for (; record->n_covers < record->n_participants; record->n_covers++)
		record->covers[record->n_covers] =
			record_copy(part->told->covers[record->n_covers]);
}

static void go_on(struct controller *c, struct job_entry *job, const struct tally *tally,
	uint32_t count)
{
	Weir__JobRecord *record = job->record;
	bool preparing = record->state == WEIR__JOB_STATE__JOB_PREPARING;
	if (tally->differs) {
		job_fail(c, job, "nodes plan the job differently; run one version of weir on all");
	} else if (preparing && tally->prepared == count) {
		record->plan_hash = tally->plan_hash;
		take_covers(job);
		job_change(c, job, WEIR__JOB_STATE__JOB_RUNNING);
	} else if (preparing && (tally->leaving || c->now_ns > job->prepare_until_ns)) {
		job_fail(c, job,
			tally->leaving ? "a node leaves" : "a node did not prepare in time");
	} else if (!preparing && tally->ended == count) {
		record->was_interrupted = tally->interrupted;
		job_change(c, job, WEIR__JOB_STATE__JOB_PUBLISHING);
	} else if (!preparing && tally->leaving && !record->interrupt) {
		record->interrupt = true;
		job_change(c, job, record->state);
	}
}

static void look_at_deployed(struct controller *c, struct job_entry *job)
{
	struct tally tally = {0};
	char why[MESSAGE_TEXT_MAX];
	uint32_t count = 0;
	if (!takeover_look(c, job, why)) {
		job_fail(c, job, "%s", why);
		return;
	}
	if (takeover_mark(c, job) || repair_look(c, job))
		return;
	for (uint32_t i = 0; i < job->record->n_participants; i++) {
		if (job->standings[i].lost)
			continue;
		count++;
		look_at_part(c, job, i, &tally);
	}
	go_on(c, job, &tally, count);
}

static void publish_part(struct controller *c, struct job_entry *job, uint32_t i,
	struct tally *tally)
{
	const struct standing *standing = &job->standings[i];
	struct node *node = job->nodes[i];
	bool alive = node && node->state == NODE_ALIVE;
	if (standing->published)
		tally->published++;
	else if (standing->gone && standing->certain)
		tally->lost++;
	else if (alive && node_part(node, job->record->id, job->record->incarnation))
		deploy_command(c, job, i, COMMAND_PUBLISH);
	else
		snprintf(job->waiting, sizeof(job->waiting), "node %.96s, to publish",
			job->record->participants[i]->node);
}

static void look_at_publishing(struct controller *c, struct job_entry *job)
{
	struct tally tally = {0};
	char why[MESSAGE_TEXT_MAX];
	uint32_t count = 0;
	takeover_look(c, job, why);
	if (takeover_mark(c, job))
		return;
	*job->waiting = 0;
	for (uint32_t i = 0; i < job->record->n_participants; i++) {
		if (job->standings[i].lost)
			continue;
		count++;
		publish_part(c, job, i, &tally);
	}
	if (tally.published + tally.lost < count)
		return;
	*job->waiting = 0;
	if (tally.lost > 0)
		job_fail(c, job, "%.800s; %u of %u nodes have published their output", why,
			tally.published, count);
	else
		job_change(c, job,
			job->record->was_interrupted ? WEIR__JOB_STATE__JOB_INTERRUPTED
						     : WEIR__JOB_STATE__JOB_FINISHED);
}

// The incarnations under which replicas may take over are written before anything is prepared:
// whoever leads then, nobody makes one up.
static void name_successors(struct controller *c, struct job_entry *job)
{
	for (size_t i = 0; i < job->record->n_participants; i++)
		job->record->participants[i]->successor = controller_incarnation(c);
}

static void look_at_submitted(struct controller *c, struct job_entry *job)
{
	if (!job->spec) {
		job_fail(c, job, "its text is lost from metadata");
		return;
	}
	if (deploy_choose(c, job)) {
		job->record->incarnation = controller_incarnation(c);
		job->record->plan_version = 1;
		job->record->protocol = CLUSTER_PROTOCOL;
		name_successors(c, job);
		job_change(c, job, WEIR__JOB_STATE__JOB_PREPARING);
	}
}

// What a user wishes comes first.
static bool grant_wish(struct controller *c, struct job_entry *job)
{
	enum job_wish wish = job->wish;
	Weir__JobState state = job->record->state;
	job->wish = WISH_NONE;
	if (wish == WISH_NONE)
		return false;
	if (state >= WEIR__JOB_STATE__JOB_PUBLISHING) {
		requests_answer(c, job, "the job ends already; see its status");
		return false;
	}
	if (wish == WISH_CANCEL || state < WEIR__JOB_STATE__JOB_RUNNING) {
		job_change(c, job, WEIR__JOB_STATE__JOB_CANCELLED);
	} else {
		job->record->interrupt = true;
		job_change(c, job, state);
	}
	return true;
}

static void look_at(struct controller *c, struct job_entry *job)
{
	job->look = false;
	if (grant_wish(c, job) || job_is_ended(job))
		return;
	if (job->record->state == WEIR__JOB_STATE__JOB_SUBMITTED)
		look_at_submitted(c, job);
	else if (job->record->state == WEIR__JOB_STATE__JOB_PUBLISHING)
		look_at_publishing(c, job);
	else
		look_at_deployed(c, job);
}

void jobs_step(struct controller *c)
{
	for (uint32_t i = 0; i < c->job_count; i++) {
		struct job_entry *job = c->jobs[i];
		bool late = job->record->state == WEIR__JOB_STATE__JOB_PREPARING
			? c->now_ns > job->prepare_until_ns
			: repair_is_due(c, job);
		if (!job->look && !late)
			continue;
		if (entry_is_settled(&job->entry))
			look_at(c, job);
		else
			takeover_look_unsettled(c, job);
	}
}
