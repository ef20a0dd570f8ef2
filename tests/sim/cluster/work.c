// The workload of the simulated world: parts that take their time, fail now and then, and do
// nothing. What they do that shows outside is told to the ledger.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/message.h"
#include "numa/assert.h"
#include "tests/sim/cluster/cluster.h"

struct workload_part {
	struct workload_part *next;
	char job[MESSAGE_NAME_MAX + 1];
	uint64_t incarnation, plan_hash, progress;
	enum workload_state state;
	int64_t starved_ns; // of its process, when the progress last grew
	int64_t until_ns;   // of the state, INT64_MAX: it stays
	const char *error;
	struct shadow *shadow;
	uint64_t repair;         // boot of the replica that it is, 0: of none
	uint32_t first, workers; // of the node's
	uint32_t self, lost_count, admitted_count, repaired_count;
	uint32_t lost[NODES_MAX], admitted[NODES_MAX], repaired[NODES_MAX];
	struct admission { // by participant
		uint64_t boot;
		bool feed;
		int64_t until_ns; // of what it was told last
	} admissions[NODES_MAX];
	bool owns[NODES_MAX];      // by participant: its task's output
	bool published[NODES_MAX]; // by participant, whose output
	struct workload_cover covers[NODES_MAX];
	uint32_t by[NODES_MAX][NODES_MAX];
};

struct sim_work {
	struct workload workload;
	struct process *process;
	struct workload_part *parts;
};

static uint64_t hash_of(const struct workload_request *r)
{
	uint64_t hash = r->text_bytes + r->plan_version;
	for (uint32_t i = 0; i < r->participant_count; i++) {
		const struct workload_participant *p = &r->participants[i];
		hash = hash * 0x9E3779B97F4A7C15ULL + p->workers * 7 + p->first_worker;
		for (const char *at = p->host; *at; at++)
			hash = hash * 31 + (unsigned char)*at;
	}
	return hash;
}

static int64_t soon(struct process *p, uint64_t least_ms, uint64_t most_ms)
{
	return p->cluster->time.now_ns +
		(int64_t)random_in(&p->cluster->random, least_ms, most_ms) * MS;
}

static void plan_replicas(struct workload_part *part, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t partners = replica_partners(part->job, count, i, part->by[i]);
		part->covers[i] = (struct workload_cover){
			replica_of(part->job, count, i) != NO_REPLICA, partners, part->by[i]};
	}
}

// A worker serves one job, also one that is only to have a place of it.
static void check_workers(const struct sim_work *w, const struct workload_part *part)
{
	for (const struct workload_part *other = w->parts; other; other = other->next)
		if ((part->repair || other->repair) && other->first < part->first + part->workers &&
			part->first < other->first + other->workers)
			cluster_violate(w->process->cluster, "%s: jobs %s and %s share a worker",
				w->process->name, other->job, part->job);
}

static void say(const struct process *p, const struct workload_part *part, const char *what,
	uint32_t place)
{
	cluster_say(p->cluster, "%s, place %u of %s: %s %u", p->name, part->self, part->job, what,
		place);
}

static int work_prepare(struct workload *workload, const struct workload_request *request,
	struct workload_part **ret_part)
{
	struct sim_work *w = (struct sim_work *)workload;
	struct process *p = w->process;
	if (p->cluster->faults && random_chance(&p->cluster->random, 10))
		return -ENOMEM;
	struct workload_part *part = calloc(1, sizeof(*part));
	VERIFY(part && strcmp(request->participants[request->self].node, p->name) == 0);
	strcpy(part->job, request->job);
	part->incarnation = request->incarnation;
	part->plan_hash = hash_of(request);
	part->starved_ns = process_starved_ns(p);
	part->state = WORKLOAD_PREPARING;
	part->until_ns = soon(p, 1, 80);
	part->self = request->self;
	part->repair = request->repair;
	part->first = request->participants[part->self].node_worker;
	part->workers = request->participants[part->self].workers;
	say(p, part, "prepares, from worker", part->first);
	check_workers(w, part);
	part->owns[part->self] = part->repair == 0;
	part->shadow = shadow_prepare(p->cluster, request);
	plan_replicas(part, request->participant_count);
	part->next = w->parts;
	w->parts = part;
	*ret_part = part;
	return 0;
}

