#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "dataplane/expression_eval.h"
#include "dataplane/value_text.h"
#include "numa/assert.h"
#include "state/decimal.h"
#include "state/time_text.h"
#include "state/utf8.h"

static_assert(EXPRESSION_CAST_TEXT_BYTES >= VALUE_TEXT_BYTES &&
		EXPRESSION_CAST_TEXT_BYTES >= DECIMAL_TEXT_BYTES &&
		EXPRESSION_CAST_TEXT_BYTES >= TIME_TEXT_BYTES,
	"the text of any value fits");

// Where character `index` of a string begins, or its end; of bytes, where byte `index` is.
static const uint8_t *character(const struct weir_slice *s, bool bytes, uint64_t index)
{
	const uint8_t *p = s->data, *limit = s->data + s->length;
	if (bytes)
		return index < s->length ? p + index : limit;
	for (; p < limit; p++)
		if ((*p & 0xC0) != 0x80 && index-- == 0)
			break;
	return p;
}

static int64_t characters(const struct weir_slice *s, bool bytes)
{
	int64_t count = 0;
	for (uint32_t i = 0; i < s->length; i++)
		count += (s->data[i] & 0xC0) != 0x80;
	return bytes ? s->length : count;
}

// Characters [start, start + length), counted from 1, as far as the text has them (SQL).
static struct weir_slice substring(const struct weir_slice *s, bool bytes, int64_t start,
	int64_t length)
{
	int64_t end;
	if (__builtin_add_overflow(start, length, &end))
		end = INT64_MAX;
	start = start < 1 ? 1 : start;
	if (end <= start)
		return (struct weir_slice){s->data, 0, 0};
	const uint8_t *from = character(s, bytes, (uint64_t)start - 1);
	struct weir_slice rest = {from, (uint32_t)(s->data + s->length - from), 0};
	const uint8_t *to = character(&rest, bytes, (uint64_t)(end - start));
	return (struct weir_slice){from, (uint32_t)(to - from), 0};
}

struct weir_column eval_text(struct eval *e, const struct node *n, struct slot *slot)
{
	struct weir_column args[3];
	uint32_t count = 0;
	uint16_t at = n->first;
	for (; at != NODE_NONE; at = e->x->nodes[at].next)
		args[count++] = eval_node(e, &e->x->nodes[at]);
	bool bytes = eval_child(e, n, 0)->type == WEIR_BYTES;
	memset(slot->nulls, 0, e->count);
	for (uint32_t i = 0; i < e->count; i++) {
		const struct weir_slice *s = column_at(&args[0], i);
		for (uint32_t j = 0; j < count; j++)
			slot->nulls[i] |= args[j].nulls != NULL && args[j].nulls[i];
		if (n->op == NODE_LENGTH)
			((int64_t *)slot->data)[i] = characters(s, bytes);
		else
			((struct weir_slice *)slot->data)[i] =
				substring(s, bytes, COLUMN_AT(int64_t, &args[1], i),
					count == 3 ? COLUMN_AT(int64_t, &args[2], i) : INT64_MAX);
	}
	return (struct weir_column){slot->data, slot->nulls, node_bytes(n->type)};
}

// A cast of one value: 0, -EINVAL (no such value), -EILSEQ (not UTF-8) or -ERANGE.
struct cast {
	uint8_t from, to;
	uint8_t from_scale, scale, precision;
	uint8_t *text; // room for a string
};

static int to_int64(const struct cast *c, const union node_value *v, union node_value *out)
{
	switch (c->from) {
	case WEIR_BOOL:
		out->integer = v->boolean;
		return 0;
	case WEIR_FLOAT64:
		if (!(v->real >= -0x1p63 && v->real < 0x1p63))
			return -ERANGE;
		out->integer = (int64_t)v->real;
		return 0;
	case WEIR_DECIMAL: {
		__int128 whole = v->decimal / decimal_power[c->from_scale];
		out->integer = (int64_t)whole;
		return whole == out->integer ? 0 : -ERANGE;
	}
	case WEIR_STRING:
		return value_int64_parse(v->text.data, v->text.length, &out->integer);
	default:
		out->integer = v->integer;
		return 0;
	}
}

