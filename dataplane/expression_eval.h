// The inside of evaluating an expression: what the evaluator's two files share.
#pragma once

#include "dataplane/expression_node.h"

// Scratch of one node.
struct slot {
	void *data;
	uint8_t *nulls;
	uint8_t *active;  // which rows count for a child that is evaluated conditionally
	uint8_t *scratch; // a byte a row, or texts of a cast
};

struct expression_state {
	uint32_t reserved;
	struct slot slots[];
};

struct eval {
	const struct expression *x;
	struct expression_state *state;
	const struct weir_column *columns;
	uint32_t count;
	uint8_t *errors;
	const uint8_t *active; // rows in which an error counts
};

static inline const void *column_at(const struct weir_column *c, uint32_t row)
{
	return (const uint8_t *)c->data + (size_t)row * c->stride;
}

// Values of columns lie at their natural alignment or, strided into records, at 8.
#define COLUMN_AT(ctype, column, row)                                                              \
	({                                                                                         \
		ctype value_;                                                                      \
		memcpy(&value_, column_at(column, row), sizeof(value_));                           \
		value_;                                                                            \
	})

static inline const struct node *eval_child(const struct eval *e, const struct node *n,
	uint32_t index)
{
	const struct node *child = &e->x->nodes[n->first];
	while (index-- > 0)
		child = &e->x->nodes[child->next];
	return child;
}

void eval_fault(struct eval *e, uint32_t row, enum weir_drop reason);
struct weir_column eval_node(struct eval *e, const struct node *n);
struct weir_column eval_text(struct eval *e, const struct node *n, struct slot *slot);
struct weir_column eval_cast(struct eval *e, const struct node *n, struct slot *slot);
