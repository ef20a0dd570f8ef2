#include "control/params.h"

#include <inttypes.h>
#include <string.h>

#include "control/suggest.h"
#include "control/units.h"
#include "control/yaml.h"

static struct weir_value *param_check(const struct params_scope *scope,
	const struct weir_param *param, const struct weir_value *value);

static struct weir_value *value_copy(const struct params_scope *scope,
	const struct weir_value *value, const char *name)
{
	struct weir_value *copy = heap_alloc(scope->heap, sizeof(*copy));
	*copy = *value;
	copy->name = name;
	copy->items = NULL;
	copy->count = 0;
	return copy;
}

static const char *const kind_words[] = {[WEIR_VALUE_SCALAR] = "a single value",
	[WEIR_VALUE_LIST] = "a list",
	[WEIR_VALUE_MAP] = "a map"};

// Returns whether `value` is of a kind and not empty; if not, adds an error with an example.
static bool value_is(const struct params_scope *scope, const struct weir_value *value,
	enum weir_value_kind kind, const char *example)
{
	if (value->kind == WEIR_VALUE_SCALAR && !value->text) {
		errors_add_at(scope->errors, &scope->root, value, "is empty; write %s or remove it",
			example);
		return false;
	}
	if (value->kind == kind)
		return true;
	errors_add_at(scope->errors, &scope->root, value, "is %s; write %s",
		kind_words[value->kind], example);
	return false;
}

// Returns NULL, or what is wrong with a value out of its bounds.
static const char *bound_problem(struct heap *heap, const struct weir_param *param, int64_t value)
{
	char low[48], high[48];
	bool bounded = param->max > param->min || param->max > 0;
	if (value >= param->min && (!bounded || value <= param->max))
		return NULL;
	units_print(param->type, param->min, low, sizeof(low));
	units_print(param->type, param->max, high, sizeof(high));
	if (!bounded)
		return heap_printf(heap, "is out of bounds; write at least %s", low);
	if (param->max == param->min)
		return heap_printf(heap, "is out of bounds; write %s", low);
	return heap_printf(heap, "is out of bounds; write %s to %s", low, high);
}

static void check_number(const struct params_scope *scope, const struct weir_param *param,
	const struct weir_value *value, int64_t *ret_integer)
{
	const char *problem = units_parse(param->type, value->text, ret_integer);
	if (!problem)
		problem = bound_problem(scope->heap, param, *ret_integer);
	if (problem)
		errors_add_at(scope->errors, &scope->root, value, "%s %s", value->text, problem);
}

static void check_bool(const struct params_scope *scope, const struct weir_value *value,
	int64_t *ret_integer)
{
	*ret_integer = strcmp(value->text, "true") == 0;
	if (!*ret_integer && strcmp(value->text, "false") != 0)
		errors_add_at(scope->errors, &scope->root, value, "%s is neither true nor false",
			value->text);
}

static void check_choice(const struct params_scope *scope, const struct weir_param *param,
	const struct weir_value *value, int64_t *ret_integer)
{
	struct suggestion near;
	char text[128];
	suggest_start(&near, value->text);
	const char *at = param->choices;
	for (int64_t i = 0; *at; i++) {
		size_t bytes = strcspn(at, "|");
		const char *choice = heap_text(scope->heap, at, bytes);
		if (strcmp(choice, value->text) == 0) {
			*ret_integer = i;
			return;
		}
		suggest_offer(&near, choice);
		at += bytes + (at[bytes] == '|');
	}
	errors_add_at(scope->errors, &scope->root, value, "%s is not one of %s%s", value->text,
		param->choices, suggest_text(&near, text));
}

static const char *schema_names(struct heap *heap, const struct weir_schema *schema)
{
	const char *text = "";
	for (uint32_t i = 0; i < schema->field_count; i++)
		text = heap_printf(heap, "%s%s%s", text, i ? ", " : "", schema->fields[i].name);
	return text;
}

static void check_field(const struct params_scope *scope, const struct weir_value *value,
	int64_t *ret_integer)
{
	if (!scope->input)
		return;
	*ret_integer = schema_find(scope->input, value->text);
	if (*ret_integer >= 0)
		return;
	struct suggestion near;
	char text[128];
	suggest_start(&near, value->text);
	for (uint32_t i = 0; i < scope->input->field_count; i++)
		suggest_offer(&near, scope->input->fields[i].name);
	errors_add_at(scope->errors, &scope->root, value,
		"%s is not a field of the input%s; fields are %s", value->text,
		suggest_text(&near, text), schema_names(scope->heap, scope->input));
}

