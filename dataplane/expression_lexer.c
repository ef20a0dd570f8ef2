#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/expression_node.h"
#include "state/decimal.h"

static bool is_name_start(char c)
{
	return isalpha((unsigned char)c) || c == '_';
}

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static void bad(struct token *t, const char *problem)
{
	t->kind = TOKEN_BAD;
	t->problem = problem;
}

// A text between two `quote`s, in which a doubled one stands for itself.
static void quoted(struct lexer *lexer, struct token *t, char quote)
{
	const char *p = lexer->source + t->position + 1;
	bool closed = false;
	t->text = lexer->room;
	for (; *p != '\0'; p++) {
		closed = *p == quote && *++p != quote;
		if (closed)
			break;
		*lexer->room++ = *p;
	}
	if (!closed)
		return bad(t,
			quote == '"' ? "a name without its closing \""
				     : "a text without its closing '");
	t->text_length = (uint32_t)(lexer->room - t->text);
	t->kind = quote == '"' ? TOKEN_QUOTED : TOKEN_STRING;
	t->length = (uint32_t)(p - lexer->source) - t->position;
}

struct unit {
	const char *name;
	int64_t ns;
};

static const struct unit units[] = {
	{"ns", 1},
	{"us", 1000},
	{"ms", 1000000},
	{"s", 1000000000},
	{"min", 60 * 1000000000LL},
	{"h", 3600 * 1000000000LL},
	{"d", 86400 * 1000000000LL},
};

static void duration(struct token *t, const char *unit, uint32_t length)
{
	for (uint32_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) != length || memcmp(units[i].name, unit, length) != 0)
			continue;
		if (t->scale != 0)
			return bad(t, "a duration with a point; use a smaller unit");
		if (t->digits > INT64_MAX / units[i].ns)
			return bad(t, "a duration above 292 years");
		t->kind = TOKEN_DURATION;
		t->integer = (int64_t)t->digits * units[i].ns;
		return;
	}
	bad(t, "a number with an unknown unit; the units are ns, us, ms, s, min, h, d");
}

// Take digits into t->digits; leading zeros do not count.
static const char *digits(struct token *t, const char *p)
{
	for (; isdigit((unsigned char)*p); p++) {
		if (t->precision > DECIMAL_DIGITS_MAX)
			continue;
		t->precision += t->precision > 0 || *p != '0';
		if (t->precision <= DECIMAL_DIGITS_MAX)
			t->digits = t->digits * 10 + (*p - '0');
	}
	return p;
}

static bool is_exponent(const char *p)
{
	return (*p == 'e' || *p == 'E') &&
		(isdigit((unsigned char)p[1]) ||
			((p[1] == '-' || p[1] == '+') && isdigit((unsigned char)p[2])));
}

static void number(struct lexer *lexer, struct token *t)
{
	const char *start = lexer->source + t->position, *point, *p = digits(t, start);
	if (*p == '.' && isdigit((unsigned char)p[1])) {
		point = p;
		p = digits(t, p + 1);
		if (p - point - 1 > DECIMAL_DIGITS_MAX)
			t->precision = DECIMAL_DIGITS_MAX + 1;
		t->scale = (uint8_t)(p - point - 1);
	}
	t->kind = TOKEN_NUMBER;
	if (is_exponent(p)) {
		char *end;
		t->real = strtod(start, &end);
		t->kind = TOKEN_REAL;
		p = end;
	} else if (t->precision > DECIMAL_DIGITS_MAX) {
		bad(t, "a number of more than 38 digits");
	}
	const char *unit = p;
	while (is_name(*p))
		p++;
	t->length = (uint32_t)(p - start);
	if (t->kind == TOKEN_REAL && p > unit)
		bad(t, "a number with letters behind its exponent");
	else if (t->kind == TOKEN_NUMBER && p > unit)
		duration(t, unit, (uint32_t)(p - unit));
}

static void symbol(struct token *t, const char *p)
{
	static const char *const pairs[] = {"<>", "!=", "<=", ">=", "=="};
	t->kind = TOKEN_SYMBOL;
	t->text = p;
	t->length = t->text_length = 1;
	for (uint32_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (memcmp(p, pairs[i], 2) == 0)
			t->length = t->text_length = 2;
	if (*p == '&' && p[1] == '&')
		bad(t, "`&&` means nothing here; write `and`");
	else if (*p == '|' && p[1] == '|')
		bad(t, "`||` means nothing here; write `or`");
	else if (*p == '!' && t->length == 1)
		bad(t, "`!` alone means nothing here; write `not`, or `<>` for unequal");
	else if (strchr("+-*/%=<>(),!", *p) == NULL)
		bad(t, "a character that means nothing here");
	else if (strncmp(p, "===", 3) == 0)
		bad(t, "`===` means nothing here; write `=`");
	else if (strncmp(p, "=>", 2) == 0)
		bad(t, "`=>` means nothing here; write `>=`");
}

void lexer_next(struct lexer *lexer, struct token *t)
{
	const char *p = lexer->source + lexer->at;
	while (isspace((unsigned char)*p))
		p++;
	*t = (struct token){.position = (uint32_t)(p - lexer->source), .text = p};
	if (*p == '\0') {
		t->kind = TOKEN_END;
	} else if (is_name_start(*p)) {
		while (is_name(p[t->length]))
			t->length++;
		t->text_length = t->length;
		t->kind = TOKEN_NAME;
	} else if (isdigit((unsigned char)*p)) {
		number(lexer, t);
	} else if (*p == '\'' || *p == '"') {
		quoted(lexer, t, *p);
	} else {
		symbol(t, p);
	}
	lexer->at = t->position + t->length;
}
