#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dataplane/expression_type.h"
#include "numa/assert.h"
#include "state/utf8.h"

enum { ARGUMENTS_MAX = 64 };

static uint16_t parse_or(struct compiler *c);

// Which character of the source stands at byte `position`, from 1.
static uint32_t character_at(const char *source, uint32_t position)
{
	uint32_t character = 1;
	for (uint32_t i = 0; i < position; i++)
		character += ((uint8_t)source[i] & 0xC0) != 0x80;
	return character;
}

uint16_t compiler_fail(struct compiler *c, uint32_t position, const char *format, ...)
{
	if (c->failed)
		return NODE_NONE;
	c->failed = true;
	int used = snprintf(c->error, c->error_bytes,
		"at character %u: ", character_at(c->lexer.source, position));
	if (used < 0 || (uint32_t)used >= c->error_bytes)
		return NODE_NONE;
	va_list args;
	va_start(args, format);
	vsnprintf(c->error + used, c->error_bytes - (uint32_t)used, format, args);
	va_end(args);
	return NODE_NONE;
}

static void next(struct compiler *c)
{
	lexer_next(&c->lexer, &c->token);
	if (c->token.kind == TOKEN_BAD)
		compiler_fail(c, c->token.position, "%s", c->token.problem);
}

static bool at_word(const struct compiler *c, const char *word)
{
	return !c->failed && c->token.kind == TOKEN_NAME && c->token.text_length == strlen(word) &&
		strncasecmp(c->token.text, word, c->token.text_length) == 0;
}

static bool at_symbol(const struct compiler *c, const char *symbol)
{
	return !c->failed && c->token.kind == TOKEN_SYMBOL &&
		c->token.text_length == strlen(symbol) &&
		memcmp(c->token.text, symbol, c->token.text_length) == 0;
}

static bool take_word(struct compiler *c, const char *word)
{
	bool there = at_word(c, word);
	if (there)
		next(c);
	return there;
}

static bool take_symbol(struct compiler *c, const char *symbol)
{
	bool there = at_symbol(c, symbol);
	if (there)
		next(c);
	return there;
}

static void expected(struct compiler *c, const char *what)
{
	const struct token *t = &c->token;
	if (t->kind == TOKEN_END)
		compiler_fail(c, t->position, "%s is missing at the end", what);
	else
		compiler_fail(c, t->position, "expected %s, found `%.*s`", what, (int)t->length,
			c->lexer.source + t->position);
}

static void need_symbol(struct compiler *c, const char *symbol, const char *what)
{
	if (!c->failed && !take_symbol(c, symbol))
		expected(c, what);
}

static uint32_t parse_list(struct compiler *c, uint16_t *args)
{
	uint32_t count = 0;
	if (take_symbol(c, ")"))
		return 0;
	do {
		uint32_t position = c->token.position;
		uint16_t arg = parse_or(c);
		if (count == ARGUMENTS_MAX)
			compiler_fail(c, position, "more than %d values; split the list with `or`",
				ARGUMENTS_MAX);
		else
			args[count++] = arg;
	} while (take_symbol(c, ","));
	need_symbol(c, ")", "`,` or `)`");
	return count;
}

// "int64", "decimal(12,2)": gathered without blanks, then parsed as a schema's types are.
static void parse_type(struct compiler *c, struct weir_field *ret_type)
{
	char text[32] = "";
	uint32_t position = c->token.position, used = 0;
	bool open = false;
	while (!c->failed && c->token.kind != TOKEN_END && (open || !at_symbol(c, ")")) &&
		used + c->token.length < sizeof(text)) {
		memcpy(text + used, c->lexer.source + c->token.position, c->token.length);
		used += c->token.length;
		bool closes = open && at_symbol(c, ")");
		open |= at_symbol(c, "(");
		next(c);
		if (closes)
			break;
	}
	text[used] = '\0';
	if (type_parse(text, ret_type) != 0)
		compiler_fail(c, position,
			"`%s` is no type; use bool, int64, float64, decimal(p,s),"
			" timestamp, string or bytes",
			text);
}

static uint16_t parse_cast(struct compiler *c, uint32_t position)
{
	struct weir_field type = {0};
	uint16_t a = parse_or(c);
	if (!c->failed && !take_word(c, "as"))
		expected(c, "`as` and a type");
	parse_type(c, &type);
	need_symbol(c, ")", "`)`");
	return type_cast(c, position, a, &type);
}

static void list_fields(const struct weir_schema *schema, char *out, uint32_t bytes)
{
	uint32_t used = 0;
	out[0] = '\0';
	for (uint32_t i = 0; i < schema->field_count && used < bytes; i++)
		used += (uint32_t)snprintf(out + used, bytes - used, "%s%s", i > 0 ? ", " : "",
			schema->fields[i].name);
}

