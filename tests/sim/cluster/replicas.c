// Jobs with replicas in the simulated world: who has whose, what really became of them, and what
// must hold of that.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/cluster/cluster.h"

enum shape { SHAPE_NONE, SHAPE_PAIRS, SHAPE_CYCLE };

static enum shape shape_of(const char *job)
{
	static const enum shape shapes[] = {
		SHAPE_NONE, SHAPE_PAIRS, SHAPE_PAIRS, SHAPE_CYCLE, SHAPE_CYCLE};
	uint32_t sum = 0;
	for (; *job; job++)
		sum = sum * 31 + (unsigned char)*job;
	return shapes[(sum >> 4) % 5];
}

uint32_t replica_of(const char *job, uint32_t count, uint32_t participant)
{
	enum shape shape = shape_of(job);
	if (shape == SHAPE_NONE || count < 2)
		return NO_REPLICA;
	if (shape == SHAPE_CYCLE)
		return (participant + 1) % count;
	return (participant ^ 1) < count ? participant ^ 1 : NO_REPLICA;
}

uint32_t replica_partners(const char *job, uint32_t count, uint32_t participant, uint32_t *by)
{
	uint32_t partners = 0, own = replica_of(job, count, participant);
	if (own != NO_REPLICA)
		by[partners++] = own;
	for (uint32_t i = 0; i < count; i++)
		if (i != own && replica_of(job, count, i) == participant)
			by[partners++] = i;
	return partners;
}

struct shadow *shadow_of(const struct cluster *c, const char *job)
{
	struct shadow *s = c->shadows;
	while (s && strcmp(s->job, job) != 0)
		s = s->next;
	return s;
}

// The other place that has an instance of a participant's task.
static uint32_t other_place(const struct shadow *s, uint32_t participant, uint32_t place)
{
	uint32_t replica = replica_of(s->job, s->count, participant);
	return place == participant ? replica : participant;
}

static bool has_instance(const struct shadow *s, uint32_t participant, uint32_t place)
{
	return place == participant || place == replica_of(s->job, s->count, participant);
}

// Of all who may be lost next: above all there were, each one's own.
static void check_successors(struct cluster *c, struct shadow *s, const Weir__JobRecord *record)
{
	uint64_t before = s->successor_max;
	for (uint32_t i = 0; i < s->count; i++) {
		uint64_t successor = record->participants[i]->successor;
		bool good = successor > before || record->participants[i]->lost;
		for (uint32_t k = 0; k < i && good; k++)
			good = record->participants[k]->successor != successor;
		if (!good)
			cluster_violate(c, "job %s: successor %" PRIx64 " of %s is no new one",
				s->job, successor, record->participants[i]->node);
		s->successor_max = successor > s->successor_max ? successor : s->successor_max;
	}
}

static uint32_t process_named(const struct cluster *c, const char *name)
{
	uint32_t found = 0;
	for (uint32_t k = 0; k < c->count; k++)
		if (strcmp(c->processes[k].name, name) == 0)
			found = k;
	return found;
}

static struct shadow *shadow_create(struct cluster *c, const struct workload_request *request)
{
	struct shadow *s = calloc(1, sizeof(*s));
	VERIFY(s && request->participant_count <= NODES_MAX);
	strcpy(s->job, request->job);
	s->incarnation = s->successor_max = request->incarnation;
	s->count = request->participant_count;
	for (uint32_t i = 0; i < s->count; i++) {
		s->processes[i] = process_named(c, request->participants[i].node);
		s->owners[i] = i;
	}
	s->prepared_ns = c->time.now_ns;
	bool longer = shape_of(s->job) != SHAPE_NONE && random_chance(&c->random, 500);
	s->until_ns =
		s->prepared_ns + (int64_t)random_in(&c->random, 50, longer ? 25000 : 6000) * MS;
	s->next = c->shadows;
	c->shadows = s;
	return s;
}