static void check_twice(const struct params_scope *scope, const struct weir_value *list,
	const struct weir_value *item, const char *name)
{
	for (uint32_t i = 0; i < list->count; i++) {
		const struct weir_value *other = list->items[i];
		if (strcmp(other->name ? other->name : other->text, name) == 0) {
			errors_add_at(scope->errors, &scope->root, item,
				"%s is in the list twice; remove one or give it another name",
				name);
			return;
		}
	}
}

// Of fields, or of any texts.
static struct weir_value *check_list(const struct params_scope *scope,
	const struct weir_param *param, const struct weir_value *value)
{
	bool fields = param->type == WEIR_PARAM_FIELDS;
	struct weir_value *list = value_copy(scope, value, param->name);
	if (!value_is(scope, value, WEIR_VALUE_LIST,
		    fields ? "a list of fields, [a, b]" : "a list, [a, b]"))
		return list;
	for (uint32_t i = 0; i < value->count; i++) {
		if (!value_is(scope, value->items[i], WEIR_VALUE_SCALAR,
			    fields ? "the name of a field" : "a text"))
			continue;
		struct weir_value *item = value_copy(scope, value->items[i], NULL);
		check_twice(scope, list, value->items[i], item->text);
		if (fields)
			check_field(scope, value->items[i], &item->integer);
		value_append(scope->heap, list, item);
	}
	return list;
}

// A comma inside [ ] ends an entry, also within parentheses: say so where it shows.
static bool parentheses_match(const char *text)
{
	int open = 0;
	for (; *text; text++)
		open += (*text == '(') - (*text == ')');
	return open == 0;
}

static struct weir_value *check_pair(const struct params_scope *scope,
	const struct weir_value *value)
{
	static const char example[] = "`name: text` or `name`";
	const struct weir_value *text = value;
	if (value->kind == WEIR_VALUE_MAP && value->count == 1)
		text = value->items[0];
	else if (!value_is(scope, value, WEIR_VALUE_SCALAR, example))
		return NULL;
	if (!value_is(scope, text, WEIR_VALUE_SCALAR, example))
		return NULL;
	if (!parentheses_match(text->text)) {
		errors_add_at(scope->errors, &scope->root, text,
			"%s has unmatched parentheses; put quotes around a text with a comma",
			text->text);
		return NULL;
	}
	return value_copy(scope, text, text->name ? text->name : text->text);
}

static struct weir_value *check_pairs(const struct params_scope *scope,
	const struct weir_param *param, const struct weir_value *value)
{
	struct weir_value *list = value_copy(scope, value, param->name);
	if (!value_is(scope, value, WEIR_VALUE_LIST, "a list, [name: text, name: text]"))
		return list;
	for (uint32_t i = 0; i < value->count; i++) {
		struct weir_value *item = check_pair(scope, value->items[i]);
		if (!item)
			continue;
		check_twice(scope, list, value->items[i], item->name);
		value_append(scope->heap, list, item);
	}
	return list;
}

static struct weir_value *check_operator(const struct params_scope *scope,
	const struct weir_param *param, const struct weir_value *value)
{
	struct weir_value *copy = value_copy(scope, value, param->name);
	if (!value_is(scope, value, WEIR_VALUE_MAP, "a map with a kind, {kind: nexmark}"))
		return copy;
	const struct weir_operator *kind = params_kind(scope, value, true);
	if (!kind)
		return copy;
	if (kind->role != WEIR_SOURCE) {
		errors_add_at(scope->errors, &scope->root, value,
			"%s is not a source; name a kind of source", kind->kind);
		return copy;
	}
	static const struct weir_param kind_table[] = {{.name = "kind"}, {.name = NULL}};
	params_check_names(scope, kind->params, kind_table, value, kind->kind);
	copy = params_fill(scope, kind->params, value);
	copy->name = param->name;
	copy->text = kind->kind;
	return copy;
}

static struct weir_value *check_map(const struct params_scope *scope,
	const struct weir_param *param, const struct weir_value *value)
{
	if (!value_is(scope, value, WEIR_VALUE_MAP, "a map, {name: value}"))
		return value_copy(scope, value, param->name);
	params_check_names(scope, param->children, NULL, value, param->name);
	struct weir_value *copy = params_fill(scope, param->children, value);
	copy->name = param->name;
	return copy;
}

static void check_scalar(const struct params_scope *scope, const struct weir_param *param,
	const struct weir_value *value, int64_t *ret_integer)
{
	switch (param->type) {
	case WEIR_PARAM_BOOL:
		check_bool(scope, value, ret_integer);
		break;
	case WEIR_PARAM_CHOICE:
		check_choice(scope, param, value, ret_integer);
		break;
	case WEIR_PARAM_FIELD:
		check_field(scope, value, ret_integer);
		break;
	case WEIR_PARAM_STRING:
	case WEIR_PARAM_EXPRESSION:
		break;
	default:
		check_number(scope, param, value, ret_integer);
	}
}

