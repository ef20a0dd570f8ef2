// Planning of window_aggregate: parameters to window, aggregates and output schema.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/operators/project.h"
#include "dataplane/operators/window_parts.h"

static const struct weir_param window_children[] = {
	{.name = "tumbling",
		.type = WEIR_PARAM_DURATION,
		.min = 1,
		.max = INT64_MAX / 4,
		.doc = "Length of windows that follow one another."},
	{.name = "hopping",
		.type = WEIR_PARAM_DURATION,
		.min = 1,
		.max = INT64_MAX / 4,
		.doc = "Length of windows of which one begins every `slide`."},
	{.name = "slide",
		.type = WEIR_PARAM_DURATION,
		.min = 1,
		.max = INT64_MAX / 4,
		.doc = "From one hopping window's start to the next; divides the length."},
	{0}};

const struct weir_param window_params[] = {
	{.name = "key",
		.type = WEIR_PARAM_FIELDS,
		.doc = "Fields whose values make a group; absent: all records are one group."},
	{.name = "window",
		.type = WEIR_PARAM_MAP,
		.required = true,
		.children = window_children,
		.doc = "Either `tumbling: 1h` or `hopping: 10s, slide: 2s`; aligned to the epoch."},
	{.name = "aggregates",
		.type = WEIR_PARAM_PAIRS,
		.required = true,
		.doc = "Results as `name: function(field)`; functions: count, sum, min, max, avg."},
	{.name = "time",
		.type = WEIR_PARAM_FIELD,
		.doc = "Timestamp that places a record; by default the source's event time, "
		       "else the input's first timestamp."},
	{0}};

static int window_size(struct weir_plan *plan, struct window_config *config)
{
	const struct weir_value *window = weir_param_find(plan->params, "window");
	const struct weir_value *tumbling = weir_param_find(window, "tumbling");
	const struct weir_value *hopping = weir_param_find(window, "hopping");
	const struct weir_value *slide = weir_param_find(window, "slide");
	if ((tumbling == NULL) == (hopping == NULL)) {
		weir_plan_error(plan, window, "give either `tumbling` or `hopping`");
		return -EINVAL;
	}
	if ((slide == NULL) != (hopping == NULL)) {
		weir_plan_error(plan, slide == NULL ? window : slide,
			"`slide` belongs to `hopping`: give both, or `tumbling` alone");
		return -EINVAL;
	}
	const struct weir_value *size = hopping == NULL ? tumbling : hopping;
	config->size_ns = size->integer;
	config->slide_ns = hopping == NULL ? size->integer : slide->integer;
	if (config->size_ns % config->slide_ns != 0) {
		weir_plan_error(plan, slide,
			"%s does not divide the window of %s: take a divisor of it", slide->text,
			size->text);
		return -EINVAL;
	}
	if (config->size_ns / config->slide_ns > WINDOW_PANES_MAX) {
		weir_plan_error(plan, slide,
			"%s is less than 1/%d of the window: take a longer one", slide->text,
			WINDOW_PANES_MAX);
		return -EINVAL;
	}
	return 0;
}

// The event_time field that the source at the head of the input declares, if it came this far.
static int source_time(const struct weir_plan *plan)
{
	const struct weir_plan *source = plan->upstream;
	while (source != NULL && source->upstream != NULL)
		source = source->upstream;
	const struct weir_value *event_time =
		source == NULL ? NULL : weir_param_find(source->params, "event_time");
	const char *name = event_time == NULL ? NULL : weir_param_text(event_time, "field", NULL);
	int field = name == NULL ? -1 : schema_find(plan->input, name);
	return field >= 0 && plan->input->fields[field].type == WEIR_TIMESTAMP ? field : -1;
}

