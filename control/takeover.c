// Jobs that go on without a participant that is gone, because others have replicas of all its
// tasks. The order matters, docs/replicas.md says why:
//
//   1. at once, with no write: every other part is told, and replicas begin;
//   2. the record says that it is lost;
//   3. that is written: parts are told that they need no replica there any more.
//
// A place that is lost may be given to another node: repair.c. Until that is written it is lost.
//
// Whoever was told by an older leader knows more than the record does: what parts list as lost is
// lost. What one that dies unheard had begun goes with it, unless one that lives lists it, too.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

static bool has_covers(const Weir__JobRecord *record)
{
	return record->n_covers > 0 && record->n_covers == record->n_participants;
}

static bool is_under_way(Weir__JobState state)
{
	return state == WEIR__JOB_STATE__JOB_RUNNING || state == WEIR__JOB_STATE__JOB_PUBLISHING;
}

static bool is_in(const uint32_t *list, size_t count, uint32_t index)
{
	bool found = false;
	for (size_t i = 0; i < count && !found; i++)
		found = list[i] == index;
	return found;
}

// Participants are chosen when the record becomes PREPARING, and stay.
void takeover_settled(struct controller *c, struct job_entry *job)
{
	const Weir__JobRecord *record = job->record;
	if (!job->standings && record->n_participants > 0) {
		job->standings = calloc(record->n_participants, sizeof(*job->standings));
		VERIFY(job->standings);
	}
	repair_settled(c, job);
	for (size_t i = 0; i < record->n_participants; i++) {
		struct node *node = registry_node(c, record->participants[i]->node);
		if (!record->participants[i]->lost)
			continue;
		job->standings[i].lost = true;
		if (node)
			node->look = true;
	}
}

// A place that is being repaired was lost before that was written.
bool takeover_is_without(const struct job_entry *job, uint32_t index)
{
	bool repaired = job->repair.phase != REPAIR_NONE && job->repair.place == index;
	return job->record->participants[index]->lost &&
		(repaired || entry_is_settled(&job->entry));
}

static bool is_process_of(const struct node *node, const Weir__Participant *participant)
{
	return node->record->incarnation == participant->incarnation &&
		strcmp(node->record->name, participant->node) == 0;
}

bool takeover_is_over(const struct job_entry *job, const struct node *node)
{
	bool over = !repair_is_at(job, node);
	for (uint32_t i = 0; i < job->record->n_participants && over; i++)
		over = !is_process_of(node, job->record->participants[i]) ||
			takeover_is_without(job, i);
	return over;
}

// All knew of a loss before the place is given to another node.
bool takeover_is_known(const struct job_entry *job, uint32_t index, const Weir__Part *told)
{
	const Weir__JobRecord *record = job->record;
	bool known = true;
	for (uint32_t i = 0; i < record->n_covers && known; i++)
		known = !job->standings[i].lost || repair_is_told(job, i) ||
			!is_in(record->covers[i]->by, record->covers[i]->n_by, index) ||
			is_in(told->lost, told->n_lost, i);
	return known;
}

// A join proves nothing: it may have come from one that never saw the welcome, and went back to an
// older leader. A report does.
static void heard_of(struct job_entry *job, uint32_t index, const Weir__Part *told, bool welcomed)
{
	struct standing *standing = &job->standings[index];
	job->look |= welcomed && !standing->heard; // another one may wait for that
	standing->heard |= welcomed;
	standing->published = told->state == WEIR__PART_STATE__PART_PUBLISHED &&
		takeover_is_known(job, index, told);
	for (size_t i = 0; i < told->n_lost && !standing->lost; i++)
		if (told->lost[i] < job->record->n_participants)
			job->standings[told->lost[i]].listed = true;
}

// The participant that the node is; one that was given up may have another place since.
static uint32_t place_of(const struct job_entry *job, const struct node *node)
{
	uint32_t count = (uint32_t)job->record->n_participants, found = count;
	for (uint32_t i = 0; i < count; i++)
		if (is_process_of(node, job->record->participants[i]) &&
			(found == count || job->standings[found].lost))
			found = i;
	return found;
}

