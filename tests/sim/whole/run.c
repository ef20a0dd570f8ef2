// A job under one incarnation, and what must hold of it: the items and logs of its tasks, as the
// replicas' world looks at them, what it may not outlive, and what it shows.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/output.h"
#include "tests/sim/whole/whole.h"

enum { STRIKES = 2 };

struct whole_run *whole_run_find(struct whole *w, const char *job, uint64_t incarnation)
{
	struct whole_run *run = w->runs;
	while (run && (strcmp(run->job, job) != 0 || run->incarnation != incarnation))
		run = run->next;
	return run;
}

static const struct scenario *scenario_of(const struct whole *w,
	const struct workload_request *request)
{
	uint32_t i = 0;
	while (strlen(w->scenarios[i].job) != request->text_bytes ||
		memcmp(w->scenarios[i].job, request->text, request->text_bytes) != 0)
		VERIFY(++i < w->cluster.jobs_max);
	return &w->scenarios[i];
}

// ---- its world

// Places of one size each, as the replicas' world has them; others only end as they must.
static bool is_even(const struct workload_request *request)
{
	bool even = true;
	for (uint32_t i = 0; i < request->participant_count; i++)
		even &= request->participants[i].workers == request->participants[0].workers;
	return even && request->participants[0].workers <= NODE_WORKERS_MAX;
}

static void plan(struct whole_run *run, const struct workload_request *request)
{
	struct replica_world *world = &run->world;
	VERIFY(request->participant_count <= REPLICA_PLACES_MAX);
	*world = (struct replica_world){.scenario = run->scenario,
		.place_count = request->participant_count,
		.node_workers = request->participants[0].workers,
		.node_count = request->participant_count};
	for (uint32_t p = 0; p < world->place_count; p++) {
		world->nodes[p].place = world->holders[p] = p;
		world->whole[p] = true;
	}
	VERIFY(replica_world_plan(world, request->participants));
}

struct whole_run *whole_run_begin(struct whole *w, const struct workload_request *request)
{
	struct whole_run *run = whole_run_find(w, request->job, request->incarnation);
	if (run)
		return run;
	run = calloc(1, sizeof(*run));
	VERIFY(run);
	strcpy(run->job, request->job);
	run->incarnation = request->incarnation;
	run->scenario = scenario_of(w, request);
	run->even = is_even(request);
	run->strikes = STRIKES;
	plan(run, request);
	w->seen[WHOLE_TWO_WORKERS] += run->even && run->world.node_workers == 2;
	w->seen[WHOLE_UNEVEN] += !run->even;
	w->seen[WHOLE_RACKS] += run->scenario->racks;
	run->next = w->runs;
	w->runs = run;
	for (uint32_t i = 0; i < REPLICA_PLACES_MAX; i++)
		run->since_ns[i] = w->cluster.time.now_ns;
	return run;
}

static bool is_holder(const struct whole_part *part)
{
	return part->slot != UINT32_MAX && part->run->world.holders[part->place] == part->slot;
}

static bool is_alive(const struct whole_part *part)
{
	return is_holder(part) && !part->run->world.nodes[part->slot].lost;
}

// One more fault, while a job copes with another.
static void maybe_strike(struct whole *w, struct whole_run *run)
{
	if (!w->cluster.faults || run->strikes == 0 || !random_chance(&w->random, 400))
		return;
	run->strikes--;
	world_strike(&w->cluster, (uint32_t)random_in(&w->random, 0, w->cluster.count - 2));
}

void whole_run_built(struct whole_part *part)
{
	struct whole_run *run = part->run;
	struct replica_world *world = &run->world;
	if (part->repair == 0) {
		part->slot = part->place;
	} else if (world->node_count == REPLICA_NODES_MAX) {
		run->closed = true;
		return;
	} else {
		part->slot = world->node_count++;
		part->life->whole->seen[WHOLE_TRIED]++;
		maybe_strike(part->life->whole, run);
		world->nodes[part->slot] =
			(struct replica_node){.place = part->place, .anew = true};
		world->holders[part->place] = part->slot;
		replica_ledger_forget(&world->ledger, part->place, world->node_workers);
	}
	world->nodes[part->slot].engine = part->inner->engine;
	run->since_ns[part->place] = part->life->whole->cluster.time.now_ns;
}

// Once there is a hole in what can be looked at.
void whole_run_discard(struct whole_part *part)
{
	if (part->slot == UINT32_MAX)
		return;
	part->run->closed |= is_alive(part);
	part->run->world.nodes[part->slot].engine = NULL;
}

