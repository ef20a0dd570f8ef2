#include <errno.h>
#include <math.h>
#include <string.h>

#include "dataplane/expression_eval.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "state/decimal.h"

enum { LINE_BYTES = 64 };

static const uint8_t all_null[BATCH_ROWS_MAX] = {[0 ... BATCH_ROWS_MAX - 1] = 1};

void eval_fault(struct eval *e, uint32_t row, enum weir_drop reason)
{
	if (e->active[row] && !e->errors[row])
		e->errors[row] = (uint8_t)(1 + reason);
}

static bool is_null(const struct weir_column *a, uint32_t row)
{
	return a->nulls != NULL && a->nulls[row];
}

// A row that is null in a or b is null in the result.
static const uint8_t *either_null(struct eval *e, struct slot *slot, const uint8_t *a,
	const uint8_t *b)
{
	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	for (uint32_t i = 0; i < e->count; i++)
		slot->nulls[i] = a[i] | b[i];
	return slot->nulls;
}

static struct weir_column eval_literal(struct eval *e, const struct node *n)
{
	return (struct weir_column){&n->value, n->is_null ? all_null : NULL, 0};
}

#define OVERFLOWS(name) static bool name(int64_t x, int64_t y, int64_t *z)

OVERFLOWS(add_int64)
{
	return __builtin_add_overflow(x, y, z);
}

OVERFLOWS(subtract_int64)
{
	return __builtin_sub_overflow(x, y, z);
}

OVERFLOWS(multiply_int64)
{
	return __builtin_mul_overflow(x, y, z);
}

OVERFLOWS(divide_int64)
{
	bool bad = y == 0 || (y == -1 && x == INT64_MIN);
	*z = bad ? 0 : x / y;
	return bad;
}

OVERFLOWS(modulo_int64)
{
	*z = y == 0 || y == -1 ? 0 : x % y;
	return y == 0;
}

#define DECIMALS(name) static bool name(__int128 x, __int128 y, uint32_t shift, __int128 *z)

DECIMALS(add_decimal)
{
	return !decimal_add(x, y, z);
}

DECIMALS(subtract_decimal)
{
	return !decimal_add(x, -y, z);
}

DECIMALS(multiply_decimal)
{
	return !decimal_multiply(x, y, z);
}

DECIMALS(divide_decimal)
{
	return y == 0 || !decimal_divide(x, y, shift, z);
}

DECIMALS(modulo_decimal)
{
	if (y == 0)
		return true;
	*z = x % y;
	return false;
}

// One loop per operation and type, the operation inlined into it.
#define ROWS_CHECKED(ctype, call)                                                                  \
	for (uint32_t i = 0; i < e->count; i++) {                                                  \
		ctype x = COLUMN_AT(ctype, a, i), y = COLUMN_AT(ctype, b, i), z = 0;               \
		if (UNLIKELY(call) && !is_null(a, i) && !is_null(b, i))                            \
			eval_fault(e, i, WEIR_DROP_OUT_OF_RANGE);                                  \
		((ctype *)slot->data)[i] = z;                                                      \
	}

static void arithmetic_int64(struct eval *e, const struct node *n, struct slot *slot,
	const struct weir_column *a, const struct weir_column *b)
{
	switch (n->op) {
	case NODE_ADD:
		ROWS_CHECKED(int64_t, add_int64(x, y, &z));
		break;
	case NODE_SUBTRACT:
		ROWS_CHECKED(int64_t, subtract_int64(x, y, &z));
		break;
	case NODE_MULTIPLY:
		ROWS_CHECKED(int64_t, multiply_int64(x, y, &z));
		break;
	case NODE_DIVIDE:
		ROWS_CHECKED(int64_t, divide_int64(x, y, &z));
		break;
	default:
		ROWS_CHECKED(int64_t, modulo_int64(x, y, &z));
	}
}