void takeover_heard(struct controller *c, const struct node *node, const Weir__Part *told,
	uint32_t *place)
{
	struct job_entry *job = registry_job(c, told->job);
	if (!job || !job->standings || job->record->incarnation != told->incarnation)
		return;
	uint32_t count = (uint32_t)job->record->n_participants;
	if (*place >= count || job->standings[*place].lost ||
		!is_process_of(node, job->record->participants[*place]))
		*place = place_of(job, node);
	if (*place < count)
		heard_of(job, *place, told, node->state == NODE_ALIVE);
}

static void find_nodes(struct controller *c, struct job_entry *job)
{
	free(job->nodes);
	job->nodes = calloc(job->record->n_participants + 1, sizeof(*job->nodes));
	VERIFY(job->nodes);
	for (uint32_t i = 0; i < job->record->n_participants; i++)
		job->nodes[i] = registry_node(c, job->record->participants[i]->node);
}

static bool say(struct standing *standing, const char *what, const char *why)
{
	snprintf(standing->why, sizeof(standing->why), "%s%s%.200s", what, *why ? ": " : "", why);
	return true;
}

static bool part_is_gone(const struct job_entry *job, struct standing *standing,
	const struct part *part)
{
	bool publishing = job->record->state == WEIR__JOB_STATE__JOB_PUBLISHING;
	if (!part && job->record->state == WEIR__JOB_STATE__JOB_PREPARING)
		return false;
	if (!part)
		return say(standing, publishing ? "died before it published" : "lost its part", "");
	if (part->told->state == WEIR__PART_STATE__PART_FAILED)
		return say(standing, publishing ? "could not publish" : "failed",
			part->told->error);
	return part->hung && say(standing, "does not move", "a worker hangs");
}

static bool is_given_up(struct standing *standing)
{
	return standing->listed && say(standing, "was given up by a leader before", "");
}

// While nothing runs yet, one that is only silent may come back: nothing is lost by waiting.
static bool is_awaited(const struct job_entry *job, const struct node *node)
{
	return node->silent && job->record->state == WEIR__JOB_STATE__JOB_PREPARING;
}

static bool node_is_gone(const struct job_entry *job, uint32_t index)
{
	struct standing *standing = &job->standings[index];
	struct node *node = job->nodes[index];
	bool publishing = job->record->state == WEIR__JOB_STATE__JOB_PUBLISHING;
	if (!node || node->record->incarnation != job->record->participants[index]->incarnation)
		return say(standing, publishing ? "died before it published" : "died",
			node ? "its process was replaced" : "");
	if (node->state == NODE_DEAD)
		return !is_awaited(job, node) && say(standing, "died", node->reason);
	return node->state == NODE_ALIVE &&
		part_is_gone(job, standing,
			node_part(node, job->record->id, job->record->incarnation));
}

static bool is_silent(const struct node *node)
{
	return node && node->state == NODE_DEAD;
}

// Silence is certain of nothing while the job publishes: the node may be doing it.
static bool is_gone(const struct job_entry *job, uint32_t index)
{
	struct standing *standing = &job->standings[index];
	bool publishing = job->record->state == WEIR__JOB_STATE__JOB_PUBLISHING;
	if (publishing && standing->published)
		return false;
	bool gone = node_is_gone(job, index);
	standing->certain = gone && !(publishing && is_silent(job->nodes[index]));
	return gone || (!publishing && is_given_up(standing));
}

static const char *name_of(const struct job_entry *job, uint32_t index)
{
	return job->record->participants[index]->node;
}

// Returns true, or false with what else is wrong in `why`.
static bool is_covered(const struct job_entry *job, uint32_t index, char *why)
{
	const Weir__JobRecord *record = job->record;
	int bytes = snprintf(why, MESSAGE_TEXT_MAX, "node %.96s %s", name_of(job, index),
		job->standings[index].why);
	if (!has_covers(record) || !is_under_way(job->settled))
		return false;
	const Weir__Cover *cover = record->covers[index];
	if (!cover->whole) {
		snprintf(why + bytes, MESSAGE_TEXT_MAX - (size_t)bytes,
			"; not all its tasks have replicas");
		return false;
	}
	for (size_t i = 0; i < cover->n_by; i++) {
		const struct standing *other = &job->standings[cover->by[i]];
		if (!other->lost && !other->gone)
			continue;
		snprintf(why + bytes, MESSAGE_TEXT_MAX - (size_t)bytes,
			"; node %.96s, which has the other instances of its tasks, %s",
			name_of(job, cover->by[i]), other->why);
		return false;
	}
	return true;
}

