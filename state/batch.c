#include "state/batch.h"

#include <errno.h>

#include "numa/arena.h"
#include "numa/assert.h"

enum { LINE_BYTES = 64 };

int batch_columns_create(struct batch_columns *c, const struct weir_schema *schema,
	struct arena *arena)
{
	memset(c, 0, sizeof(*c));
	for (uint32_t i = 0; i < schema->field_count; i++) {
		uint32_t bytes = type_column_bytes(schema->fields[i].type);
		c->data[i] = arena_alloc(arena, (size_t)bytes * BATCH_ROWS_MAX, LINE_BYTES);
		c->nulls[i] = arena_alloc(arena, BATCH_ROWS_MAX, LINE_BYTES);
		if (!c->data[i] || !c->nulls[i])
			return -ENOMEM;
		c->columns[i] = (struct weir_column){c->data[i], NULL, bytes};
	}
	return 0;
}

// The fields to gather, by how they are copied, so that the loop over rows does not ask.
struct gather {
	const struct weir_schema *schema;
	struct batch_columns *c;
	uint64_t fields;
	uint32_t word_count, text_count, other_count;
	struct {
		uint32_t offset;
		uint8_t *out;
	} words[SCHEMA_FIELDS_MAX];
	uint8_t texts[SCHEMA_FIELDS_MAX], others[SCHEMA_FIELDS_MAX];
};

static void gather_plan(struct gather *g, const struct weir_schema *schema, uint64_t fields,
	struct batch_columns *c)
{
	g->schema = schema;
	g->c = c;
	g->fields = fields;
	g->word_count = g->text_count = g->other_count = 0;
	for (; fields; fields &= fields - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(fields);
		enum weir_type type = schema->fields[i].type;
		ASSERT(i < schema->field_count && c->data[i]);
		c->columns[i] = (struct weir_column){c->data[i], NULL, type_column_bytes(type)};
		if (type_is_text(type)) {
			g->texts[g->text_count++] = (uint8_t)i;
		} else if (type_column_bytes(type) == 8) {
			g->words[g->word_count].offset = schema->fields[i].offset;
			g->words[g->word_count++].out = c->data[i];
		} else {
			g->others[g->other_count++] = (uint8_t)i;
		}
	}
}

// A column has a null array only once it has a null, so that most rows write none.
static void nulls_copy(const struct gather *g, uint64_t nulls, uint32_t row)
{
	for (; nulls; nulls &= nulls - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(nulls);
		if (!g->c->columns[i].nulls) {
			memset(g->c->nulls[i], 0, BATCH_ROWS_MAX);
			g->c->columns[i].nulls = g->c->nulls[i];
		}
		g->c->nulls[i][row] = 1;
	}
}

static void others_copy(const struct gather *g, const uint8_t *record, uint32_t row)
{
	for (uint32_t k = 0; k < g->other_count; k++) {
		const struct weir_field *f = &g->schema->fields[g->others[k]];
		uint8_t *out = g->c->data[g->others[k]];
		if (f->type == WEIR_DECIMAL)
			memcpy(out + 16 * row, record + f->offset, 16);
		else
			out[row] = record[f->offset];
	}
}

static inline void row_copy(const struct gather *g, const uint8_t *record, uint32_t row)
{
	for (uint32_t k = 0; k < g->word_count; k++)
		memcpy(g->words[k].out + 8 * row, record + g->words[k].offset, 8);
	for (uint32_t k = 0; k < g->text_count; k++) {
		uint32_t i = g->texts[k];
		((struct weir_slice *)g->c->data[i])[row] =
			record_slice(record, g->schema->fields[i].offset);
	}
	if (g->other_count)
		others_copy(g, record, row);
	uint64_t nulls = record_nulls(g->schema, record) & g->fields;
	if (UNLIKELY(nulls))
		nulls_copy(g, nulls, row);
}

// Load a byte of every line of a record: the hardware prefetcher follows a run only when its
// lines are touched without gaps.
static inline void lines_touch(const uint8_t *record, uint32_t length)
{
	for (uint32_t at = LINE_BYTES; at < length; at += LINE_BYTES)
		__asm__ volatile("" : : "r"(record[at]));
}