static int time_field(struct weir_plan *plan, struct window_config *config)
{
	const struct weir_value *time = weir_param_find(plan->params, "time");
	int field = time != NULL ? (int)time->integer : source_time(plan);
	for (uint32_t i = 0; field < 0 && i < plan->input->field_count; i++)
		if (plan->input->fields[i].type == WEIR_TIMESTAMP)
			field = (int)i;
	if (field < 0 || plan->input->fields[field].type != WEIR_TIMESTAMP) {
		weir_plan_error(plan, time != NULL ? time : plan->params,
			time != NULL ? "%s is no timestamp: name a field of that type"
				     : "the input of %s has no timestamp: keep one in it",
			time != NULL ? time->text : plan->id);
		return -EINVAL;
	}
	config->time_field = (uint32_t)field;
	return 0;
}

static bool is_kind(const struct weir_plan *plan, const char *kind)
{
	return plan->params->text != NULL && strcmp(plan->params->text, kind) == 0;
}

// The window before this one, NULL if there is none, and what field `name` of the input is there,
// followed through projections; NULL: it is computed on the way.
static const struct weir_plan *window_before(const struct weir_plan *plan, const char *name,
	const char **ret_name)
{
	const struct weir_plan *at = plan->upstream;
	for (; at != NULL && !is_kind(at, "window_aggregate"); at = at->upstream) {
		if (name == NULL || !is_kind(at, "project"))
			continue; // others pass their fields on as they are
		int field = schema_find(&at->outputs[0].schema, name);
		field = field < 0 ? -1 : project_origin(at, (uint32_t)field);
		name = field < 0 ? NULL : at->input->fields[field].name;
	}
	*ret_name = name;
	return at;
}

// As what the input has the other windows' end; NULL: it is not kept.
static const char *window_end_here(const struct weir_plan *plan)
{
	for (uint32_t i = 0; i < plan->input->field_count; i++) {
		const char *name = plan->input->fields[i].name, *origin;
		window_before(plan, name, &origin);
		if (origin != NULL && strcmp(origin, "window_end") == 0)
			return name;
	}
	return NULL;
}

// A window's row comes once the watermark is at its end. Placed by another time it is late, more or
// less so as watermarks fall, unless that is its start and no window here can have ended within it.
static int check_time_of_windows(struct weir_plan *plan, const struct window_config *config)
{
	const char *name = plan->input->fields[config->time_field].name, *origin;
	const struct weir_plan *before = window_before(plan, name, &origin);
	if (before == NULL || (origin != NULL && strcmp(origin, "window_end") == 0))
		return 0;
	const struct window_config *other = &((const struct window_detail *)before->detail)->config;
	bool divides = other->size_ns == other->slide_ns && config->slide_ns % other->size_ns == 0;
	if (divides && origin != NULL && strcmp(origin, "window_start") == 0)
		return 0;
	const struct weir_value *time = weir_param_find(plan->params, "time");
	const char *end = window_end_here(plan);
	weir_plan_error(plan, time != NULL ? time : weir_param_find(plan->params, "window"),
		"rows of other windows would be late by their %s: %s `time: %s`%s", name,
		end != NULL ? "set" : "keep their window_end and set",
		end != NULL ? end : "window_end",
		origin != NULL && strcmp(origin, "window_start") == 0
			? ", or let those be tumbling and divide these"
			: "");
	return -EINVAL;
}

static int key_fields(struct weir_plan *plan, struct window_config *config)
{
	const struct weir_value *key = weir_param_find(plan->params, "key");
	uint32_t count = key == NULL ? 0 : key->count;
	if (count > WINDOW_KEYS_MAX) {
		weir_plan_error(plan, key, "%u fields: a key has at most %d", count,
			WINDOW_KEYS_MAX);
		return -EINVAL;
	}
	static_assert(WINDOW_KEYS_MAX == WEIR_KEYS_MAX, "one bound of key fields");
	for (uint32_t i = 0; i < count; i++)
		config->keys[i] = plan->keys[i] = (uint16_t)key->items[i]->integer;
	config->key_count = plan->key_count = count;
	if (count == 0)
		plan->parallelism_max = 1;
	return 0;
}

