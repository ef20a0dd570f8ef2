#include "dataplane/expression_type.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "state/decimal.h"
#include "state/time_text.h"

enum { INT64_DIGITS = 19 };

struct type {
	uint8_t type, precision, scale;
};

static const struct type boolean = {WEIR_BOOL, 0, 0};
static const struct type int64 = {WEIR_INT64, 0, 0};
static const struct type float64 = {WEIR_FLOAT64, 0, 0};
static const struct type timestamp = {WEIR_TIMESTAMP, 0, 0};
static const struct type span = {TYPE_DURATION, 0, 0};

static uint8_t max8(uint32_t a, uint32_t b)
{
	return (uint8_t)(a > b ? a : b);
}

static uint8_t min8(uint32_t a, uint32_t b)
{
	return (uint8_t)(a < b ? a : b);
}

static struct node *at(struct compiler *c, uint16_t node)
{
	return &c->x->nodes[node];
}

static struct type type_of(struct compiler *c, uint16_t node)
{
	const struct node *n = at(c, node);
	return (struct type){n->type, n->precision, n->scale};
}

static const char *name_of(struct compiler *c, uint16_t node, char *out, uint32_t bytes)
{
	struct node *n = at(c, node);
	if (n->type == TYPE_DURATION)
		return "duration";
	if (n->type == TYPE_NULL)
		return "null";
	struct weir_field field = {.type = n->type, .precision = n->precision, .scale = n->scale};
	type_print(&field, out, bytes);
	return out;
}

static uint16_t fail_types(struct compiler *c, uint32_t position, const char *what, uint16_t a,
	uint16_t b)
{
	char left[32], right[32];
	return compiler_fail(c, position,
		"%s %s and %s; turn one into the other's type with"
		" cast(… as …)",
		what, name_of(c, a, left, sizeof(left)), name_of(c, b, right, sizeof(right)));
}

static uint16_t make(struct compiler *c, enum node_op op, uint32_t position, struct type type,
	const uint16_t *children, uint32_t count)
{
	if (c->failed)
		return NODE_NONE;
	if (c->x->node_count == EXPRESSION_NODES_MAX)
		return compiler_fail(c, position, "more than %d parts; split the expression",
			EXPRESSION_NODES_MAX);
	struct node *n = at(c, c->x->node_count);
	*n = (struct node){.op = op,
		.type = type.type,
		.precision = type.precision,
		.scale = type.scale,
		.position = position,
		.first = NODE_NONE,
		.next = NODE_NONE};
	for (uint32_t i = count; i-- > 0;) {
		at(c, children[i])->next = n->first;
		n->first = children[i];
	}
	return c->x->node_count++;
}

static uint16_t make_pair(struct compiler *c, enum node_op op, uint32_t position, struct type type,
	uint16_t a, uint16_t b)
{
	return make(c, op, position, type, (uint16_t[]){a, b}, 2);
}

uint16_t type_field(struct compiler *c, uint32_t position, uint32_t field)
{
	const struct weir_field *f = &c->schema->fields[field];
	uint16_t node = make(c, NODE_FIELD, position,
		(struct type){(uint8_t)f->type, f->precision, f->scale}, NULL, 0);
	if (c->failed)
		return NODE_NONE;
	at(c, node)->field = (uint16_t)field;
	c->x->fields |= 1ULL << field;
	return node;
}

static uint16_t literal(struct compiler *c, uint32_t position, struct type type,
	union node_value value)
{
	uint16_t node = make(c, NODE_LITERAL, position, type, NULL, 0);
	if (!c->failed)
		at(c, node)->value = value;
	return node;
}

uint16_t type_literal(struct compiler *c, uint32_t position, uint8_t type, union node_value value)
{
	return literal(c, position, (struct type){type, 0, 0}, value);
}

