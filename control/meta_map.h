// The keys of a journal in memory, in their order. Thread: owner.
#pragma once

#include <stdbool.h>

#include "control/meta.h"

struct meta_map {
	uint32_t count, room;
	struct meta_entry *entries; // sorted by key; each key and value in one block
	bool *leased;               // of the same entry
	size_t bytes;               // of all keys and values
};

// Returns the entry or NULL.
const struct meta_entry *meta_map_find(const struct meta_map *map, const char *key);

// Put a copy. Memory that is not there ends the process.
void meta_map_put(struct meta_map *map, const struct meta_put *put, int64_t revision);
void meta_map_delete(struct meta_map *map, const char *key);

// Returns the first entry with that prefix and how many there are.
const struct meta_entry *meta_map_prefix(const struct meta_map *map, const char *prefix,
	uint32_t *ret_count);

void meta_map_free(struct meta_map *map);