struct shadow *shadow_prepare(struct cluster *c, const struct workload_request *request)
{
	struct shadow *s = shadow_of(c, request->job);
	Weir__JobRecord *record = s ? NULL : ledger_job(c, request->job);
	if (!s)
		s = shadow_create(c, request);
	if (record && record->n_participants == s->count)
		check_successors(c, s, record);
	record_free(record);
	return s;
}

// Whether anybody may have taken what rests on what one has begun, and goes on: others take it only
// once they were told of the loss as well.
static bool is_observed(const struct shadow *s, uint32_t owner, uint32_t follower)
{
	bool observed = false;
	for (uint32_t i = 0; i < s->count && !observed; i++)
		observed = s->told[i][owner] && i != follower && !s->given_up[s->processes[i]];
	return observed;
}

// Once all have come to the same end nothing is left to differ in.
static void check_owners(struct cluster *c, const struct shadow *s)
{
	for (uint32_t i = 0; i < s->count && !s->at_end; i++) {
		uint32_t owner = s->owners[i], follower = other_place(s, i, owner);
		if (s->begun[i] && s->alone[owner][follower] && is_observed(s, owner, follower))
			cluster_violate(c, "job %s: %s goes on alone, and its replica has begun",
				s->job, c->processes[s->processes[owner]].name);
	}
}

// Whether a place itself is lost, as written, and has no task in common with one that it loses: its
// order may be from before that one was given to another node, and says nothing to either.
static bool is_stale(const struct cluster *c, const struct shadow *s,
	const struct shadow_loss *loss)
{
	Weir__JobRecord *record = ledger_job(c, s->job);
	bool stale = record && record->participants[loss->place]->lost;
	record_free(record);
	for (uint32_t i = 0; i < s->count && stale; i++)
		stale = !has_instance(s, i, loss->place) || !has_instance(s, i, loss->lost);
	return stale;
}

// One that is no replica yet takes over from nobody.
static void lose_new(struct cluster *c, struct shadow *s, const struct shadow_loss *loss)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (has_instance(s, i, loss->place) && has_instance(s, i, loss->lost))
			cluster_violate(c, "job %s: takes over in a place that is not whole",
				s->job);
	s->told_new[loss->lost] = true;
}

void shadow_lose(struct cluster *c, struct shadow *s, const struct shadow_loss *loss)
{
	uint32_t lost = loss->lost, place = loss->place;
	if (loss->boot != s->boots[place]) {
		if (loss->boot == s->boot && place == s->place)
			lose_new(c, s, loss);
		return; // the one before, whose sessions are refused
	}
	if (is_stale(c, s, loss))
		return;
	if (s->under[lost] != 0 && s->under[lost] != loss->successor)
		cluster_violate(c, "job %s: place %u is taken over under %" PRIx64 " and %" PRIx64,
			s->job, lost, s->under[lost], loss->successor);
	s->under[lost] = loss->successor;
	s->told[place][lost] = true;
	if (loss->alone)
		ledger_alone(c, s->job, lost);
	s->alone[place][lost] |= loss->alone;
	for (uint32_t i = 0; i < s->count; i++)
		s->begun[i] |= s->owners[i] == lost && other_place(s, i, lost) == place;
	check_owners(c, s);
}

bool shadow_is_without(const struct cluster *c, const char *job, uint64_t incarnation,
	uint32_t process)
{
	const struct shadow *s = shadow_of(c, job);
	return s && s->incarnation == incarnation && s->given_up[process];
}

// ---- whether a part may come to its end

static uint32_t free_workers(const struct cluster *c, const struct process *p)
{
	uint32_t used = 0;
	for (size_t i = 0; i < c->server.count; i++) {
		const struct stored *key = &c->server.keys[i];
		Weir__JobRecord *job = strncmp(key->key, "weir/jobs/", 10) == 0
			? job_record_read(key->value, key->bytes)
			: NULL;
		bool open = job && job->state < WEIR__JOB_STATE__JOB_FINISHED;
		for (size_t k = 0; open && k < job->n_participants; k++) {
			const Weir__Participant *q = job->participants[k];
			if (strcmp(q->node, p->name) == 0 && !q->lost)
				used += q->workers;
			if (q->repair && strcmp(q->repair->node, p->name) == 0)
				used += q->workers;
		}
		record_free(job);
	}
	return used < SIM_WORKERS ? SIM_WORKERS - used : 0;
}

