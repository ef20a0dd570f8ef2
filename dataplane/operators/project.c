#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/expression.h"
#include "dataplane/operators/project.h"
#include "dataplane/operators/rows.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "state/batch.h"

// What the parameters say: an expression a field of the output.
struct projection {
	bool identity; // the output is the input
	bool computes; // some output is more than a field of the input
	bool grows;    // an output record may be larger than its input record, by texts
	uint32_t bytes_max; // of an output record; 0: no bound
	uint32_t count;
	uint64_t fields; // of the input, that are read
	struct expression *expressions[SCHEMA_FIELDS_MAX];
};

struct project {
	const struct projection *projection;
	struct expression_state *states[SCHEMA_FIELDS_MAX];
	struct batch_columns in, out; // `out` only where rows were dropped
	struct weir_column columns[SCHEMA_FIELDS_MAX];
	const struct weir_schema *schema;
	uint8_t errors[BATCH_ROWS_MAX];
	uint64_t bytes[BATCH_ROWS_MAX]; // of the output record
};

static const struct weir_param params[] = {
	{.name = "fields",
		.type = WEIR_PARAM_PAIRS,
		.required = true,
		.doc = "The fields of the output: `name` of the input, or `name: expression`."},
	{.name = NULL},
};

static int plan_field(struct weir_plan *plan, const struct weir_value *item, struct projection *p)
{
	char error[512];
	struct expression **x = &p->expressions[p->count];
	struct weir_schema *out = &plan->outputs[0].schema;
	// A name alone stands for the field, whatever characters are in it.
	char text[160];
	bool plain = schema_find(plan->input, item->text) >= 0;
	snprintf(text, sizeof(text), "\"%s\"", item->text);
	if (p->count == SCHEMA_FIELDS_MAX) {
		weir_plan_error(plan, item, "is one field too many; at most 64 are allowed");
		return -EINVAL;
	}
	if (expression_compile(plain ? text : item->text, plan->input, error, sizeof(error), x) !=
		0) {
		weir_plan_error(plan, item, "%s", error);
		return -EINVAL;
	}
	const struct weir_field *type = expression_type(*x);
	p->fields |= expression_fields(*x);
	p->computes |= expression_field(*x) < 0;
	p->count++;
	int rc = schema_add(out, item->name, type->type, type->precision, type->scale);
	if (rc == 0)
		return 0;
	weir_plan_error(plan, item, "`%s` %s", item->name,
		rc == -EEXIST ? "is there twice; rename one of the two"
			      : "is no name of 1 to 63 bytes; shorten it");
	return -EINVAL;
}

static bool is_identity(const struct projection *p, const struct weir_plan *plan)
{
	const struct weir_schema *out = &plan->outputs[0].schema;
	if (p->count != plan->input->field_count)
		return false;
	for (uint32_t i = 0; i < p->count; i++)
		if (expression_field(p->expressions[i]) != (int)i ||
			strcmp(out->fields[i].name, plan->input->fields[i].name) != 0)
			return false;
	return true;
}

// Texts that are there once make no record larger, where its other fields do not either.
static bool may_grow(const struct projection *p, const struct weir_plan *plan)
{
	const struct weir_schema *out = &plan->outputs[0].schema;
	uint64_t seen = 0;
	for (uint32_t i = 0; i < p->count; i++) {
		int field = expression_field(p->expressions[i]);
		if (!type_is_text(out->fields[i].type))
			continue;
		if (field < 0 || (seen >> field & 1))
			return true;
		seen |= 1ull << field;
	}
	return out->has_text && out->fixed_bytes > plan->input->fixed_bytes;
}

// The fixed part is known now; texts are looked at record by record.
static int check_bytes(struct weir_plan *plan, struct projection *p, const struct weir_value *at)
{
	uint32_t bytes = plan->outputs[0].schema.fixed_bytes;
	p->grows = plan->record_bytes_max != 0 && may_grow(p, plan);
	p->bytes_max = plan->record_bytes_max / RECORD_ALIGN * RECORD_ALIGN;
	if (plan->record_bytes_max == 0 || bytes <= p->bytes_max)
		return 0;
	weir_plan_error(plan, at,
		"make a record of at least %u bytes, more than the %u that a frame holds; raise "
		"exchange.frame, or leave fields out",
		bytes, plan->record_bytes_max);
	return -EINVAL;
}

static int project_plan(struct weir_plan *plan)
{
	const struct weir_value *fields = weir_param_find(plan->params, "fields");
	struct projection *p = calloc(1, sizeof(*p));
	VERIFY(p != NULL);
	plan->detail = p;
	plan->outputs[0] = (struct weir_output){.name = ""};
	plan->output_count = 1;
	for (uint32_t i = 0; i < fields->count; i++)
		if (plan_field(plan, fields->items[i], p) != 0)
			return -EINVAL;
	if (fields->count == 0) {
		weir_plan_error(plan, fields, "holds no field; list at least one");
		return -EINVAL;
	}
	p->identity = is_identity(p, plan);
	// Then records pass as they are, and stay of the variant they are.
	plan->outputs[0].schema.variant = p->identity ? plan->input->variant : 0;
	schema_layout(&plan->outputs[0].schema);
	plan->fields_used = p->fields;
	return check_bytes(plan, p, fields);
}

