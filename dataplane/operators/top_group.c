#include "dataplane/operators/top_group.h"

#include <errno.h>

#include "numa/assert.h"

enum { ROWS_MIN = 8, PRUNE_SLACK = 64 };
// Below the rank of any value.
#define RANK_NULL (-(__int128)(~(unsigned __int128)0 >> 1) - 1)

// IEEE doubles in the order of integers: negative ones mirrored, NaN above all.
static int64_t float_order(double value)
{
	int64_t bits;
	if (value != value)
		return INT64_MAX;
	value += 0.0; // -0.0 and 0.0 are equal
	memcpy(&bits, &value, sizeof(bits));
	return bits < 0 ? INT64_MIN - bits : bits;
}

__int128 top_rank(enum weir_type type, const struct weir_column *column, uint32_t row,
	bool ascending)
{
	const uint8_t *at = (const uint8_t *)column->data + (uint64_t)row * column->stride;
	__int128 rank;
	if (column->nulls != NULL && column->nulls[row])
		return RANK_NULL;
	if (type == WEIR_DECIMAL) {
		memcpy(&rank, at, sizeof(rank));
	} else if (type == WEIR_FLOAT64) {
		double value;
		memcpy(&value, at, sizeof(value));
		rank = float_order(value);
	} else {
		int64_t value;
		memcpy(&value, at, sizeof(value));
		rank = value;
	}
	return ascending ? -rank : rank;
}

static int bytes_reserve(struct top_group *g, struct pool *pool, uint64_t bytes)
{
	if (g->bytes_room - g->used >= bytes)
		return 0;
	uint64_t room = g->bytes_room == 0 ? 512 : 2 * g->bytes_room;
	while (room - g->used < bytes)
		room *= 2;
	uint8_t *grown = pool_alloc(pool, room);
	if (grown == NULL)
		return -ENOMEM;
	if (g->used != 0)
		memcpy(grown, g->bytes, g->used);
	pool_free(pool, g->bytes, g->bytes_room);
	g->bytes = grown;
	g->bytes_room = room;
	return 0;
}

static int rows_reserve(struct top_group *g, struct pool *pool)
{
	if (g->count < g->room)
		return 0;
	uint32_t room = g->room == 0 ? ROWS_MIN : 2 * g->room;
	struct top_row *rows = pool_alloc(pool, room * sizeof(*rows));
	if (rows == NULL)
		return -ENOMEM;
	if (g->count != 0)
		memcpy(rows, g->rows, g->count * sizeof(*rows));
	pool_free(pool, g->rows, g->room * sizeof(*rows));
	g->rows = rows;
	g->room = room;
	return 0;
}

// Records are aligned to 8 in the bytes, so the key takes a multiple of it.
static uint64_t key_room(const struct top_group *g)
{
	return (g->key_bytes + 7ull) & ~7ull;
}

int top_group_create(struct top_group *g, struct pool *pool, int64_t close_ns, const uint8_t *key,
	uint32_t key_bytes)
{
	*g = (struct top_group){.close_ns = close_ns, .key_bytes = key_bytes};
	if (bytes_reserve(g, pool, key_room(g)))
		return -ENOMEM;
	memcpy(g->bytes, key, key_bytes);
	g->used = key_room(g);
	g->prune_at = PRUNE_SLACK;
	return 0;
}

void top_group_destroy(struct top_group *g, struct pool *pool)
{
	pool_free(pool, g->rows, g->room * sizeof(*g->rows));
	pool_free(pool, g->bytes, g->bytes_room);
	*g = (struct top_group){0};
}

static int three_way(__int128 a, __int128 b)
{
	return (a > b) - (a < b);
}

static int text_compare(struct weir_slice a, struct weir_slice b)
{
	uint32_t common = a.length < b.length ? a.length : b.length;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
	return order != 0 ? order : three_way(a.length, b.length);
}

static int field_compare(const struct weir_field *field, uint32_t index, const uint8_t *a,
	const uint8_t *b)
{
	bool null_a = record_is_null(a, index), null_b = record_is_null(b, index);
	if (null_a || null_b)
		return null_b - null_a;
	if (type_is_text(field->type))
		return text_compare(record_slice(a, field->offset), record_slice(b, field->offset));
	if (field->type == WEIR_BOOL)
		return three_way(a[field->offset], b[field->offset]);
	const struct weir_column in_a = {a + field->offset, NULL, 0};
	const struct weir_column in_b = {b + field->offset, NULL, 0};
	return three_way(top_rank(field->type, &in_a, 0, false),
		top_rank(field->type, &in_b, 0, false));
}

// Less than 0: a comes first.
static int rows_compare(const struct top_group *g, const struct weir_schema *schema,
	const struct top_row *a, const struct top_row *b)
{
	int order = three_way(b->rank, a->rank);
	for (uint32_t i = 0; i < schema->field_count && order == 0; i++)
		order = field_compare(&schema->fields[i], i, g->bytes + a->at, g->bytes + b->at);
	return order;
}

static void sift(struct top_group *g, const struct weir_schema *schema, uint32_t root,
	uint32_t count)
{
	struct top_row *rows = g->rows, moved = rows[root];
	for (;;) {
		uint32_t child = 2 * root + 1;
		if (child >= count)
			break;
		if (child + 1 < count &&
			rows_compare(g, schema, &rows[child], &rows[child + 1]) < 0)
			child++;
		if (rows_compare(g, schema, &rows[child], &moved) <= 0)
			break;
		rows[root] = rows[child];
		root = child;
	}
	rows[root] = moved;
}