// Whether a node could have the place of one that is lost.
static bool has_spare(const struct cluster *c, const Weir__JobRecord *job, uint32_t lost)
{
	bool spare = false;
	for (uint32_t i = 0; i < c->count && !spare; i++) {
		const struct process *p = &c->processes[i];
		spare = p->role == ROLE_NODE && process_runs(p) &&
			!strncmp(agent_state(p->agent), "joined", 6) &&
			free_workers(c, p) >= job->participants[lost]->workers;
		for (size_t k = 0; k < job->n_participants && spare; k++)
			spare = job->participants[k]->lost ||
				strcmp(job->participants[k]->node, p->name) != 0;
	}
	return spare;
}

static bool lacks_one(const struct cluster *c, const struct shadow *s)
{
	Weir__JobRecord *job = ledger_job(c, s->job);
	bool lacks = false, all_run = job && job->state == WEIR__JOB_STATE__JOB_RUNNING;
	for (uint32_t i = 0; all_run && i < job->n_participants; i++)
		all_run = job->participants[i]->lost ||
			sim_work_runs(&c->processes[s->processes[i]], s->job);
	for (uint32_t i = 0; all_run && i < job->n_participants && !lacks; i++)
		lacks = job->participants[i]->lost && job->state == WEIR__JOB_STATE__JOB_RUNNING &&
			!job->interrupt && has_spare(c, job, i);
	record_free(job);
	return lacks;
}

// Once all goes well, every other job goes on until it has its replicas, if there is a place for
// them: that must not take long.
static bool waits_for_replica(struct cluster *c, struct shadow *s)
{
	if (c->faults || s->incarnation % 2 != 0 || !lacks_one(c, s)) {
		s->lacking_ns = 0;
		return false;
	}
	if (s->lacking_ns == 0)
		s->lacking_ns = c->time.now_ns;
	if (c->time.now_ns - s->lacking_ns > REPAIRED_WITHIN_MS * MS)
		cluster_violate(c, "job %s was given no new replica, and there is a node for it",
			s->job);
	return true;
}

// Its replica acknowledges, or it need not.
static bool may_send(const struct shadow *s, uint32_t place)
{
	bool may = true;
	for (uint32_t i = 0; i < s->count && may; i++) {
		uint32_t other = other_place(s, i, place);
		if (s->owners[i] == place && other != NO_REPLICA)
			may = s->alone[place][other] || (!s->begun[i] && !s->told[place][other]);
	}
	return may;
}

// And all that feed it are there, or their replicas are.
bool shadow_may_end(struct cluster *c, struct shadow *s, uint32_t place, uint64_t boot)
{
	bool may = boot == s->boots[place] && may_send(s, place) && !waits_for_replica(c, s);
	for (uint32_t i = 0; i < s->count && may; i++) {
		uint32_t by = replica_of(s->job, s->count, i);
		if (s->told[place][i])
			may = by == place || (by != NO_REPLICA && s->told[by][i]);
		else
			may = sim_work_has(&c->processes[s->processes[i]], s->job);
	}
	return may;
}

// ---- what the record may say

static bool is_cut(const struct cluster *c, uint32_t process)
{
	bool cut = false;
	for (uint32_t i = 0; i < c->count && !cut; i++)
		cut = c->cut[i][process] || c->cut[process][i];
	return cut;
}

// Whether a leader may have had a reason to take it for dead.
static bool is_disturbed(const struct cluster *c, const struct shadow *s, uint32_t participant)
{
	const struct process *p = &c->processes[s->processes[participant]];
	return s->failed[participant] || !process_runs(p) || p->tainted || is_cut(c, p->index) ||
		p->disturbed_ns >= s->prepared_ns;
}

