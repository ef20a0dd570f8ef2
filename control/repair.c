// New replicas while a job runs. The place of a participant that is lost is given to another node;
// all its tasks become replicas of what took over. The order matters, docs/replicas.md says why:
//
//   1. the record says who is to have the place, and what will take over from whom afterwards;
//   2. that is written: the node prepares, and the others are told to admit it;
//   3. all have admitted it: they are told to give it what it needs;
//   4. all have: the record says that it has the place, and that it is lost no more.
//
// Until 4 is written the place is lost for all that takeover.c decides, and the node is nobody's
// successor. So it can be given up at any time before, and is, whatever goes wrong: by telling the
// others that the place is lost, as it was.
#include <stdio.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

#define PAUSE_NS_MIN 5000000000LL
#define PAUSE_NS_MAX 60000000000LL

enum { PREPARES = 2 }; // that it may last

static bool is_open(const struct job_entry *job)
{
	return job->repair.phase >= REPAIR_CHOSEN && job->repair.phase <= REPAIR_FED;
}

bool repair_is_told(const struct job_entry *job, uint32_t index)
{
	enum repair_phase phase = job->repair.phase;
	return job->repair.place == index && phase >= REPAIR_ADMITTED && phase <= REPAIR_WHOLE;
}

bool repair_decides(const struct job_entry *job)
{
	return job->repair.phase == REPAIR_WHOLE;
}

bool repair_is_wanted(const struct job_entry *job)
{
	const Weir__JobRecord *record = job->record;
	bool wanted = false;
	for (size_t i = 0; i < record->n_participants && !wanted; i++)
		wanted = record->participants[i]->lost;
	return wanted && record->state == WEIR__JOB_STATE__JOB_RUNNING && !record->interrupt;
}

bool repair_is_due(const struct controller *c, const struct job_entry *job)
{
	return job->repair.look_ns != 0 && c->now_ns > job->repair.look_ns;
}

bool repair_is_at(const struct job_entry *job, const struct node *node)
{
	return job->repair.phase != REPAIR_NONE &&
		job->repair.incarnation == node->record->incarnation;
}

static bool is_in(const uint32_t *list, size_t count, uint32_t index)
{
	bool found = false;
	for (size_t i = 0; i < count && !found; i++)
		found = list[i] == index;
	return found;
}

// ---- what the record says

static Weir__Participant *repaired_in(const Weir__JobRecord *record, uint32_t *ret_place)
{
	for (uint32_t i = 0; i < record->n_participants; i++) {
		*ret_place = i;
		if (record->participants[i]->repair)
			return record->participants[i];
	}
	return NULL;
}

static void forget(Weir__JobRecord *record)
{
	for (size_t i = 0; i < record->n_participants; i++) {
		Weir__Participant *p = record->participants[i];
		record_free(p->repair);
		p->repair = NULL;
		p->next_successor = 0;
	}
	record->repair_incarnation = 0;
}

// As it is once the place is whole.
static void apply(Weir__JobRecord *record, uint32_t place)
{
	Weir__Participant *p = record->participants[place];
	Weir__Replacement *r = p->repair;
	char **links = p->links;
	size_t link_count = p->n_links;
	text_set(&p->node, r->node);
	text_set(&p->host, r->host);
	text_set(&p->rack, r->rack);
	text_set(&p->lost_why, "");
	p->incarnation = r->incarnation;
	p->node_worker = r->node_worker;
	p->boot = record->repair_incarnation;
	p->links = r->links;
	p->n_links = r->n_links;
	r->links = links;
	r->n_links = link_count;
	p->lost = false;
	p->lost_at = 0;
	for (size_t i = 0; i < record->n_participants; i++)
		record->participants[i]->successor = record->participants[i]->next_successor;
	forget(record);
}

// ---- giving up

static void end(struct controller *c, struct job_entry *job, const char *why)
{
	struct repair *r = &job->repair;
	r->phase = REPAIR_ENDED;
	snprintf(r->why, sizeof(r->why), "%.200s", why);
	events_add(c, "job %.96s gets no new replica of what node %.48s did yet: %.80s",
		job->record->id, job->record->participants[r->place]->node, r->why);
}

// What may go the same way the next time: that waits, each time longer.
static void give_up(struct controller *c, struct job_entry *job, const char *why)
{
	struct repair *r = &job->repair;
	bool longer = r->pause_ns > 0 && r->pause_ns < PAUSE_NS_MAX / 2;
	r->pause_ns = r->pause_ns == 0 ? PAUSE_NS_MIN : longer ? 2 * r->pause_ns : PAUSE_NS_MAX;
	r->again_ns = c->now_ns + r->pause_ns;
	end(c, job, why);
}