static void fields_print(const struct weir_schema *schema, char *out, size_t room)
{
	size_t at = 0;
	out[0] = 0;
	for (uint32_t i = 0; i < schema->field_count && at < room; i++)
		at += (size_t)snprintf(out + at, room - at, "%s%s", i == 0 ? "" : ", ",
			schema->fields[i].name);
}

struct call {
	enum aggregate_function function;
	int32_t field; // -1: none
};

// The text between the parentheses, without spaces around it; NULL: no parentheses.
static const char *argument(const char *text, size_t function_bytes, int *ret_bytes)
{
	const char *open = text + function_bytes + strspn(text + function_bytes, " ");
	const char *close = strrchr(text, ')');
	if (*open != '(' || close == NULL || close[1 + strspn(close + 1, " ")] != 0)
		return NULL;
	open += 1 + strspn(open + 1, " ");
	while (close > open && close[-1] == ' ')
		close--;
	*ret_bytes = close > open ? (int)(close - open) : 0;
	return open;
}

static int call_parse(struct weir_plan *plan, const struct weir_value *at, struct call *ret)
{
	static const char *const names[] = {"count", "sum", "min", "max", "avg"};
	char fields[256], name[64];
	size_t bytes = strspn(at->text, "abcdefghijklmnopqrstuvwxyz");
	uint32_t function = 0;
	int length;
	while (function < 5 &&
		(strlen(names[function]) != bytes || strncmp(names[function], at->text, bytes)))
		function++;
	const char *inside = function == 5 ? NULL : argument(at->text, bytes, &length);
	if (inside == NULL) {
		weir_plan_error(plan, at,
			"`%s` is no aggregate: write count(), or count, sum, min, max or avg of a "
			"field, as in sum(price)",
			at->text);
		return -EINVAL;
	}
	snprintf(name, sizeof(name), "%.*s", length, inside);
	ret->function = (enum aggregate_function)function;
	ret->field = length == 0 ? -1 : schema_find(plan->input, name);
	if (ret->field >= 0 || (length == 0 && function == AGGREGATE_COUNT))
		return 0;
	fields_print(plan->input, fields, sizeof(fields));
	weir_plan_error(plan, at, "`%s`: the input has no field `%s`: it has %s", at->text, name,
		fields);
	return -EINVAL;
}

static int output_add(struct weir_plan *plan, const struct weir_value *at, const char *name,
	const struct weir_field *type)
{
	struct weir_schema *schema = &plan->outputs[0].schema;
	int error = schema_add(schema, name, type->type, type->precision, type->scale);
	if (error == -EEXIST)
		weir_plan_error(plan, at, "the result has `%s` already: choose another name", name);
	else if (error == -ENOSPC)
		weir_plan_error(plan, at, "`%s` is one field too many: a schema has at most %d",
			name, SCHEMA_FIELDS_MAX);
	else if (error)
		weir_plan_error(plan, at, "`%s` is no field name: use 1 to 63 characters", name);
	return error ? -EINVAL : 0;
}

static int aggregate_add(struct weir_plan *plan, const struct weir_value *at,
	struct window_detail *detail)
{
	struct call call;
	struct weir_field result;
	if (call_parse(plan, at, &call))
		return -EINVAL;
	const struct weir_field *field = call.field < 0 ? NULL : &plan->input->fields[call.field];
	int error = aggregates_add(&detail->config.aggregates, call.function, call.field, field,
		&result);
	if (error == -ENOSPC)
		weir_plan_error(plan, at, "more than %d aggregates: use a second operator",
			AGGREGATES_MAX);
	else if (error)
		weir_plan_error(plan, at,
			"`%s`: there is none of a %s: sum and avg take int64, decimal and float64, "
			"min and max timestamps too",
			at->text, type_name(field->type));
	if (error)
		return -EINVAL;
	if (field != NULL)
		detail->fields |= 1ull << call.field;
	return output_add(plan, at, at->name, &result);
}

