#include "control/job_recovery.h"

#include <stdarg.h>
#include <string.h>

#include "control/job_graph.h"
#include "control/suggest.h"

const struct weir_value *job_recovery(const struct job *job)
{
	return weir_param_find(job->settings, "recovery");
}

static void error_at(struct job *job, const struct weir_value *at, const char *text)
{
	const struct value_root root = {job->raw, ""};
	errors_add_at(&job->errors, &root, at, "%s", text);
}

void job_recovery_error(struct job *job, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	const char *text = heap_vprintf(&job->heap, format, arguments);
	va_end(arguments);
	error_at(job, weir_param_find(job->raw, "recovery"), text);
}

static void say_unknown(struct job *job, const struct weir_value *item)
{
	struct suggestion near;
	char text[128];
	suggest_start(&near, item->text);
	for (uint32_t i = 0; i < job->operator_count; i++)
		if (job->operators[i].named)
			suggest_offer(&near, job->operators[i].id);
	error_at(job, item,
		heap_printf(&job->heap, "there is no operator %s%s", item->text,
			suggest_text(&near, text)));
}

// `item`: where the operator is listed; NULL: it is not, all are meant.
static void choose(struct job *job, struct job_operator *op, const struct weir_value *item)
{
	op->replicated = true;
	if (op->kind == NULL || !op->kind->immediate)
		return;
	const char *text = heap_printf(&job->heap,
		"%s acts outside at once, which a replica cannot hold back; %s, or use a sink that "
		"publishes at the end, such as csv",
		op->kind->kind, item ? "leave it out" : "list the others in recovery.operators");
	if (item)
		error_at(job, item, text);
	else
		job_operator_error(job, op, "kind", "%s", text);
}

static void choose_listed(struct job *job, const struct weir_value *item)
{
	for (uint32_t i = 0; i < job->operator_count; i++) {
		if (strcmp(job->operators[i].id, item->text) == 0) {
			choose(job, &job->operators[i], item);
			return;
		}
	}
	say_unknown(job, item);
}

// Two frames are kept free for marks, and one is filled while another is on its way.
static void check_retention(struct job *job)
{
	const struct weir_value *at =
		weir_param_find(weir_param_find(job->raw, "recovery"), "retention");
	int64_t frame = weir_param_int(weir_param_find(job->settings, "exchange"), "frame", 0);
	int64_t kept = weir_param_int(job_recovery(job), "retention", 4 * frame);
	if (at != NULL && kept < 4 * frame)
		error_at(job, at,
			heap_printf(&job->heap,
				"is less than four frames of exchange.frame (%lldB); raise it to "
				"at least %lldB, or lower exchange.frame",
				(long long)frame, (long long)(4 * frame)));
}

// One process can do the one, several nodes the other.
static void check_alone(struct job *job)
{
	const struct weir_value *at = weir_param_find(job->raw, "checkpoint");
	if (at != NULL)
		error_at(job, at,
			"barriers are not coordinated between nodes yet, and recovery has replicas "
			"on several; leave one of the two sections out");
}

// The list as it was written knows its place in the file.
void job_choose_replicated(struct job *job)
{
	if (job_recovery(job) == NULL)
		return;
	check_alone(job);
	check_retention(job);
	const struct weir_value *list =
		weir_param_find(weir_param_find(job->raw, "recovery"), "operators");
	for (uint32_t i = 0; list == NULL && i < job->operator_count; i++)
		choose(job, &job->operators[i], NULL);
	if (list == NULL || list->kind != WEIR_VALUE_LIST)
		return; // what is no list has been said
	if (list->count == 0)
		error_at(job, list,
			"is empty; list operators, or leave it out: all are then meant");
	for (uint32_t i = 0; i < list->count; i++)
		if (list->items[i]->kind == WEIR_VALUE_SCALAR && list->items[i]->text)
			choose_listed(job, list->items[i]);
}
