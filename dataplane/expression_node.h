// The inside of a compiled expression: typed nodes in a tree, and what parser and evaluator share.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/expression.h"
#include "state/schema.h"

enum {
	TYPE_DURATION = WEIR_TYPE_COUNT, // int64, ns
	TYPE_NULL,                       // of the literal null until something gives it a type
	EXPRESSION_NODES_MAX = 256,
	EXPRESSION_DEPTH_MAX = 64,
	EXPRESSION_CAST_TEXT_BYTES = 64 // of a value turned into a string
};

enum node_op {
	NODE_FIELD,
	NODE_LITERAL,
	NODE_NEGATE,
	NODE_ADD,
	NODE_SUBTRACT,
	NODE_MULTIPLY,
	NODE_DIVIDE,
	NODE_MODULO,
	NODE_EQUAL,
	NODE_NOT_EQUAL,
	NODE_LESS,
	NODE_LESS_EQUAL,
	NODE_GREATER,
	NODE_GREATER_EQUAL,
	NODE_AND,
	NODE_OR,
	NODE_NOT,
	NODE_IS_NULL,
	NODE_IN, // the first child among the others
	NODE_ABS,
	NODE_COALESCE,
	NODE_LENGTH,
	NODE_SUBSTRING,
	NODE_CAST
};

#define NODE_NONE UINT16_MAX

union node_value {
	bool boolean;
	int64_t integer;
	double real;
	__int128 decimal;
	struct weir_slice text;
};

struct node {
	enum node_op op;
	uint8_t type; // enum weir_type or one of the above
	uint8_t precision, scale;
	uint16_t first, next; // child, sibling
	uint16_t field;       // NODE_FIELD
	uint32_t position;    // in the text
	bool is_null;         // NODE_LITERAL
	union node_value value;
};

struct expression {
	struct node nodes[EXPRESSION_NODES_MAX];
	uint16_t node_count;
	uint16_t root;
	uint64_t fields;
	struct weir_field type;
	char *text; // the texts of its literals
};

// Bytes of a value in a column.
static inline uint32_t node_bytes(uint8_t type)
{
	return type == WEIR_BOOL                                                    ? 1
		: type == WEIR_DECIMAL || type == WEIR_STRING || type == WEIR_BYTES ? 16
										    : 8;
}

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,   // a keyword, function or field
	TOKEN_QUOTED, // "a field"
	TOKEN_STRING,
	TOKEN_NUMBER,   // integer or decimal, in `digits` and `scale`
	TOKEN_REAL,     // with an exponent
	TOKEN_DURATION, // in ns
	TOKEN_SYMBOL,
	TOKEN_BAD // `problem` says why
};

struct token {
	enum token_kind kind;
	uint32_t position;
	uint32_t length;  // in the source text
	const char *text; // NAME, SYMBOL: in the source; else unquoted, in the lexer's room
	uint32_t text_length;
	__int128 digits;
	uint8_t precision, scale;
	int64_t integer;
	double real;
	const char *problem;
};

struct lexer {
	const char *source;
	uint32_t at;
	char *room; // for unquoted texts, as long as the source
};

void lexer_next(struct lexer *lexer, struct token *ret_token);
