#include "dataplane/param.h"

#include <string.h>

const struct weir_value *weir_param_find(const struct weir_value *map, const char *name)
{
	if (!map || map->kind != WEIR_VALUE_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->count; i++)
		if (strcmp(map->items[i]->name, name) == 0)
			return map->items[i];
	return NULL;
}

int64_t weir_param_int(const struct weir_value *map, const char *name, int64_t fallback)
{
	const struct weir_value *value = weir_param_find(map, name);
	return value ? value->integer : fallback;
}

const char *weir_param_text(const struct weir_value *map, const char *name, const char *fallback)
{
	const struct weir_value *value = weir_param_find(map, name);
	return value && value->text ? value->text : fallback;
}