static bool is_outlived(const struct shadow *s, const bool *lost)
{
	bool good = true;
	for (uint32_t i = 0; i < s->count && good; i++) {
		uint32_t by[NODES_MAX], count = replica_partners(s->job, s->count, i, by);
		if (!lost[i])
			continue;
		good = replica_of(s->job, s->count, i) != NO_REPLICA;
		for (uint32_t k = 0; k < count && good; k++)
			good = !lost[by[k]];
	}
	return good;
}

// No job fails that goes on without all who may have died, whoever leads.
static void check_failure(struct cluster *c, const struct shadow *s, const Weir__JobRecord *was,
	const Weir__JobRecord *is)
{
	bool lost[NODES_MAX];
	for (uint32_t i = 0; i < s->count; i++)
		lost[i] = was->participants[i]->lost || is_disturbed(c, s, i);
	if (replica_of(s->job, s->count, 0) != NO_REPLICA && is_outlived(s, lost))
		cluster_violate(c, "job %s failed, and had replicas: %s", is->id, is->error);
}

// Nobody is given up who lives and was never cut off, only because its workers have no core.
static void check_reasons(struct cluster *c, const struct shadow *s, const Weir__JobRecord *was,
	const bool *lost)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (lost[i] && !was->participants[i]->lost && !is_disturbed(c, s, i))
			cluster_violate(c, "job %s: %s was given up, and nothing was wrong with it",
				s->job, c->processes[s->processes[i]].name);
}

static bool repairs(const Weir__Participant *was, const Weir__Participant *is)
{
	return was->lost && !is->lost;
}

// All that live give the new one what it needs, and nobody else was ever told of it.
static void check_whole(struct cluster *c, const struct shadow *s, const Weir__JobRecord *was,
	const Weir__JobRecord *is, uint32_t place)
{
	const Weir__Participant *p = is->participants[place];
	const Weir__Replacement *r = was->participants[place]->repair;
	bool good = r && strcmp(r->node, p->node) == 0 && r->incarnation == p->incarnation &&
		p->boot == was->repair_incarnation && p->boot == s->boot && s->place == place;
	if (!good)
		cluster_violate(c, "job %s: %s has a place that it was not to have", s->job,
			p->node);
	if (is->term != s->boot_term)
		cluster_violate(c, "job %s: the leader has changed since %s was chosen", s->job,
			p->node);
	for (uint32_t i = 0; i < s->count; i++)
		if (!is->participants[i]->lost &&
			!sim_work_repaired(&c->processes[s->processes[i]], s->job, place, p->boot))
			cluster_violate(c, "job %s: %s is whole before %s has given it all", s->job,
				p->node, is->participants[i]->node);
}

// What one began that has no place any more has gone with it: as if it had not begun.
static void forget_begun(struct shadow *s, uint32_t lost)
{
	bool told = false;
	for (uint32_t i = 0; i < s->count && !told; i++)
		told = s->told[i][lost];
	if (!told)
		s->under[lost] = 0;
}

static void be_whole(struct cluster *c, struct shadow *s, const Weir__JobRecord *is, uint32_t place)
{
	s->processes[place] = process_named(c, is->participants[place]->node);
	s->given_up[s->processes[place]] = false;
	s->boots[place] = s->boot;
	s->failed[place] = false;
	for (uint32_t i = 0; i < s->count; i++) {
		s->told[i][place] = s->alone[i][place] = false;
		s->told[place][i] = s->alone[place][i] = s->told_new[i];
		s->begun[i] &= !has_instance(s, i, place);
	}
	for (uint32_t i = 0; i < s->count; i++)
		forget_begun(s, i);
	c->repaired++;
}

