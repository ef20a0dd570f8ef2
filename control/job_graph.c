#include "control/job_graph.h"

#include <stdbool.h>
#include <string.h>

#include "control/suggest.h"

static const struct weir_value *operator_value(const struct job_operator *op, const char *name)
{
	return weir_param_find(op->raw, name);
}

void job_operator_error(struct job *job, const struct job_operator *op, const char *name,
	const char *format, ...)
{
	const struct value_root root = {op->raw, op->id};
	va_list arguments;
	va_start(arguments, format);
	const char *text = heap_vprintf(&job->heap, format, arguments);
	va_end(arguments);
	errors_add_at(&job->errors, &root, name ? operator_value(op, name) : NULL, "%s", text);
}

static struct job_operator *operator_named(struct job *job, const char *id)
{
	for (uint32_t i = 0; i < job->operator_count; i++)
		if (strcmp(job->operators[i].id, id) == 0)
			return &job->operators[i];
	return NULL;
}

// What is meant counts as read, so that one slip is one error.
static void say_unknown(struct job *job, const struct job_operator *op)
{
	struct suggestion near;
	char text[128];
	suggest_start(&near, op->input_text);
	for (uint32_t i = 0; i < job->operator_count; i++)
		if (&job->operators[i] != op)
			suggest_offer(&near, job->operators[i].id);
	if (near.best)
		operator_named(job, near.best)->consumers++;
	job_operator_error(job, op, "input", "there is no operator %s%s", op->input_text,
		suggest_text(&near, text));
}

static void find_input(struct job *job, struct job_operator *op)
{
	if (op->kind && op->kind->role == WEIR_SOURCE)
		return; // check_role refuses it
	struct job_operator *from = operator_named(job, op->input_text);
	if (!from) {
		say_unknown(job, op);
		return;
	}
	op->input = (uint32_t)(from - job->operators);
	from->consumers++;
}

static void check_role(struct job *job, struct job_operator *op)
{
	if (!op->kind)
		return;
	if (op->kind->role == WEIR_SOURCE && op->input_text)
		job_operator_error(job, op, "input", "%s is a source and reads no input; remove it",
			op->kind->kind);
	if (op->kind->role != WEIR_SOURCE && !op->input_text && !operator_value(op, "input"))
		job_operator_error(job, op, NULL,
			"input is missing; add `input:` with the id of the operator it reads");
	if (op->kind->role != WEIR_SINK && op->consumers == 0 && op->named)
		job_operator_error(job, op, NULL,
			"nothing reads it; give it to a sink with `input: %s`, or remove it",
			op->id);
	if (op->input == JOB_NO_INPUT)
		return;
	const struct job_operator *from = &job->operators[op->input];
	if (from->kind && from->kind->role == WEIR_SINK)
		job_operator_error(job, op, "input",
			"%s is a sink and gives nothing; read %s instead", from->id,
			from->input_text ? from->input_text : "another operator");
}

// Every operator has at most one input, so a loop is found by walking up.
static void report_cycle(struct job *job, uint32_t from, bool *reported)
{
	uint32_t at = from;
	for (uint32_t i = 0; i < job->operator_count; i++)
		at = job->operators[at].input;
	if (reported[at])
		return;
	uint32_t first = at;
	for (uint32_t i = job->operators[at].input; i != at; i = job->operators[i].input)
		first = i < first ? i : first;
	at = first;
	const char *text = job->operators[at].id;
	do {
		reported[at] = true;
		at = job->operators[at].input;
		text = heap_printf(&job->heap, "%s, which reads %s", text, job->operators[at].id);
	} while (at != first);
	job_operator_error(job, &job->operators[first], "input",
		"goes round in a circle: %s; let one of them read something else", text);
}

static void order_operators(struct job *job)
{
	bool ordered[JOB_OPERATORS_MAX] = {false}, reported[JOB_OPERATORS_MAX] = {false};
	uint32_t before;
	do {
		before = job->order_count;
		for (uint32_t i = 0; i < job->operator_count; i++) {
			uint32_t input = job->operators[i].input;
			if (ordered[i] || (input != JOB_NO_INPUT && !ordered[input]))
				continue;
			ordered[i] = true;
			job->order[job->order_count++] = i;
		}
	} while (job->order_count > before);
	for (uint32_t i = 0; i < job->operator_count; i++)
		if (!ordered[i])
			report_cycle(job, i, reported);
}

void job_connect(struct job *job)
{
	for (uint32_t i = 0; i < job->operator_count; i++)
		if (job->operators[i].input_text)
			find_input(job, &job->operators[i]);
	for (uint32_t i = 0; i < job->operator_count; i++)
		check_role(job, &job->operators[i]);
	order_operators(job);
}