// ---- what parts are told

static void take_loss(struct whole_part *part, uint32_t lost)
{
	struct whole *w = part->life->whole;
	struct replica_world *world = &part->run->world;
	if (world->nodes[world->holders[lost]].lost)
		return;
	struct replica_node *holder = &world->nodes[world->holders[lost]];
	w->seen[WHOLE_LOST] += world->whole[lost];
	w->seen[WHOLE_LOST_ANEW] += world->whole[lost] && holder->anew;
	w->seen[WHOLE_NEW_LOST] += !world->whole[lost];
	for (uint32_t p = 0; p < world->place_count; p++)
		w->seen[WHOLE_SECOND] += p != lost && !world->whole[p];
	holder->lost = true;
	world->whole[lost] = false;
	world->losses++;
	maybe_strike(w, part->run);
}

void whole_run_lose(struct whole_part *part, uint32_t lost, bool alone)
{
	struct replica_world *world = &part->run->world;
	if (part->slot == UINT32_MAX)
		return;
	struct replica_node *node = &world->nodes[part->slot];
	if (is_alive(part))
		take_loss(part, lost);
	if (alone && is_alive(part))
		ledger_alone(&part->life->whole->cluster, part->run->job, lost);
	node->alone[lost] = alone || (node->alone[lost] && node->begun[lost]);
	node->begun[lost] = true;
	part->admitted[lost] = 0;
}

void whole_run_admit(struct whole_part *part, const struct workload_admission *admission)
{
	uint32_t place = admission->place;
	if (part->slot == UINT32_MAX || admission->feed || part->admitted[place] == admission->boot)
		return;
	struct replica_node *node = &part->run->world.nodes[part->slot];
	part->admitted[place] = admission->boot;
	node->begun[place] = node->alone[place] = false;
	node->admits[place] = true;
}

// ---- what its tasks do

static bool is_whole_world(const struct replica_world *world)
{
	for (uint32_t p = 0; p < world->place_count; p++)
		if (!world->nodes[world->holders[p]].engine &&
			!world->nodes[world->holders[p]].lost)
			return false;
	return true;
}

void whole_run_stepped(struct whole_part *part, uint32_t worker)
{
	struct whole_run *run = part->run;
	struct replica_world *world = &run->world;
	struct cluster *c = &part->life->whole->cluster;
	part->life->whole->seen[WHOLE_ZOMBIE_WORKED] +=
		part->slot != UINT32_MAX && world->nodes[part->slot].lost;
	if (!run->even || run->closed || !is_holder(part) || !is_whole_world(world))
		return;
	struct replica_node *node = &world->nodes[part->slot];
	world->now_ns = c->time.now_ns;
	world->rounds++;
	replica_check_step(world, part->slot, worker);
	for (uint32_t p = 0; p < world->place_count; p++)
		node->admits[p] = node->admits[p] &&
			!engine_has_admitted(node->engine, p * world->node_workers,
				world->node_workers);
	if (world->violated)
		cluster_violate(c, "job %s on %s", run->job, part->life->process->name);
}

// ---- what it shows

// The rows of one sink's task by those who have published them: the same, whoever it is.
static uint32_t gather(struct whole *w, const struct whole_run *run, uint32_t slot, uint32_t index,
	bool *ret_differs)
{
	struct capture_rows *to = &captured.of[slot][index];
	uint32_t count = 0;
	for (struct whole_part *part = w->parts; part; part = part->next) {
		const struct capture_rows *from = &part->rows.of[slot][index];
		if (part->run != run || !from->published)
			continue;
		bool first = count++ == 0;
		if (first)
			to->rows.count = 0;
		*ret_differs |= from->differs || (!first && from->rows.count != to->rows.count);
		for (size_t i = 0; i < from->rows.count && !*ret_differs; i++)
			if (first)
				rows_add(&to->rows, &from->rows.rows[i]);
			else
				*ret_differs |=
					row_compare(&from->rows.rows[i], &to->rows.rows[i]) != 0;
	}
	return count;
}

static void gather_sink(struct whole *w, struct whole_run *run, const struct plan_task *task,
	int64_t slot)
{
	bool differs = false;
	uint32_t count = gather(w, run, (uint32_t)slot, task->index, &differs);
	if (count == 0)
		cluster_violate(&w->cluster, "job %s ended well without output %u of sink %u",
			run->job, task->index, (uint32_t)slot);
	if (differs)
		cluster_violate(&w->cluster, "job %s has published different outputs", run->job);
}