// Heapsort (Williams, Floyd 1964): in place, because the record path must not allocate.
static void sort(struct top_group *g, const struct weir_schema *schema)
{
	for (uint32_t i = g->count / 2; i-- > 0;)
		sift(g, schema, i, g->count);
	for (uint32_t end = g->count; end-- > 1;) {
		struct top_row last = g->rows[end];
		g->rows[end] = g->rows[0];
		g->rows[0] = last;
		sift(g, schema, 0, end);
	}
}

void top_group_sort(struct top_group *g, const struct weir_schema *schema, uint32_t best)
{
	sort(g, schema);
	if (g->count < best)
		return;
	g->full = true;
	g->least = g->rows[best - 1].rank;
	while (g->rows[g->count - 1].rank < g->least)
		g->count--;
}

// Sort, drop what is out and close up the bytes.
static int prune(struct top_group *g, struct pool *pool, const struct weir_schema *schema,
	uint32_t best)
{
	uint8_t *bytes = pool_alloc(pool, g->bytes_room);
	if (bytes == NULL)
		return -ENOMEM;
	top_group_sort(g, schema, best);
	uint64_t used = key_room(g);
	memcpy(bytes, g->bytes, used);
	for (uint32_t i = 0; i < g->count; i++) {
		memcpy(bytes + used, g->bytes + g->rows[i].at, g->rows[i].length);
		g->rows[i].at = used;
		used += g->rows[i].length;
	}
	pool_free(pool, g->bytes, g->bytes_room);
	g->bytes = bytes;
	g->used = used;
	g->prune_at = 2 * g->count + PRUNE_SLACK;
	return 0;
}

static int append(struct top_group *g, struct pool *pool, const struct weir_schema *schema,
	const struct weir_column *columns, uint32_t row, __int128 rank)
{
	uint64_t least = 256;
	uint32_t length = 0;
	while (length == 0) {
		if (rows_reserve(g, pool) || bytes_reserve(g, pool, least))
			return -ENOMEM;
		uint64_t room = g->bytes_room - g->used;
		length = batch_record(schema, columns, row, g->bytes + g->used,
			room < UINT32_MAX ? (uint32_t)room : UINT32_MAX);
		least = 2 * room;
	}
	g->rows[g->count++] = (struct top_row){rank, g->used, length};
	g->used += length;
	return 0;
}

int top_group_add(struct top_group *g, struct pool *pool, const struct weir_schema *schema,
	const struct weir_column *columns, uint32_t row, __int128 rank, uint32_t best)
{
	if (g->full && rank < g->least)
		return 0;
	if (best == 1) {
		if (g->full && rank > g->least) {
			g->count = 0;
			g->used = key_room(g);
		}
		g->full = true;
		g->least = rank;
	} else if (g->count >= g->prune_at && g->count > best) {
		if (prune(g, pool, schema, best))
			return -ENOMEM;
	}
	return append(g, pool, schema, columns, row, rank);
}

void top_group_snapshot(const struct top_group *g, struct snapshot_writer *w)
{
	snapshot_i64(w, g->close_ns);
	snapshot_u32(w, g->key_bytes);
	snapshot_bytes(w, g->bytes, g->key_bytes);
	snapshot_u32(w, g->full);
	snapshot_bytes(w, &g->least, sizeof(g->least));
	snapshot_u32(w, g->count);
	for (uint32_t i = 0; i < g->count; i++) {
		snapshot_bytes(w, &g->rows[i].rank, sizeof(g->rows[i].rank));
		snapshot_u32(w, (uint32_t)g->rows[i].length);
		snapshot_bytes(w, g->bytes + g->rows[i].at, g->rows[i].length);
	}
}

static int row_restore(struct top_group *g, struct pool *pool, const struct weir_schema *schema,
	struct snapshot_reader *r)
{
	struct top_row row = {.at = g->used};
	snapshot_read(r, &row.rank, sizeof(row.rank));
	row.length = snapshot_read_u32(r);
	if (row.length > snapshot_left(r) || row.length % 8 != 0)
		return -EBADMSG;
	if (rows_reserve(g, pool) || bytes_reserve(g, pool, row.length))
		return -ENOMEM;
	snapshot_read(r, g->bytes + g->used, row.length);
	if (record_validate(schema, g->bytes + g->used, (uint32_t)row.length))
		return -EBADMSG;
	g->used += row.length;
	g->rows[g->count++] = row;
	return 0;
}

static int group_restore(struct top_group *g, struct pool *pool, const struct weir_schema *schema,
	struct snapshot_reader *r)
{
	g->close_ns = snapshot_read_i64(r);
	g->key_bytes = snapshot_read_u32(r);
	if (r->error || g->key_bytes > snapshot_left(r))
		return -EBADMSG;
	if (bytes_reserve(g, pool, key_room(g)))
		return -ENOMEM;
	snapshot_read(r, g->bytes, g->key_bytes);
	g->used = key_room(g);
	g->full = snapshot_read_u32(r) != 0;
	snapshot_read(r, &g->least, sizeof(g->least));
	uint32_t count = snapshot_read_u32(r);
	int error = r->error;
	for (uint32_t i = 0; i < count && !error; i++)
		error = row_restore(g, pool, schema, r);
	g->prune_at = 2 * g->count + PRUNE_SLACK;
	return error != 0 ? error : r->error;
}

int top_group_restore(struct top_group *g, struct pool *pool, const struct weir_schema *schema,
	struct snapshot_reader *r)
{
	*g = (struct top_group){0};
	int error = group_restore(g, pool, schema, r);
	if (error)
		top_group_destroy(g, pool);
	return error;
}