static const uint8_t *packed_gather(const struct weir_batch *in, const struct gather *g,
	uint32_t *ret_rows)
{
	const uint8_t *at = in->first, *limit = in->limit;
	uint16_t variant = g->schema->variant;
	uint32_t rows = 0;
	while (at < limit && rows < BATCH_ROWS_MAX) {
		const uint8_t *record = at;
		uint32_t length = record_length(record);
		ASSERT(length >= RECORD_HEADER_BYTES && length <= (size_t)(limit - at));
		lines_touch(record, length);
		at += length;
		if (record_variant(record) == variant)
			row_copy(g, record, rows++);
	}
	*ret_rows = rows;
	return at;
}

static uint32_t rows_gather(const struct weir_batch *in, const struct gather *g)
{
	uint32_t rows = in->count - in->at;
	if (rows > BATCH_ROWS_MAX)
		rows = BATCH_ROWS_MAX;
	for (uint32_t i = 0; i < rows; i++)
		row_copy(g, in->rows[in->at + i], i);
	return rows;
}

// Columns are not copied: the result points at the rows that are left.
static uint32_t columns_shift(const struct weir_batch *in, uint64_t fields,
	struct weir_column *columns)
{
	for (; fields; fields &= fields - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(fields);
		const struct weir_column *from = &in->columns[i];
		columns[i] = (struct weir_column){
			(const uint8_t *)from->data + (size_t)from->stride * in->at,
			from->nulls ? from->nulls + in->at : NULL, from->stride};
	}
	return in->count - in->at;
}

const uint8_t *batch_gather(const struct weir_batch *in, uint64_t fields, struct batch_columns *c,
	struct weir_batch *ret_batch)
{
	struct gather g;
	const uint8_t *behind = NULL;
	uint32_t rows = 0;
	if (in->form == WEIR_COLUMNS) {
		rows = columns_shift(in, fields, c->columns);
	} else {
		gather_plan(&g, in->schema, fields, c);
		if (in->form == WEIR_PACKED)
			behind = packed_gather(in, &g, &rows);
		else
			rows = rows_gather(in, &g);
	}
	*ret_batch = (struct weir_batch){
		.form = WEIR_COLUMNS, .count = rows, .columns = c->columns, .schema = in->schema};
	return behind;
}

// Write a value that is not a text.
static inline void fixed_write(uint8_t *out, const uint8_t *value, enum weir_type type)
{
	if (type == WEIR_BOOL)
		*out = *value != 0;
	else if (type == WEIR_DECIMAL)
		memcpy(out, value, 16);
	else
		memcpy(out, value, 8);
}

// Append a text at *end.  Returns false when it does not fit.
static inline bool text_write(uint8_t *record, const struct weir_field *f, const uint8_t *value,
	uint32_t *end, uint32_t room)
{
	struct weir_slice text;
	memcpy(&text, value, sizeof(text));
	if (text.length > room - *end)
		return false;
	uint32_t slot[2] = {*end, text.length};
	memcpy(record + f->offset, slot, sizeof(slot));
	if (text.length)
		memcpy(record + *end, text.data, text.length);
	*end += text.length;
	return true;
}

uint32_t batch_record(const struct weir_schema *schema, const struct weir_column *columns,
	uint32_t row, uint8_t *out, uint32_t room)
{
	uint32_t end = schema->fixed_bytes;
	uint64_t nulls = 0, header = (uint64_t)schema->variant << 32;
	if (end > room)
		return 0;
	memcpy(out, &header, sizeof(header));
	for (uint32_t i = 0; i < schema->hole_count; i++)
		memset(out + schema->holes[i].offset, 0, schema->holes[i].bytes);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct weir_field *f = &schema->fields[i];
		const struct weir_column *c = &columns[i];
		const uint8_t *value = (const uint8_t *)c->data + (size_t)c->stride * row;
		if (UNLIKELY(c->nulls && c->nulls[row])) {
			nulls |= 1ULL << i;
			memset(out + f->offset, 0, type_record_bytes(f->type));
		} else if (!type_is_text(f->type)) {
			fixed_write(out + f->offset, value, f->type);
		} else if (!text_write(out, f, value, &end, room)) {
			return 0;
		}
	}
	record_nulls_set(schema, out, nulls);
	return record_finish(out, end, room);
}
