// YAML files and texts as trees of values with their places. A plain subset: one document of maps,
// lists and scalars; no anchors, aliases, merge keys or tags.
#pragma once

#include "control/errors.h"

enum { YAML_BYTES_MAX = 1 << 20, YAML_DEPTH_MAX = 24, YAML_VALUES_MAX = 10000 };

// Parse text; `file` is what messages call it. A plain empty scalar has text NULL.
// Owns: tree on the heap.  Returns the root, or NULL with at least one error added.
struct weir_value *yaml_parse(struct heap *heap, struct errors *errors, const char *file,
	const char *text, size_t bytes);

// The same from a file.
struct weir_value *yaml_load(struct heap *heap, struct errors *errors, const char *file);

// Append a value to a list or map.
void value_append(struct heap *heap, struct weir_value *parent, struct weir_value *child);