static void work_start(struct workload *workload, struct workload_part *part)
{
	struct process *p = ((struct sim_work *)workload)->process;
	VERIFY(part->state == WORKLOAD_PREPARED);
	say(p, part, "starts as place", part->self);
	ledger_start(p->cluster, p, part->job, part->incarnation);
	part->state = WORKLOAD_RUNNING;
	part->until_ns = soon(p, 1, 300);
	if (part->until_ns < part->shadow->until_ns)
		part->until_ns = part->shadow->until_ns;
}

static void work_interrupt(struct workload *workload, struct workload_part *part)
{
	struct process *p = ((struct sim_work *)workload)->process;
	VERIFY(part->state == WORKLOAD_RUNNING);
	part->progress |= 1ULL << 63; // notes that it was
	part->until_ns = soon(p, 1, 30);
}

static bool has_lost(const struct workload_part *part, uint32_t participant)
{
	bool found = false;
	for (uint32_t i = 0; i < part->lost_count && !found; i++)
		found = part->lost[i] == participant;
	return found;
}

static bool owes(const struct workload_part *part)
{
	bool owes = false;
	for (uint32_t i = 0; i < part->shadow->count && !owes; i++)
		owes = part->owns[i] && !part->published[i];
	return owes;
}

static void publish(struct process *p, struct workload_part *part)
{
	part->state = WORKLOAD_PUBLISHING;
	part->until_ns = soon(p, 1, 50);
	for (uint32_t i = 0; i < part->shadow->count; i++) {
		if (part->owns[i] && !part->published[i])
			say(p, part, "publishes the output of place", i);
		if (part->owns[i] && !part->published[i])
			ledger_publish(p->cluster, p, part->job, part->incarnation, i);
		part->published[i] |= part->owns[i];
	}
}

static void work_publish(struct workload *workload, struct workload_part *part)
{
	VERIFY(part->state == WORKLOAD_FINISHED || part->state == WORKLOAD_INTERRUPTED);
	publish(((struct sim_work *)workload)->process, part);
}

static void leave_out(uint32_t *list, uint32_t *count, uint32_t participant)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < *count; i++)
		if (list[i] != participant)
			list[kept++] = list[i];
	*count = kept;
}

// What a part was told, or did; the events of docs/protocol.md.
#define TRACE(p, part, event, ...)                                                                 \
	cluster_trace_part(p,                                                                      \
		&(struct cluster_trace_part){(part)->job, (part)->self, (part)->repair}, event,    \
		__VA_ARGS__)

static void work_lose(struct workload *workload, struct workload_part *part, uint32_t lost,
	uint64_t successor, bool alone)
{
	struct process *p = ((struct sim_work *)workload)->process;
	const uint32_t count = part->shadow->count;
	VERIFY(part->state >= WORKLOAD_PREPARED && part->state <= WORKLOAD_PUBLISHED);
	VERIFY(lost < count && lost != part->self);
	say(p, part, alone ? "does without place" : "loses place", lost);
	if (!has_lost(part, lost))
		part->lost[part->lost_count++] = lost;
	leave_out(part->admitted, &part->admitted_count, lost);
	leave_out(part->repaired, &part->repaired_count, lost);
	part->admissions[lost] = (struct admission){0};
	part->owns[lost] |= replica_of(part->job, count, lost) == part->self;
	part->owns[part->self] |= replica_of(part->job, count, part->self) == lost;
	const struct shadow_loss loss = {part->self, part->repair, lost, successor, alone};
	TRACE(p, part, alone ? "alone_told" : "loss_told", "place=%u successor=%" PRIx64, lost,
		successor);
	shadow_lose(p->cluster, part->shadow, &loss);
	if (part->state >= WORKLOAD_PUBLISHING && owes(part))
		publish(p, part);
}

