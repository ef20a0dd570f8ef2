// top: of the rows of each window the best by one field, with all that are equal to the last of
// them. A window is complete when the watermark reaches its end; until then only rows that can
// still be among the best are kept. Output is ordered by window, rank and the rows' fields, so it
// does not depend on the order of arrival.
#include <errno.h>
#include <stdlib.h>

#include "dataplane/operators/top.h"
#include "dataplane/operators/top_group.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "state/key.h"
#include "state/snapshot.h"

enum { KEY_BYTES_MAX = 4096 };

struct top_detail {
	uint16_t per[WEIR_KEYS_MAX];
	uint32_t per_count;
	uint32_t by, best;
	bool ascending;
};

struct top {
	const struct weir_plan *plan;
	const struct top_detail *detail;
	struct pool *pool;
	struct batch_columns input;
	struct top_group *groups; // by (close_ns, key)
	uint32_t count, room;
	bool firing; // groups[0] is sorted, its rows from `position` on are to be emitted
	uint32_t position;
	uint32_t saved; // groups of a snapshot: those written, or those to be read still
	const uint8_t *rows[BATCH_ROWS_MAX];
	uint8_t key[KEY_BYTES_MAX];
};

static const struct weir_param params[] = {
	{.name = "by",
		.type = WEIR_PARAM_FIELD,
		.required = true,
		.doc = "Number or timestamp to rank by; null ranks last, NaN is the greatest."},
	{.name = "n",
		.type = WEIR_PARAM_INT,
		.default_text = "1",
		.min = 1,
		.max = 1000000,
		.doc = "How many rows of a window; those equal to the last of them come too."},
	{.name = "order",
		.type = WEIR_PARAM_CHOICE,
		.default_text = "descending",
		.choices = "descending|ascending",
		.doc = "Whether the greatest or the least win."},
	{.name = "per",
		.type = WEIR_PARAM_FIELDS,
		.doc = "Fields that make a window, a timestamp among them, the latest of which is "
		       "its end; by default window_start and window_end."},
	{0}};

static int per_default(struct weir_plan *plan, struct top_detail *detail)
{
	static const char *const names[] = {"window_start", "window_end"};
	for (uint32_t i = 0; i < 2; i++) {
		int field = schema_find(plan->input, names[i]);
		if (field >= 0 && plan->input->fields[field].type == WEIR_TIMESTAMP)
			detail->per[detail->per_count++] = (uint16_t)field;
	}
	if (detail->per_count != 0)
		return 0;
	weir_plan_error(plan, plan->params,
		"the input has no window_start and window_end: name the window's fields in `per`");
	return -EINVAL;
}

static int per_plan(struct weir_plan *plan, struct top_detail *detail)
{
	const struct weir_value *per = weir_param_find(plan->params, "per");
	bool has_time = false;
	if (per == NULL || per->count == 0)
		return per_default(plan, detail);
	if (per->count > WEIR_KEYS_MAX) {
		weir_plan_error(plan, per, "%u fields: at most %d make a window", per->count,
			WEIR_KEYS_MAX);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < per->count; i++) {
		detail->per[detail->per_count++] = (uint16_t)per->items[i]->integer;
		has_time |= plan->input->fields[detail->per[i]].type == WEIR_TIMESTAMP;
	}
	if (has_time)
		return 0;
	weir_plan_error(plan, per, "no field here is a timestamp: add the window's end");
	return -EINVAL;
}

static int by_plan(struct weir_plan *plan, struct top_detail *detail)
{
	const struct weir_value *by = weir_param_find(plan->params, "by");
	detail->by = (uint32_t)by->integer;
	enum weir_type type = plan->input->fields[detail->by].type;
	if (!type_is_text(type) && type != WEIR_BOOL)
		return 0;
	weir_plan_error(plan, by, "%s is a %s: rank by a number or a timestamp", by->text,
		type_name(type));
	return -EINVAL;
}