static void check_output(struct whole *w, struct whole_run *run)
{
	struct scenario scenario = *run->scenario;
	const struct job_plan *plan = &run->world.planned.plan;
	scenario.interrupt_ns = run->interrupted;
	capture_clear(&captured);
	for (uint32_t t = 0; t < plan->task_count; t++) {
		const struct plan_task *task = &plan->tasks[t];
		const struct plan_step *last = &task->steps[task->step_count - 1];
		if (task->standing != PLAN_REPLICA && last->kind == &capture_operator)
			gather_sink(w, run, task, weir_param_int(last->plan->params, "slot", 0));
	}
	for (uint32_t i = 0; i < scenario.query_count && !w->cluster.violated; i++)
		if (!output_check(&scenario, i))
			cluster_violate(&w->cluster, "job %s ended well, and its output is wrong",
				run->job);
	capture_clear(&captured);
}

// ---- what its record says

static bool is_cut(const struct cluster *c, uint32_t process)
{
	bool cut = false;
	for (uint32_t i = 0; i < c->count && !cut; i++)
		cut = c->cut[i][process] || c->cut[process][i];
	return cut;
}

static const struct process *process_of(const struct cluster *c, const char *name)
{
	uint32_t i = 0;
	while (strcmp(c->processes[i].name, name) != 0)
		i++;
	return &c->processes[i];
}

// Whether a leader may have had a reason to take a place's holder for dead.
static bool is_disturbed(const struct cluster *c, const struct whole_run *run,
	const Weir__Participant *p, uint32_t place)
{
	const struct process *process = process_of(c, p->node);
	return !process_runs(process) || process->tainted || process->starved_ns != 0 ||
		is_cut(c, process->index) || process->disturbed_ns >= run->since_ns[place];
}

static bool is_outlived(const Weir__JobRecord *job, const bool *lost)
{
	bool good = job->n_covers == job->n_participants;
	for (size_t i = 0; i < job->n_participants && good; i++) {
		good = !lost[i] || job->covers[i]->whole;
		for (size_t k = 0; lost[i] && k < job->covers[i]->n_by && good; k++)
			good = !lost[job->covers[i]->by[k]];
	}
	return good;
}

static bool are_pairs(const Weir__JobRecord *job)
{
	bool pairs = true;
	for (size_t i = 0; i < job->n_participants && pairs; i++)
		pairs = job->covers[i]->n_by == 1 &&
			job->covers[job->covers[i]->by[0]]->n_by == 1 &&
			job->covers[job->covers[i]->by[0]]->by[0] == i;
	return pairs;
}

// No job fails that goes on without all who may have died; but for one whose leader has changed, as
// docs/replicas.md says.
static void check_failure(struct cluster *c, const struct whole_run *run,
	const Weir__JobRecord *was, const Weir__JobRecord *is)
{
	bool lost[REPLICA_PLACES_MAX];
	uint32_t gone = 0;
	for (uint32_t i = 0; i < was->n_participants; i++) {
		lost[i] =
			was->participants[i]->lost || is_disturbed(c, run, was->participants[i], i);
		gone += lost[i] && !was->participants[i]->lost;
	}
	if (!is_outlived(was, lost))
		return;
	if (run->term == is->term || gone == 0 || (are_pairs(was) && gone == 1))
		cluster_violate(c, "job %s failed, and had replicas: %s", is->id, is->error);
}

static void take_repairs(struct whole *w, struct whole_run *run, const Weir__JobRecord *was,
	const Weir__JobRecord *is)
{
	for (uint32_t i = 0; i < is->n_participants; i++) {
		if (!was->participants[i]->lost || is->participants[i]->lost)
			continue;
		struct replica_world *world = &run->world;
		if (world->nodes[world->holders[i]].lost)
			cluster_violate(&w->cluster, "job %s: place %u is whole and was given up",
				run->job, i);
		world->whole[i] = true;
		w->seen[WHOLE_WHOLE]++;
	}
}

// Nobody is given up who lives and was never cut off.
static void check_reasons(struct cluster *c, const struct whole_run *run,
	const Weir__JobRecord *was, const Weir__JobRecord *is)
{
	for (uint32_t i = 0; i < is->n_participants; i++)
		if (is->participants[i]->lost && !was->participants[i]->lost &&
			!is_disturbed(c, run, was->participants[i], i))
			cluster_violate(c, "job %s: %s was given up, and nothing was wrong with it",
				is->id, is->participants[i]->node);
}