uint16_t type_decimal_literal(struct compiler *c, const struct token *t)
{
	if (t->scale == 0 && t->digits <= INT64_MAX)
		return literal(c, t->position, int64,
			(union node_value){.integer = (int64_t)t->digits});
	struct type type = {WEIR_DECIMAL, max8(t->precision, max8(t->scale, 1)), t->scale};
	return literal(c, t->position, type, (union node_value){.decimal = t->digits});
}

uint16_t type_null(struct compiler *c, uint32_t position)
{
	uint16_t node = literal(c, position, (struct type){TYPE_NULL, 0, 0}, (union node_value){0});
	if (!c->failed)
		at(c, node)->is_null = true;
	return node;
}

uint16_t type_timestamp_literal(struct compiler *c, uint32_t position, struct weir_slice text)
{
	int64_t ns;
	if (!c->failed && time_parse(text.data, text.length, &ns) != 0)
		return compiler_fail(c, position,
			"`%.*s` is no time between 1678 and 2261; write it"
			" as 2001-02-03T04:05:06Z",
			(int)text.length, text.data);
	return c->failed ? NODE_NONE
			 : literal(c, position, timestamp, (union node_value){.integer = ns});
}

// A literal takes on a wider numeric type, or null any type, on the spot.
static bool fold(struct node *n, struct type type)
{
	if (n->op != NODE_LITERAL || (n->type != WEIR_INT64 && n->type != TYPE_NULL))
		return false;
	int64_t value = n->value.integer;
	if (n->is_null)
		n->value = (union node_value){0};
	else if (type.type == WEIR_FLOAT64)
		n->value.real = (double)value;
	else if (type.type == WEIR_DECIMAL && INT64_DIGITS + type.scale <= DECIMAL_DIGITS_MAX)
		n->value.decimal = value * decimal_power[type.scale];
	else
		return false;
	n->type = type.type;
	n->precision = type.precision;
	n->scale = type.scale;
	return true;
}

static uint16_t convert(struct compiler *c, uint16_t node, struct type to)
{
	if (c->failed)
		return NODE_NONE;
	struct node *n = at(c, node);
	if (n->type == to.type && n->scale == to.scale)
		return node;
	if (n->type == WEIR_STRING && n->op == NODE_LITERAL && to.type == WEIR_TIMESTAMP)
		return type_timestamp_literal(c, n->position, n->value.text);
	if (fold(n, to))
		return node;
	return make(c, NODE_CAST, n->position, to, &node, 1);
}

static bool is_number(uint8_t type)
{
	return type == WEIR_INT64 || type == WEIR_FLOAT64 || type == WEIR_DECIMAL;
}

static struct type as_decimal(struct type t)
{
	return t.type == WEIR_INT64 ? (struct type){WEIR_DECIMAL, INT64_DIGITS, 0} : t;
}

// The decimal that holds every value of both, as far as 38 digits go.
static struct type wider(struct type a, struct type b)
{
	a = as_decimal(a);
	b = as_decimal(b);
	uint8_t scale = max8(a.scale, b.scale);
	uint32_t whole = max8(a.precision - a.scale, b.precision - b.scale);
	return (struct type){WEIR_DECIMAL, min8(whole + scale, DECIMAL_DIGITS_MAX), scale};
}

// The type in which two values can be compared.  Returns whether there is one.
static bool common(struct compiler *c, uint16_t a, uint16_t b, struct type *ret_type)
{
	struct type x = type_of(c, a), y = type_of(c, b);
	bool text = at(c, b)->op == NODE_LITERAL && y.type == WEIR_STRING;
	if (y.type == TYPE_NULL)
		*ret_type = x;
	else if (x.type == TYPE_NULL)
		*ret_type = y;
	else if (is_number(x.type) && is_number(y.type))
		*ret_type = x.type == WEIR_FLOAT64 || y.type == WEIR_FLOAT64 ? float64
			: x.type == WEIR_INT64 && y.type == WEIR_INT64       ? int64
									     : wider(x, y);
	else if (x.type == y.type || (text && (x.type == WEIR_TIMESTAMP || x.type == WEIR_BYTES)))
		*ret_type = x;
	else if (at(c, a)->op == NODE_LITERAL && x.type == WEIR_STRING && !text)
		return common(c, b, a, ret_type);
	else
		return false;
	if (ret_type->type == TYPE_NULL)
		*ret_type = int64;
	return true;
}

