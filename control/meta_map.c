#include "control/meta_map.h"

#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

// Returns where `key` is or would be.
static uint32_t place(const struct meta_map *map, const char *key)
{
	uint32_t first = 0, limit = map->count;
	while (first < limit) {
		uint32_t middle = first + (limit - first) / 2;
		if (strcmp(map->entries[middle].key, key) < 0)
			first = middle + 1;
		else
			limit = middle;
	}
	return first;
}

static bool holds(const struct meta_map *map, uint32_t at, const char *key)
{
	return at < map->count && strcmp(map->entries[at].key, key) == 0;
}

const struct meta_entry *meta_map_find(const struct meta_map *map, const char *key)
{
	uint32_t at = place(map, key);
	return holds(map, at, key) ? &map->entries[at] : NULL;
}

static void entry_make(struct meta_map *map, uint32_t at, const struct meta_put *put,
	int64_t revision)
{
	size_t key_bytes = strlen(put->key) + 1;
	char *block = malloc(key_bytes + put->bytes);
	VERIFY(block != NULL);
	memcpy(block, put->key, key_bytes);
	if (put->bytes > 0)
		memcpy(block + key_bytes, put->value, put->bytes);
	map->entries[at] = (struct meta_entry){block, block + key_bytes, put->bytes, revision};
	map->leased[at] = put->leased;
	map->bytes += key_bytes + put->bytes;
}

static void entry_free(struct meta_map *map, uint32_t at)
{
	map->bytes -= strlen(map->entries[at].key) + 1 + map->entries[at].bytes;
	free((char *)map->entries[at].key);
}

static void room_make(struct meta_map *map)
{
	if (map->count < map->room)
		return;
	map->room = map->room ? 2 * map->room : 64;
	map->entries = reallocarray(map->entries, map->room, sizeof(*map->entries));
	map->leased = reallocarray(map->leased, map->room, sizeof(*map->leased));
	VERIFY(map->entries != NULL && map->leased != NULL);
}

void meta_map_put(struct meta_map *map, const struct meta_put *put, int64_t revision)
{
	uint32_t at = place(map, put->key);
	if (holds(map, at, put->key)) {
		entry_free(map, at);
	} else {
		room_make(map);
		uint32_t behind = map->count++ - at;
		memmove(&map->entries[at + 1], &map->entries[at], behind * sizeof(*map->entries));
		memmove(&map->leased[at + 1], &map->leased[at], behind * sizeof(*map->leased));
	}
	entry_make(map, at, put, revision);
}

void meta_map_delete(struct meta_map *map, const char *key)
{
	uint32_t at = place(map, key);
	if (!holds(map, at, key))
		return;
	entry_free(map, at);
	uint32_t behind = --map->count - at;
	memmove(&map->entries[at], &map->entries[at + 1], behind * sizeof(*map->entries));
	memmove(&map->leased[at], &map->leased[at + 1], behind * sizeof(*map->leased));
}

const struct meta_entry *meta_map_prefix(const struct meta_map *map, const char *prefix,
	uint32_t *ret_count)
{
	uint32_t first = place(map, prefix), limit = first;
	size_t length = strlen(prefix);
	while (limit < map->count && strncmp(map->entries[limit].key, prefix, length) == 0)
		limit++;
	*ret_count = limit - first;
	return map->entries + first;
}

void meta_map_free(struct meta_map *map)
{
	for (uint32_t i = 0; i < map->count; i++)
		free((char *)map->entries[i].key);
	free(map->entries);
	free(map->leased);
	*map = (struct meta_map){.count = 0};
}
