#include <string.h>

#include "dataplane/exchange.h"
#include "numa/assert.h"
#include "state/key.h"

// Three ways to send a batch: whole rows of fixed size cut to a few 8-byte fields with one int64
// key (the hot one), records of any kind, and columns.

enum { KEY_BYTES_MAX = 4096, AHEAD_BYTES = 1024, LINE_BYTES = 64 };

static enum weir_flow too_large(struct weir_context *ctx, uint32_t bytes, const struct sender *s)
{
	bool helps = bytes <= FRAME_BYTES_MAX - FRAME_HEADER_BYTES;
	return weir_fail(ctx, "a record of %u bytes is larger than the %u that a frame holds; %s",
		bytes, s->channel->config.frame_bytes - FRAME_HEADER_BYTES,
		helps ? "raise exchange.frame"
		      : "leave fields out (60KiB is the most for exchange.frame)");
}

static uint32_t padded(uint32_t bytes)
{
	return (bytes + RECORD_ALIGN - 1) & ~(uint32_t)(RECORD_ALIGN - 1);
}

static struct sender *sender_of(const struct exchange_edge *edge, uint64_t hash)
{
	return edge->senders[edge->channel_of_group[key_group(hash, edge->group_bits)]];
}

static bool has_nulls(const uint8_t *record, uint32_t null_words)
{
	uint32_t any = 0, word;
	for (uint32_t i = 0; i < null_words; i++) {
		memcpy(&word, record + RECORD_HEADER_BYTES + 4 * i, sizeof(word));
		any |= word;
	}
	return any != 0;
}

// A record's key, or a constant where there is but one channel. Of a longer key, what fits.
static uint64_t record_key_hash(const struct exchange_edge *edge, const uint8_t *record)
{
	const struct plan_edge *plan = edge->plan;
	uint8_t key[KEY_BYTES_MAX];
	if (edge->channel_count == 1)
		return 0;
	uint32_t bytes =
		key_encode(plan->input, plan->keys, plan->key_count, record, key, sizeof(key));
	return key_hash(key, bytes < sizeof(key) ? bytes : (uint32_t)sizeof(key));
}

// Bytes of the record that an edge makes of `record`.
static uint32_t narrow_bytes(const struct exchange_edge *edge, const uint8_t *record)
{
	const struct plan_edge *plan = edge->plan;
	const struct weir_schema *to = plan->output;
	uint32_t bytes = to->fixed_bytes;
	for (uint32_t i = 0; i < to->text_count; i++) {
		const struct weir_field *field = &plan->input->fields[plan->fields[to->texts[i]]];
		bytes += record_slice(record, field->offset).length; // of a null: 0
	}
	return padded(bytes);
}

// A text goes behind what is there so far.  Returns where the next one goes.
static uint32_t narrow_text(const uint8_t *record, uint32_t from, uint8_t *out, uint32_t to,
	uint32_t end)
{
	struct weir_slice text = record_slice(record, from);
	const uint32_t slot[2] = {end, text.length};
	memcpy(out + to, slot, sizeof(slot));
	if (text.length != 0)
		memcpy(out + end, text.data, text.length);
	return end + text.length;
}

static void copy_value(uint8_t *out, const uint8_t *value, uint32_t bytes)
{
	if (bytes == 8)
		memcpy(out, value, 8);
	else if (bytes == 16)
		memcpy(out, value, 16);
	else
		*out = *value;
}

// Copy the fields an edge needs from one record into another of `bytes` bytes.
static void narrow(const struct exchange_edge *edge, const uint8_t *record, uint8_t *out,
	uint32_t bytes)
{
	const struct plan_edge *plan = edge->plan;
	const struct weir_schema *from = plan->input, *to = plan->output;
	const uint64_t head = bytes | (uint64_t)to->variant << 32;
	uint64_t from_nulls = record_nulls(from, record), nulls = 0;
	uint32_t end = to->fixed_bytes;
	memcpy(out, &head, sizeof(head));
	for (uint32_t i = 0; i < to->hole_count; i++)
		memset(out + to->holes[i].offset, 0, to->holes[i].bytes);
	for (uint32_t f = 0; f < to->field_count; f++) {
		const struct weir_field *source = &from->fields[plan->fields[f]];
		uint64_t null = from_nulls >> plan->fields[f] & 1;
		uint32_t offset = to->fields[f].offset;
		nulls |= null << f;
		if (type_is_text(source->type) && !null)
			end = narrow_text(record, source->offset, out, offset, end);
		else // of a null, zeros
			copy_value(out + offset, record + source->offset,
				type_record_bytes(source->type));
	}
	memcpy(out + RECORD_HEADER_BYTES, &nulls, 4 * to->null_words);
	memset(out + end, 0, bytes - end);
}