uint16_t type_negate(struct compiler *c, uint32_t position, uint16_t a)
{
	if (c->failed)
		return NODE_NONE;
	struct node *n = at(c, a);
	if (n->type == TYPE_NULL)
		return convert(c, a, int64);
	if (n->op == NODE_LITERAL && n->type == WEIR_INT64 && n->value.integer >= 0) {
		n->value.integer = -n->value.integer;
		return a;
	}
	if (n->op == NODE_LITERAL && n->type == WEIR_DECIMAL && n->scale == 0 &&
		-n->value.decimal == INT64_MIN) {
		n->value.integer = INT64_MIN;
		n->type = WEIR_INT64;
		n->precision = 0;
		return a;
	}
	if (!is_number(n->type) && n->type != TYPE_DURATION)
		return fail_types(c, position, "`-` takes a number, not", a, a);
	return make(c, NODE_NEGATE, position, type_of(c, a), &a, 1);
}

// Times and durations. Returns whether the operation has a meaning.
static bool time_arithmetic(enum node_op op, uint8_t a, uint8_t b, struct type *ret_type)
{
	bool time_a = a == WEIR_TIMESTAMP, time_b = b == WEIR_TIMESTAMP;
	bool span_a = a == TYPE_DURATION, span_b = b == TYPE_DURATION;
	bool int_a = a == WEIR_INT64, int_b = b == WEIR_INT64;
	*ret_type = span;
	if (op == NODE_ADD || op == NODE_SUBTRACT) {
		if ((time_a && span_b) || (op == NODE_ADD && span_a && time_b))
			*ret_type = timestamp;
		else if (!(span_a && span_b) && !(op == NODE_SUBTRACT && time_a && time_b))
			return false;
		return true;
	}
	if (op == NODE_MULTIPLY)
		return (span_a && int_b) || (int_a && span_b);
	if (op == NODE_DIVIDE && span_a && span_b)
		*ret_type = int64;
	return op == NODE_DIVIDE ? span_a && (int_b || span_b) : (span_a || time_a) && span_b;
}

static uint16_t decimal_arithmetic(struct compiler *c, enum node_op op, uint32_t position,
	uint16_t a, uint16_t b)
{
	struct type x = as_decimal(type_of(c, a)), y = as_decimal(type_of(c, b)), z = wider(x, y);
	uint32_t precision = z.precision, scale = z.scale;
	if (op == NODE_MULTIPLY) {
		scale = x.scale + y.scale;
		precision = x.precision + y.precision;
	} else if (op == NODE_DIVIDE) {
		scale = max8(scale, 6);
		precision = DECIMAL_DIGITS_MAX;
	} else {
		precision += op != NODE_MODULO;
		x = y = z;
	}
	if (scale > DECIMAL_DIGITS_MAX)
		return compiler_fail(c, position,
			"the product has %u digits behind the point, more"
			" than 38; cast one side to fewer",
			scale);
	struct type type = {WEIR_DECIMAL, min8(precision, DECIMAL_DIGITS_MAX), (uint8_t)scale};
	a = convert(c, a, x);
	b = convert(c, b, y);
	return make_pair(c, op, position, type, a, b);
}