// Whether it is known for whom it had begun: a living one, which would then have to be given up as
// well. One that was heard in this term has told. Of another the rest can tell, once all of them
// were heard who may still be: they take nothing that rests on a loss before they are told of it
// and list it (docs/protocol.md, rule G5). Nobody was told anything before the job came to run, and
// when all are at their end there is nothing left to differ in.
static bool is_known(const struct job_entry *job, uint32_t index)
{
	const Weir__JobRecord *record = job->record;
	bool known = true;
	if (job->standings[index].heard || record->covers[index]->n_by == 0 || job->first_leader ||
		record->state == WEIR__JOB_STATE__JOB_PUBLISHING)
		return true;
	for (uint32_t i = 0; i < record->n_participants && known; i++) {
		const struct standing *other = &job->standings[i];
		known = i == index || other->lost || other->gone || other->heard;
	}
	return known;
}

// Returns false if the job cannot do without it.
static bool weigh(struct job_entry *job, uint32_t index, char *why, bool *ret_spared)
{
	*ret_spared = false;
	if (!is_covered(job, index, why))
		return false;
	*ret_spared = is_known(job, index);
	if (!*ret_spared)
		snprintf(job->waiting, sizeof(job->waiting),
			"what is known of node %.96s, which is given up", name_of(job, index));
	return true;
}

static void give_up(struct controller *c, struct job_entry *job, uint32_t index)
{
	const Weir__Cover *cover = job->record->covers[index];
	struct standing *standing = &job->standings[index];
	standing->lost = true;
	standing->lost_at = c->wall_ns;
	for (size_t i = 0; i < cover->n_by; i++) // not yet what they take over now
		job->standings[cover->by[i]].published = false;
	events_add(c, "job %.96s goes on without node %.48s, which %s", job->record->id,
		name_of(job, index), standing->why);
	repair_lost(c, job);
}

static void tell_part(struct controller *c, struct job_entry *job, struct node *node,
	struct part *part)
{
	const Weir__JobRecord *record = job->record;
	if (part->told->state < WEIR__PART_STATE__PART_PREPARED)
		return;
	for (uint32_t i = 0; i < record->n_participants; i++) {
		if (repair_is_told(job, i))
			continue;
		if (job->standings[i].lost)
			deploy_lose(c, job, node, part, i, false);
		if (takeover_is_without(job, i))
			deploy_lose(c, job, node, part, i, true);
	}
}

void takeover_tell(struct controller *c, struct job_entry *job)
{
	for (uint32_t i = 0; i < job->record->n_participants; i++) {
		struct node *node = job->nodes[i];
		if (job->standings[i].lost || !node || node->state != NODE_ALIVE)
			continue;
		struct part *part = node_part(node, job->record->id, job->record->incarnation);
		if (part)
			tell_part(c, job, node, part);
	}
}

// Of a job that publishes: others publish what these should, so that is what the record is to say.
// One that lives and cannot be spared is no reason to fail.
static void give_up_listed(struct controller *c, struct job_entry *job)
{
	char why[MESSAGE_TEXT_MAX];
	bool spared;
	for (uint32_t i = 0; i < job->record->n_participants; i++) {
		struct standing *standing = &job->standings[i];
		if (standing->lost || standing->gone || !is_given_up(standing))
			continue;
		weigh(job, i, why, &spared);
		if (spared)
			give_up(c, job, i);
	}
}

bool takeover_look(struct controller *c, struct job_entry *job, char *why)
{
	uint32_t count = (uint32_t)job->record->n_participants;
	bool fails = false, spared;
	char first[MESSAGE_TEXT_MAX];
	find_nodes(c, job);
	*job->waiting = 0;
	for (uint32_t i = 0; i < count; i++)
		job->standings[i].gone = !job->standings[i].lost && is_gone(job, i);
	for (uint32_t i = 0; i < count; i++) {
		if (!job->standings[i].gone || job->standings[i].lost)
			continue;
		bool good = weigh(job, i, first, &spared);
		if (spared)
			give_up(c, job, i);
		if (!good && !fails)
			memcpy(why, first, MESSAGE_TEXT_MAX);
		fails |= !good;
	}
	if (job->record->state == WEIR__JOB_STATE__JOB_PUBLISHING)
		give_up_listed(c, job);
	takeover_tell(c, job);
	return !fails;
}

