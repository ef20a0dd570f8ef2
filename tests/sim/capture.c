#include "tests/sim/capture.h"

#include <errno.h>
#include <xxhash.h>

#include "numa/arena.h"
#include "numa/assert.h"
#include "state/snapshot.h"

struct capture_set captured;
struct capture_set *capture_into;

struct capture {
	struct capture_rows *rows;
	uint64_t all_fields;
	struct batch_columns scratch;
};

static const struct weir_param params[] = {
	{.name = "slot",
		.type = WEIR_PARAM_INT,
		.default_text = "0",
		.max = CAPTURE_SLOTS - 1,
		.doc = "Which sink it is."},
	{.name = NULL},
};

void capture_clear(struct capture_set *set)
{
	for (uint32_t s = 0; s < CAPTURE_SLOTS; s++)
		for (uint32_t t = 0; t < CAPTURE_TASKS_MAX; t++) {
			struct capture_rows *c = &set->of[s][t];
			c->rows.count = c->reached = 0;
			c->differs = c->published = false;
		}
}

void capture_free(struct capture_set *set)
{
	for (uint32_t s = 0; s < CAPTURE_SLOTS; s++)
		for (uint32_t t = 0; t < CAPTURE_TASKS_MAX; t++)
			rows_free(&set->of[s][t].rows);
}

static void keep(struct capture_rows *c, const struct row *row)
{
	if (c->rows.count < c->reached && row_compare(&c->rows.rows[c->rows.count], row) != 0)
		c->differs = true;
	rows_add(&c->rows, row);
	if (c->rows.count > c->reached)
		c->reached = c->rows.count;
}

static int plan(struct weir_plan *plan)
{
	plan->fields_used = schema_all_fields(plan->input);
	return 0;
}

static int create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct capture *c = arena_alloc(ctx->arena, sizeof(*c), 64);
	if (c == NULL || batch_columns_create(&c->scratch, plan->input, ctx->arena) != 0)
		return -ENOMEM;
	VERIFY(ctx->task_index < CAPTURE_TASKS_MAX && plan->input->field_count <= ROW_WIDTH);
	int64_t slot = weir_param_int(plan->params, "slot", 0);
	c->rows = &(capture_into == NULL ? &captured : capture_into)->of[slot][ctx->task_index];
	c->rows->rows.count = 0;
	c->all_fields = schema_all_fields(plan->input);
	*ret_self = c;
	return 0;
}

static int64_t value_of(const struct weir_field *field, const struct weir_column *column,
	uint32_t row)
{
	const uint8_t *at = (const uint8_t *)column->data + (size_t)row * column->stride;
	if (column->nulls != NULL && column->nulls[row])
		return INT64_MIN;
	if (type_is_text(field->type)) {
		struct weir_slice text;
		memcpy(&text, at, sizeof(text));
		return (int64_t)XXH3_64bits(text.data, text.length);
	}
	int64_t value = 0;
	memcpy(&value, at, field->type == WEIR_BOOL ? 1 : 8); // a decimal's low half
	return value;
}

static enum weir_flow process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct capture *c = self;
	const struct weir_schema *schema = in->schema;
	while (!batch_is_empty(in)) {
		struct weir_batch rows;
		const uint8_t *behind = batch_gather(in, c->all_fields, &c->scratch, &rows);
		for (uint32_t i = 0; i < rows.count; i++) {
			struct row row = {0};
			for (uint32_t f = 0; f < schema->field_count; f++)
				row.values[f] = value_of(&schema->fields[f], &rows.columns[f], i);
			keep(c->rows, &row);
		}
		ctx->counters->records_in += rows.count;
		batch_advance(in, rows.count, behind);
	}
	return WEIR_DONE;
}

static void snapshot(const void *self, struct snapshot_writer *w)
{
	const struct rows *rows = &((const struct capture *)self)->rows->rows;
	snapshot_u64(w, rows->count);
	snapshot_u32(w, w->whole);
	if (w->whole)
		snapshot_bytes(w, rows->rows, rows->count * sizeof(*rows->rows));
}

static int restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	struct capture *c = self;
	uint64_t count = snapshot_read_u64(r);
	bool whole = snapshot_read_u32(r);
	c->rows->rows.count = whole ? 0 : count;
	for (uint64_t i = 0; i < count && whole; i++) {
		struct row row;
		snapshot_read(r, &row, sizeof(row));
		keep(c->rows, &row);
	}
	return r->error;
}

static int publish(void *self, struct weir_context *ctx)
{
	((struct capture *)self)->rows->published = true;
	return 0;
}

const struct weir_operator capture_operator = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "capture",
	.summary = "Keeps rows in memory.",
	.role = WEIR_SINK,
	.params = params,
	.plan = plan,
	.create = create,
	.process = process,
	.publish = publish,
	.state_version = 1,
	.snapshot = snapshot,
	.restore = restore,
};

const struct weir_operator *const *capture_kinds(void)
{
	static const struct weir_operator *kinds[64];
	uint32_t count = 0;
	for (; weir_operators[count] != NULL; count++)
		kinds[count] = weir_operators[count];
	kinds[count] = &capture_operator;
	return kinds;
}