static bool is_whole(const struct plan_edge *plan)
{
	return schema_equal(plan->input, plan->output);
}

// Send one record.  DONE, FULL or FAILED.
static enum weir_flow send_record(struct exchange_edge *edge, struct weir_context *ctx,
	const uint8_t *record, bool whole)
{
	struct sender *s = sender_of(edge, record_key_hash(edge, record));
	uint32_t bytes = whole ? record_length(record) : narrow_bytes(edge, record);
	if (!sender_fits(s, bytes))
		return too_large(ctx, bytes, s);
	uint8_t *out = sender_reserve(s, bytes, ctx->now_ns);
	if (out == NULL)
		return WEIR_FULL;
	if (whole)
		memcpy(out, record, bytes);
	else
		narrow(edge, record, out, bytes);
	sender_commit(s, bytes);
	return WEIR_DONE;
}

static enum weir_flow send_packed(struct exchange_edge *edge, struct weir_context *ctx,
	struct weir_batch *in, bool whole)
{
	const uint16_t variant = in->schema->variant;
	enum weir_flow flow = WEIR_DONE;
	uint64_t sent = 0;
	while (in->first < in->limit) {
		if (record_variant(in->first) == variant) {
			flow = send_record(edge, ctx, in->first, whole);
			if (flow != WEIR_DONE)
				break;
			sent++;
		}
		in->first += record_length(in->first);
	}
	ctx->counters->records_in += sent;
	return flow;
}

static enum weir_flow send_rows(struct exchange_edge *edge, struct weir_context *ctx,
	struct weir_batch *in, bool whole)
{
	enum weir_flow flow = WEIR_DONE;
	uint32_t from = in->at;
	for (; in->at < in->count; in->at++) {
		flow = send_record(edge, ctx, in->rows[in->at], whole);
		if (flow != WEIR_DONE)
			break;
	}
	ctx->counters->records_in += in->at - from;
	return flow;
}

static uint64_t columns_key_hash(const struct exchange_edge *edge, const struct weir_batch *in)
{
	const struct plan_edge *plan = edge->plan;
	uint8_t key[KEY_BYTES_MAX];
	if (edge->channel_count == 1)
		return 0;
	uint32_t bytes = key_encode_columns(plan->input, plan->keys, plan->key_count, in->columns,
		in->at, key, sizeof(key));
	return key_hash(key, bytes < sizeof(key) ? bytes : (uint32_t)sizeof(key));
}

// Bytes the record of row `at` takes at most.
static uint32_t columns_record_bound(const struct weir_schema *schema,
	const struct weir_column *columns, uint32_t at)
{
	uint32_t bytes = schema->fixed_bytes;
	for (uint32_t f = 0; schema->has_text && f < schema->field_count; f++) {
		const struct weir_slice *text = (const void *)((const uint8_t *)columns[f].data +
			(size_t)at * columns[f].stride);
		if (type_is_text(schema->fields[f].type) &&
			(columns[f].nulls == NULL || !columns[f].nulls[at]))
			bytes += text->length;
	}
	return padded(bytes);
}

static enum weir_flow send_columns(struct exchange_edge *edge, struct weir_context *ctx,
	struct weir_batch *in)
{
	const struct plan_edge *plan = edge->plan;
	struct weir_column picked[SCHEMA_FIELDS_MAX];
	uint32_t from = in->at;
	enum weir_flow flow = WEIR_DONE;
	for (uint32_t f = 0; f < plan->output->field_count; f++)
		picked[f] = in->columns[plan->fields[f]];
	for (; in->at < in->count && flow == WEIR_DONE; in->at++) {
		struct sender *s = sender_of(edge, columns_key_hash(edge, in));
		uint32_t bytes = columns_record_bound(plan->output, picked, in->at);
		if (!sender_fits(s, bytes)) {
			flow = too_large(ctx, bytes, s);
			break;
		}
		uint8_t *out = sender_reserve(s, bytes, ctx->now_ns);
		if (out == NULL) {
			flow = WEIR_FULL;
			break;
		}
		sender_commit(s, batch_record(plan->output, picked, in->at, out, bytes));
	}
	ctx->counters->records_in += in->at - from;
	return flow;
}