static int top_plan(struct weir_plan *plan)
{
	struct top_detail *detail = calloc(1, sizeof(*detail));
	if (detail == NULL)
		return -ENOMEM;
	plan->detail = detail;
	if (by_plan(plan, detail) || per_plan(plan, detail))
		return -EINVAL;
	detail->best = (uint32_t)weir_param_int(plan->params, "n", 1);
	detail->ascending = weir_param_int(plan->params, "order", 0) == 1;
	memcpy(plan->keys, detail->per, sizeof(detail->per));
	plan->key_count = detail->per_count;
	plan->outputs[0].name = "";
	plan->outputs[0].schema = *plan->input;
	plan->outputs[0].schema.name[0] = 0;
	plan->outputs[0].schema.variant = 0;
	plan->output_count = 1;
	plan->fields_used = ~0ull >> (64 - plan->input->field_count);
	return 0;
}

static void unplan(struct weir_plan *plan)
{
	free(plan->detail);
	plan->detail = NULL;
}

static int create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct top *top = arena_alloc(ctx->arena, sizeof(*top), 64);
	if (top == NULL || batch_columns_create(&top->input, plan->input, ctx->arena))
		return -ENOMEM;
	top->plan = plan;
	top->detail = plan->detail;
	top->pool = ctx->pool;
	*ret_self = top;
	return 0;
}

static void groups_free(struct top *top)
{
	for (uint32_t i = 0; i < top->count; i++)
		top_group_destroy(&top->groups[i], top->pool);
	pool_free(top->pool, top->groups, top->room * sizeof(*top->groups));
	top->groups = NULL;
	top->count = top->room = 0;
}

static void destroy(void *self)
{
	if (self != NULL)
		groups_free(self);
}

static int groups_reserve(struct top *top)
{
	if (top->count < top->room)
		return 0;
	uint32_t room = top->room == 0 ? 8 : 2 * top->room;
	struct top_group *groups = pool_alloc(top->pool, room * sizeof(*groups));
	if (groups == NULL)
		return -ENOMEM;
	if (top->count != 0)
		memcpy(groups, top->groups, top->count * sizeof(*groups));
	pool_free(top->pool, top->groups, top->room * sizeof(*groups));
	top->groups = groups;
	top->room = room;
	return 0;
}

// Groups by end, then key; so groups of a time are in an order that the data alone decide.
static int group_compare(const struct top_group *g, int64_t close_ns, const uint8_t *key,
	uint32_t key_bytes)
{
	if (g->close_ns != close_ns)
		return g->close_ns < close_ns ? -1 : 1;
	uint32_t common = g->key_bytes < key_bytes ? g->key_bytes : key_bytes;
	int order = memcmp(g->bytes, key, common);
	if (order != 0)
		return order;
	return g->key_bytes < key_bytes ? -1 : g->key_bytes > key_bytes;
}