static uint16_t parse_field(struct compiler *c, const struct token *t)
{
	char name[sizeof(c->schema->fields[0].name)] = "", known[256];
	int field = -1;
	if (t->text_length < sizeof(name)) {
		memcpy(name, t->text, t->text_length);
		name[t->text_length] = '\0';
		field = schema_find(c->schema, name);
	}
	if (field >= 0)
		return type_field(c, t->position, (uint32_t)field);
	list_fields(c->schema, known, sizeof(known));
	return compiler_fail(c, t->position,
		t->kind == TOKEN_QUOTED
			? "there is no field \"%.*s\"; a text stands in single quotes, and the "
			  "input has %s"
			: "there is no field `%.*s`; the input has %s",
		(int)t->text_length, t->text, known);
}

static bool is_keyword(const struct token *t)
{
	static const char *const words[] = {"and", "or", "not", "is", "in", "as"};
	for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == t->text_length &&
			strncasecmp(words[i], t->text, t->text_length) == 0)
			return true;
	return false;
}

static struct weir_slice token_slice(const struct token *t)
{
	return (struct weir_slice){(const uint8_t *)t->text, t->text_length, 0};
}

static uint16_t parse_name(struct compiler *c)
{
	struct token t = c->token;
	uint16_t args[ARGUMENTS_MAX];
	if (take_word(c, "true"))
		return type_literal(c, t.position, WEIR_BOOL, (union node_value){.boolean = true});
	if (take_word(c, "false"))
		return type_literal(c, t.position, WEIR_BOOL, (union node_value){.boolean = false});
	if (take_word(c, "null"))
		return type_null(c, t.position);
	if (is_keyword(&t)) {
		expected(c, "a value");
		return NODE_NONE;
	}
	bool timestamp = at_word(c, "timestamp"), cast = at_word(c, "cast");
	next(c);
	if (timestamp && !c->failed && c->token.kind == TOKEN_STRING) {
		struct token text = c->token;
		next(c);
		return type_timestamp_literal(c, text.position, token_slice(&text));
	}
	if (!take_symbol(c, "("))
		return parse_field(c, &t);
	if (cast)
		return parse_cast(c, t.position);
	uint32_t count = parse_list(c, args);
	return type_call(c, t, args, count);
}

static uint16_t parse_primary(struct compiler *c)
{
	struct token t = c->token;
	if (c->failed)
		return NODE_NONE;
	switch (t.kind) {
	case TOKEN_NAME:
		return parse_name(c);
	case TOKEN_QUOTED:
		next(c);
		return parse_field(c, &t);
	case TOKEN_STRING:
		next(c);
		return type_literal(c, t.position, WEIR_STRING,
			(union node_value){.text = token_slice(&t)});
	case TOKEN_NUMBER:
		next(c);
		return type_decimal_literal(c, &t);
	case TOKEN_REAL:
		next(c);
		return type_literal(c, t.position, WEIR_FLOAT64,
			(union node_value){.real = t.real});
	case TOKEN_DURATION:
		next(c);
		return type_literal(c, t.position, TYPE_DURATION,
			(union node_value){.integer = t.integer});
	default:
		break;
	}
	if (take_symbol(c, "(")) {
		uint16_t inner = parse_or(c);
		need_symbol(c, ")", "`)`");
		return inner;
	}
	expected(c, "a value");
	return NODE_NONE;
}

static bool too_deep(struct compiler *c)
{
	if (++c->depth > EXPRESSION_DEPTH_MAX)
		compiler_fail(c, c->token.position, "nested deeper than %d; split the expression",
			EXPRESSION_DEPTH_MAX);
	return c->failed;
}

static uint16_t parse_unary(struct compiler *c)
{
	uint32_t position = c->token.position;
	if (!at_symbol(c, "-") && !at_symbol(c, "+"))
		return parse_primary(c);
	bool minus = at_symbol(c, "-");
	next(c);
	uint16_t a = too_deep(c) ? NODE_NONE : parse_unary(c);
	c->depth--;
	return minus ? type_negate(c, position, a) : a;
}

static uint16_t parse_product(struct compiler *c)
{
	uint16_t a = parse_unary(c);
	for (;;) {
		uint32_t position = c->token.position;
		enum node_op op;
		if (take_symbol(c, "*"))
			op = NODE_MULTIPLY;
		else if (take_symbol(c, "/"))
			op = NODE_DIVIDE;
		else if (take_symbol(c, "%"))
			op = NODE_MODULO;
		else
			return a;
		a = type_arithmetic(c, op, position, a, parse_unary(c));
	}
}

