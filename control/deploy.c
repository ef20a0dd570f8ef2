// Choosing a job's nodes, and telling them what to do.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

struct candidate {
	struct node *node;
	uint32_t free, first; // the longest run of its workers, and where it begins
	uint32_t rack_free;   // of all nodes of its rack
};

// Of one that is to have a place of the job.
static uint32_t replica_taken_until(const struct job_entry *job, const struct node *node,
	uint32_t worker)
{
	if (!repair_is_at(job, node))
		return 0;
	uint32_t workers = job->record->participants[job->repair.place]->workers;
	uint32_t first = job->repair.node_worker;
	return worker - first < workers ? first + workers : 0;
}

static uint32_t job_taken_until(const struct job_entry *job, const struct node *node,
	uint32_t worker)
{
	const Weir__JobRecord *record = job->record;
	for (size_t k = 0; k < record->n_participants; k++) {
		const Weir__Participant *p = record->participants[k];
		if (p->incarnation == node->record->incarnation &&
			worker - p->node_worker < p->workers &&
			!takeover_is_without(job, (uint32_t)k))
			return p->node_worker + p->workers;
	}
	return replica_taken_until(job, node, worker);
}

// Of the job that has the node's worker: behind its last one; 0: nobody has it.
static uint32_t taken_until(const struct controller *c, const struct node *node, uint32_t worker)
{
	uint32_t until = 0;
	for (uint32_t i = 0; i < c->job_count && until == 0; i++)
		if (!job_end_is_written(c->jobs[i]))
			until = job_taken_until(c->jobs[i], node, worker);
	return until;
}

// The longest run of workers that no job has: a worker serves one job, so that jobs do not disturb
// each other and its sessions are that job's.
uint32_t deploy_free_workers(const struct controller *c, const struct node *node,
	uint32_t *ret_first)
{
	uint32_t best = 0, first = 0;
	for (uint32_t w = 0; w < node->record->workers;) {
		uint32_t until = taken_until(c, node, w);
		if (until != 0)
			first = w = until;
		else
			w++;
		if (w - first > best) {
			best = w - first;
			*ret_first = first;
		}
	}
	return best;
}

// Few racks, few nodes: what talks to each other is near. Names decide the rest.
static int by_nearness(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int rack = strcmp(x->node->record->rack, y->node->record->rack);
	if (x->rack_free != y->rack_free)
		return x->rack_free > y->rack_free ? -1 : 1;
	if (rack != 0)
		return rack;
	if (x->free != y->free)
		return x->free > y->free ? -1 : 1;
	return strcmp(x->node->record->name, y->node->record->name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(Weir__Participant *const *)a)->node,
		(*(Weir__Participant *const *)b)->node);
}

static uint32_t find_candidates(const struct controller *c, struct candidate *candidates,
	uint32_t *ret_free)
{
	uint32_t count = 0, free_all = 0;
	for (uint32_t i = 0; i < c->node_count; i++) {
		struct node *node = c->nodes[i];
		if (node->state != NODE_ALIVE || node->leaving || !entry_is_settled(&node->entry))
			continue;
		uint32_t first = 0, free_here = deploy_free_workers(c, node, &first);
		if (free_here > 0)
			candidates[count++] = (struct candidate){node, free_here, first, 0};
		free_all += free_here;
	}
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < count; k++)
			if (strcmp(candidates[i].node->record->rack,
				    candidates[k].node->record->rack) == 0)
				candidates[i].rack_free += candidates[k].free;
	qsort(candidates, count, sizeof(*candidates), by_nearness);
	*ret_free = free_all;
	return count;
}

static Weir__Participant *participant_of(const struct candidate *candidate, uint32_t workers)
{
	const struct node *node = candidate->node;
	Weir__Participant p = WEIR__PARTICIPANT__INIT;
	p.node = node->record->name;
	p.incarnation = node->record->incarnation;
	p.workers = workers;
	p.node_worker = candidate->first;
	p.n_links = node->record->n_links;
	p.links = node->record->links;
	p.host = node->record->host;
	p.rack = node->record->rack;
	p.planned_host = *p.host ? p.host : p.node;
	p.planned_rack = p.rack;
	return record_copy(&p);
}