static int output_plan(struct weir_plan *plan, struct window_detail *detail)
{
	const struct weir_value *aggregates = weir_param_find(plan->params, "aggregates");
	const struct weir_value *key = weir_param_find(plan->params, "key");
	const struct weir_field time = {.type = WEIR_TIMESTAMP};
	int error = output_add(plan, plan->params, "window_start", &time);
	if (!error)
		error = output_add(plan, plan->params, "window_end", &time);
	for (uint32_t i = 0; i < detail->config.key_count && !error; i++) {
		const struct weir_field *field = &plan->input->fields[detail->config.keys[i]];
		detail->key_fields |= 1ull << detail->config.keys[i];
		error = output_add(plan, key->items[i], field->name, field);
	}
	for (uint32_t i = 0; i < aggregates->count && !error; i++)
		error = aggregate_add(plan, aggregates->items[i], detail);
	if (error)
		return error;
	schema_layout(&plan->outputs[0].schema);
	plan->outputs[0].name = "";
	plan->output_count = 1;
	return 0;
}

// A key's texts must fit into the record that a window gives, so that is no larger than a frame.
static int check_bytes(struct weir_plan *plan, struct window_config *config)
{
	const struct weir_schema *out = &plan->outputs[0].schema;
	uint32_t most = plan->record_bytes_max / RECORD_ALIGN * RECORD_ALIGN;
	if (plan->record_bytes_max == 0)
		return 0;
	if (out->fixed_bytes > most) {
		weir_plan_error(plan, weir_param_find(plan->params, "aggregates"),
			"make a record of at least %u bytes, more than the %u that a frame holds; "
			"raise exchange.frame, or leave some out",
			out->fixed_bytes, plan->record_bytes_max);
		return -EINVAL;
	}
	uint64_t bytes = most - out->fixed_bytes;
	for (uint32_t k = 0; k < config->key_count; k++) {
		enum weir_type type = config->schema->fields[config->keys[k]].type;
		bytes += type_is_text(type) ? sizeof(uint32_t) : type_record_bytes(type);
	}
	config->key_bytes_max = bytes < WINDOW_KEY_BYTES ? (uint32_t)bytes : WINDOW_KEY_BYTES;
	return 0;
}

static void packed_plan(struct window_detail *detail)
{
	const struct window_config *config = &detail->config;
	const struct weir_field *fields = config->schema->fields;
	struct window_packed *p = &detail->packed;
	p->usable = window_form(config->schema, config->keys, config->key_count) == TABLE_INT64 &&
		config->time_field < 32 && config->keys[0] < 32;
	for (uint32_t c = 1; c < config->aggregates.cell_count; c++) {
		enum cell_op op = config->aggregates.cells[c].op;
		p->usable &= op == CELL_VALUES || op == CELL_SUM_INT64 || op == CELL_MIN_INT64 ||
			op == CELL_MAX_INT64;
	}
	if (!p->usable)
		return;
	p->variant = config->schema->variant;
	p->time_offset = fields[config->time_field].offset;
	p->key_offset = fields[config->keys[0]].offset;
	p->null_mask = 1u << config->time_field | 1u << config->keys[0];
}

int window_plan(struct weir_plan *plan)
{
	struct window_detail *detail = calloc(1, sizeof(*detail));
	if (detail == NULL)
		return -ENOMEM;
	plan->detail = detail;
	struct window_config *config = &detail->config;
	config->schema = plan->input;
	config->group_bits = KEY_GROUP_BITS_DEFAULT;
	if (window_size(plan, config) || time_field(plan, config) ||
		check_time_of_windows(plan, config) || key_fields(plan, config))
		return -EINVAL;
	enum table_form form = window_form(plan->input, config->keys, config->key_count);
	aggregates_begin(&config->aggregates, window_head_bytes(form));
	if (output_plan(plan, detail) || check_bytes(plan, config))
		return -EINVAL;
	detail->fields |= detail->key_fields | 1ull << config->time_field;
	plan->fields_used = detail->fields;
	packed_plan(detail);
	return 0;
}
