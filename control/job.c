#include "control/job.h"

#include <inttypes.h>
#include <string.h>

#include "control/cpus.h"
#include "control/job_graph.h"
#include "control/job_recovery.h"
#include "control/job_set.h"
#include "control/params.h"
#include "control/yaml.h"
#include "dataplane/frame.h"
#include "dataplane/output_file.h"

struct job_planned {
	struct job_planned *next;
	const struct weir_operator *kind;
	struct job *job;
	struct value_root root; // of the validated parameters, for messages
	struct weir_plan plan;
};

static const struct weir_param operators_name[] = {{.name = "operators"}, {.name = NULL}};

static struct params_scope operator_scope(struct job *job, const struct job_operator *op,
	const struct weir_schema *input)
{
	return (struct params_scope){
		&job->heap, &job->errors, job->kinds, {op->raw, op->id}, input};
}

static bool name_is_plain(const char *name)
{
	size_t bytes = strlen(name);
	return bytes > 0 && bytes < 64 &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == bytes;
}

const struct weir_schema *plan_output(const struct weir_plan *plan, const char *name)
{
	for (uint32_t i = 0; i < plan->output_count; i++)
		if (strcmp(plan->outputs[i].name, name) == 0)
			return &plan->outputs[i].schema;
	return NULL;
}

static void planned_error(struct weir_plan *plan, const struct weir_value *at, const char *text)
{
	struct job_planned *planned = plan->error_sink;
	errors_add_at(&planned->job->errors, &planned->root, at, "%s", text);
}

static uint32_t frame_room(const struct job *job)
{
	const struct weir_value *exchange = weir_param_find(job->settings, "exchange");
	return (uint32_t)weir_param_int(exchange, "frame", FRAME_BYTES_MAX) - FRAME_HEADER_BYTES;
}

struct weir_plan *job_plan_operator(struct job *job, uint32_t index,
	const struct weir_plan *upstream, const struct weir_schema *input)
{
	struct job_operator *op = &job->operators[index];
	uint32_t before = job->errors.count;
	struct params_scope scope = operator_scope(job, op, input);
	struct weir_value *params = params_fill(&scope, op->kind->params, op->raw);
	params->text = op->kind->kind;
	if (job->errors.count > before)
		return NULL;
	struct job_planned *planned = heap_alloc(&job->heap, sizeof(*planned));
	*planned = (struct job_planned){.next = job->planned,
		.kind = op->kind,
		.job = job,
		.root = {params, op->id},
		.plan = {.params = params,
			.input = input,
			.id = op->id,
			.upstream = upstream,
			.record_bytes_max = frame_room(job),
			.error = planned_error,
			.error_sink = planned}};
	job->planned = planned;
	if (op->kind->plan(&planned->plan) == 0 && job->errors.count == before)
		return &planned->plan;
	if (job->errors.count == before)
		errors_add_at(&job->errors, &scope.root, NULL,
			"kind %s refuses its parameters without saying why: a defect of the kind",
			op->kind->kind);
	return NULL;
}

void job_destroy(struct job *job)
{
	for (struct job_planned *at = job->planned; at; at = at->next)
		if (at->kind->unplan)
			at->kind->unplan(&at->plan);
	job->planned = NULL;
	heap_destroy(&job->heap);
}

static bool check_id(struct job *job, const struct value_root *root, uint32_t index)
{
	const char *id = job->operators[index].id;
	const struct weir_value *at = weir_param_find(root->value, "id");
	uint32_t before = job->errors.count;
	if (!name_is_plain(id))
		errors_add_at(&job->errors, root, at,
			"%s is no id; write 1 to 63 of a-z, 0-9, _ and -", id);
	for (uint32_t i = 0; i < index; i++)
		if (strcmp(job->operators[i].id, id) == 0)
			errors_add_at(&job->errors, root, at,
				"%s is the id of an operator in line %u; choose another", id,
				job->operators[i].raw->line);
	for (const struct weir_param *param = job_table; param->name; param++)
		if (strcmp(param->name, id) == 0)
			errors_add_at(&job->errors, root, at,
				"%s is the name of a section; choose another", id);
	return job->errors.count == before;
}

// Split `operator.output`.
static void take_input(struct job *job, struct job_operator *op, const char *text)
{
	const char *dot = strchr(text, '.');
	op->input_text = heap_text(&job->heap, text, dot ? (size_t)(dot - text) : strlen(text));
	op->output_name = dot ? dot + 1 : "";
}