static const char *domain_of(const struct candidate *candidate, Weir__Survive survive)
{
	const Weir__NodeRecord *record = candidate->node->record;
	if (survive == WEIR__SURVIVE__SURVIVE_RACK)
		return record->rack;
	return *record->host ? record->host : record->name;
}

static const char *domain_of_participant(const Weir__JobRecord *record, uint32_t index)
{
	const Weir__Participant *p = record->participants[index];
	if (record->survive == WEIR__SURVIVE__SURVIVE_RACK)
		return p->rack;
	return *p->host ? p->host : p->node;
}

// How many of `workers` are left over when a failure domain gives `most`; taken[i]: of candidate i.
static uint32_t share_out(const struct candidate *candidates, uint32_t count, uint32_t workers,
	Weir__Survive survive, uint32_t most, uint32_t *taken)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t left = most;
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(domain_of(&candidates[k], survive),
				    domain_of(&candidates[i], survive)) == 0)
				left -= taken[k];
		taken[i] = candidates[i].free < workers ? candidates[i].free : workers;
		taken[i] = taken[i] < left ? taken[i] : left;
		workers -= taken[i];
	}
	return workers;
}

// A job with replicas needs two domains; the more even, the less a worker does for another's.
static bool spread_out(const struct candidate *candidates, uint32_t count, uint32_t workers,
	Weir__Survive survive, uint32_t *taken)
{
	if (survive == WEIR__SURVIVE__SURVIVE_NOTHING)
		return share_out(candidates, count, workers, survive, workers, taken) == 0;
	for (uint32_t most = (workers + 1) / 2; most < workers; most++)
		if (share_out(candidates, count, workers, survive, most, taken) == 0)
			return true;
	return false;
}

static void take_nodes(struct job_entry *job, const struct candidate *candidates, uint32_t count,
	const uint32_t *taken)
{
	Weir__JobRecord *record = job->record;
	record->participants = calloc(count + 1, sizeof(*record->participants));
	VERIFY(record->participants);
	for (uint32_t i = 0; i < count; i++)
		if (taken[i] > 0)
			record->participants[record->n_participants++] =
				participant_of(&candidates[i], taken[i]);
	qsort(record->participants, record->n_participants, sizeof(*record->participants), by_name);
	for (size_t i = 1; i < record->n_participants; i++)
		record->participants[i]->first_worker = record->participants[i - 1]->first_worker +
			record->participants[i - 1]->workers;
}

static void say_waiting(struct job_entry *job, uint32_t wanted, uint32_t free_workers)
{
	const char *where = job->record->survive == WEIR__SURVIVE__SURVIVE_RACK ? " on two racks"
		: job->record->survive == WEIR__SURVIVE__SURVIVE_HOST           ? " on two hosts"
										: "";
	snprintf(job->waiting, sizeof(job->waiting), "%u worker%s%s; %u %s free%s", wanted,
		wanted > 1 ? "s" : "", where, free_workers, free_workers == 1 ? "is" : "are",
		*where && free_workers >= wanted ? ", of one failure domain" : "");
}

// Give the job its participants; else say in `waiting` what it waits for.
bool deploy_choose(struct controller *c, struct job_entry *job)
{
	uint32_t free_workers, wanted = job->record->workers;
	uint32_t least = job->record->survive == WEIR__SURVIVE__SURVIVE_NOTHING ? 1 : 2;
	struct candidate *candidates = calloc(c->node_count + 1, sizeof(*candidates));
	uint32_t *taken = calloc(c->node_count + 1, sizeof(*taken));
	VERIFY(candidates && taken);
	uint32_t count = find_candidates(c, candidates, &free_workers);
	if (wanted == 0)
		wanted = free_workers < MESSAGE_WORKERS_MAX ? free_workers : MESSAGE_WORKERS_MAX;
	wanted = wanted < least ? least : wanted;
	bool chosen = wanted <= free_workers &&
		spread_out(candidates, count, wanted, job->record->survive, taken);
	*job->waiting = 0;
	if (chosen)
		take_nodes(job, candidates, count, taken);
	else
		say_waiting(job, wanted, free_workers);
	free(candidates);
	free(taken);
	return chosen;
}

