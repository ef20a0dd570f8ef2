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

static void check_successors(struct cluster *c, const struct workload_request *request)
{
	for (uint32_t i = 0; i < request->participant_count; i++) {
		uint64_t successor = request->participants[i].successor;
		bool good = successor > request->incarnation;
		for (uint32_t k = 0; k < i && good; k++)
			good = request->participants[k].successor != successor;
		if (!good)
			cluster_violate(c, "job %s: successor %" PRIx64 " of %s is no new one",
				request->job, successor, request->participants[i].node);
	}
}

struct shadow *shadow_prepare(struct cluster *c, const struct workload_request *request)
{
	struct shadow *s = shadow_of(c, request->job);
	if (s)
		return s;
	check_successors(c, request);
	s = calloc(1, sizeof(*s));
	VERIFY(s && request->participant_count <= NODES_MAX);
	strcpy(s->job, request->job);
	s->incarnation = request->incarnation;
	s->count = request->participant_count;
	for (uint32_t i = 0; i < s->count; i++)
		for (uint32_t k = 0; k < c->count; k++)
			if (strcmp(c->processes[k].name, request->participants[i].node) == 0)
				s->processes[i] = k;
	s->prepared_ns = c->time.now_ns;
	s->next = c->shadows;
	c->shadows = s;
	return s;
}

// Whether anybody may have taken what a replica says that has begun. Others take it only if they
// know of the loss; but where it feeds tasks that others follow, it leaves with what those say.
static bool is_observed(const struct shadow *s, uint32_t participant)
{
	bool observed = shape_of(s->job) == SHAPE_CYCLE && s->count > 2;
	for (uint32_t i = 0; i < s->count && !observed; i++)
		observed =
			s->told[i][participant] && i != replica_of(s->job, s->count, participant);
	return observed;
}

static void check_owners(struct cluster *c, const struct shadow *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->begun[i] && s->alone[i] && is_observed(s, i))
			cluster_violate(c, "job %s: %s goes on alone, and its replica has begun",
				s->job, c->processes[s->processes[i]].name);
}

static void check_alone(struct cluster *c, const struct shadow *s, uint32_t lost)
{
	Weir__JobRecord *record = ledger_job(c, s->job);
	if (record && !record->participants[lost]->lost)
		cluster_violate(c, "job %s: told to do without %s before that was written", s->job,
			record->participants[lost]->node);
	record_free(record);
}

void shadow_lose(struct cluster *c, struct shadow *s, uint32_t participant, uint32_t lost,
	bool alone)
{
	s->told[participant][lost] = true;
	if (alone)
		check_alone(c, s, lost);
	if (alone && replica_of(s->job, s->count, participant) == lost)
		s->alone[participant] = true;
	if (replica_of(s->job, s->count, lost) == participant)
		s->begun[lost] = true;
	check_owners(c, s);
}

bool shadow_is_without(const struct cluster *c, const char *job, uint64_t incarnation,
	uint32_t process)
{
	const struct shadow *s = shadow_of(c, job);
	bool without = false;
	for (uint32_t i = 0; s && s->incarnation == incarnation && i < s->count && !without; i++)
		without = s->lost[i] && s->processes[i] == process;
	return without;
}

// Its replica acknowledges, or it need not; and all that feed it are there, or their replicas are.
bool shadow_may_end(const struct cluster *c, const struct shadow *s, uint32_t participant)
{
	uint32_t replica = replica_of(s->job, s->count, participant);
	bool may = replica == NO_REPLICA || s->alone[participant] ||
		(!s->begun[participant] && !s->told[participant][replica]);
	for (uint32_t i = 0; i < s->count && may; i++) {
		uint32_t by = replica_of(s->job, s->count, i);
		if (s->told[participant][i])
			may = by == participant || (by != NO_REPLICA && s->told[by][i]);
		else
			may = sim_work_has(&c->processes[s->processes[i]], s->job);
	}
	return may;
}

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

// No job fails that goes on without all who may have died. Where the leader has changed, the new
// one may not know for whom a dead one had begun; of a pair the others can tell.
static void check_failure(struct cluster *c, const struct shadow *s, const Weir__JobRecord *was,
	const Weir__JobRecord *is)
{
	bool lost[NODES_MAX];
	uint32_t gone = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		lost[i] = was->participants[i]->lost || is_disturbed(c, s, i);
		gone += lost[i] && !was->participants[i]->lost;
	}
	bool pairs = shape_of(s->job) == SHAPE_PAIRS || s->count == 2;
	bool known = s->term == is->term || gone == 0 || (pairs && gone == 1);
	if (replica_of(s->job, s->count, 0) != NO_REPLICA && known && is_outlived(s, lost))
		cluster_violate(c, "job %s failed, and had replicas: %s", is->id, is->error);
}

// Nobody is given up who lives and was never cut off, only because its workers have no core.
static void check_reasons(struct cluster *c, const struct shadow *s, const bool *lost)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (lost[i] && !s->lost[i] && !is_disturbed(c, s, i))
			cluster_violate(c, "job %s: %s was given up, and nothing was wrong with it",
				s->job, c->processes[s->processes[i]].name);
}

static void check_lost(struct cluster *c, struct shadow *s, const Weir__JobRecord *was,
	const Weir__JobRecord *is)
{
	bool lost[NODES_MAX], any = false;
	for (uint32_t i = 0; i < s->count; i++) {
		lost[i] = is->participants[i]->lost;
		any |= lost[i];
		if (was->participants[i]->lost && !lost[i])
			cluster_violate(c, "job %s: %s is lost no more", is->id,
				is->participants[i]->node);
		if (was->participants[i]->successor != is->participants[i]->successor)
			cluster_violate(c, "job %s: another successor for %s", is->id,
				is->participants[i]->node);
	}
	check_reasons(c, s, lost);
	memcpy(s->lost, lost, sizeof(s->lost[0]) * s->count);
	if (any && !is_outlived(s, lost))
		cluster_violate(c, "job %s goes on without those it cannot do without", is->id);
	if (any && is->state < WEIR__JOB_STATE__JOB_RUNNING)
		cluster_violate(c, "job %s is without a participant before it runs", is->id);
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
	check_lost(c, s, was, is);
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