static void work_admit(struct workload *workload, struct workload_part *part,
	const struct workload_admission *told)
{
	struct process *p = ((struct sim_work *)workload)->process;
	struct admission *admission = &part->admissions[told->place];
	VERIFY(part->state == WORKLOAD_RUNNING && told->place != part->self);
	if (admission->boot == told->boot && admission->feed >= told->feed)
		return;
	if (told->boot < admission->boot || told->feed != (admission->boot == told->boot))
		cluster_violate(p->cluster, "job %s: %s was told to %s %s out of order", part->job,
			p->name, told->feed ? "feed" : "admit", told->as->node);
	say(p, part, told->feed ? "feeds place" : "admits place", told->place);
	TRACE(p, part, told->feed ? "feed_told" : "admission_told", "place=%u boot=%" PRIx64,
		told->place, told->boot);
	leave_out(part->lost, &part->lost_count, told->place);
	*admission = (struct admission){told->boot, told->feed, soon(p, 1, told->feed ? 400 : 60)};
}

// It cannot be reached, or its retention is full.
static void refuse(struct process *p, struct workload_part *part, uint32_t participant)
{
	TRACE(p, part, "place_given_up", "place=%u", participant);
	leave_out(part->admitted, &part->admitted_count, participant);
	part->lost[part->lost_count++] = participant;
}

static void carry_out(struct process *p, struct workload_part *part, uint32_t participant)
{
	const struct admission *admission = &part->admissions[participant];
	TRACE(p, part, admission->feed ? "place_repaired" : "place_admitted",
		"place=%u boot=%" PRIx64, participant, admission->boot);
	if (admission->feed)
		part->repaired[part->repaired_count++] = participant;
	else
		part->admitted[part->admitted_count++] = participant;
}

// Carry out what has had its time.  Returns when to look again.
static int64_t admit(struct process *p, struct workload_part *part)
{
	struct cluster *c = p->cluster;
	int64_t next_ns = INT64_MAX;
	for (uint32_t i = 0; i < part->shadow->count; i++) {
		struct admission *admission = &part->admissions[i];
		if (admission->until_ns == 0)
			continue;
		if (admission->until_ns > c->time.now_ns) {
			next_ns = admission->until_ns < next_ns ? admission->until_ns : next_ns;
			continue;
		}
		if (c->faults && random_chance(&c->random, 30))
			refuse(p, part, i);
		else
			carry_out(p, part, i);
		admission->until_ns = 0;
	}
	return next_ns;
}

static void work_discard(struct workload *workload, struct workload_part *part)
{
	struct sim_work *w = (struct sim_work *)workload;
	struct workload_part **at = &w->parts;
	say(w->process, part, "is discarded in state", part->state);
	while (*at != part)
		at = &(*at)->next;
	*at = part->next;
	free(part);
}

static void work_status(const struct workload *workload, const struct workload_part *part,
	struct workload_status *ret_status)
{
	*ret_status = (struct workload_status){.state = part->state,
		.error = part->error,
		.plan_hash = part->plan_hash,
		.progress = part->progress,
		.starved_ns = process_starved_ns(((const struct sim_work *)workload)->process) -
			part->starved_ns};
	if (part->state < WORKLOAD_PREPARED)
		return;
	ret_status->lost_count = part->lost_count;
	ret_status->lost = part->lost;
	ret_status->admitted_count = part->admitted_count;
	ret_status->admitted = part->admitted;
	ret_status->repaired_count = part->repaired_count;
	ret_status->repaired = part->repaired;
	if (replica_of(part->job, part->shadow->count, 0) == NO_REPLICA)
		return;
	ret_status->cover_count = part->shadow->count;
	ret_status->covers = part->covers;
}

static void advance(struct process *p, struct workload_part *part)
{
	struct cluster *c = p->cluster;
	bool fails = c->faults && random_chance(&c->random, 15);
	if (part->state == WORKLOAD_RUNNING &&
		!shadow_may_end(c, part->shadow, part->self, part->repair)) {
		part->until_ns = soon(p, 1, 30);
		return;
	}
	part->until_ns = INT64_MAX;
	say(p, part, fails ? "fails after state" : "goes on from state", part->state);
	if (fails) {
		part->error = "it could not";
		part->state = WORKLOAD_FAILED;
		part->shadow->failed[part->self] |= part->repair == part->shadow->boots[part->self];
	} else if (part->state == WORKLOAD_PREPARING) {
		part->state = WORKLOAD_PREPARED;
	} else if (part->state == WORKLOAD_RUNNING) {
		part->state = part->progress >> 63 ? WORKLOAD_INTERRUPTED : WORKLOAD_FINISHED;
	} else if (part->state == WORKLOAD_PUBLISHING) {
		part->state = WORKLOAD_PUBLISHED;
	}
}

