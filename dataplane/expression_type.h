// Typing: every function makes a node of typed children, or fails with a message that names the
// position. After a failure all of them return NODE_NONE and change nothing.
#pragma once

#include "dataplane/expression_node.h"

struct compiler {
	struct expression *x;
	const struct weir_schema *schema;
	struct lexer lexer;
	struct token token;
	uint32_t depth;
	bool failed;
	char *error;
	uint32_t error_bytes;
};

uint16_t compiler_fail(struct compiler *c, uint32_t position, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

uint16_t type_field(struct compiler *c, uint32_t position, uint32_t field);
uint16_t type_literal(struct compiler *c, uint32_t position, uint8_t type, union node_value value);
uint16_t type_decimal_literal(struct compiler *c, const struct token *t);
uint16_t type_null(struct compiler *c, uint32_t position);
uint16_t type_timestamp_literal(struct compiler *c, uint32_t position, struct weir_slice text);
uint16_t type_negate(struct compiler *c, uint32_t position, uint16_t a);
uint16_t type_arithmetic(struct compiler *c, enum node_op op, uint32_t position, uint16_t a,
	uint16_t b);
uint16_t type_compare(struct compiler *c, enum node_op op, uint32_t position, uint16_t a,
	uint16_t b);
uint16_t type_logic(struct compiler *c, enum node_op op, uint32_t position, uint16_t a,
	uint16_t b); // NOT: b is NODE_NONE
uint16_t type_is_null(struct compiler *c, uint32_t position, uint16_t a);
uint16_t type_in(struct compiler *c, uint32_t position, uint16_t a, const uint16_t *list,
	uint32_t count);
uint16_t type_call(struct compiler *c, struct token name, const uint16_t *args, uint32_t count);
uint16_t type_cast(struct compiler *c, uint32_t position, uint16_t a,
	const struct weir_field *type);
// Turn the whole expression's value into what a field can hold.
uint16_t type_result(struct compiler *c, uint16_t root);