static enum weir_flow send_any(struct exchange_edge *edge, struct weir_context *ctx,
	struct weir_batch *in)
{
	bool whole = is_whole(edge->plan);
	switch (in->form) {
	case WEIR_PACKED:
		return send_packed(edge, ctx, in, whole);
	case WEIR_ROWS:
		return send_rows(edge, ctx, in, whole);
	case WEIR_COLUMNS:
		break;
	}
	return send_columns(edge, ctx, in);
}

// Rows of varying length hide the stream from the hardware's prefetcher, so every line of the run
// is asked for in order, a little ahead. Returns the first line not yet asked for.
static inline const uint8_t *prefetch_up_to(const uint8_t *line, const uint8_t *limit)
{
	for (; line < limit; line += LINE_BYTES)
		__builtin_prefetch(line);
	return line;
}

// The hot kernel: packed rows, one int64 key, output of `moves` 8-byte fields behind a header
// that is the same for all rows. Rows with a null take the general way.
static inline __attribute__((always_inline)) enum weir_flow send_moves(struct exchange_edge *edge,
	struct weir_context *ctx, struct weir_batch *in, uint32_t moves)
{
	const struct plan_edge *plan = edge->plan;
	const uint16_t variant = in->schema->variant;
	const uint32_t bytes = edge->record_bytes, key = plan->input->fields[plan->keys[0]].offset;
	const uint64_t head = bytes | (uint64_t)plan->output->variant << 32;
	const uint32_t shift = 64 - edge->group_bits;
	const uint16_t *channel_of_group = edge->channel_of_group;
	struct sender *const *senders = edge->senders;
	const uint8_t *row = in->first, *limit = in->limit, *line = row;
	struct exchange_move move[SCHEMA_FIELDS_MAX];
	uint64_t sent = 0;
	enum weir_flow flow = WEIR_DONE;
	if (UNLIKELY(!sender_fits(edge->senders[0], bytes)))
		return too_large(ctx, bytes, edge->senders[0]);
	memcpy(move, edge->moves, moves * sizeof(*move));
	for (; row < limit; row += record_length(row)) {
		line = prefetch_up_to(line, row + AHEAD_BYTES);
		if (record_variant(row) != variant)
			continue;
		if (UNLIKELY(has_nulls(row, 1))) {
			flow = send_record(edge, ctx, row, false);
			if (flow != WEIR_DONE)
				break;
			sent++;
			continue;
		}
		uint64_t hash = key_hash_int64(record_int64(row, key));
		struct sender *s = senders[channel_of_group[hash >> shift]];
		uint8_t *out = sender_reserve(s, bytes, ctx->now_ns);
		if (UNLIKELY(out == NULL)) {
			flow = WEIR_FULL;
			break;
		}
		memcpy(out, &head, 8);
		memset(out + 8, 0, 8);
		for (uint32_t m = 0; m < moves; m++)
			memcpy(out + move[m].to, row + move[m].from, 8);
		sender_commit(s, bytes);
		sent++;
	}
	in->first = row;
	ctx->counters->records_in += sent;
	return flow;
}

#define MOVES_KERNEL(name, moves)                                                                  \
	static enum weir_flow name(struct exchange_edge *edge, struct weir_context *ctx,           \
		struct weir_batch *in)                                                             \
	{                                                                                          \
		return in->form == WEIR_PACKED ? send_moves(edge, ctx, in, moves)                  \
					       : send_any(edge, ctx, in);                          \
	}
MOVES_KERNEL(send_one, 1)
MOVES_KERNEL(send_two, 2)
MOVES_KERNEL(send_three, 3)
MOVES_KERNEL(send_many, edge->move_count)

static bool is_word(enum weir_type type)
{
	return type == WEIR_INT64 || type == WEIR_TIMESTAMP || type == WEIR_FLOAT64;
}

exchange_kernel exchange_choose_kernel(struct exchange_edge *edge)
{
	const struct plan_edge *plan = edge->plan;
	const struct weir_schema *from = plan->input, *to = plan->output;
	edge->record_bytes = padded(to->fixed_bytes);
	bool words = to->null_words == 1 && from->null_words == 1 && plan->key_count == 1 &&
		from->fields[plan->keys[0]].type == WEIR_INT64;
	for (uint32_t f = 0; f < to->field_count && words; f++) {
		words = is_word(to->fields[f].type);
		edge->moves[f] = (struct exchange_move){
			from->fields[plan->fields[f]].offset, to->fields[f].offset};
	}
	edge->move_count = to->field_count;
	const exchange_kernel by_moves[] = {send_many, send_one, send_two, send_three};
	if (words && plan->exchange == EXCHANGE_HASH)
		return by_moves[to->field_count <= 3 ? to->field_count : 0];
	return send_any;
}