uint16_t type_arithmetic(struct compiler *c, enum node_op op, uint32_t position, uint16_t a,
	uint16_t b)
{
	struct type type;
	if (c->failed)
		return NODE_NONE;
	bool null_a = at(c, a)->type == TYPE_NULL, null_b = at(c, b)->type == TYPE_NULL;
	if (null_a)
		a = convert(c, a, null_b || is_number(at(c, b)->type) ? int64 : span);
	if (null_b)
		b = convert(c, b, is_number(at(c, a)->type) ? int64 : span);
	uint8_t left = at(c, a)->type, right = at(c, b)->type;
	if (!is_number(left) || !is_number(right)) {
		if (!time_arithmetic(op, left, right, &type))
			return fail_types(c, position, "no arithmetic is defined between", a, b);
		return make_pair(c, op, position, type, a, b);
	}
	if (left == WEIR_INT64 && right == WEIR_INT64)
		return make_pair(c, op, position, int64, a, b);
	if (left != WEIR_FLOAT64 && right != WEIR_FLOAT64)
		return decimal_arithmetic(c, op, position, a, b);
	a = convert(c, a, float64);
	b = convert(c, b, float64);
	return make_pair(c, op, position, float64, a, b);
}

uint16_t type_compare(struct compiler *c, enum node_op op, uint32_t position, uint16_t a,
	uint16_t b)
{
	struct type type;
	if (c->failed)
		return NODE_NONE;
	if (!common(c, a, b, &type))
		return fail_types(c, position, "cannot compare", a, b);
	a = convert(c, a, type);
	b = convert(c, b, type);
	return make_pair(c, op, position, boolean, a, b);
}

uint16_t type_logic(struct compiler *c, enum node_op op, uint32_t position, uint16_t a, uint16_t b)
{
	uint16_t args[2] = {a, b};
	uint32_t count = op == NODE_NOT ? 1 : 2;
	for (uint32_t i = 0; i < count && !c->failed; i++) {
		if (at(c, args[i])->type == TYPE_NULL)
			args[i] = convert(c, args[i], boolean);
		else if (at(c, args[i])->type != WEIR_BOOL)
			return fail_types(c, at(c, args[i])->position,
				"and, or and not take conditions, not", args[i], args[i]);
	}
	return make(c, op, position, boolean, args, count);
}

uint16_t type_is_null(struct compiler *c, uint32_t position, uint16_t a)
{
	if (!c->failed && at(c, a)->type == TYPE_NULL)
		a = convert(c, a, int64);
	return make(c, NODE_IS_NULL, position, boolean, &a, 1);
}

// Bring values to one type, that of all of them together.  Returns it.
static struct type unify(struct compiler *c, uint32_t position, uint16_t *values, uint32_t count)
{
	struct type type = type_of(c, values[0]), pair;
	for (uint32_t i = 1; i < count && !c->failed; i++) {
		if (!common(c, values[0], values[i], &pair))
			fail_types(c, position, "cannot compare", values[0], values[i]);
		else if (type.type == WEIR_DECIMAL && pair.type == WEIR_DECIMAL)
			type = wider(type, pair);
		else
			type = pair;
		values[0] = convert(c, values[0], type);
	}
	for (uint32_t i = 0; i < count && !c->failed; i++)
		values[i] = convert(c, values[i], type);
	return type;
}

uint16_t type_in(struct compiler *c, uint32_t position, uint16_t a, const uint16_t *list,
	uint32_t count)
{
	uint16_t values[EXPRESSION_NODES_MAX];
	if (!c->failed && count == 0)
		return compiler_fail(c, position, "`in ()` holds nothing; list at least one value");
	if (c->failed)
		return NODE_NONE;
	values[0] = a;
	memcpy(values + 1, list, count * sizeof(*list));
	unify(c, position, values, count + 1);
	return make(c, NODE_IN, position, boolean, values, count + 1);
}

static uint16_t call_coalesce(struct compiler *c, uint32_t position, const uint16_t *args,
	uint32_t count)
{
	uint16_t values[EXPRESSION_NODES_MAX];
	memcpy(values, args, count * sizeof(*args));
	struct type type = unify(c, position, values, count);
	return make(c, NODE_COALESCE, position, type, values, count);
}

static uint16_t call_abs(struct compiler *c, uint32_t position, uint16_t a)
{
	uint8_t type = at(c, a)->type;
	if (!is_number(type) && type != TYPE_DURATION)
		return fail_types(c, position, "abs takes a number, not", a, a);
	return make(c, NODE_ABS, position, type_of(c, a), &a, 1);
}