// It came to its end by what it had no part in, so the next one waits no longer than it would have.
void repair_lost(struct controller *c, struct job_entry *job)
{
	if (is_open(job))
		end(c, job, "another node is lost");
}

void repair_change(struct controller *c, struct job_entry *job, Weir__JobState state)
{
	bool runs = state == WEIR__JOB_STATE__JOB_RUNNING && !job->record->interrupt;
	if (is_open(job) && !runs) {
		job->repair.phase = REPAIR_ENDED;
		job->look = true; // the others are told
	}
	if (job->repair.phase == REPAIR_ENDED)
		forget(job->record);
}

// What an older leader began: who was told what of it is not known.
static void take_up(struct controller *c, struct job_entry *job, const Weir__Participant *p,
	uint32_t place)
{
	struct repair *r = &job->repair;
	r->place = place;
	r->incarnation = p->repair->incarnation;
	r->node_worker = p->repair->node_worker;
	end(c, job, "the leader has changed");
}

static void be_whole(struct controller *c, struct job_entry *job)
{
	const Weir__Participant *p = job->record->participants[job->repair.place];
	job->standings[job->repair.place] = (struct standing){.heard = true};
	job->repair = (struct repair){0};
	events_add(c, "job %.96s has a new replica, on node %.96s", job->record->id, p->node);
}

void repair_settled(struct controller *c, struct job_entry *job)
{
	struct repair *r = &job->repair;
	uint32_t place;
	const Weir__Participant *p = repaired_in(job->record, &place);
	r->look_ns = 0;
	if (p && (r->phase == REPAIR_NONE || r->phase == REPAIR_WHOLE)) {
		take_up(c, job, p, place);
	} else if (!p && r->phase == REPAIR_WHOLE) {
		be_whole(c, job);
	} else if (!p && r->phase != REPAIR_NONE) {
		r->phase = REPAIR_NONE;
		for (uint32_t i = 0; i < c->node_count; i++) // its part is swept
			c->nodes[i]->look = true;
	}
}

// ---- beginning

// Whether it obeys this leader, and has done all it was told.
static bool is_ready(const struct job_entry *job, uint32_t index)
{
	const Weir__JobRecord *record = job->record;
	const struct standing *standing = &job->standings[index];
	struct node *node = job->nodes[index];
	if (!standing->heard || standing->gone || !node || node->state != NODE_ALIVE ||
		node->leaving)
		return false;
	const struct part *part = node_part(node, record->id, record->incarnation);
	bool ready = part && part->told->state == WEIR__PART_STATE__PART_RUNNING &&
		part->number <= node->seen;
	for (uint32_t i = 0; i < record->n_participants && ready; i++)
		ready = !record->participants[i]->lost ||
			is_in(part->told->lost, part->told->n_lost, i);
	return ready;
}

static bool all_are_ready(const struct job_entry *job)
{
	bool ready = true;
	for (uint32_t i = 0; i < job->record->n_participants && ready; i++)
		ready = job->standings[i].lost || is_ready(job, i);
	return ready;
}

// A part that is at its end takes no more orders to admit anybody.
static bool any_has_ended(const struct job_entry *job)
{
	const Weir__JobRecord *record = job->record;
	bool ended = false;
	for (uint32_t i = 0; i < record->n_participants && !ended; i++) {
		struct node *node = job->standings[i].lost ? NULL : job->nodes[i];
		const struct part *part =
			node ? node_part(node, record->id, record->incarnation) : NULL;
		ended = part && part->told->state > WEIR__PART_STATE__PART_RUNNING;
	}
	return ended;
}

// Others that are lost keep theirs: who took over from them did so under it.
static void name_successors(struct controller *c, Weir__JobRecord *record, uint32_t place)
{
	record->repair_incarnation = controller_incarnation(c);
	for (uint32_t i = 0; i < record->n_participants; i++) {
		Weir__Participant *p = record->participants[i];
		p->next_successor =
			p->lost && i != place ? p->successor : controller_incarnation(c);
	}
}

