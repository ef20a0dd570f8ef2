// Rows of fired windows as columns: the window's bounds, the key's fields, the aggregates.
#include "dataplane/operators/window_parts.h"

enum { WINDOW_START, WINDOW_END, KEYS };

static void bounds(struct window_operator *op, const struct window_rows *rows)
{
	op->bounds[0] = rows->start_ns;
	op->bounds[1] = rows->end_ns;
	op->output.columns[WINDOW_START] = (struct weir_column){&op->bounds[0], NULL, 0};
	op->output.columns[WINDOW_END] = (struct weir_column){&op->bounds[1], NULL, 0};
}

static void word_keys(struct window_operator *op, const struct window_rows *rows)
{
	uint8_t *nulls = NULL;
	if (rows->null_row != UINT32_MAX) {
		nulls = op->output.nulls[KEYS];
		memset(nulls, 0, rows->count);
		nulls[rows->null_row] = 1;
	}
	op->output.columns[KEYS] = (struct weir_column){rows->words, nulls, sizeof(int64_t)};
}

// Take one field off a canonical key into row `row` of its column.
static const uint8_t *field_take(enum weir_type type, const uint8_t *at, uint8_t *data,
	uint32_t row)
{
	uint32_t bytes = type_column_bytes(type);
	if (!type_is_text(type)) {
		memcpy(data + (uint64_t)row * bytes, at, bytes);
		return at + bytes;
	}
	struct weir_slice slice = {0};
	memcpy(&slice.length, at, sizeof(slice.length));
	slice.data = at + sizeof(slice.length);
	memcpy(data + (uint64_t)row * sizeof(slice), &slice, sizeof(slice));
	return slice.data + slice.length;
}

static void text_keys(struct window_operator *op, const struct window_rows *rows)
{
	const struct window_config *config = &op->detail->config;
	struct weir_column *columns = op->output.columns + KEYS;
	uint32_t any_null = 0;
	for (uint32_t i = 0; i < rows->count; i++) {
		const uint8_t *at = rows->texts[i], *end = at + rows->text_bytes[i];
		for (uint32_t k = 0; k < config->key_count; k++)
			at = field_take(config->schema->fields[config->keys[k]].type, at,
				op->output.data[KEYS + k], i);
		uint32_t nulls = 0;
		if (at != end)
			memcpy(&nulls, at, sizeof(nulls));
		for (uint32_t k = 0; k < config->key_count; k++)
			op->output.nulls[KEYS + k][i] = nulls >> k & 1;
		any_null |= nulls;
	}
	for (uint32_t k = 0; k < config->key_count; k++) {
		enum weir_type type = config->schema->fields[config->keys[k]].type;
		columns[k] = (struct weir_column){op->output.data[KEYS + k],
			any_null >> k & 1 ? op->output.nulls[KEYS + k] : NULL,
			type_column_bytes(type)};
	}
}

int window_output(struct window_operator *op, const struct window_rows *rows,
	struct weir_batch *ret_batch, uint32_t *ret_aggregate)
{
	const struct window_config *config = &op->detail->config;
	bounds(op, rows);
	if (op->window.form == TABLE_INT64)
		word_keys(op, rows);
	else
		text_keys(op, rows);
	int error = aggregates_results(&config->aggregates, rows->cells, rows->count, &op->output,
		KEYS + config->key_count, ret_aggregate);
	*ret_batch = (struct weir_batch){.form = WEIR_COLUMNS,
		.count = rows->count,
		.columns = op->output.columns,
		.schema = &op->plan->outputs[0].schema};
	return error;
}
