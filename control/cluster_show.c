#include "control/cluster_show.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "control/message.h"

enum { TIME_BYTES = 32 };

// ISO 8601 in UTC, as it sorts and as JSON has it.
static const char *time_text(int64_t at_ns, char *text)
{
	time_t seconds = at_ns / 1000000000;
	struct tm parts;
	*text = 0;
	if (at_ns != 0 && gmtime_r(&seconds, &parts))
		strftime(text, TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
	return text;
}

static uint32_t workers_of(const Weir__JobRecord *job)
{
	uint32_t workers = 0;
	for (size_t i = 0; i < job->n_participants; i++)
		workers += job->participants[i]->workers;
	return workers;
}

// What stands behind a job's state.
static const char *remark(const Weir__JobStatus *job)
{
	if (*job->record->error)
		return job->record->error;
	return job->waiting;
}

void show_jobs(const Weir__Reply *reply, FILE *out)
{
	char at[TIME_BYTES];
	fprintf(out, "%-28s %-11s %5s %7s  %-20s  %s\n", "job", "state", "nodes", "workers",
		"submitted", "");
	for (size_t i = 0; i < reply->n_jobs; i++) {
		const Weir__JobRecord *job = reply->jobs[i]->record;
		const char *text = remark(reply->jobs[i]);
		bool waits = *text && !*job->error;
		fprintf(out, "%-28s %-11s %5zu %7u  %-20s  %s%s\n", job->id,
			job_state_name(job->state), job->n_participants, workers_of(job),
			time_text(job->submitted_at, at), waits ? "waits for " : "", text);
	}
}

// Replicas do not count: their figures are those of the others until they take over.
static bool has_tasks(const Weir__Part *part)
{
	for (size_t i = 0; i < part->n_operators; i++)
		if (part->operators[i]->tasks > 0)
			return true;
	return false;
}

static void show_operators(const Weir__Part *part, FILE *out)
{
	if (!has_tasks(part))
		return;
	fprintf(out, "  %-20s %-16s %5s %12s %12s %9s %5s\n", "operator", "kind", "tasks",
		"records in", "records out", "dropped", "busy");
	for (size_t i = 0; i < part->n_operators; i++) {
		const Weir__OperatorFigures *op = part->operators[i];
		if (op->tasks == 0)
			continue;
		fprintf(out, "  %-20s %-16s %5u %12" PRIu64 " %12" PRIu64 " %9" PRIu64 " %4.0f%%",
			op->id, op->kind, op->tasks, op->records_in, op->records_out, op->dropped,
			100 * op->busy_share);
		for (size_t k = 0; k < op->n_results; k++)
			fprintf(out,
				strcmp(op->results[k]->name, "hash") == 0 ? "  %s %016" PRIx64
									  : "  %s %" PRIu64,
				op->results[k]->name, op->results[k]->value);
		fputc('\n', out);
	}
}

// Those of nodes that cannot be heard are missing.
static const Weir__Part *part_of(const Weir__JobStatus *job, size_t participant)
{
	const Weir__Part *found = NULL;
	for (size_t i = 0; i < job->n_parts; i++)
		if (job->parts[i]->participant == participant)
			found = job->parts[i];
	return found;
}

// Who has taken over what a lost participant did.
static void show_loss(const Weir__JobRecord *record, size_t index, FILE *out)
{
	char at[TIME_BYTES];
	const Weir__Participant *p = record->participants[index];
	const Weir__Cover *cover = index < record->n_covers ? record->covers[index] : NULL;
	fprintf(out, "lost since %s, it %s; ", time_text(p->lost_at, at), p->lost_why);
	for (size_t i = 0; cover && i < cover->n_by; i++)
		fprintf(out, "%s%s", i ? ", " : "", record->participants[cover->by[i]]->node);
	fprintf(out, " took over\n");
}

static void show_repair(const Weir__JobStatus *job, FILE *out)
{
	const Weir__RepairStatus *repair = job->repair;
	if (repair)
		fprintf(out,
			"a new replica of what node %s did is being made on node %s, for %.1f s: "
			"%s\n",
			job->record->participants[repair->place]->node, repair->node,
			(double)repair->for_ns / 1e9, repair->step);
}

static void show_participant(const Weir__JobStatus *job, size_t index, FILE *out)
{
	const Weir__Participant *p = job->record->participants[index];
	const Weir__Part *part = part_of(job, index);
	fprintf(out, "node %s, %u worker%s: ", p->node, p->workers, p->workers == 1 ? "" : "s");
	if (p->lost) {
		show_loss(job->record, index, out);
		return;
	}
	if (!part) {
		fprintf(out, "no part\n");
		return;
	}
	bool cut_short = job->record->state >= WEIR__JOB_STATE__JOB_FINISHED &&
		part->state < WEIR__PART_STATE__PART_PUBLISHED;
	bool idle = part->n_operators > 0 && !has_tasks(part);
	fprintf(out, "%s%s%s%s%s\n", cut_short ? "ended while " : "", part_state_name(part->state),
		idle ? ", no tasks but replicas" : "", *part->error ? ": " : "", part->error);
	show_operators(part, out);
}

void show_job(const Weir__Reply *reply, FILE *out)
{
	if (reply->n_jobs == 0)
		return;
	const Weir__JobStatus *job = reply->jobs[0];
	const Weir__JobRecord *record = job->record;
	char at[TIME_BYTES], ended[TIME_BYTES];
	fprintf(out, "%s is %s%s%s\n", record->id, job_state_name(record->state),
		*remark(job) ? (*record->error ? ": " : ", waits for ") : "", remark(job));
	fprintf(out, "submitted %s%s%s\n", time_text(record->submitted_at, at),
		record->ended_at ? ", ended " : "", time_text(record->ended_at, ended));
	if (*job->survives)
		fprintf(out, "%s\n", job->survives);
	show_repair(job, out);
	for (size_t i = 0; i < record->n_participants; i++)
		show_participant(job, i, out);
}

void show_nodes(const Weir__Reply *reply, FILE *out)
{
	fprintf(out, "%-16s %-8s %-16s %-12s %7s %4s %5s  %s\n", "node", "state", "host", "rack",
		"workers", "free", "parts", "");
	for (size_t i = 0; i < reply->n_nodes; i++) {
		const Weir__NodeStatus *node = reply->nodes[i];
		fprintf(out, "%-16s %-8s %-16s %-12s %7u %4u %5zu  %s\n", node->record->name,
			node->state, node->record->host, node->record->rack, node->record->workers,
			node->free_workers, node->n_parts, node->reason);
	}
}

void show_events(const Weir__Reply *reply, FILE *out)
{
	char at[TIME_BYTES];
	for (size_t i = 0; i < reply->n_events; i++)
		fprintf(out, "%s  %s\n", time_text(reply->events[i]->at, at),
			reply->events[i]->text);
}