static void choose(struct controller *c, struct job_entry *job, uint32_t place,
	Weir__Replacement *replacement)
{
	struct repair *r = &job->repair;
	Weir__Participant *p = job->record->participants[place];
	ASSERT(p->lost && !p->repair && r->phase == REPAIR_NONE);
	p->repair = replacement;
	name_successors(c, job->record, place);
	r->phase = REPAIR_CHOSEN;
	r->place = place;
	r->incarnation = replacement->incarnation;
	r->node_worker = replacement->node_worker;
	r->since_ns = c->now_ns;
	r->until_ns = c->now_ns + PREPARES * c->config.prepare_ns;
	events_add(c, "job %.96s is to get a new replica of what node %.48s did, on node %.48s",
		job->record->id, p->node, replacement->node);
	job_change(c, job, job->record->state);
}

static bool begin(struct controller *c, struct job_entry *job)
{
	const Weir__JobRecord *record = job->record;
	struct repair *r = &job->repair;
	if (c->now_ns < r->again_ns) {
		r->look_ns = r->again_ns;
		snprintf(job->waiting, sizeof(job->waiting),
			"another try at a new replica; the last one was given up: %.150s", r->why);
		return false;
	}
	if (any_has_ended(job)) {
		snprintf(job->waiting, sizeof(job->waiting),
			"its end: tasks have come to theirs, and no new replica is made any more");
		return false;
	}
	if (!all_are_ready(job))
		return false;
	uint32_t first = r->pause_ns ? r->place + 1 : 0; // another one, if the last was given up
	for (size_t k = 0; k < record->n_participants; k++) {
		uint32_t i = (uint32_t)((first + k) % record->n_participants);
		Weir__Replacement *replacement =
			record->participants[i]->lost ? deploy_choose_replacement(c, job, i) : NULL;
		if (!replacement)
			continue;
		*job->waiting = 0;
		choose(c, job, i, replacement);
		return true;
	}
	return false;
}

// ---- going on

static bool say(char *why, const char *node, const char *what, const char *more)
{
	snprintf(why, REASON_BYTES, "node %.48s %s%s%.100s", node, what, *more ? ": " : "", more);
	return true;
}

// Whether it is to be given up; `why` says for what reason.
static bool has_failed(const struct controller *c, const struct job_entry *job,
	const struct node *node, const struct part *part, char *why)
{
	const struct repair *r = &job->repair;
	const char *name = job->record->participants[r->place]->repair->node;
	if (!node || node->record->incarnation != r->incarnation)
		return say(why, name, "died", node ? "its process was replaced" : "");
	if (node->state == NODE_DEAD)
		return say(why, name, "died", node->reason);
	if (node->leaving)
		return say(why, name, "leaves", "");
	if (!part && r->phase > REPAIR_CHOSEN && node->state == NODE_ALIVE)
		return say(why, name, "lost its part", "");
	if (part && part->told->state == WEIR__PART_STATE__PART_FAILED)
		return say(why, name, "failed", part->told->error);
	if (part && part->hung)
		return say(why, name, "does not move", "a worker hangs");
	if (part && part->told->state >= WEIR__PART_STATE__PART_PREPARED &&
		part->told->plan_hash != job->record->plan_hash)
		return say(why, name, "plans the job differently", "run one version of weir");
	return c->now_ns > r->until_ns && say(why, name, "did not get whole in time", "");
}

// Whether one did as it was told, and says that the place is lost: it cannot give what is needed.
static bool is_refused(const struct job_entry *job, uint32_t index, char *why)
{
	const Weir__JobRecord *record = job->record;
	struct node *node = job->nodes[index];
	if (job->standings[index].lost || !node || node->state != NODE_ALIVE)
		return false;
	const struct part *part = node_part(node, record->id, record->incarnation);
	return part && part->admit_boot == record->repair_incarnation &&
		part->number <= node->seen &&
		is_in(part->told->lost, part->told->n_lost, job->repair.place) &&
		say(why, record->participants[index]->node, "cannot give it what it needs",
			part->told->error);
}

static bool any_refuses(const struct job_entry *job, char *why)
{
	bool refused = false;
	for (uint32_t i = 0; i < job->record->n_participants && !refused; i++)
		refused = is_refused(job, i, why);
	return refused;
}

// What is lost besides is to be known there before it starts.
static void start(struct controller *c, struct job_entry *job, struct node *node, struct part *part)
{
	for (uint32_t i = 0; i < job->record->n_participants; i++) {
		if (!job->record->participants[i]->lost || i == job->repair.place)
			continue;
		deploy_lose(c, job, node, part, i, false);
		deploy_lose(c, job, node, part, i, true);
	}
	if (part->told->state == WEIR__PART_STATE__PART_PREPARED)
		deploy_start(c, node, part);
}

static bool is_done(const struct job_entry *job, const struct part *part)
{
	const Weir__Part *told = part->told;
	return job->repair.phase == REPAIR_FED
		? is_in(told->repaired, told->n_repaired, job->repair.place)
		: is_in(told->admitted, told->n_admitted, job->repair.place);
}