static uint16_t parse_sum(struct compiler *c)
{
	uint16_t a = parse_product(c);
	for (;;) {
		uint32_t position = c->token.position;
		if (take_symbol(c, "+"))
			a = type_arithmetic(c, NODE_ADD, position, a, parse_product(c));
		else if (take_symbol(c, "-"))
			a = type_arithmetic(c, NODE_SUBTRACT, position, a, parse_product(c));
		else
			return a;
	}
}

static uint16_t parse_in(struct compiler *c, uint32_t position, uint16_t a)
{
	uint16_t list[ARGUMENTS_MAX];
	need_symbol(c, "(", "`(` and a list of values");
	uint32_t count = parse_list(c, list);
	return type_in(c, position, a, list, count);
}

static bool comparison(struct compiler *c, enum node_op *ret_op)
{
	static const struct {
		const char *symbol;
		enum node_op op;
	} table[] = {{"=", NODE_EQUAL}, {"==", NODE_EQUAL}, {"<>", NODE_NOT_EQUAL},
		{"!=", NODE_NOT_EQUAL}, {"<", NODE_LESS}, {"<=", NODE_LESS_EQUAL},
		{">", NODE_GREATER}, {">=", NODE_GREATER_EQUAL}};
	for (uint32_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!take_symbol(c, table[i].symbol))
			continue;
		*ret_op = table[i].op;
		return true;
	}
	return false;
}

static uint16_t parse_comparison(struct compiler *c)
{
	uint16_t a = parse_sum(c);
	uint32_t position = c->token.position;
	enum node_op op;
	if (comparison(c, &op))
		return type_compare(c, op, position, a, parse_sum(c));
	if (take_word(c, "is")) {
		bool inverted = take_word(c, "not");
		if (!c->failed && !take_word(c, "null"))
			expected(c, "`null` or `not null`");
		a = type_is_null(c, position, a);
		return inverted ? type_logic(c, NODE_NOT, position, a, NODE_NONE) : a;
	}
	if (take_word(c, "not")) {
		if (!c->failed && !take_word(c, "in"))
			expected(c, "`in`");
		a = parse_in(c, position, a);
		return type_logic(c, NODE_NOT, position, a, NODE_NONE);
	}
	return take_word(c, "in") ? parse_in(c, position, a) : a;
}

static uint16_t parse_not(struct compiler *c)
{
	uint32_t position = c->token.position;
	if (!take_word(c, "not"))
		return parse_comparison(c);
	uint16_t a = too_deep(c) ? NODE_NONE : parse_not(c);
	c->depth--;
	return type_logic(c, NODE_NOT, position, a, NODE_NONE);
}

static uint16_t parse_and(struct compiler *c)
{
	uint16_t a = parse_not(c);
	for (;;) {
		uint32_t position = c->token.position;
		if (!take_word(c, "and"))
			return a;
		a = type_logic(c, NODE_AND, position, a, parse_not(c));
	}
}

static uint16_t parse_or(struct compiler *c)
{
	uint16_t a = too_deep(c) ? NODE_NONE : parse_and(c);
	for (;;) {
		uint32_t position = c->token.position;
		if (!take_word(c, "or"))
			break;
		a = type_logic(c, NODE_OR, position, a, parse_and(c));
	}
	c->depth--;
	return a;
}

static int compile(struct compiler *c)
{
	if (!utf8_is_valid((const uint8_t *)c->lexer.source, strlen(c->lexer.source))) {
		compiler_fail(c, 0, "the expression is not UTF-8");
		return -EINVAL;
	}
	next(c);
	uint16_t root = parse_or(c);
	if (!c->failed && c->token.kind != TOKEN_END)
		expected(c, "an operator or the end");
	c->x->root = type_result(c, root);
	ASSERT(c->depth == 0);
	return c->failed ? -EINVAL : 0;
}

int expression_compile(const char *text, const struct weir_schema *schema, char *error,
	uint32_t error_bytes, struct expression **ret_expression)
{
	struct expression *x = calloc(1, sizeof(*x));
	if (x == NULL)
		return -ENOMEM;
	x->text = malloc(strlen(text) + 1);
	struct compiler c = {.x = x, .schema = schema, .error = error, .error_bytes = error_bytes};
	c.lexer = (struct lexer){.source = text, .room = x->text};
	int rc = x->text == NULL ? -ENOMEM : compile(&c);
	if (rc == 0)
		*ret_expression = x;
	else
		expression_free(x);
	return rc;
}

void expression_free(struct expression *x)
{
	if (x == NULL)
		return;
	free(x->text);
	free(x);
}

const struct weir_field *expression_type(const struct expression *x)
{
	return &x->type;
}

uint64_t expression_fields(const struct expression *x)
{
	return x->fields;
}

int expression_field(const struct expression *x)
{
	return x->nodes[x->root].op == NODE_FIELD ? x->nodes[x->root].field : -1;
}