static void arithmetic_decimal(struct eval *e, const struct node *n, struct slot *slot,
	const struct weir_column *a, const struct weir_column *b)
{
	const struct node *left = eval_child(e, n, 0), *right = eval_child(e, n, 1);
	// Bring the quotient to its scale: (x / 10^sx) / (y / 10^sy) * 10^s.
	uint32_t shift = (uint32_t)(n->scale + right->scale - left->scale);
	switch (n->op) {
	case NODE_ADD:
		ROWS_CHECKED(__int128, add_decimal(x, y, 0, &z));
		break;
	case NODE_SUBTRACT:
		ROWS_CHECKED(__int128, subtract_decimal(x, y, 0, &z));
		break;
	case NODE_MULTIPLY:
		ROWS_CHECKED(__int128, multiply_decimal(x, y, 0, &z));
		break;
	case NODE_DIVIDE:
		ROWS_CHECKED(__int128, divide_decimal(x, y, shift, &z));
		break;
	default:
		ROWS_CHECKED(__int128, modulo_decimal(x, y, 0, &z));
	}
}

static bool real(enum node_op op, double x, double y, double *z)
{
	if ((op == NODE_DIVIDE || op == NODE_MODULO) && y == 0)
		return true;
	*z = op == NODE_ADD           ? x + y
		: op == NODE_SUBTRACT ? x - y
		: op == NODE_MULTIPLY ? x * y
		: op == NODE_DIVIDE   ? x / y
				      : fmod(x, y);
	return !isfinite(*z);
}

static struct weir_column eval_arithmetic(struct eval *e, const struct node *n, struct slot *slot)
{
	struct weir_column left = eval_node(e, eval_child(e, n, 0));
	struct weir_column right = eval_node(e, eval_child(e, n, 1)), *a = &left, *b = &right;
	if (n->type == WEIR_DECIMAL)
		arithmetic_decimal(e, n, slot, a, b);
	else if (n->type == WEIR_FLOAT64)
		ROWS_CHECKED(double, real(n->op, x, y, &z))
	else
		arithmetic_int64(e, n, slot, a, b);
	const uint8_t *nulls = either_null(e, slot, a->nulls, b->nulls);
	return (struct weir_column){slot->data, nulls, node_bytes(n->type)};
}

static struct weir_column eval_sign(struct eval *e, const struct node *n, struct slot *slot)
{
	struct weir_column left = eval_node(e, eval_child(e, n, 0)), *a = &left;
	bool negate = n->op == NODE_NEGATE;
	for (uint32_t i = 0; i < e->count; i++) {
		if (n->type == WEIR_DECIMAL) {
			__int128 x = COLUMN_AT(__int128, a, i);
			((__int128 *)slot->data)[i] = negate || x < 0 ? -x : x;
		} else if (n->type == WEIR_FLOAT64) {
			double x = COLUMN_AT(double, a, i);
			((double *)slot->data)[i] = negate ? -x : fabs(x);
		} else {
			int64_t x = COLUMN_AT(int64_t, a, i), z = x;
			if ((negate || x < 0) && __builtin_sub_overflow(0, x, &z) && !is_null(a, i))
				eval_fault(e, i, WEIR_DROP_OUT_OF_RANGE);
			((int64_t *)slot->data)[i] = z;
		}
	}
	return (struct weir_column){slot->data, a->nulls, node_bytes(n->type)};
}