// Returns whether it has done that, as far as it was heard.
static bool tell_one(struct controller *c, struct job_entry *job, uint32_t index,
	Weir__Admit *admit)
{
	const Weir__JobRecord *record = job->record;
	struct node *node = job->nodes[index];
	if (!node || node->state != NODE_ALIVE)
		return false;
	struct part *part = node_part(node, record->id, record->incarnation);
	if (!part)
		return false;
	admit->feed = false;
	deploy_admit(c, node, part, admit);
	admit->feed = job->repair.phase == REPAIR_FED;
	if (admit->feed)
		deploy_admit(c, node, part, admit);
	return part->number <= node->seen && is_done(job, part);
}

static bool tell_all(struct controller *c, struct job_entry *job, const Weir__JobRecord *then)
{
	bool done = true;
	Weir__Admit admit = WEIR__ADMIT__INIT;
	admit.job = then->id;
	admit.incarnation = then->incarnation;
	admit.place = job->repair.place;
	admit.as = then->participants[job->repair.place];
	admit.boot = admit.as->boot;
	for (uint32_t i = 0; i < then->n_participants; i++)
		if (!job->standings[i].lost)
			done &= tell_one(c, job, i, &admit);
	return done;
}

// Take the next step, and the one behind it.  Returns whether the place is whole.
static bool go_on(struct controller *c, struct job_entry *job, struct node *node, struct part *part,
	const Weir__JobRecord *then)
{
	struct repair *r = &job->repair;
	if (node->state != NODE_ALIVE)
		return false;
	if (!part) {
		deploy_prepare_replica(c, job, then, r->place, node);
		return false;
	}
	if (part->told->state < WEIR__PART_STATE__PART_PREPARED)
		return false;
	if (r->phase == REPAIR_CHOSEN)
		r->phase = REPAIR_ADMITTED;
	start(c, job, node, part);
	bool runs = part->told->state >= WEIR__PART_STATE__PART_RUNNING;
	if (tell_all(c, job, then) && runs && r->phase == REPAIR_ADMITTED) {
		r->phase = REPAIR_FED;
		tell_all(c, job, then);
		return false;
	}
	return r->phase == REPAIR_FED && tell_all(c, job, then) && part->number <= node->seen;
}

static bool look_at_open(struct controller *c, struct job_entry *job)
{
	char why[REASON_BYTES];
	struct repair *r = &job->repair;
	Weir__JobRecord *record = job->record;
	struct node *node = registry_node(c, record->participants[r->place]->repair->node);
	struct part *part = node ? node_part(node, record->id, record->incarnation) : NULL;
	r->look_ns = r->until_ns;
	if (has_failed(c, job, node, part, why) || any_refuses(job, why)) {
		give_up(c, job, why);
		return false;
	}
	Weir__JobRecord *then = record_copy(record);
	apply(then, r->place);
	bool whole = go_on(c, job, node, part, then);
	record_free(then);
	if (!whole)
		return false;
	apply(record, r->place);
	r->phase = REPAIR_WHOLE;
	job_change(c, job, record->state);
	return true;
}

bool repair_look(struct controller *c, struct job_entry *job)
{
	struct repair *r = &job->repair;
	uint32_t place;
	r->look_ns = 0;
	if (is_open(job) && look_at_open(c, job))
		return true;
	if (r->phase == REPAIR_ENDED) {
		takeover_tell(c, job);
		job_change(c, job, job->record->state);
		return true;
	}
	return r->phase == REPAIR_NONE && repair_is_wanted(job) && job->wish == WISH_NONE &&
		!repaired_in(job->record, &place) && begin(c, job);
}

bool repair_status(const struct controller *c, const struct job_entry *job,
	Weir__RepairStatus *status)
{
	static const char *const steps[] = {[REPAIR_CHOSEN] = "it prepares",
		[REPAIR_ADMITTED] = "the others admit it",
		[REPAIR_FED] = "the others give it their state",
		[REPAIR_WHOLE] = "that it is whole is being written"};
	const struct repair *r = &job->repair;
	const Weir__Participant *p;
	if (!is_open(job) && r->phase != REPAIR_WHOLE)
		return false;
	p = job->record->participants[r->place];
	status->place = r->place;
	status->node = p->repair ? p->repair->node : p->node;
	status->for_ns = (uint64_t)(c->now_ns - r->since_ns);
	status->step = (char *)steps[r->phase];
	return true;
}