static struct weir_value *param_check(const struct params_scope *scope,
	const struct weir_param *param, const struct weir_value *value)
{
	switch (param->type) {
	case WEIR_PARAM_FIELDS:
	case WEIR_PARAM_TEXTS:
		return check_list(scope, param, value);
	case WEIR_PARAM_PAIRS:
		return check_pairs(scope, param, value);
	case WEIR_PARAM_MAP:
		return check_map(scope, param, value);
	case WEIR_PARAM_OPERATOR:
		return check_operator(scope, param, value);
	default:
		break;
	}
	struct weir_value *copy = value_copy(scope, value, param->name);
	if (value_is(scope, value, WEIR_VALUE_SCALAR, "a value"))
		check_scalar(scope, param, value, &copy->integer);
	return copy;
}

// A default stands in the line of the map it completes.
static struct weir_value *default_value(const struct params_scope *scope,
	const struct weir_param *param, const struct weir_value *map)
{
	struct weir_value *value = heap_alloc(scope->heap, sizeof(*value));
	*value = (struct weir_value){.kind = WEIR_VALUE_SCALAR,
		.text = param->default_text,
		.name = param->name,
		.file = map->file,
		.line = map->line};
	if (*param->default_text != '[' && *param->default_text != '{')
		return value;
	struct weir_value *parsed = yaml_parse(scope->heap, scope->errors, map->file,
		param->default_text, strlen(param->default_text));
	if (parsed)
		parsed->line = map->line;
	return parsed ? parsed : value;
}

struct weir_value *params_fill(const struct params_scope *scope, const struct weir_param *table,
	const struct weir_value *map)
{
	struct weir_value *filled = value_copy(scope, map, map->name);
	for (const struct weir_param *param = table; param->name; param++) {
		const struct weir_value *value = weir_param_find(map, param->name);
		if (!value && param->default_text)
			value = default_value(scope, param, map);
		if (value)
			value_append(scope->heap, filled, param_check(scope, param, value));
		else if (param->required)
			errors_add_at(scope->errors, &scope->root, map,
				"%s is missing; add `%s:` (%s)", param->name, param->name,
				param->doc);
	}
	return filled;
}

static const struct weir_param *table_find(const struct weir_param *table, const char *name)
{
	for (; table && table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

// `text`, continued with the table's names.
static const char *table_names(struct heap *heap, const struct weir_param *table, const char *text)
{
	for (; table && table->name; table++)
		text = heap_printf(heap, "%s%s%s", text, *text ? ", " : "", table->name);
	return text;
}

static void table_offer(const struct weir_param *table, struct suggestion *near)
{
	for (; table && table->name; table++)
		suggest_offer(near, table->name);
}

void params_check_names(const struct params_scope *scope, const struct weir_param *table,
	const struct weir_param *other, const struct weir_value *map, const char *what)
{
	for (uint32_t i = 0; i < map->count; i++) {
		const struct weir_value *item = map->items[i];
		if (table_find(table, item->name) || table_find(other, item->name))
			continue;
		struct suggestion near;
		char text[128];
		suggest_start(&near, item->name);
		table_offer(table, &near);
		table_offer(other, &near);
		const char *names = table_names(scope->heap, table, "");
		errors_add_at(scope->errors, &scope->root, item,
			"is not a parameter of %s%s; known are %s", what, suggest_text(&near, text),
			table_names(scope->heap, other, names));
	}
}

const struct weir_operator *params_kind(const struct params_scope *scope,
	const struct weir_value *map, bool source)
{
	const struct weir_value *kind = weir_param_find(map, "kind");
	struct suggestion near;
	char text[128];
	if (!kind) {
		errors_add_at(scope->errors, &scope->root, map,
			"kind is missing; add `kind:` (`weir kinds` lists them)");
		return NULL;
	}
	if (!value_is(scope, kind, WEIR_VALUE_SCALAR, "the name of a kind"))
		return NULL;
	suggest_start(&near, kind->text);
	const struct weir_operator *other = NULL;
	for (const struct weir_operator *const *at = scope->kinds; *at; at++) {
		suggest_offer(&near, (*at)->kind);
		if (strcmp((*at)->kind, kind->text) != 0)
			continue;
		if (((*at)->role == WEIR_SOURCE) == source)
			return *at;
		other = *at;
	}
	if (other)
		return other; // its role is complained about elsewhere
	errors_add_at(scope->errors, &scope->root, kind,
		"%s is not a kind of operator%s; `weir kinds` lists them", kind->text,
		suggest_text(&near, text));
	return NULL;
}