// The kind an operator names, if it can be run.
static const struct weir_operator *find_kind(const struct params_scope *scope,
	const struct weir_value *raw, bool is_source)
{
	const struct weir_operator *kind = params_kind(scope, raw, is_source);
	const char *why = kind ? weir_operator_unfit(kind) : NULL;
	if (why)
		errors_add_at(scope->errors, &scope->root, weir_param_find(raw, "kind"),
			"kind %s cannot be run: %s", kind->kind, why);
	return why ? NULL : kind;
}

static void load_operator(struct job *job, const struct weir_value *raw)
{
	uint32_t index = job->operator_count;
	struct job_operator *op = &job->operators[index];
	const char *id = weir_param_text(raw, "id", NULL);
	*op = (struct job_operator){.id = id, .raw = raw, .input = JOB_NO_INPUT};
	if (!id)
		op->id = heap_printf(&job->heap, "operators[%u]", index + 1);
	struct params_scope scope = operator_scope(job, op, NULL);
	struct weir_value *common = params_fill(&scope, job_operator_table, raw);
	op->parallelism = (uint32_t)weir_param_int(common, "parallelism", 0);
	op->named = id && check_id(job, &scope.root, index);
	if (weir_param_text(common, "input", NULL))
		take_input(job, op, weir_param_text(common, "input", NULL));
	op->kind = weir_param_text(common, "kind", NULL)
		? find_kind(&scope, raw, op->input_text == NULL)
		: NULL;
	if (op->kind)
		params_check_names(&scope, op->kind->params, job_operator_table, raw,
			heap_printf(&job->heap, "kind %s", op->kind->kind));
	job->operator_count++;
}

static void load_operators(struct job *job)
{
	const struct value_root root = {job->raw, ""};
	const struct weir_value *list = weir_param_find(job->raw, "operators");
	if (!list || list->kind != WEIR_VALUE_LIST || list->count == 0) {
		errors_add_at(&job->errors, &root, list,
			list ? "is no list of operators; write `- id: …` and `kind: …` for each"
			     : "operators is missing; add `operators:` with a source and a sink");
		return;
	}
	if (list->count > JOB_OPERATORS_MAX) {
		errors_add_at(&job->errors, &root, list, "has %u operators; at most %u are allowed",
			list->count, JOB_OPERATORS_MAX);
		return;
	}
	for (uint32_t i = 0; i < list->count; i++) {
		if (list->items[i]->kind == WEIR_VALUE_MAP)
			load_operator(job, list->items[i]);
		else
			errors_add_at(&job->errors, &root, list->items[i],
				"is no operator; write `- id: …` and `kind: …`");
	}
}

static const char *output_names(struct heap *heap, const struct job_operator *op)
{
	const char *text = "";
	for (uint32_t i = 0; i < op->plan->output_count; i++) {
		const char *name = op->plan->outputs[i].name;
		text = heap_printf(heap, "%s%s%s%s%s", text, i ? ", " : "", op->id,
			*name ? "." : "", name);
	}
	return text;
}

// Returns the schema an operator reads; NULL after an error, or when the input has one.
static const struct weir_schema *input_schema(struct job *job, struct job_operator *op)
{
	const struct job_operator *from = &job->operators[op->input];
	if (!from->plan || from->plan->output_count == 0) // a sink: already said
		return NULL;
	const struct weir_schema *schema = plan_output(from->plan, op->output_name);
	if (schema)
		return schema;
	if (*op->output_name)
		job_operator_error(job, op, "input", "%s has no output %s; write %s", from->id,
			op->output_name, output_names(&job->heap, from));
	else
		job_operator_error(job, op, "input", "%s has several outputs; write one of %s",
			from->id, output_names(&job->heap, from));
	return NULL;
}

static void plan_in_order(struct job *job, uint32_t index)
{
	struct job_operator *op = &job->operators[index];
	if (!op->kind)
		return;
	const struct weir_schema *input = NULL;
	if (op->input != JOB_NO_INPUT)
		input = input_schema(job, op);
	if (op->kind->role == WEIR_SOURCE || input) {
		const struct weir_plan *upstream = input ? job->operators[op->input].plan : NULL;
		op->plan = job_plan_operator(job, index, upstream, input);
	} else { // what can be said without the input's fields
		struct params_scope scope = operator_scope(job, op, NULL);
		params_fill(&scope, op->kind->params, op->raw);
	}
	if (op->plan && op->plan->parallelism_max && op->parallelism > op->plan->parallelism_max)
		job_operator_error(job, op, "parallelism",
			"%u is more than this %s can use; write %u", op->parallelism,
			op->kind->kind, op->plan->parallelism_max);
}

