// What must hold, whatever fails: checked at every write of metadata, at every step that shows a
// leader, at everything that shows outside, and at the end.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/cluster/cluster.h"

static bool is_ended(const Weir__JobRecord *job)
{
	return job->state >= WEIR__JOB_STATE__JOB_FINISHED;
}

static uint32_t publications(const struct cluster *c, const Weir__JobRecord *job)
{
	uint32_t count = 0;
	for (size_t i = 0; i < c->published_count; i++)
		count += strcmp(c->published[i].job, job->id) == 0 &&
			c->published[i].incarnation == job->incarnation;
	return count;
}

// Of the two that have an instance of its task and are not lost, how many.
static uint32_t publishers(const struct cluster *c, const Weir__JobRecord *job,
	uint32_t participant)
{
	uint32_t places[] = {
		participant, replica_of(job->id, (uint32_t)job->n_participants, participant)};
	uint32_t count = 0;
	for (size_t i = 0; i < c->published_count; i++) {
		const struct published *entry = &c->published[i];
		bool meant = strcmp(entry->job, job->id) == 0 &&
			entry->participant == participant && entry->incarnation == job->incarnation;
		for (uint32_t k = 0; k < 2 && meant; k++)
			count += places[k] != NO_REPLICA && !job->participants[places[k]]->lost &&
				strcmp(c->processes[entry->process].name,
					job->participants[places[k]]->node) == 0;
	}
	return count;
}

static bool may_follow(Weir__JobState from, Weir__JobState to)
{
	static const uint32_t next[] = {
		[WEIR__JOB_STATE__JOB_SUBMITTED] = 1u << WEIR__JOB_STATE__JOB_SUBMITTED |
			1u << WEIR__JOB_STATE__JOB_PREPARING |
			1u << WEIR__JOB_STATE__JOB_CANCELLED | 1u << WEIR__JOB_STATE__JOB_FAILED,
		[WEIR__JOB_STATE__JOB_PREPARING] = 1u << WEIR__JOB_STATE__JOB_RUNNING |
			1u << WEIR__JOB_STATE__JOB_CANCELLED | 1u << WEIR__JOB_STATE__JOB_FAILED,
		[WEIR__JOB_STATE__JOB_RUNNING] = 1u << WEIR__JOB_STATE__JOB_RUNNING |
			1u << WEIR__JOB_STATE__JOB_PUBLISHING |
			1u << WEIR__JOB_STATE__JOB_CANCELLED | 1u << WEIR__JOB_STATE__JOB_FAILED,
		[WEIR__JOB_STATE__JOB_PUBLISHING] = 1u << WEIR__JOB_STATE__JOB_FINISHED |
			1u << WEIR__JOB_STATE__JOB_PUBLISHING |
			1u << WEIR__JOB_STATE__JOB_INTERRUPTED | 1u << WEIR__JOB_STATE__JOB_FAILED,
		[WEIR__JOB_STATE__JOB_FAILED] = 0,
	};
	return next[from] & 1u << to;
}

// Whoever has what a lost one did publishes, also when others did it for him and that was heard of
// too late: then the same output is there twice.
static bool can_be_spared(const Weir__JobRecord *job, uint32_t place)
{
	uint32_t by[NODES_MAX];
	uint32_t count = replica_partners(job->id, (uint32_t)job->n_participants, place, by);
	bool spared = true;
	for (uint32_t i = 0; i < count; i++)
		spared &= !job->participants[by[i]]->lost;
	return spared;
}

static bool ended_well(const Weir__JobRecord *job)
{
	return job->state == WEIR__JOB_STATE__JOB_FINISHED ||
		job->state == WEIR__JOB_STATE__JOB_INTERRUPTED;
}

void ledger_ended(struct cluster *c, const Weir__JobRecord *job)
{
	bool whole = ended_well(job);
	bool without = false;
	const struct shadow *s = shadow_of(c, job->id);
	for (uint32_t i = 0; i < job->n_participants && whole; i++) {
		without |= job->participants[i]->lost;
		uint32_t count = publishers(c, job, i), owner = s ? s->owners[i] : i;
		if (count != 1 && (count != 2 || can_be_spared(job, owner)))
			cluster_violate(c, "job %s ended well with the output of %s there %u times",
				job->id, job->participants[i]->node, count);
	}
	c->taken_over += without;
	if (job->state == WEIR__JOB_STATE__JOB_CANCELLED && publications(c, job) > 0)
		cluster_violate(c, "job %s was cancelled after it had published", job->id);
}