// One of the job's nodes, or a controller.
static uint32_t some_process(struct cluster *c, const struct shadow *s)
{
	uint32_t chosen = (uint32_t)random_in(&c->random, 0, s->count);
	if (chosen < s->count)
		return s->processes[chosen];
	return (uint32_t)random_in(&c->random, 0, c->controllers - 1);
}

static void take_repair(struct cluster *c, struct shadow *s, const Weir__JobRecord *was,
	const Weir__JobRecord *is)
{
	for (uint32_t i = 0; i < s->count; i++) {
		if (!repairs(was->participants[i], is->participants[i]))
			continue;
		check_whole(c, s, was, is, i);
		be_whole(c, s, is, i);
		check_successors(c, s, is);
	}
	c->given_up += is->repair_incarnation == 0 && was->repair_incarnation != 0 &&
		s->boots[s->place] != was->repair_incarnation;
	if (is->repair_incarnation == s->boot)
		return;
	s->boot = is->repair_incarnation;
	s->boot_term = is->term;
	if (s->boot != 0 && c->faults && random_chance(&c->random, 300))
		world_strike(c, some_process(c, s));
	memset(s->told_new, 0, sizeof(s->told_new));
	for (uint32_t i = 0; i < s->count; i++)
		if (is->participants[i]->repair)
			s->place = i;
}

// What it had is the other instances'.
static void take_loss(struct shadow *s, uint32_t lost)
{
	s->given_up[s->processes[lost]] = true;
	for (uint32_t i = 0; i < s->count; i++) {
		if (s->owners[i] != lost)
			continue;
		s->owners[i] = other_place(s, i, lost);
		s->begun[i] = false;
	}
}

static bool any_repaired(const Weir__JobRecord *was, const Weir__JobRecord *is)
{
	bool any = false;
	for (size_t i = 0; i < is->n_participants; i++)
		any |= repairs(was->participants[i], is->participants[i]);
	return any;
}

static void check_lost(struct cluster *c, struct shadow *s, const Weir__JobRecord *was,
	const Weir__JobRecord *is)
{
	bool lost[NODES_MAX], any = false, repaired = any_repaired(was, is);
	for (uint32_t i = 0; i < s->count; i++) {
		lost[i] = is->participants[i]->lost;
		any |= lost[i];
		if (was->participants[i]->successor != is->participants[i]->successor && !repaired)
			cluster_violate(c, "job %s: another successor for %s", is->id,
				is->participants[i]->node);
	}
	check_reasons(c, s, was, lost);
	if (any && !is_outlived(s, lost))
		cluster_violate(c, "job %s goes on without those it cannot do without", is->id);
	if (any && is->state < WEIR__JOB_STATE__JOB_RUNNING)
		cluster_violate(c, "job %s is without a participant before it runs", is->id);
	for (uint32_t i = 0; i < s->count; i++)
		if (lost[i] && !was->participants[i]->lost)
			take_loss(s, i);
}

void shadow_write(struct cluster *c, const Weir__JobRecord *was, const Weir__JobRecord *is)
{
	struct shadow *s = shadow_of(c, is->id);
	if (!s || was->n_participants != is->n_participants)
		return;
	if (is->state == WEIR__JOB_STATE__JOB_RUNNING && !s->runs) {
		s->runs = true;
		s->term = is->term;
	}
	if (is->state == WEIR__JOB_STATE__JOB_PUBLISHING && !s->at_end) {
		s->at_end = true;
		if (c->faults && random_chance(&c->random, 300))
			world_strike_all(c, some_process(c, s));
	}
	check_lost(c, s, was, is);
	take_repair(c, s, was, is);
	if (is->repair_incarnation != 0 && is->state != WEIR__JOB_STATE__JOB_RUNNING)
		cluster_violate(c, "job %s: a replica is made and it does not run", is->id);
	if (is->state == WEIR__JOB_STATE__JOB_FAILED && s->runs)
		check_failure(c, s, was, is);
}

void shadow_end(struct cluster *c)
{
	while (c->shadows) {
		struct shadow *s = c->shadows;
		c->shadows = s->next;
		free(s);
	}
}