// Whoever has the other instances of the place's tasks must not die with it.
static bool stands_apart(const Weir__JobRecord *record, uint32_t place,
	const struct candidate *candidate)
{
	const Weir__Cover *cover = record->covers[place];
	const char *domain = domain_of(candidate, record->survive);
	bool apart = true;
	for (size_t i = 0; i < cover->n_by && apart; i++)
		apart = strcmp(domain_of_participant(record, cover->by[i]), domain) != 0;
	return apart;
}

static bool has_part(const struct job_entry *job, const struct node *node)
{
	bool has = false;
	for (uint32_t i = 0; i < node->part_count && !has; i++)
		has = strcmp(node->parts[i].told->job, job->record->id) == 0;
	return has || !takeover_is_over(job, node);
}

static Weir__Replacement *replacement_of(const struct candidate *candidate)
{
	const Weir__NodeRecord *record = candidate->node->record;
	Weir__Replacement r = WEIR__REPLACEMENT__INIT;
	r.node = record->name;
	r.incarnation = record->incarnation;
	r.node_worker = candidate->first;
	r.n_links = record->n_links;
	r.links = record->links;
	r.host = record->host;
	r.rack = record->rack;
	return record_copy(&r);
}

// How little speaks for it: the last try at a new replica was with this process, or the place was
// lost there, because a part failed or hung; that may well come again.
static uint32_t doubt_of(const struct job_entry *job, uint32_t place,
	const struct candidate *candidate)
{
	uint64_t incarnation = candidate->node->record->incarnation;
	bool tried = job->repair.incarnation == incarnation;
	return tried ? 2 : job->record->participants[place]->incarnation == incarnation;
}

static void say_no_replacement(struct job_entry *job, uint32_t place)
{
	const Weir__JobRecord *record = job->record;
	const Weir__Cover *cover = record->covers[place];
	uint32_t workers = record->participants[place]->workers;
	char others[80] = "";
	size_t bytes = 0;
	for (size_t i = 0; i < cover->n_by && bytes < sizeof(others); i++)
		bytes += (size_t)snprintf(others + bytes, sizeof(others) - bytes, "%s%s",
			i ? ", " : "", domain_of_participant(record, cover->by[i]));
	snprintf(job->waiting, sizeof(job->waiting),
		"a %s other than %s with %u free worker%s and no part in the job, for a new "
		"replica of what node %.48s did",
		record->survive == WEIR__SURVIVE__SURVIVE_RACK ? "rack" : "host", others, workers,
		workers == 1 ? "" : "s", record->participants[place]->node);
}

Weir__Replacement *deploy_choose_replacement(struct controller *c, struct job_entry *job,
	uint32_t place)
{
	uint32_t free_workers, workers = job->record->participants[place]->workers;
	struct candidate *candidates = calloc(c->node_count + 1, sizeof(*candidates));
	Weir__Replacement *chosen = NULL;
	VERIFY(candidates);
	uint32_t count = find_candidates(c, candidates, &free_workers);
	const struct candidate *best = NULL;
	for (uint32_t i = 0; i < count; i++)
		if (candidates[i].free >= workers && !has_part(job, candidates[i].node) &&
			stands_apart(job->record, place, &candidates[i]) &&
			(!best ||
				doubt_of(job, place, &candidates[i]) < doubt_of(job, place, best)))
			best = &candidates[i];
	if (best)
		chosen = replacement_of(best);
	else
		say_no_replacement(job, place);
	free(candidates);
	return chosen;
}

static void send_numbered(struct controller *c, struct node *node, struct part *part,
	Weir__Message *message)
{
	part->number = ++node->number;
	message->term = c->term;
	message->number = part->number;
	message_send(c->config.bus, node->peer, message);
}

static void send_to_part(struct controller *c, struct node *node, struct part *part,
	enum command command)
{
	static const Weir__Message__BodyCase bodies[] = {
		[COMMAND_START] = WEIR__MESSAGE__BODY_START,
		[COMMAND_INTERRUPT] = WEIR__MESSAGE__BODY_INTERRUPT,
		[COMMAND_PUBLISH] = WEIR__MESSAGE__BODY_PUBLISH,
		[COMMAND_ABORT] = WEIR__MESSAGE__BODY_ABORT};
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Command body = WEIR__COMMAND__INIT;
	body.job = part->told->job;
	body.incarnation = part->told->incarnation;
	message.body_case = bodies[command];
	message.start = &body; // all of them are the same member
	part->commands |= 1u << command;
	send_numbered(c, node, part, &message);
}