// The highest term there ever was is the only one that writes.
static bool is_of_the_leader(const struct cluster *c, const Weir__JobRecord *job)
{
	const struct stored *found = sim_meta_find(c, "weir/election/term");
	Weir__LeaderRecord *leader = found ? leader_record_read(found->value, found->bytes) : NULL;
	bool good = leader && leader->term == job->term;
	record_free(leader);
	return good;
}

// A participant that is lost in brackets, with who is to have its place.
static void say_job(const struct cluster *c, const Weir__JobRecord *job)
{
	char text[256] = "";
	size_t bytes = 0;
	if (!c->verbose)
		return;
	for (size_t i = 0; i < job->n_participants && bytes < sizeof(text) - 32; i++) {
		const Weir__Participant *p = job->participants[i];
		bytes += (size_t)snprintf(text + bytes, sizeof(text) - bytes,
			p->lost ? " (%.8s%s%.8s)" : " %.8s", p->node, p->repair ? ", to be " : "",
			p->repair ? p->repair->node : "");
	}
	cluster_say(c, "written in term %" PRIu64 ": job %s is %s:%s%s%s", job->term, job->id,
		job_state_name(job->state), text, *job->error ? "; " : "", job->error);
}

static void check_job(struct cluster *c, const struct stored *before, const struct meta_put *put)
{
	Weir__JobRecord *was = before ? job_record_read(before->value, before->bytes) : NULL;
	Weir__JobRecord *is = put->value ? job_record_read(put->value, put->bytes) : NULL;
	if (put->value && !is)
		cluster_violate(c, "%s: a record that cannot be read", put->key);
	else if (!is && was && !is_ended(was))
		cluster_violate(c, "job %s was removed before it had ended", was->id);
	else if (was && is && is_ended(was))
		cluster_violate(c, "job %s changed after it had ended, from %d to %d", is->id,
			was->state, is->state);
	else if (was && is && !may_follow(was->state, is->state))
		cluster_violate(c, "job %s went from state %d to %d", is->id, was->state,
			is->state);
	else if (is && !is_of_the_leader(c, is))
		cluster_violate(c, "job %s was written by a leader of an older term", is->id);
	else if (was && is && is->incarnation < was->incarnation)
		cluster_violate(c, "job %s: its incarnation shrank", is->id);
	c->ended_count += is && is_ended(is);
	c->finished_count += is && ended_well(is);
	if (is)
		say_job(c, is);
	if (!c->violated)
		c->work->wrote(c, was, is);
	record_free(was);
	record_free(is);
}

static void check_node(struct cluster *c, const struct stored *before, const struct meta_put *put)
{
	Weir__NodeRecord *was = before ? node_record_read(before->value, before->bytes) : NULL;
	Weir__NodeRecord *is = put->value ? node_record_read(put->value, put->bytes) : NULL;
	if (!is)
		cluster_violate(c, "%s: a record that is removed or cannot be read", put->key);
	else if (was && is->incarnation < was->incarnation)
		cluster_violate(c, "node %s: its incarnation shrank", is->name);
	else if (was && (is->boot == was->boot) != (is->incarnation == was->incarnation))
		cluster_violate(c, "node %s: process and incarnation do not go together", is->name);
	record_free(was);
	record_free(is);
}

void ledger_write(struct cluster *c, const struct stored *before, const struct meta_put *put)
{
	if (strncmp(put->key, "weir/jobs/", 10) == 0)
		check_job(c, before, put);
	else if (strncmp(put->key, "weir/nodes/", 11) == 0)
		check_node(c, before, put);
}

void ledger_term(struct cluster *c, const struct process *p)
{
	uint64_t term = controller_term(p->controller);
	if (term == 0)
		return;
	VERIFY(term < LEDGER_TERMS_MAX);
	if (c->term_boots[term] != 0 && c->term_boots[term] != p->boot)
		cluster_violate(c, "term %" PRIu64 " has two leaders", term);
	c->term_boots[term] = p->boot;
	for (uint32_t i = 0; i < c->controllers; i++) {
		const struct process *q = &c->processes[i];
		bool stale = q->step_asked && q->wake_ns <= c->time.now_ns; // it will find out now
		if (q != p && process_runs(q) && !stale && controller_term(q->controller))
			cluster_violate(c, "%s and %s lead at once", p->name, q->name);
	}
}

