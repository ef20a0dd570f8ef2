// Kinds of operators that can be planned but not run, for tests of jobs and their planning.
#pragma once

#include <errno.h>
#include <string.h>

#include "dataplane/operator.h"

static inline void kinds_give(struct weir_plan *plan, const char *name, const char *const *fields)
{
	struct weir_output *output = &plan->outputs[plan->output_count];
	output->name = name;
	output->schema.variant = (uint16_t)plan->output_count++;
	for (; *fields; fields++)
		schema_add(&output->schema, *fields, WEIR_INT64, 0, 0);
	schema_layout(&output->schema);
}

static inline void kinds_pass(struct weir_plan *plan)
{
	plan->outputs[0].name = "";
	plan->outputs[0].schema = *plan->input;
	plan->output_count = 1;
	plan->fields_used = UINT64_MAX;
}

static inline int numbers_plan(struct weir_plan *plan)
{
	static const char *const fields[] = {"time", "a", "b", "c", NULL};
	if (!weir_param_int(plan->params, "outputs", 0)) {
		kinds_give(plan, "", fields);
		return 0;
	}
	kinds_give(plan, "odd", fields);
	kinds_give(plan, "even", fields + 1);
	return 0;
}

static inline int sum_plan(struct weir_plan *plan)
{
	static const char *const fields[] = {"time", "key", "sum", NULL};
	const struct weir_value *key = weir_param_find(plan->params, "key");
	plan->keys[plan->key_count++] = (uint16_t)key->integer;
	plan->fields_used = 1ULL << weir_param_int(plan->params, "of", 0) | 1ULL << plan->keys[0];
	if (plan->keys[0] == weir_param_int(plan->params, "of", -1)) {
		weir_plan_error(plan, weir_param_find(plan->params, "of"),
			"%s is the key; sum another field", key->text);
		return -EINVAL;
	}
	kinds_give(plan, "", fields);
	return 0;
}

static inline int keep_plan(struct weir_plan *plan)
{
	kinds_pass(plan);
	return 0;
}

static inline int best_plan(struct weir_plan *plan)
{
	kinds_pass(plan);
	plan->parallelism_max = 1;
	return 0;
}

static inline int swallow_plan(struct weir_plan *plan)
{
	plan->fields_used = UINT64_MAX;
	plan->parallelism_max = (uint32_t)weir_param_int(plan->params, "tasks_max", 0);
	return 0;
}

static const struct weir_param numbers_params[] = {
	{.name = "outputs", .type = WEIR_PARAM_BOOL, .default_text = "false", .doc = "two of them"},
	{.name = "events", .type = WEIR_PARAM_INT, .default_text = "1000", .doc = "how many"},
	{.name = NULL},
};
static const struct weir_param sum_params[] = {
	{.name = "key", .type = WEIR_PARAM_FIELD, .required = true, .doc = "grouped by"},
	{.name = "of", .type = WEIR_PARAM_FIELD, .default_text = "time", .doc = "summed field"},
	{.name = NULL},
};
static const struct weir_param no_params[] = {{.name = NULL}};
static const struct weir_param swallow_params[] = {
	{.name = "tasks_max", .type = WEIR_PARAM_INT, .default_text = "0", .doc = "bound"},
	{.name = NULL},
};

#define KIND_HEAD .size = sizeof(struct weir_operator), .version = WEIR_OPERATOR_VERSION

static const struct weir_operator numbers_kind = {KIND_HEAD, .kind = "numbers", .role = WEIR_SOURCE,
	.params = numbers_params, .plan = numbers_plan};
static const struct weir_operator sum_kind = {
	KIND_HEAD, .kind = "sum", .role = WEIR_TRANSFORM, .params = sum_params, .plan = sum_plan};
static const struct weir_operator keep_kind = {
	KIND_HEAD, .kind = "keep", .role = WEIR_TRANSFORM, .params = no_params, .plan = keep_plan};
static const struct weir_operator best_kind = {KIND_HEAD, .kind = "best", .role = WEIR_TRANSFORM,
	.partial = true, .params = no_params, .plan = best_plan};
static const struct weir_operator swallow_kind = {KIND_HEAD, .kind = "swallow", .role = WEIR_SINK,
	.params = swallow_params, .plan = swallow_plan};
static const struct weir_operator show_kind = {KIND_HEAD, .kind = "show", .role = WEIR_SINK,
	.immediate = true, .params = swallow_params, .plan = swallow_plan};
static const struct weir_operator *const job_kinds[] = {
	&numbers_kind, &sum_kind, &keep_kind, &best_kind, &swallow_kind, &show_kind, NULL};