static int compare_texts(const struct weir_slice *x, const struct weir_slice *y)
{
	uint32_t shorter = x->length < y->length ? x->length : y->length;
	int order = shorter > 0 ? memcmp(x->data, y->data, shorter) : 0;
	return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

// Whether an order (negative, zero, positive) satisfies a comparison.
static bool satisfies(enum node_op op, int order)
{
	switch (op) {
	case NODE_EQUAL:
	case NODE_IN:
		return order == 0;
	case NODE_NOT_EQUAL:
		return order != 0;
	case NODE_LESS:
		return order < 0;
	case NODE_LESS_EQUAL:
		return order <= 0;
	case NODE_GREATER:
		return order > 0;
	default:
		return order >= 0;
	}
}

#define ROWS_ORDERED(ctype)                                                                        \
	for (uint32_t i = 0; i < e->count; i++) {                                                  \
		ctype x = COLUMN_AT(ctype, a, i), y = COLUMN_AT(ctype, b, i);                      \
		out[i] = satisfies(op, (x > y) - (x < y));                                         \
	}

static void compare(struct eval *e, enum node_op op, uint8_t type, const struct weir_column *a,
	const struct weir_column *b, uint8_t *out)
{
	switch (type) {
	case WEIR_BOOL:
		ROWS_ORDERED(uint8_t);
		break;
	case WEIR_FLOAT64:
		ROWS_ORDERED(double);
		break;
	case WEIR_DECIMAL:
		ROWS_ORDERED(__int128);
		break;
	case WEIR_STRING:
	case WEIR_BYTES:
		for (uint32_t i = 0; i < e->count; i++)
			out[i] = satisfies(op, compare_texts(column_at(a, i), column_at(b, i)));
		break;
	default:
		ROWS_ORDERED(int64_t);
	}
}

static struct weir_column eval_compare(struct eval *e, const struct node *n, struct slot *slot)
{
	const struct node *left = eval_child(e, n, 0);
	struct weir_column a = eval_node(e, left), b = eval_node(e, eval_child(e, n, 1));
	compare(e, n->op, left->type, &a, &b, slot->data);
	const uint8_t *nulls = either_null(e, slot, a.nulls, b.nulls);
	return (struct weir_column){slot->data, nulls, 1};
}

// x in (a, b, …): true once equal to one, else null if x or one of them is null, else false.
static struct weir_column eval_in(struct eval *e, const struct node *n, struct slot *slot)
{
	const struct node *left = eval_child(e, n, 0);
	struct weir_column a = eval_node(e, left);
	uint8_t *out = slot->data;
	const uint8_t *outer = e->active;
	memset(out, 0, e->count);
	memset(slot->nulls, 0, e->count);
	memcpy(slot->active, outer, e->count);
	for (uint16_t at = left->next; at != NODE_NONE; at = e->x->nodes[at].next) {
		e->active = slot->active;
		struct weir_column b = eval_node(e, &e->x->nodes[at]);
		compare(e, NODE_IN, left->type, &a, &b, slot->scratch);
		for (uint32_t i = 0; i < e->count; i++) {
			bool unknown = is_null(&a, i) || is_null(&b, i);
			out[i] |= slot->scratch[i] && !unknown;
			slot->nulls[i] |= unknown;
			slot->active[i] = outer[i] && !out[i];
		}
	}
	e->active = outer;
	for (uint32_t i = 0; i < e->count; i++)
		slot->nulls[i] = slot->nulls[i] && !out[i];
	return (struct weir_column){out, slot->nulls, 1};
}

// and, or: the right side counts, with its errors, only where the left one has not decided.
static struct weir_column eval_logic(struct eval *e, const struct node *n, struct slot *slot)
{
	bool decisive = n->op == NODE_OR; // true decides an or, false an and
	const uint8_t *outer = e->active;
	uint8_t *out = slot->data;
	struct weir_column a = eval_node(e, eval_child(e, n, 0));
	for (uint32_t i = 0; i < e->count; i++)
		slot->active[i] =
			outer[i] && (is_null(&a, i) || COLUMN_AT(uint8_t, &a, i) != decisive);
	e->active = slot->active;
	struct weir_column b = eval_node(e, eval_child(e, n, 1));
	e->active = outer;
	for (uint32_t i = 0; i < e->count; i++) {
		bool null_a = is_null(&a, i), null_b = is_null(&b, i);
		bool decided = (!null_a && COLUMN_AT(uint8_t, &a, i) == decisive) ||
			(!null_b && COLUMN_AT(uint8_t, &b, i) == decisive);
		slot->nulls[i] = !decided && (null_a || null_b);
		out[i] = decided ? decisive : !decisive;
	}
	return (struct weir_column){out, slot->nulls, 1};
}

static struct weir_column eval_not(struct eval *e, const struct node *n, struct slot *slot)
{
	struct weir_column a = eval_node(e, eval_child(e, n, 0));
	uint8_t *out = slot->data;
	for (uint32_t i = 0; i < e->count; i++)
		out[i] = !COLUMN_AT(uint8_t, &a, i);
	return (struct weir_column){out, a.nulls, 1};
}

static struct weir_column eval_is_null(struct eval *e, const struct node *n, struct slot *slot)
{
	struct weir_column a = eval_node(e, eval_child(e, n, 0));
	uint8_t *out = slot->data;
	for (uint32_t i = 0; i < e->count; i++)
		out[i] = is_null(&a, i);
	return (struct weir_column){out, NULL, 1};
}

// The first child that is not null; a later one counts only where all before it are.
static struct weir_column eval_coalesce(struct eval *e, const struct node *n, struct slot *slot)
{
	uint32_t bytes = node_bytes(n->type);
	const uint8_t *outer = e->active;
	memset(slot->nulls, 1, e->count);
	memset(slot->data, 0, (size_t)bytes * e->count);
	memcpy(slot->active, outer, e->count);
	for (uint16_t at = n->first; at != NODE_NONE; at = e->x->nodes[at].next) {
		e->active = slot->active;
		struct weir_column a = eval_node(e, &e->x->nodes[at]);
		for (uint32_t i = 0; i < e->count; i++) {
			if (!slot->nulls[i] || is_null(&a, i))
				continue;
			memcpy((uint8_t *)slot->data + (size_t)i * bytes, column_at(&a, i), bytes);
			slot->nulls[i] = slot->active[i] = 0;
		}
	}
	e->active = outer;
	return (struct weir_column){slot->data, slot->nulls, bytes};
}

struct weir_column eval_node(struct eval *e, const struct node *n)
{
	struct slot *slot = &e->state->slots[n - e->x->nodes];
	switch (n->op) {
	case NODE_FIELD:
		return e->columns[n->field];
	case NODE_LITERAL:
		return eval_literal(e, n);
	case NODE_NEGATE:
	case NODE_ABS:
		return eval_sign(e, n, slot);
	case NODE_ADD:
	case NODE_SUBTRACT:
	case NODE_MULTIPLY:
	case NODE_DIVIDE:
	case NODE_MODULO:
		return eval_arithmetic(e, n, slot);
	case NODE_EQUAL:
	case NODE_NOT_EQUAL:
	case NODE_LESS:
	case NODE_LESS_EQUAL:
	case NODE_GREATER:
	case NODE_GREATER_EQUAL:
		return eval_compare(e, n, slot);
	case NODE_AND:
	case NODE_OR:
		return eval_logic(e, n, slot);
	case NODE_NOT:
		return eval_not(e, n, slot);
	case NODE_IS_NULL:
		return eval_is_null(e, n, slot);
	case NODE_IN:
		return eval_in(e, n, slot);
	case NODE_COALESCE:
		return eval_coalesce(e, n, slot);
	case NODE_LENGTH:
	case NODE_SUBSTRING:
		return eval_text(e, n, slot);
	case NODE_CAST:
		break;
	}
	return eval_cast(e, n, slot);
}

static int slot_create(const struct node *n, struct arena *arena, struct slot *slot)
{
	if (n->op == NODE_FIELD || n->op == NODE_LITERAL)
		return 0;
	slot->data = arena_alloc(arena, (size_t)node_bytes(n->type) * BATCH_ROWS_MAX, LINE_BYTES);
	slot->nulls = arena_alloc(arena, BATCH_ROWS_MAX, LINE_BYTES);
	slot->active = arena_alloc(arena, BATCH_ROWS_MAX, LINE_BYTES);
	bool texts = n->op == NODE_CAST && n->type == WEIR_STRING;
	slot->scratch = arena_alloc(arena,
		BATCH_ROWS_MAX * (texts ? EXPRESSION_CAST_TEXT_BYTES : 1), LINE_BYTES);
	bool all = slot->data && slot->nulls && slot->active && slot->scratch;
	return all ? 0 : -ENOMEM;
}

int expression_state_create(const struct expression *x, struct arena *arena,
	struct expression_state **ret_state)
{
	struct expression_state *state = arena_alloc(arena,
		sizeof(*state) + x->node_count * sizeof(state->slots[0]), LINE_BYTES);
	if (state == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < x->node_count; i++)
		if (slot_create(&x->nodes[i], arena, &state->slots[i]) != 0)
			return -ENOMEM;
	*ret_state = state;
	return 0;
}

struct weir_column expression_eval(const struct expression *x, struct expression_state *state,
	const struct weir_column *columns, uint32_t count, uint8_t *errors)
{
	struct eval e = {.x = x,
		.state = state,
		.columns = columns,
		.count = count,
		.errors = errors,
		.active = all_null};
	ASSERT(count <= BATCH_ROWS_MAX);
	return eval_node(&e, &x->nodes[x->root]);
}