Weir__JobRecord *ledger_job(const struct cluster *c, const char *id)
{
	char key[META_KEY_MAX];
	snprintf(key, sizeof(key), "weir/jobs/%s", id);
	const struct stored *found = sim_meta_find(c, key);
	return found ? job_record_read(found->value, found->bytes) : NULL;
}

// A leader of the past may still have one started; but never before all are prepared, and never
// under an incarnation that was not written.
void ledger_start(struct cluster *c, const struct process *p, const char *job, uint64_t incarnation)
{
	Weir__JobRecord *record = ledger_job(c, job);
	if (record && record->incarnation == incarnation && record->plan_hash == 0)
		cluster_violate(c, "job %s was started on %s before all had prepared", job,
			p->name);
	if (record && record->incarnation < incarnation)
		cluster_violate(c, "job %s was started on %s before that was written", job,
			p->name);
	record_free(record);
}

void ledger_alone(struct cluster *c, const char *job, uint32_t lost)
{
	Weir__JobRecord *record = ledger_job(c, job);
	if (record && !record->participants[lost]->lost)
		cluster_violate(c, "job %s: told to do without %s before that was written", job,
			record->participants[lost]->node);
	record_free(record);
}

static bool is_without(const Weir__JobRecord *job, const struct process *p)
{
	bool without = false;
	for (size_t i = 0; i < job->n_participants && !without; i++)
		without = job->participants[i]->lost &&
			strcmp(job->participants[i]->node, p->name) == 0;
	return without;
}

// One that the job goes on without may do late what it was once told: it is the same output.
void ledger_publish(struct cluster *c, const struct process *p, const char *job,
	uint64_t incarnation, uint32_t participant)
{
	Weir__JobRecord *record = ledger_job(c, job);
	bool good = record && record->incarnation == incarnation &&
		(record->state == WEIR__JOB_STATE__JOB_PUBLISHING || is_without(record, p));
	good |= shadow_is_without(c, job, incarnation, p->index);
	if (!good)
		cluster_violate(c, "job %s published on %s in state %d", job, p->name,
			record ? (int)record->state : -1);
	for (size_t i = 0; i < c->published_count; i++)
		if (strcmp(c->published[i].job, job) == 0 && c->published[i].process == p->index &&
			c->published[i].participant == participant)
			cluster_violate(c, "job %s published on %s twice", job, p->name);
	c->published = realloc(c->published, (c->published_count + 1) * sizeof(*c->published));
	VERIFY(c->published);
	struct published *entry = &c->published[c->published_count++];
	*entry = (struct published){
		.incarnation = incarnation, .process = p->index, .participant = participant};
	strcpy(entry->job, job);
	record_free(record);
}

static bool all_ended(const struct cluster *c)
{
	bool ended = true;
	for (size_t i = 0; i < c->server.count && ended; i++) {
		const struct stored *key = &c->server.keys[i];
		if (strncmp(key->key, "weir/jobs/", 10) != 0)
			continue;
		Weir__JobRecord *job = job_record_read(key->value, key->bytes);
		ended = job && is_ended(job);
		record_free(job);
	}
	return ended;
}

// Nothing is left to do: one leads, every node has joined and holds no part, every job has ended.
bool ledger_is_quiet(const struct cluster *c, const char **ret_why)
{
	uint32_t leaders = 0, joined = 0, parts = 0, known = 0;
	for (uint32_t i = 0; i < c->count; i++) {
		const struct process *p = &c->processes[i];
		leaders += p->role == ROLE_CONTROLLER && p->up && controller_term(p->controller);
		joined += p->role == ROLE_NODE && p->up &&
			!strncmp(agent_state(p->agent), "joined", 6);
		parts += c->work->parts(p);
	}
	for (uint32_t i = 0; i < c->client.submitted; i++)
		known += c->client.jobs[i].done;
	*ret_why = leaders != 1                ? "not one leads"
		: joined != c->nodes           ? "not every node has joined"
		: known != c->client.submitted ? "a submission was not answered"
		: !all_ended(c)                ? "not every job has ended"
		: parts != 0                   ? "nodes hold parts of jobs that have ended"
					       : NULL;
	return *ret_why == NULL;
}
