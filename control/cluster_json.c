#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "control/cluster_show.h"
#include "control/message.h"
#include "numa/assert.h"

static void set_text(json_t *object, const char *name, const char *text)
{
	json_t *value = json_string(text);
	json_object_set_new(object, name, value ? value : json_string("?")); // no UTF-8
}

static void set_number(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

// 64 bits that are no quantity, which JSON readers would round.
static void set_mark(json_t *object, const char *name, uint64_t value)
{
	char text[17];
	snprintf(text, sizeof(text), "%016" PRIx64, value);
	set_text(object, name, text);
}

static json_t *operator_json(const Weir__OperatorFigures *op)
{
	json_t *object = json_object();
	set_text(object, "id", op->id);
	set_text(object, "kind", op->kind);
	set_number(object, "tasks", op->tasks);
	set_number(object, "records_in", op->records_in);
	set_number(object, "records_out", op->records_out);
	set_number(object, "dropped", op->dropped);
	json_object_set_new(object, "busy_share", json_real(op->busy_share));
	json_object_set_new(object, "backpressured_share", json_real(op->backpressured_share));
	for (size_t i = 0; i < op->n_results; i++) {
		if (strcmp(op->results[i]->name, "hash") == 0)
			set_mark(object, "hash", op->results[i]->value);
		else
			set_number(object, op->results[i]->name, op->results[i]->value);
	}
	return object;
}

static json_t *part_json(const Weir__Part *part)
{
	json_t *object = json_object(), *operators = json_array();
	set_text(object, "state", part_state_name(part->state));
	set_number(object, "progress", part->progress);
	json_object_set_new(object, "seconds", json_real(part->seconds));
	if (*part->error)
		set_text(object, "error", part->error);
	for (size_t i = 0; i < part->n_operators; i++)
		json_array_append_new(operators, operator_json(part->operators[i]));
	json_object_set_new(object, "operators", operators);
	return object;
}

static json_t *loss_json(const Weir__JobRecord *record, uint32_t index)
{
	const Weir__Participant *p = record->participants[index];
	json_t *object = json_object(), *by = json_array();
	set_number(object, "at_ns", (uint64_t)p->lost_at);
	set_text(object, "why", p->lost_why);
	for (size_t i = 0; index < record->n_covers && i < record->covers[index]->n_by; i++)
		json_array_append_new(by,
			json_string(record->participants[record->covers[index]->by[i]]->node));
	json_object_set_new(object, "taken_over_by", by);
	return object;
}

static json_t *participant_json(const Weir__JobStatus *job, uint32_t index)
{
	const Weir__Participant *p = job->record->participants[index];
	json_t *object = json_object();
	set_text(object, "node", p->node);
	set_mark(object, "incarnation", p->incarnation);
	set_number(object, "workers", p->workers);
	if (p->lost)
		json_object_set_new(object, "lost", loss_json(job->record, index));
	for (size_t i = 0; i < job->n_parts; i++)
		if (job->parts[i]->participant == index)
			json_object_set_new(object, "part", part_json(job->parts[i]));
	return object;
}

static json_t *repair_json(const Weir__RepairStatus *repair)
{
	json_t *object = json_object();
	set_number(object, "place", repair->place);
	set_text(object, "node", repair->node);
	json_object_set_new(object, "for_seconds", json_real((double)repair->for_ns / 1e9));
	set_text(object, "step", repair->step);
	return object;
}

static json_t *job_json(const Weir__JobStatus *job)
{
	const Weir__JobRecord *record = job->record;
	json_t *object = json_object(), *nodes = json_array();
	set_text(object, "id", record->id);
	set_text(object, "name", record->name);
	set_text(object, "state", job_state_name(record->state));
	if (*record->error)
		set_text(object, "error", record->error);
	if (*job->waiting)
		set_text(object, "waiting", job->waiting);
	if (*job->survives)
		set_text(object, "survives", job->survives);
	if (job->repair)
		json_object_set_new(object, "repair", repair_json(job->repair));
	set_mark(object, "incarnation", record->incarnation);
	set_mark(object, "plan_hash", record->plan_hash);
	set_number(object, "submitted_ns", (uint64_t)record->submitted_at);
	if (record->ended_at)
		set_number(object, "ended_ns", (uint64_t)record->ended_at);
	for (uint32_t i = 0; i < record->n_participants; i++)
		json_array_append_new(nodes, participant_json(job, i));
	json_object_set_new(object, "nodes", nodes);
	return object;
}

static json_t *begin(const Weir__Reply *reply, const char *schema)
{
	json_t *root = json_object();
	set_text(root, "schema", schema);
	set_text(root, "controller", reply->controller);
	set_number(root, "term", reply->term);
	if (*reply->warning)
		set_text(root, "warning", reply->warning);
	return root;
}

static void print(json_t *root, FILE *out)
{
	char *text = json_dumps(root, JSON_INDENT(2));
	VERIFY(text);
	fprintf(out, "%s\n", text);
	free(text);
	json_decref(root);
}

void show_jobs_json(const Weir__Reply *reply, FILE *out)
{
	json_t *root = begin(reply, "weir-jobs-1"), *jobs = json_array();
	for (size_t i = 0; i < reply->n_jobs; i++)
		json_array_append_new(jobs, job_json(reply->jobs[i]));
	json_object_set_new(root, "jobs", jobs);
	print(root, out);
}

void show_job_json(const Weir__Reply *reply, FILE *out)
{
	json_t *root = begin(reply, "weir-job-1");
	if (reply->n_jobs > 0)
		json_object_set_new(root, "job", job_json(reply->jobs[0]));
	print(root, out);
}

static json_t *node_json(const Weir__NodeStatus *node)
{
	json_t *object = json_object(), *links = json_array(), *jobs = json_array();
	set_text(object, "name", node->record->name);
	set_text(object, "state", node->state);
	if (*node->reason)
		set_text(object, "reason", node->reason);
	set_mark(object, "incarnation", node->record->incarnation);
	set_text(object, "host", node->record->host);
	set_text(object, "rack", node->record->rack);
	set_number(object, "workers", node->record->workers);
	set_number(object, "free_workers", node->free_workers);
	set_number(object, "silent_ns", node->silent_ns);
	set_number(object, "silence_ns", node->silence_ns);
	for (size_t i = 0; i < node->record->n_links; i++)
		json_array_append_new(links, json_string(node->record->links[i]));
	for (size_t i = 0; i < node->n_parts; i++)
		json_array_append_new(jobs, json_string(node->parts[i]->job));
	json_object_set_new(object, "links", links);
	json_object_set_new(object, "jobs", jobs);
	return object;
}

void show_nodes_json(const Weir__Reply *reply, FILE *out)
{
	json_t *root = begin(reply, "weir-nodes-1"), *nodes = json_array();
	for (size_t i = 0; i < reply->n_nodes; i++)
		json_array_append_new(nodes, node_json(reply->nodes[i]));
	json_object_set_new(root, "nodes", nodes);
	print(root, out);
}

void show_events_json(const Weir__Reply *reply, FILE *out)
{
	json_t *root = begin(reply, "weir-events-1"), *events = json_array();
	for (size_t i = 0; i < reply->n_events; i++) {
		json_t *event = json_object();
		set_number(event, "number", reply->events[i]->number);
		set_number(event, "at_ns", (uint64_t)reply->events[i]->at);
		set_text(event, "text", reply->events[i]->text);
		json_array_append_new(events, event);
	}
	json_object_set_new(root, "events", events);
	print(root, out);
}