static void load_cpus(struct job *job, const struct value_root *root)
{
	const struct weir_value *workers = weir_param_find(job->settings, "workers");
	const char *text = weir_param_text(workers, "cpus", NULL);
	if (!text)
		return;
	const struct weir_value *raw = weir_param_find(job->raw, "workers");
	const char *problem = cpus_parse(&job->heap, text, &job->cpus, &job->cpu_count);
	int64_t count = weir_param_int(workers, "count", 0);
	if (problem)
		errors_add_at(&job->errors, root, weir_param_find(raw, "cpus"), "%s %s", text,
			problem);
	else if (count && count != job->cpu_count)
		errors_add_at(&job->errors, root, weir_param_find(raw, "cpus"),
			"%s lists %u CPUs, count says %" PRId64 "; make them equal, or leave count "
			"out",
			text, job->cpu_count, count);
}

static void load_settings(struct job *job)
{
	struct params_scope scope = {&job->heap, &job->errors, job->kinds, {job->raw, ""}, NULL};
	params_check_names(&scope, job_table, operators_name, job->raw, "a job");
	job->settings = params_fill(&scope, job_table, job->raw);
	const struct weir_value *version = weir_param_find(job->raw, "version");
	int64_t number = weir_param_int(job->settings, "version", 1);
	if (version && number != 1 && number != 0)
		errors_add_at(&job->errors, &scope.root, version,
			"%" PRId64 " is not known to this weir; write version: 1", number);
	load_cpus(job, &scope.root);
	job->name = weir_param_text(job->settings, "job", NULL);
	if (job->name && !name_is_plain(job->name))
		errors_add_at(&job->errors, &scope.root, weir_param_find(job->raw, "job"),
			"%s is no name; write 1 to 63 of a-z, 0-9, _ and -", job->name);
}

static const char *sink_path(const struct job_operator *op)
{
	bool sink = op->plan && op->kind->role == WEIR_SINK;
	return sink ? weir_param_text(op->plan->params, "path", NULL) : NULL;
}

// The last of two sinks to publish would destroy what the other one wrote.
static void check_sink_paths(struct job *job)
{
	for (uint32_t i = 1; i < job->operator_count; i++) {
		const char *path = sink_path(&job->operators[i]);
		for (uint32_t k = 0; path && k < i; k++) {
			const char *other = sink_path(&job->operators[k]);
			if (other && output_path_equal(path, other))
				job_operator_error(job, &job->operators[i], "path",
					"%s is the file of %s, too; give each sink its own", path,
					job->operators[k].id);
		}
	}
}

const char *job_sink_of(const struct job *job, const char *path)
{
	for (uint32_t i = 0; i < job->operator_count; i++) {
		const char *other = sink_path(&job->operators[i]);
		if (other && output_path_equal(path, other))
			return job->operators[i].id;
	}
	return NULL;
}

static void job_check(struct job *job)
{
	load_settings(job);
	load_operators(job);
	job_connect(job);
	job_choose_replicated(job);
	for (uint32_t i = 0; i < job->order_count; i++)
		plan_in_order(job, job->order[i]);
	check_sink_paths(job);
}

void job_load(struct job *job, const struct job_source *source)
{
	memset(job, 0, sizeof(*job));
	job->errors.heap = &job->heap;
	job->kinds = source->kinds;
	job->file = heap_text(&job->heap, source->file, strlen(source->file));
	job->raw = source->text
		? yaml_parse(&job->heap, &job->errors, job->file, source->text, source->bytes)
		: yaml_load(&job->heap, &job->errors, job->file);
	if (!job->raw)
		return;
	if (job->raw->kind != WEIR_VALUE_MAP) {
		errors_add(&job->errors, job->file, job->raw->line,
			"a job file is a map: `version: 1`, `job:` and `operators:`");
		return;
	}
	for (uint32_t i = 0; i < source->set_count; i++)
		job_set(&job->heap, &job->errors, job->raw, source->sets[i]);
	job_check(job);
}

uint32_t job_workers(const struct job *job, uint32_t otherwise)
{
	const struct weir_value *workers = weir_param_find(job->settings, "workers");
	return (uint32_t)weir_param_int(workers, "count",
		job->cpu_count ? job->cpu_count : otherwise);
}

void job_print_types(const struct job *job, FILE *out)
{
	for (uint32_t i = 0; i < job->order_count; i++) {
		const struct job_operator *op = &job->operators[job->order[i]];
		for (uint32_t k = 0; op->plan && k < op->plan->output_count; k++) {
			const struct weir_output *output = &op->plan->outputs[k];
			fprintf(out, "  %s%s%s:", op->id, *output->name ? "." : "", output->name);
			for (uint32_t f = 0; f < output->schema.field_count; f++) {
				char type[32];
				type_print(&output->schema.fields[f], type, sizeof(type));
				fprintf(out, "%s %s %s", f ? "," : "",
					output->schema.fields[f].name, type);
			}
			fputc('\n', out);
		}
	}
}