static int64_t work_step(struct workload *workload, int64_t now_ns)
{
	struct sim_work *w = (struct sim_work *)workload;
	int64_t next_ns = INT64_MAX;
	for (struct workload_part *part = w->parts; part; part = part->next) {
		if ((w->process->tainted || w->process->starved_ns != 0) &&
			part->state == WORKLOAD_RUNNING)
			continue;
		if (part->until_ns <= now_ns)
			advance(w->process, part);
		part->progress++;
		part->starved_ns = process_starved_ns(w->process);
		int64_t admit_ns = admit(w->process, part);
		next_ns = part->until_ns < next_ns ? part->until_ns : next_ns;
		next_ns = admit_ns < next_ns ? admit_ns : next_ns;
	}
	return next_ns;
}

static const struct workload_ops ops = {work_prepare, work_start, work_interrupt, work_publish,
	work_discard, work_status, work_step, NULL, work_lose, work_admit};

static struct workload *create(struct process *p, struct agent_config *config)
{
	config->workers = SIM_WORKERS;
	config->rack = p->index % 2 ? "odd" : "even";
	p->work = calloc(1, sizeof(*p->work));
	VERIFY(p->work);
	p->work->workload.ops = &ops;
	p->work->process = p;
	return &p->work->workload;
}

static uint32_t count_parts(const struct process *p)
{
	uint32_t count = 0;
	for (struct workload_part *part = p->work ? p->work->parts : NULL; part; part = part->next)
		count++;
	return count;
}

static const struct workload_part *part_of(const struct process *p, const char *job)
{
	const struct workload_part *part = p->work ? p->work->parts : NULL;
	while (part && strcmp(part->job, job) != 0)
		part = part->next;
	return part;
}

bool sim_work_repaired(const struct process *p, const char *job, uint32_t place, uint64_t boot)
{
	const struct workload_part *part = part_of(p, job);
	bool repaired = !part || part->self == place || part->state == WORKLOAD_FAILED;
	for (uint32_t i = 0; part && i < part->repaired_count && !repaired; i++)
		repaired = part->repaired[i] == place && part->admissions[place].boot == boot;
	return repaired;
}

bool sim_work_has(const struct process *p, const char *job)
{
	const struct workload_part *part = part_of(p, job);
	return part && part->state != WORKLOAD_FAILED;
}

bool sim_work_runs(const struct process *p, const char *job)
{
	const struct workload_part *part = part_of(p, job);
	return part && part->state == WORKLOAD_RUNNING;
}

static void destroy(struct process *p)
{
	while (p->work && p->work->parts)
		work_discard(&p->work->workload, p->work->parts);
	free(p->work);
	p->work = NULL;
}

static void write_job(struct cluster *c, uint32_t job, char *text, size_t bytes)
{
	snprintf(text, bytes,
		"version: 1\njob: j\nworkers: {count: %u}\noperators:\n"
		"  - {id: s, kind: nexmark, events: 10}\n"
		"  - {id: n, kind: 'null', input: s.bid}\n",
		1 + job * 7 % (2 * c->nodes));
}

static void wrote(struct cluster *c, const Weir__JobRecord *was, const Weir__JobRecord *is)
{
	if (is && is->state >= WEIR__JOB_STATE__JOB_FINISHED)
		ledger_ended(c, is);
	if (was && is)
		shadow_write(c, was, is);
}

const struct cluster_work sim_work = {.world = "cluster",
	.kinds = weir_operators,
	.create = create,
	.destroy = destroy,
	.parts = count_parts,
	.write_job = write_job,
	.wrote = wrote};