static int to_float64(const struct cast *c, const union node_value *v, union node_value *out)
{
	if (c->from == WEIR_INT64) {
		out->real = (double)v->integer;
		return 0;
	}
	if (c->from == WEIR_STRING)
		return value_float64_parse(v->text.data, v->text.length, &out->real);
	out->real = decimal_to_float64(v->decimal, c->from_scale);
	return 0;
}

static int to_decimal(const struct cast *c, const union node_value *v, union node_value *out)
{
	__int128 value;
	bool fits;
	if (c->from == WEIR_STRING)
		return decimal_parse(v->text.data, v->text.length, c->precision, c->scale,
			&out->decimal);
	if (c->from == WEIR_FLOAT64)
		fits = decimal_from_float64(v->real, c->scale, &value);
	else if (c->from == WEIR_INT64)
		fits = decimal_rescale(v->integer, 0, c->scale, &value);
	else
		fits = decimal_rescale(v->decimal, c->from_scale, c->scale, &value);
	if (!fits || !decimal_fits(value, c->precision))
		return -ERANGE;
	out->decimal = value;
	return 0;
}

static int to_text(const struct cast *c, const union node_value *v, union node_value *out)
{
	char *text = (char *)c->text;
	uint32_t length;
	if (c->from == WEIR_STRING || c->from == WEIR_BYTES) {
		out->text = v->text;
		bool valid = c->to == WEIR_BYTES || utf8_is_valid(v->text.data, v->text.length);
		return valid ? 0 : -EILSEQ;
	}
	if (c->from == WEIR_BOOL) {
		length = v->boolean ? 4 : 5;
		memcpy(text, v->boolean ? "true" : "false", length);
	} else if (c->from == WEIR_FLOAT64) {
		length = value_float64_print(v->real, text);
	} else if (c->from == WEIR_DECIMAL) {
		length = decimal_print(v->decimal, c->from_scale, text);
	} else if (c->from == WEIR_TIMESTAMP) {
		length = time_print(v->integer, text);
	} else {
		length = value_int64_print(v->integer, text);
	}
	out->text = (struct weir_slice){c->text, length, 0};
	return 0;
}

static int cast(const struct cast *c, const union node_value *v, union node_value *out)
{
	switch (c->to) {
	case WEIR_BOOL:
		if (c->from == WEIR_STRING)
			return value_bool_parse(v->text.data, v->text.length, &out->boolean);
		out->boolean = c->from == WEIR_BOOL ? v->boolean : v->integer != 0;
		return 0;
	case WEIR_FLOAT64:
		if (c->from != WEIR_FLOAT64)
			return to_float64(c, v, out);
		out->real = v->real;
		return 0;
	case WEIR_DECIMAL:
		return to_decimal(c, v, out);
	case WEIR_TIMESTAMP:
		if (c->from == WEIR_STRING)
			return time_parse(v->text.data, v->text.length, &out->integer);
		out->integer = v->integer;
		return 0;
	case WEIR_STRING:
	case WEIR_BYTES:
		return to_text(c, v, out);
	default:
		return to_int64(c, v, out);
	}
}

struct weir_column eval_cast(struct eval *e, const struct node *n, struct slot *slot)
{
	const struct node *child = eval_child(e, n, 0);
	struct weir_column a = eval_node(e, child);
	uint32_t from_bytes = node_bytes(child->type), bytes = node_bytes(n->type);
	struct cast c = {.from = child->type,
		.to = n->type,
		.from_scale = child->scale,
		.scale = n->scale,
		.precision = n->precision};
	for (uint32_t i = 0; i < e->count; i++) {
		union node_value in = {0}, out = {0};
		if (a.nulls == NULL || !a.nulls[i]) {
			memcpy(&in, column_at(&a, i), from_bytes);
			c.text = slot->scratch + (size_t)i * EXPRESSION_CAST_TEXT_BYTES;
			int rc = cast(&c, &in, &out);
			if (rc != 0)
				eval_fault(e, i,
					rc == -ERANGE           ? WEIR_DROP_OUT_OF_RANGE
						: rc == -EILSEQ ? WEIR_DROP_INVALID_UTF8
								: WEIR_DROP_WRONG_TYPE);
		}
		memcpy((uint8_t *)slot->data + (size_t)i * bytes, &out, bytes);
	}
	return (struct weir_column){slot->data, a.nulls, bytes};
}