int project_origin(const struct weir_plan *plan, uint32_t output)
{
	const struct projection *p = plan->detail;
	return expression_field(p->expressions[output]);
}

static void project_unplan(struct weir_plan *plan)
{
	struct projection *p = plan->detail;
	for (uint32_t i = 0; p != NULL && i < p->count; i++)
		expression_free(p->expressions[i]);
	free(p);
	plan->detail = NULL;
}

static int project_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct project *p = arena_alloc(ctx->arena, sizeof(*p), 64);
	if (p == NULL)
		return -ENOMEM;
	p->projection = plan->detail;
	p->schema = &plan->outputs[0].schema;
	int error = batch_columns_create(&p->in, plan->input, ctx->arena);
	if (error == 0)
		error = batch_columns_create(&p->out, p->schema, ctx->arena);
	for (uint32_t i = 0; i < p->projection->count && error == 0; i++)
		error = expression_state_create(p->projection->expressions[i], ctx->arena,
			&p->states[i]);
	if (error == 0)
		*ret_self = p;
	return error;
}

// Packed runs are not walked here: whoever walks them counts the records.
static enum weir_flow pass(struct weir_context *ctx, struct weir_batch *in)
{
	struct weir_batch all = *in;
	if (in->form != WEIR_PACKED)
		ctx->counters->records_in += in->count - in->at;
	in->first = in->limit;
	in->at = in->count;
	return weir_emit(ctx, &all);
}

// Move the rows without errors together.  Returns how many there are.
static uint32_t drop_errors(struct project *p, struct weir_context *ctx, uint32_t count)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (p->errors[i]) {
			weir_drop(ctx, (enum weir_drop)(p->errors[i] - 1), 1);
			continue;
		}
		for (uint32_t f = 0; f < p->projection->count; f++) {
			const struct weir_column *c = &p->columns[f];
			uint32_t bytes = type_column_bytes(p->schema->fields[f].type);
			memcpy((uint8_t *)p->out.data[f] + (size_t)kept * bytes,
				(const uint8_t *)c->data + (size_t)i * c->stride, bytes);
			p->out.nulls[f][kept] = c->nulls != NULL && c->nulls[i];
		}
		kept++;
	}
	if (kept == count)
		return kept;
	for (uint32_t f = 0; f < p->projection->count; f++)
		p->columns[f] = (struct weir_column){p->out.data[f], p->out.nulls[f],
			type_column_bytes(p->schema->fields[f].type)};
	return kept;
}

// Rows whose record no frame would hold, whether or not it will have to cross in one.
static void reject_large(struct project *p, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		p->bytes[i] = p->schema->fixed_bytes;
	for (uint32_t t = 0; t < p->schema->text_count; t++) {
		const struct weir_column *c = &p->columns[p->schema->texts[t]];
		for (uint32_t i = 0; i < count; i++) {
			struct weir_slice text;
			memcpy(&text, (const uint8_t *)c->data + (size_t)i * c->stride,
				sizeof(text));
			if (!p->errors[i] && (c->nulls == NULL || !c->nulls[i]))
				p->bytes[i] += text.length;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		if (p->bytes[i] > p->projection->bytes_max)
			p->errors[i] = WEIR_DROP_TOO_LARGE + 1;
}

static uint32_t any_error(const struct project *p, uint32_t count)
{
	uint32_t any = 0;
	for (uint32_t i = 0; i < count; i++)
		any |= p->errors[i];
	return any;
}

static enum weir_flow compute(struct project *p, struct weir_context *ctx, struct weir_batch *in)
{
	struct weir_batch rows, out = {.form = WEIR_COLUMNS, .columns = p->columns};
	const uint8_t *behind = batch_gather(in, p->projection->fields, &p->in, &rows);
	batch_advance(in, rows.count, behind);
	ctx->counters->records_in += rows.count;
	memset(p->errors, 0, rows.count);
	for (uint32_t f = 0; f < p->projection->count; f++)
		p->columns[f] = expression_eval(p->projection->expressions[f], p->states[f],
			rows.columns, rows.count, p->errors);
	out.count = rows.count;
	if (p->projection->grows)
		reject_large(p, rows.count);
	if ((p->projection->computes || p->projection->grows) && any_error(p, rows.count))
		out.count = drop_errors(p, ctx, rows.count);
	return out.count == 0 ? WEIR_DONE : weir_emit(ctx, &out);
}

static enum weir_flow project_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct project *p = self;
	enum weir_flow flow = WEIR_DONE;
	while (flow == WEIR_DONE && !batch_is_empty(in))
		flow = p->projection->identity ? pass(ctx, in) : compute(p, ctx, in);
	return flow;
}

const struct weir_operator project = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "project",
	.summary = "Records of other fields: picked, renamed or computed.",
	.role = WEIR_TRANSFORM,
	.params = params,
	.plan = project_plan,
	.unplan = project_unplan,
	.create = project_create,
	.process = project_process,
};