// The group of a key, made if it is new; NULL when the pool is exhausted.
static struct top_group *group_take(struct top *top, int64_t close_ns, uint32_t key_bytes)
{
	uint32_t low = 0, high = top->count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		int order = group_compare(&top->groups[middle], close_ns, top->key, key_bytes);
		if (order == 0)
			return &top->groups[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	struct top_group group;
	if (groups_reserve(top) ||
		top_group_create(&group, top->pool, close_ns, top->key, key_bytes))
		return NULL;
	memmove(top->groups + low + 1, top->groups + low,
		(top->count - low) * sizeof(*top->groups));
	top->groups[low] = group;
	top->count++;
	return &top->groups[low];
}

// When the window of a row ends: the latest of its timestamps.  False: there is none.
static bool close_time(const struct top *top, const struct weir_column *columns, uint32_t row,
	int64_t *ret_ns)
{
	bool any = false;
	for (uint32_t i = 0; i < top->detail->per_count; i++) {
		uint32_t field = top->detail->per[i];
		const struct weir_column *column = &columns[field];
		if (top->plan->input->fields[field].type != WEIR_TIMESTAMP ||
			(column->nulls != NULL && column->nulls[row]))
			continue;
		int64_t time_ns;
		memcpy(&time_ns, (const uint8_t *)column->data + (uint64_t)row * column->stride,
			sizeof(time_ns));
		*ret_ns = any && *ret_ns > time_ns ? *ret_ns : time_ns;
		any = true;
	}
	return any;
}

// Rows from `row` on that are of one group for sure, because its fields are given once for all.
static uint32_t group_rows(const struct top *top, const struct weir_batch *in, uint32_t row)
{
	for (uint32_t i = 0; i < top->detail->per_count; i++) {
		const struct weir_column *column = &in->columns[top->detail->per[i]];
		if (column->stride != 0 || column->nulls != NULL)
			return 1;
	}
	return in->count - row;
}

// Ranks that can be read as int64s side by side.
static bool is_plain(const struct top *top, const struct weir_column *by)
{
	enum weir_type type = top->plan->input->fields[top->detail->by].type;
	return (type == WEIR_INT64 || type == WEIR_TIMESTAMP) && by->stride == sizeof(int64_t) &&
		by->nulls == NULL && !top->detail->ascending;
}

// Add rows one by one, all that may be among the best.
static int rows_add(struct top *top, struct top_group *g, const struct weir_batch *in, uint32_t row,
	uint32_t count)
{
	const struct top_detail *detail = top->detail;
	const struct weir_column *by = &in->columns[detail->by];
	enum weir_type type = top->plan->input->fields[detail->by].type;
	int error = 0;
	for (uint32_t i = row; i < row + count && !error; i++) {
		__int128 rank = top_rank(type, by, i, detail->ascending);
		if (g->full && rank < g->least)
			continue;
		error = top_group_add(g, top->pool, &top->plan->outputs[0].schema, in->columns, i,
			rank, detail->best);
	}
	return error;
}

static int64_t greatest(const int64_t *values, uint32_t count)
{
	int64_t most = values[0];
	for (uint32_t i = 1; i < count; i++)
		most = values[i] > most ? values[i] : most;
	return most;
}

// The same at the speed of vectors: find the greatest first, then only the rows that reach it
// (one best is wanted) or the least that still counts.
static int plain_add(struct top *top, struct top_group *g, const struct weir_batch *in,
	uint32_t row, uint32_t count)
{
	const struct top_detail *detail = top->detail;
	const int64_t *values = (const int64_t *)in->columns[detail->by].data;
	int64_t most = greatest(values + row, count);
	int error = 0;
	if (g->full && most < g->least)
		return 0;
	for (uint32_t i = row; i < row + count && !error; i++)
		if (values[i] == most || (detail->best > 1 && (!g->full || values[i] >= g->least)))
			error = top_group_add(g, top->pool, &top->plan->outputs[0].schema,
				in->columns, i, values[i], detail->best);
	return error;
}

static int columns_add(struct top *top, struct weir_context *ctx, const struct weir_batch *in)
{
	const struct top_detail *detail = top->detail;
	for (uint32_t row = 0, count; row < in->count; row += count) {
		int64_t close_ns = 0;
		count = group_rows(top, in, row);
		uint32_t key_bytes = key_encode_columns(top->plan->input, detail->per,
			detail->per_count, in->columns, row, top->key, KEY_BYTES_MAX);
		if (!close_time(top, in->columns, row, &close_ns) || key_bytes > KEY_BYTES_MAX) {
			weir_drop(ctx, WEIR_DROP_OUT_OF_RANGE, count);
			continue;
		}
		struct top_group *g = group_take(top, close_ns, key_bytes);
		if (g == NULL)
			return -ENOMEM;
		bool plain = is_plain(top, &in->columns[detail->by]);
		if (plain ? plain_add(top, g, in, row, count) : rows_add(top, g, in, row, count))
			return -ENOMEM;
	}
	return 0;
}

static enum weir_flow exhausted(const struct top *top, struct weir_context *ctx)
{
	return weir_fail(ctx,
		"state memory is exhausted, %zu bytes in use; raise workers.state_memory",
		top->pool->used);
}

static enum weir_flow process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct top *top = self;
	while (!batch_is_empty(in)) {
		struct weir_batch rows;
		const uint8_t *behind =
			batch_gather(in, top->plan->fields_used, &top->input, &rows);
		if (columns_add(top, ctx, &rows))
			return exhausted(top, ctx);
		batch_advance(in, rows.count, behind);
		ctx->counters->records_in += rows.count;
	}
	return WEIR_DONE;
}