static void say(const struct cluster *c, const Weir__JobRecord *was, const Weir__JobRecord *is)
{
	if (was && is && was->state != is->state)
		cluster_say(c, "%s: state %d, %zu places%s%s%s", is->id, is->state,
			is->n_participants, *is->error ? ": " : "", is->error,
			is->interrupt ? ", to end early" : "");
	for (uint32_t i = 0; was && is && i < is->n_participants && i < was->n_participants; i++) {
		const Weir__Participant *p = is->participants[i];
		if (p->lost != was->participants[i]->lost)
			cluster_say(c, "%s: place %u of %s is %s", is->id, i, p->node,
				p->lost ? "lost" : "whole again");
		if (p->repair && !was->participants[i]->repair)
			cluster_say(c, "%s: place %u is to be %s's", is->id, i, p->repair->node);
	}
}

static void see_leader(struct whole *w, const struct whole_run *run, const Weir__JobRecord *is)
{
	bool other = is->term != run->term, lost = false;
	for (size_t i = 0; i < is->n_participants; i++)
		lost |= is->participants[i]->lost;
	w->seen[WHOLE_NEW_LEADER] += other;
	w->seen[WHOLE_NEW_LEADER_LOST] += other && lost;
}

void whole_run_wrote(struct cluster *c, const Weir__JobRecord *was, const Weir__JobRecord *is)
{
	struct whole *w = whole_of(c);
	struct whole_run *run = is ? whole_run_find(w, is->id, is->incarnation) : NULL;
	say(c, was, is);
	if (!run || !was || was->n_participants != is->n_participants)
		return;
	if (is->state == WEIR__JOB_STATE__JOB_RUNNING && run->term == 0)
		run->term = is->term;
	if (run->term == 0)
		return;
	see_leader(w, run, is);
	check_reasons(c, run, was, is);
	take_repairs(w, run, was, is);
	run->closed |= is->state >= WEIR__JOB_STATE__JOB_FINISHED;
	if (is->state == WEIR__JOB_STATE__JOB_FAILED)
		check_failure(c, run, was, is);
	w->seen[WHOLE_FAILED] += is->state == WEIR__JOB_STATE__JOB_FAILED;
	if (is->state != WEIR__JOB_STATE__JOB_FINISHED &&
		is->state != WEIR__JOB_STATE__JOB_INTERRUPTED)
		return;
	run->well = true;
	run->interrupted = is->state == WEIR__JOB_STATE__JOB_INTERRUPTED;
	check_output(w, run);
	w->seen[run->interrupted ? WHOLE_ENDED_EARLY : WHOLE_ENDED_WELL]++;
	w->seen[WHOLE_OUTLIVED] += run->world.losses != 0;
}

// One that was given up may do late what it was once told; else only a job that is to be published.
void whole_run_publish(struct whole_part *part)
{
	struct cluster *c = &part->life->whole->cluster;
	const struct whole_run *run = part->run;
	Weir__JobRecord *record = ledger_job(c, run->job);
	bool lost = part->slot != UINT32_MAX && run->world.nodes[part->slot].lost;
	bool good = lost || run->well ||
		(record && record->incarnation == run->incarnation &&
			record->state == WEIR__JOB_STATE__JOB_PUBLISHING);
	if (!good)
		cluster_violate(c, "job %s published on %s in state %d", run->job,
			part->life->process->name, record ? (int)record->state : -1);
	record_free(record);
}

// What was published late was the same, too.
void whole_runs_end(struct whole *w)
{
	for (struct whole_run *run = w->runs; run && !w->cluster.violated; run = run->next)
		if (run->well)
			check_output(w, run);
	while (w->runs) {
		struct whole_run *run = w->runs;
		w->runs = run->next;
		w->seen[WHOLE_TAKEN_OVER] += run->world.seen[REPLICA_TAKEN_OVER];
		w->seen[WHOLE_REPLAYED] += run->world.seen[REPLICA_REPLAYED];
		w->seen[WHOLE_AGAIN] += run->world.seen[REPLICA_AGAIN];
		w->seen[WHOLE_AHEAD] += run->world.seen[REPLICA_AHEAD];
		w->seen[WHOLE_NEW_TOOK_OVER] += run->world.seen[REPLICA_NEW_TOOK_OVER];
		replica_ledger_destroy(&run->world.ledger);
		job_destroy(&run->world.job);
		free(run);
	}
}
