#include "control/job_set.h"

#include <string.h>

#include "control/job.h"
#include "control/suggest.h"
#include "control/yaml.h"

struct setting {
	struct heap *heap;
	struct errors *errors;
	const char *place; // the flag as messages name it
};

static struct weir_value *map_member(struct weir_value *map, const char *name)
{
	return (struct weir_value *)weir_param_find(map, name);
}

static struct weir_value *operator_named(struct weir_value *root, const char *id)
{
	const struct weir_value *list = weir_param_find(root, "operators");
	for (uint32_t i = 0; list && i < list->count; i++) {
		const char *text = weir_param_text(list->items[i], "id", NULL);
		if (text && strcmp(text, id) == 0)
			return list->items[i];
	}
	return NULL;
}

static const struct weir_param *top_param(const char *name)
{
	for (const struct weir_param *param = job_table; param->name; param++)
		if (strcmp(param->name, name) == 0)
			return param;
	return NULL;
}

static bool is_section(const char *name)
{
	const struct weir_param *param = top_param(name);
	return param && param->type == WEIR_PARAM_MAP;
}

static struct weir_value *new_map(const struct setting *s, struct weir_value *parent,
	const char *name)
{
	struct weir_value *map = heap_alloc(s->heap, sizeof(*map));
	*map = (struct weir_value){.kind = WEIR_VALUE_MAP, .name = name, .file = s->place};
	value_append(s->heap, parent, map);
	return map;
}

// What the first part of the path names: an operator or a section.
static struct weir_value *set_target(const struct setting *s, struct weir_value *root,
	const char *name)
{
	struct weir_value *found = operator_named(root, name);
	if (!found && is_section(name)) {
		found = map_member(root, name);
		if (!found)
			found = new_map(s, root, name);
	}
	if (found)
		return found;
	struct suggestion near;
	char text[128];
	suggest_start(&near, name);
	const struct weir_value *list = weir_param_find(root, "operators");
	for (uint32_t i = 0; list && i < list->count; i++)
		suggest_offer(&near, weir_param_text(list->items[i], "id", ""));
	for (const struct weir_param *param = job_table; param->name; param++)
		if (param->type == WEIR_PARAM_MAP)
			suggest_offer(&near, param->name);
	errors_add(s->errors, s->place, 0, "the job has no operator or section %s%s", name,
		suggest_text(&near, text));
	return NULL;
}

static void place_all(struct weir_value *value, const char *place)
{
	value->file = place;
	value->line = 0;
	for (uint32_t i = 0; i < value->count; i++)
		place_all(value->items[i], place);
}

static struct weir_value *set_value(const struct setting *s, const char *text)
{
	struct weir_value *value;
	if (*text == '[' || *text == '{') {
		struct errors own = {.heap = s->heap};
		value = yaml_parse(s->heap, &own, s->place, text, strlen(text));
		if (value)
			place_all(value, s->place);
		else
			errors_add(s->errors, s->place, 0, "%s", own.lines[0].text);
		return value;
	}
	value = heap_alloc(s->heap, sizeof(*value));
	*value = (struct weir_value){
		.text = heap_text(s->heap, text, strlen(text)), .file = s->place};
	return value;
}

static void map_put(const struct setting *s, struct weir_value *map, const char *name,
	struct weir_value *value)
{
	value->name = name;
	for (uint32_t i = 0; i < map->count; i++) {
		if (strcmp(map->items[i]->name, name) == 0) {
			map->items[i] = value;
			return;
		}
	}
	value_append(s->heap, map, value);
}

static void set_apply(const struct setting *s, struct weir_value *root, char *path,
	const char *text)
{
	char *rest = path;
	const char *name = strsep(&rest, ".");
	struct weir_value *map = NULL;
	if (rest)
		map = set_target(s, root, name);
	else if (top_param(name) || strcmp(name, "operators") == 0)
		map = root; // the whole of a section
	else
		errors_add(s->errors, s->place, 0, "write --set operator.parameter=value");
	while (map && rest) {
		name = strsep(&rest, ".");
		if (map->kind != WEIR_VALUE_MAP) {
			errors_add(s->errors, s->place, 0,
				"%s cannot be set in what is not a map; set the whole of it", name);
			return;
		}
		if (!rest)
			break;
		struct weir_value *inner = map_member(map, name);
		map = inner ? inner : new_map(s, map, name);
	}
	struct weir_value *value = map ? set_value(s, text) : NULL;
	if (value)
		map_put(s, map, name, value);
}

void job_set(struct heap *heap, struct errors *errors, struct weir_value *root, const char *flag)
{
	struct setting s = {heap, errors, heap_printf(heap, "--set %s", flag)};
	const char *equals = strchr(flag, '=');
	if (!equals) {
		errors_add(errors, s.place, 0, "write --set operator.parameter=value");
		return;
	}
	set_apply(&s, root, heap_text(heap, flag, (size_t)(equals - flag)), equals + 1);
}