// Emit the next rows of groups[0], and drop it when it is done.
static enum weir_flow group_fire(struct top *top, struct weir_context *ctx)
{
	struct top_group *g = &top->groups[0];
	if (!top->firing)
		top_group_sort(g, &top->plan->outputs[0].schema, top->detail->best);
	top->firing = true;
	while (top->position < g->count) {
		uint32_t count = g->count - top->position;
		count = count < BATCH_ROWS_MAX ? count : BATCH_ROWS_MAX;
		for (uint32_t i = 0; i < count; i++)
			top->rows[i] = g->bytes + g->rows[top->position + i].at;
		top->position += count;
		const struct weir_batch batch = {.form = WEIR_ROWS,
			.count = count,
			.rows = top->rows,
			.schema = &top->plan->outputs[0].schema};
		enum weir_flow flow = weir_emit(ctx, &batch);
		if (flow != WEIR_DONE)
			return flow;
	}
	top->firing = false;
	top->position = 0;
	top_group_destroy(g, top->pool);
	top->count--;
	memmove(top->groups, top->groups + 1, top->count * sizeof(*top->groups));
	return WEIR_DONE;
}

static enum weir_flow watermark(void *self, struct weir_context *ctx, int64_t watermark_ns)
{
	struct top *top = self;
	while (top->count != 0 && top->groups[0].close_ns <= watermark_ns) {
		enum weir_flow flow = group_fire(top, ctx);
		if (flow != WEIR_DONE)
			return flow;
	}
	return WEIR_DONE;
}

// A group is written and read in one piece.
static bool snapshot_part(void *self, struct snapshot_writer *w, bool first)
{
	struct top *top = self;
	size_t start = w->at;
	if (first) {
		VERIFY(!top->firing);
		snapshot_u32(w, top->count);
		top->saved = 0;
	}
	for (uint32_t i = 0; top->saved != top->count && i < w->part_keys; i++) {
		if (w->at - start >= SNAPSHOT_PART_BYTES)
			return false;
		top_group_snapshot(&top->groups[top->saved++], w);
	}
	return top->saved == top->count;
}

static void snapshot(const void *self, struct snapshot_writer *w)
{
	for (bool first = true; !snapshot_part((void *)self, w, first);)
		first = false;
}

static int group_restore(struct top *top, struct snapshot_reader *r)
{
	int error = groups_reserve(top);
	if (!error)
		error = top_group_restore(&top->groups[top->count], top->pool,
			&top->plan->outputs[0].schema, r);
	top->count += error == 0;
	return error;
}

static int restore_part(void *self, struct weir_context *ctx, struct snapshot_reader *r, bool first)
{
	struct top *top = self;
	size_t start = snapshot_tell(r);
	if (first)
		top->saved = snapshot_read_u32(r);
	int error = r->error;
	for (uint32_t i = 0; top->saved != 0 && i < r->part_keys && !error; i++) {
		if (snapshot_tell(r) - start >= SNAPSHOT_PART_BYTES)
			break;
		error = group_restore(top, r);
		top->saved--;
	}
	if (error == -ENOMEM)
		exhausted(top, ctx);
	return error != 0 ? error : top->saved != 0;
}

static int restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	int result = restore_part(self, ctx, r, true);
	while (result == 1)
		result = restore_part(self, ctx, r, false);
	return result;
}

const struct weir_operator top_kind = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "top",
	.summary = "The best rows of each window by one field, ties included.",
	.role = WEIR_TRANSFORM,
	.partial = true,
	.params = params,
	.plan = top_plan,
	.unplan = unplan,
	.create = create,
	.destroy = destroy,
	.process = process,
	.watermark = watermark,
	.state_version = 1,
	.snapshot = snapshot,
	.restore = restore,
	.snapshot_part = snapshot_part,
	.restore_part = restore_part,
};
