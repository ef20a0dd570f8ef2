// The trace of a cluster: what metadata took, what parts were told and did, whom a leader has
// heard, and which processes died since the last event.
#include "tests/sim/trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"
#include "tests/sim/cluster/cluster.h"

enum { LIST_BYTES = 512 };

// What a controller was last seen to know of a job.
struct known {
	struct known *next;
	uint64_t boot; // the controller's
	char job[MESSAGE_NAME_MAX + 1];
	uint32_t heard; // mask of places
	enum repair_phase phase;
};

static struct known *all_known;
static uint64_t boots[PROCESSES_MAX_SIM]; // of those that are up

void cluster_trace_begin(const struct cluster *c)
{
	memset(boots, 0, sizeof(boots));
	trace_begin(c->seed, c->work->world);
}

void cluster_trace_end(void)
{
	while (all_known != NULL) {
		struct known *next = all_known->next;
		free(all_known);
		all_known = next;
	}
	trace_end();
}

static void look_for_dead(const struct cluster *c)
{
	for (uint32_t i = 0; i < c->count; i++) {
		const struct process *p = &c->processes[i];
		uint64_t boot = p->up ? p->boot : 0;
		if (boots[i] != 0 && boots[i] != boot)
			trace_event(c->time.now_ns, p->name, "process_died", "boot=%" PRIu64,
				boots[i]);
		if (boot != 0 && boots[i] != boot)
			trace_event(c->time.now_ns, p->name, "process_started", "boot=%" PRIu64,
				boot);
		boots[i] = boot;
	}
}

// ---- metadata

// One more of a list, behind `between` unless it is the first.
__attribute__((format(printf, 3, 4))) static void add(char *list, const char *between,
	const char *format, ...)
{
	va_list arguments;
	size_t used = strlen(list);
	if (used != 0)
		used += (size_t)snprintf(list + used, LIST_BYTES - used, "%s", between);
	va_start(arguments, format);
	vsnprintf(list + used, LIST_BYTES - used, format, arguments);
	va_end(arguments);
}

// By place, whom its loss concerns: "1|0|3|2" of two pairs.
static void list_covers(const Weir__JobRecord *job, char *list)
{
	for (size_t i = 0; i < job->n_covers; i++) {
		char by[LIST_BYTES] = "";
		for (size_t k = 0; k < job->covers[i]->n_by; k++)
			add(by, "+", "%u", job->covers[i]->by[k]);
		add(list, "|", "%.64s", by);
	}
}

static void tell_job(const struct cluster *c, const Weir__JobRecord *job)
{
	char lost[LIST_BYTES] = "", holders[LIST_BYTES] = "", successors[LIST_BYTES] = "";
	char covers[LIST_BYTES] = "", spare[LIST_BYTES] = "";
	for (uint32_t i = 0; i < job->n_participants; i++) {
		const Weir__Participant *p = job->participants[i];
		if (p->lost)
			add(lost, ",", "%u", i);
		add(holders, ",", "%.64s", p->node);
		add(successors, ",", "%" PRIx64, p->successor);
		if (p->repair)
			add(spare, ",", "%u:%.64s", i, p->repair->node);
	}
	list_covers(job, covers);
	trace_event(c->time.now_ns, "meta", "job_written",
		"job=%s inc=%" PRIx64 " term=%" PRIu64
		" state=%d holders=%s lost=%s covers=%s successors=%s repair=%s boot=%" PRIx64,
		job->id, job->incarnation, job->term, (int)job->state, holders, lost, covers,
		successors, spare, job->repair_incarnation);
}

void cluster_trace_write(const struct cluster *c, const struct meta_put *put)
{
	if (!trace_is_on() || c->ending || !put->value)
		return;
	look_for_dead(c);
	if (strncmp(put->key, "weir/jobs/", 10) == 0) {
		Weir__JobRecord *job = job_record_read(put->value, put->bytes);
		if (job)
			tell_job(c, job);
		record_free(job);
	} else if (strcmp(put->key, "weir/election/term") == 0) {
		Weir__LeaderRecord *leader = leader_record_read(put->value, put->bytes);
		if (leader)
			trace_event(c->time.now_ns, "meta", "leader_elected", "term=%" PRIu64,
				leader->term);
		record_free(leader);
	}
}

// ---- leaders

static struct known *known_of(const struct process *p, const char *job)
{
	struct known *k = all_known;
	while (k != NULL && (k->boot != p->boot || strcmp(k->job, job) != 0))
		k = k->next;
	if (k != NULL)
		return k;
	k = calloc(1, sizeof(*k));
	VERIFY(k != NULL);
	k->boot = p->boot;
	strcpy(k->job, job);
	k->next = all_known;
	all_known = k;
	return k;
}

static void look_at_job(const struct process *p, const struct job_entry *job)
{
	static const char *const phases[] = {[REPAIR_NONE] = "none",
		[REPAIR_CHOSEN] = "chosen",
		[REPAIR_ADMITTED] = "admitted",
		[REPAIR_FED] = "fed",
		[REPAIR_WHOLE] = "whole",
		[REPAIR_ENDED] = "ended"};
	struct known *k = known_of(p, job->record->id);
	const struct controller *c = p->controller;
	for (uint32_t i = 0; i < job->record->n_participants && job->standings; i++) {
		bool heard = job->standings[i].heard;
		if (heard && !(k->heard & 1u << i))
			trace_event(c->now_ns, p->name, "part_heard",
				"job=%s term=%" PRIu64 " place=%u", job->record->id, c->term, i);
		k->heard = (k->heard & ~(1u << i)) | (uint32_t)heard << i;
	}
	if (job->repair.phase != k->phase)
		trace_event(c->now_ns, p->name, "repair_is",
			"job=%s term=%" PRIu64 " phase=%s place=%u", job->record->id, c->term,
			phases[job->repair.phase], job->repair.place);
	k->phase = job->repair.phase;
}

void cluster_trace_step(const struct process *p)
{
	const struct controller *c = p->controller;
	if (!trace_is_on() || c == NULL || c->phase != PHASE_LEADING)
		return;
	look_for_dead(p->cluster);
	for (uint32_t i = 0; i < c->job_count; i++)
		if (c->jobs[i]->record->n_participants != 0)
			look_at_job(p, c->jobs[i]);
}

// ---- parts

void cluster_trace_part(const struct process *p, const struct cluster_trace_part *part,
	const char *event, const char *format, ...)
{
	char text[LIST_BYTES];
	va_list arguments;
	if (!trace_is_on() || p->cluster->ending)
		return;
	look_for_dead(p->cluster);
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	trace_event(p->cluster->time.now_ns, p->name, event, "job=%s at=%u as=%" PRIx64 " %s",
		part->job, part->place, part->boot, text);
}