static uint16_t call_text(struct compiler *c, enum node_op op, uint32_t position,
	const uint16_t *args, uint32_t count)
{
	struct type type = type_of(c, args[0]);
	if (type.type != WEIR_STRING && type.type != WEIR_BYTES)
		return fail_types(c, position, "length and substring take a string, not", args[0],
			args[0]);
	for (uint32_t i = 1; i < count; i++)
		if (at(c, args[i])->type != WEIR_INT64)
			return fail_types(c, position,
				"substring's start and length are int64, not", args[i], args[i]);
	return make(c, op, position, op == NODE_LENGTH ? int64 : type, args, count);
}

uint16_t type_call(struct compiler *c, struct token name, const uint16_t *args, uint32_t count)
{
	static const struct {
		const char *name;
		enum node_op op;
		uint32_t min, max;
	} functions[] = {
		{"abs", NODE_ABS, 1, 1},
		{"coalesce", NODE_COALESCE, 1, 64},
		{"length", NODE_LENGTH, 1, 1},
		{"mod", NODE_MODULO, 2, 2},
		{"substring", NODE_SUBSTRING, 2, 3},
	};
	for (uint32_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && !c->failed; i++) {
		enum node_op op = functions[i].op;
		if (strlen(functions[i].name) != name.text_length ||
			strncasecmp(functions[i].name, name.text, name.text_length) != 0)
			continue;
		if (count < functions[i].min || count > functions[i].max)
			return compiler_fail(c, name.position, "%s takes %u to %u values, not %u",
				functions[i].name, functions[i].min, functions[i].max, count);
		if (op == NODE_MODULO)
			return type_arithmetic(c, op, name.position, args[0], args[1]);
		if (op == NODE_COALESCE)
			return call_coalesce(c, name.position, args, count);
		return op == NODE_ABS ? call_abs(c, name.position, args[0])
				      : call_text(c, op, name.position, args, count);
	}
	return compiler_fail(c, name.position,
		"there is no function `%.*s`; there are abs, cast,"
		" coalesce, length, mod and substring",
		(int)name.text_length, name.text);
}

// What can be cast into what; a duration counts as int64.
static bool castable(uint8_t from, uint8_t to)
{
	if (from == to || from == TYPE_NULL || to == WEIR_STRING)
		return true;
	if (from == WEIR_STRING)
		return true;
	if (is_number(from))
		return is_number(to) ||
			(from == WEIR_INT64 && (to == WEIR_BOOL || to == WEIR_TIMESTAMP));
	return (from == WEIR_BOOL || from == WEIR_TIMESTAMP || from == TYPE_DURATION) &&
		to == WEIR_INT64;
}

uint16_t type_cast(struct compiler *c, uint32_t position, uint16_t a,
	const struct weir_field *field)
{
	struct type to = {(uint8_t)field->type, field->precision, field->scale};
	char from[32], into[32];
	if (c->failed)
		return NODE_NONE;
	if (at(c, a)->type == TYPE_NULL && fold(at(c, a), to))
		return a;
	type_print(field, into, sizeof(into));
	if (!castable(at(c, a)->type, to.type))
		return compiler_fail(c, position,
			"%s cannot be cast into %s; cast it into string"
			" or int64 first",
			name_of(c, a, from, sizeof(from)), into);
	return make(c, NODE_CAST, position, to, &a, 1);
}

uint16_t type_result(struct compiler *c, uint16_t root)
{
	if (c->failed)
		return NODE_NONE;
	struct type type = type_of(c, root);
	if (type.type == TYPE_NULL)
		return compiler_fail(c, 0,
			"the value is always null; give it a type with"
			" cast(null as …)");
	c->x->type.type = type.type == TYPE_DURATION ? WEIR_INT64 : (enum weir_type)type.type;
	c->x->type.precision = type.precision;
	c->x->type.scale = type.scale;
	return root;
}
