#include "dataplane/operators/source_csv_plan.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/nexmark.h"
#include "numa/assert.h"

static const struct weir_param event_time_params[] = {
	{.name = "field",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "The timestamp field that is a record's time."},
	{.name = "out_of_order",
		.type = WEIR_PARAM_DURATION,
		.default_text = "0s",
		.doc = "How much earlier than the latest time before it a record may be; one that "
		       "is earlier still is late."},
	{.name = NULL},
};

const struct weir_param source_csv_params[] = {
	{.name = "path",
		.type = WEIR_PARAM_STRING,
		.required = true,
		.doc = "The file, plain or zstd, whichever it begins like."},
	{.name = "schema",
		.type = WEIR_PARAM_PAIRS,
		.required = true,
		.doc = "The fields and their types: bool, int64, float64, decimal(p,s), timestamp, "
		       "string, bytes (in hex)."},
	{.name = "event_time",
		.type = WEIR_PARAM_MAP,
		.children = event_time_params,
		.doc = "What a record's time is; without it there are no watermarks."},
	{.name = "header",
		.type = WEIR_PARAM_CHOICE,
		.choices = "auto|yes|no",
		.default_text = "auto",
		.doc = "Whether the first line names the columns, which are then found by name "
		       "and may be more than the schema's; auto: when it holds all its names."},
	{.name = "timestamps",
		.type = WEIR_PARAM_CHOICE,
		.choices = "auto|iso|ms",
		.default_text = "auto",
		.doc = "ISO 8601, or integer milliseconds since 1970; auto: each by its looks."},
	{.name = "on_error",
		.type = WEIR_PARAM_CHOICE,
		.choices = "fail|skip|route",
		.default_text = "fail",
		.doc = "What becomes of a line that is malformed, of wrong types, too large for "
		       "a frame or late: fail stops the job, skip counts it, route counts it and "
		       "passes line, reason and text to the output `rejects`. Records that "
		       "operators behind it cannot take stop the job or are counted likewise."},
	{.name = "pace",
		.type = WEIR_PARAM_RATE,
		.min = 1,
		.max = NEXMARK_RATE_MAX,
		.doc = "Records a second of wall-clock time; as fast as possible when absent."},
	{.name = NULL},
};

static int plan_schema(struct weir_plan *plan, struct source_csv_settings *s)
{
	const struct weir_value *list = weir_param_find(plan->params, "schema");
	for (uint32_t i = 0; i < list->count; i++) {
		const struct weir_value *item = list->items[i];
		struct weir_field type = {0};
		if (type_parse(item->text, &type) != 0) {
			weir_plan_error(plan, item,
				"`%s` is no type; write bool, int64, float64,"
				" decimal(p,s), timestamp, string or bytes",
				item->text);
			return -EINVAL;
		}
		int error =
			schema_add(&s->schema, item->name, type.type, type.precision, type.scale);
		if (error != 0) {
			weir_plan_error(plan, item, "`%s` %s", item->name,
				error == -EEXIST ? "is there twice; rename one of the two"
					: error == -ENOSPC
					? "is one field too many; at most 64 are allowed"
					: "is no name of 1 to 63 bytes; shorten it");
			return -EINVAL;
		}
	}
	if (list->count == 0) {
		weir_plan_error(plan, list, "holds no field; list them as `name: type`");
		return -EINVAL;
	}
	schema_layout(&s->schema);
	return 0;
}

static int plan_event_time(struct weir_plan *plan, struct source_csv_settings *s)
{
	const struct weir_value *map = weir_param_find(plan->params, "event_time");
	s->time_field = -1;
	if (map == NULL)
		return 0;
	const struct weir_value *field = weir_param_find(map, "field");
	s->bound_ns = weir_param_int(map, "out_of_order", 0);
	s->time_field = schema_find(&s->schema, field->text);
	if (s->time_field < 0) {
		weir_plan_error(plan, field,
			"`%s` is not in the schema; name one of its timestamp"
			" fields",
			field->text);
		return -EINVAL;
	}
	if (s->schema.fields[s->time_field].type != WEIR_TIMESTAMP) {
		weir_plan_error(plan, field,
			"`%s` is %s; name a timestamp field, or make it one in"
			" the schema",
			field->text, type_name(s->schema.fields[s->time_field].type));
		return -EINVAL;
	}
	return 0;
}

static void plan_rejects(struct weir_schema *rejects)
{
	rejects->variant = REJECT_VARIANT;
	VERIFY(schema_add(rejects, "line", WEIR_INT64, 0, 0) == 0);
	VERIFY(schema_add(rejects, "reason", WEIR_STRING, 0, 0) == 0);
	VERIFY(schema_add(rejects, "text", WEIR_STRING, 0, 0) == 0);
	schema_layout(rejects);
}

static int plan_record_size(struct weir_plan *plan, struct source_csv_settings *s)
{
	s->record_bytes_max = plan->record_bytes_max != 0 ? plan->record_bytes_max : UINT32_MAX;
	if (s->schema.fixed_bytes <= s->record_bytes_max)
		return 0;
	weir_plan_error(plan, weir_param_find(plan->params, "schema"),
		"a record has at least %u bytes, more than the %u that a frame holds; raise "
		"exchange.frame",
		s->schema.fixed_bytes, s->record_bytes_max);
	return -EINVAL;
}

int source_csv_plan(struct weir_plan *plan)
{
	struct source_csv_settings *s = calloc(1, sizeof(*s));
	VERIFY(s != NULL);
	plan->detail = s;
	s->path = weir_param_text(plan->params, "path", "");
	s->header = (enum header)weir_param_int(plan->params, "header", HEADER_AUTO);
	s->times = (enum csv_times)weir_param_int(plan->params, "timestamps", CSV_TIMES_AUTO);
	s->on_error = (enum on_error)weir_param_int(plan->params, "on_error", ON_ERROR_FAIL);
	s->pace = (uint64_t)weir_param_int(plan->params, "pace", 0);
	int error = plan_schema(plan, s);
	if (error == 0)
		error = plan_event_time(plan, s);
	plan_rejects(&s->rejects);
	plan->outputs[0] = (struct weir_output){.name = "", .schema = s->schema};
	plan->outputs[1] = (struct weir_output){.name = "rejects", .schema = s->rejects};
	plan->output_count = s->on_error == ON_ERROR_ROUTE ? 2 : 1;
	plan->parallelism_max = 1;
	plan->drops_fail = s->on_error == ON_ERROR_FAIL;
	return error != 0 ? error : plan_record_size(plan, s);
}

void source_csv_unplan(struct weir_plan *plan)
{
	free(plan->detail);
	plan->detail = NULL;
}