void takeover_look_unsettled(struct controller *c, struct job_entry *job)
{
	char why[MESSAGE_TEXT_MAX];
	if (is_under_way(job->record->state) && is_under_way(job->settled) &&
		has_covers(job->record) && !repair_decides(job))
		takeover_look(c, job, why);
}

bool takeover_mark(struct controller *c, struct job_entry *job)
{
	bool changed = false;
	for (uint32_t i = 0; i < job->record->n_participants; i++) {
		Weir__Participant *participant = job->record->participants[i];
		if (!job->standings[i].lost || participant->lost)
			continue;
		participant->lost = true;
		participant->lost_at = job->standings[i].lost_at;
		text_set(&participant->lost_why, job->standings[i].why);
		changed = true;
	}
	if (changed)
		job_change(c, job, job->record->state);
	return changed;
}

static bool dies_with(const Weir__JobRecord *record, uint32_t index, uint32_t other, bool rack)
{
	const Weir__Participant *a = record->participants[index], *b = record->participants[other];
	return rack ? strcmp(a->rack, b->rack) == 0 : strcmp(a->host, b->host) == 0;
}

// Whether this leader has heard of it: before, it may be dead, or have been given up.
static bool is_there(struct controller *c, const struct job_entry *job, uint32_t index)
{
	const Weir__Participant *participant = job->record->participants[index];
	const struct standing *standing = &job->standings[index];
	struct node *node = registry_node(c, participant->node);
	return standing->heard && !standing->gone && node && node->state == NODE_ALIVE &&
		is_process_of(node, participant);
}

// Whether the job outlives what happens to `index`, of all that may die at once with `first`.
static bool outlives(struct controller *c, const struct job_entry *job, uint32_t first,
	uint32_t index, bool rack, char *why)
{
	const Weir__Cover *cover = job->record->covers[index];
	if (!cover->whole) {
		snprintf(why, REASON_BYTES, "not all tasks of node %.96s have replicas",
			name_of(job, index));
		return false;
	}
	for (size_t i = 0; i < cover->n_by; i++) {
		uint32_t by = cover->by[i];
		bool lost = job->standings[by].lost, there = is_there(c, job, by);
		if (!lost && there && !dies_with(job->record, first, by, rack))
			continue;
		snprintf(why, REASON_BYTES, "tasks of node %.72s have no other instance%s%.72s",
			name_of(job, index),
			lost            ? ": that was on node "
				: there ? " elsewhere than on "
					: " that was heard of yet: it is on node ",
			name_of(job, by));
		return false;
	}
	return true;
}

// Counts the domains of which the job outlives any one, and those of which it does not.
static void count_domains(struct controller *c, const struct job_entry *job, bool rack,
	uint32_t *ret_spared, uint32_t *ret_needed, char *why)
{
	uint32_t count = (uint32_t)job->record->n_participants;
	*ret_spared = *ret_needed = 0;
	for (uint32_t i = 0; i < count; i++) {
		bool good = true, counted = job->standings[i].lost;
		for (uint32_t k = 0; k < i && !counted; k++)
			counted = !job->standings[k].lost && dies_with(job->record, i, k, rack);
		for (uint32_t k = i; k < count && good && !counted; k++)
			good = job->standings[k].lost || !dies_with(job->record, i, k, rack) ||
				outlives(c, job, i, k, rack, why);
		*ret_spared += !counted && good;
		*ret_needed += !counted && !good;
	}
}

void takeover_survives(struct controller *c, const struct job_entry *job, char *text)
{
	uint32_t spared, needed;
	char why[REASON_BYTES] = "", rack_why[REASON_BYTES];
	*text = 0;
	if (!has_covers(job->record) || !is_under_way(job->record->state))
		return;
	count_domains(c, job, false, &spared, &needed, why);
	if (needed > 0) {
		snprintf(text, REASON_BYTES, "survives %s: %.200s",
			spared > 0 ? "not every further death" : "no further death", why);
		return;
	}
	count_domains(c, job, true, &spared, &needed, rack_why);
	snprintf(text, REASON_BYTES, needed > 0 ? "survives 1 host" : "survives 1 rack");
}
