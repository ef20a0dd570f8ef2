#include <assert.h>
#include <errno.h>
#include <string.h>

#include "dataplane/expression.h"
#include "dataplane/operators/rows.h"
#include "numa/arena.h"
#include "state/batch.h"

struct filter {
	const struct expression *where;
	struct expression_state *state;
	struct batch_columns in, out; // of `out` only the data
	uint64_t fields;
	const uint8_t *rows[BATCH_ROWS_MAX];
	uint8_t errors[BATCH_ROWS_MAX];
	uint8_t chosen[BATCH_ROWS_MAX]; // rows that pass, in order
};

static_assert(BATCH_ROWS_MAX <= 256, "a row's number fits into a byte");

static const struct weir_param params[] = {
	{.name = "where",
		.type = WEIR_PARAM_EXPRESSION,
		.required = true,
		.doc = "The condition; a record passes where it is true, not where it is null."},
	{.name = NULL},
};

static int filter_plan(struct weir_plan *plan)
{
	const struct weir_value *where = weir_param_find(plan->params, "where");
	char error[512];
	struct expression *x;
	if (expression_compile(where->text, plan->input, error, sizeof(error), &x) != 0) {
		weir_plan_error(plan, where, "%s", error);
		return -EINVAL;
	}
	plan->detail = x;
	plan->outputs[0] = (struct weir_output){.name = "", .schema = *plan->input};
	plan->outputs[0].schema.name[0] = '\0';
	plan->output_count = 1;
	plan->fields_used = schema_all_fields(plan->input); // all of a record that passes
	if (expression_type(x)->type == WEIR_BOOL)
		return 0;
	weir_plan_error(plan, where, "is %s, not a condition; compare it with something",
		type_name(expression_type(x)->type));
	return -EINVAL;
}

static void filter_unplan(struct weir_plan *plan)
{
	expression_free(plan->detail);
	plan->detail = NULL;
}

static int filter_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct filter *f = arena_alloc(ctx->arena, sizeof(*f), 64);
	if (f == NULL)
		return -ENOMEM;
	f->where = plan->detail;
	f->fields = expression_fields(f->where);
	if (expression_state_create(f->where, ctx->arena, &f->state) != 0 ||
		batch_columns_create(&f->in, plan->input, ctx->arena) != 0 ||
		batch_columns_create(&f->out, plan->input, ctx->arena) != 0)
		return -ENOMEM;
	*ret_self = f;
	return 0;
}

// Evaluate the condition over columns.  Returns how many rows pass, in f->chosen.
static uint32_t choose(struct filter *f, struct weir_context *ctx, const struct weir_batch *rows)
{
	uint32_t chosen = 0;
	memset(f->errors, 0, rows->count);
	struct weir_column c =
		expression_eval(f->where, f->state, rows->columns, rows->count, f->errors);
	const uint8_t *pass = c.data;
	for (uint32_t i = 0; i < rows->count; i++) {
		f->chosen[chosen] = (uint8_t)i;
		chosen += pass[(size_t)i * c.stride] && !(c.nulls != NULL && c.nulls[i]) &&
			!f->errors[i];
		if (f->errors[i])
			weir_drop(ctx, (enum weir_drop)(f->errors[i] - 1), 1);
	}
	ctx->counters->records_in += rows->count;
	return chosen;
}

// Point at the next rows of a batch of records and consume them.  Returns how many.
static uint32_t take_rows(struct filter *f, struct weir_batch *in)
{
	uint32_t count = 0;
	if (in->form == WEIR_ROWS) {
		count = in->count - in->at;
		memcpy(f->rows, in->rows + in->at, count * sizeof(f->rows[0]));
		in->at = in->count;
		return count;
	}
	const uint8_t *at = in->first;
	for (; at < in->limit && count < BATCH_ROWS_MAX; at += record_length(at)) {
		f->rows[count] = at;
		count += record_variant(at) == in->schema->variant;
	}
	in->first = at;
	return count;
}

static enum weir_flow filter_rows(struct filter *f, struct weir_context *ctx, struct weir_batch *in)
{
	struct weir_batch columns,
		rows = {.form = WEIR_ROWS, .rows = f->rows, .schema = in->schema};
	rows.count = take_rows(f, in);
	batch_gather(&rows, f->fields, &f->in, &columns);
	rows.count = choose(f, ctx, &columns);
	for (uint32_t i = 0; i < rows.count; i++)
		f->rows[i] = f->rows[f->chosen[i]];
	return rows.count == 0 ? WEIR_DONE : weir_emit(ctx, &rows);
}

// Copy the chosen rows of one column.
static struct weir_column pick(struct filter *f, uint32_t field, const struct weir_column *from,
	uint32_t bytes, uint32_t count)
{
	uint8_t *to = f->out.data[field];
	if (from->stride != 0)
		for (uint32_t i = 0; i < count; i++)
			memcpy(to + (size_t)i * bytes,
				(const uint8_t *)from->data + (size_t)f->chosen[i] * from->stride,
				bytes);
	for (uint32_t i = 0; from->nulls != NULL && i < count; i++)
		f->out.nulls[field][i] = from->nulls[f->chosen[i]];
	return (struct weir_column){from->stride != 0 ? to : from->data,
		from->nulls != NULL ? f->out.nulls[field] : NULL, from->stride != 0 ? bytes : 0};
}

static enum weir_flow filter_columns(struct filter *f, struct weir_context *ctx,
	struct weir_batch *in)
{
	const struct weir_schema *schema = in->schema;
	struct weir_batch rows;
	batch_gather(in, schema_all_fields(schema), &f->in, &rows);
	in->at += rows.count;
	uint32_t count = choose(f, ctx, &rows);
	if (count == 0)
		return WEIR_DONE;
	if (count == rows.count)
		return weir_emit(ctx, &rows);
	for (uint32_t i = 0; i < schema->field_count; i++)
		f->out.columns[i] = pick(f, i, &rows.columns[i],
			type_column_bytes(schema->fields[i].type), count);
	rows.columns = f->out.columns;
	rows.count = count;
	return weir_emit(ctx, &rows);
}

static enum weir_flow filter_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct filter *f = self;
	enum weir_flow flow = WEIR_DONE;
	while (flow == WEIR_DONE && !batch_is_empty(in))
		flow = in->form == WEIR_COLUMNS ? filter_columns(f, ctx, in)
						: filter_rows(f, ctx, in);
	return flow;
}

const struct weir_operator filter = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "filter",
	.summary = "Passes on the records for which a condition is true.",
	.role = WEIR_TRANSFORM,
	.params = params,
	.plan = filter_plan,
	.unplan = filter_unplan,
	.create = filter_create,
	.process = filter_process,
};