static struct part *part_for(const Weir__JobRecord *record, struct node *node)
{
	struct part *part = node_part(node, record->id, record->incarnation);
	return part ? part : node_add_part(node, record->id, record->incarnation);
}

static void send_prepare(struct controller *c, struct node *node, Weir__Prepare *prepare,
	const struct job_entry *job, const Weir__JobRecord *record)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	struct part *part = part_for(record, node);
	prepare->job = record->id;
	prepare->incarnation = record->incarnation;
	prepare->plan_version = record->plan_version;
	prepare->spec = job->spec;
	prepare->n_participants = record->n_participants;
	prepare->participants = record->participants;
	message.body_case = WEIR__MESSAGE__BODY_PREPARE;
	message.prepare = prepare;
	part->commands |= 1u << COMMAND_PREPARE;
	send_numbered(c, node, part, &message);
}

void deploy_command(struct controller *c, struct job_entry *job, uint32_t index,
	enum command command)
{
	struct node *node = job->nodes[index];
	struct part *part = part_for(job->record, node);
	Weir__Prepare prepare = WEIR__PREPARE__INIT;
	prepare.self = index;
	if (part->commands & 1u << command)
		return;
	if (command == COMMAND_PREPARE)
		send_prepare(c, node, &prepare, job, job->record);
	else
		send_to_part(c, node, part, command);
}

void deploy_prepare_replica(struct controller *c, const struct job_entry *job,
	const Weir__JobRecord *record, uint32_t place, struct node *node)
{
	Weir__Prepare prepare = WEIR__PREPARE__INIT;
	prepare.self = place;
	prepare.repair = record->participants[place]->boot;
	send_prepare(c, node, &prepare, job, record);
}

void deploy_start(struct controller *c, struct node *node, struct part *part)
{
	if (!(part->commands & 1u << COMMAND_START))
		send_to_part(c, node, part, COMMAND_START);
}

void deploy_abort(struct controller *c, struct node *node, struct part *part)
{
	if (!(part->commands & 1u << COMMAND_ABORT))
		send_to_part(c, node, part, COMMAND_ABORT);
}

// The bits of what a part was told of a loss.
static uint8_t *losses_of(struct part *part, uint32_t lost)
{
	if (part->losses_room <= lost) {
		part->losses = realloc(part->losses, lost + 1);
		VERIFY(part->losses);
		memset(part->losses + part->losses_room, 0, lost + 1 - part->losses_room);
		part->losses_room = lost + 1;
	}
	return &part->losses[lost];
}

void deploy_lose(struct controller *c, const struct job_entry *job, struct node *node,
	struct part *part, uint32_t lost, bool alone)
{
	const uint8_t bit = alone ? LOSE_ALONE : LOSE;
	uint8_t *losses = losses_of(part, lost);
	if (*losses & bit)
		return;
	*losses |= bit;
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Lose body = WEIR__LOSE__INIT;
	body.job = part->told->job;
	body.incarnation = part->told->incarnation;
	body.participant = lost;
	body.alone = alone;
	body.successor = job->record->participants[lost]->successor;
	message.body_case = WEIR__MESSAGE__BODY_LOSE;
	message.lose = &body;
	send_numbered(c, node, part, &message);
}

// Over each connection once, each; what it was told of a loss there no longer holds.
void deploy_admit(struct controller *c, struct node *node, struct part *part, Weir__Admit *admit)
{
	uint64_t *told = admit->feed ? &part->feed_boot : &part->admit_boot;
	Weir__Message message = WEIR__MESSAGE__INIT;
	if (*told == admit->boot)
		return;
	*told = admit->boot;
	*losses_of(part, admit->place) = 0;
	message.body_case = WEIR__MESSAGE__BODY_ADMIT;
	message.admit = admit;
	send_numbered(c, node, part, &message);
}
