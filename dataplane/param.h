// Parameters of an operator kind: the table it declares, and the validated values it is given.
// control/ reads them from YAML, checks them against the table, fills in defaults and keeps every
// value's place for error messages.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum weir_param_type {
	WEIR_PARAM_BOOL,     // true, false
	WEIR_PARAM_INT,      // 123, with min and max
	WEIR_PARAM_DURATION, // 10s, 250ms, 1h: in ns
	WEIR_PARAM_SIZE,     // 64B, 64KiB, 1GiB: in bytes
	WEIR_PARAM_RATE,     // 10000/s, 1M/s, 600/min: events a second (a bare number: a second)
	WEIR_PARAM_STRING,
	WEIR_PARAM_CHOICE,     // one of `choices`, separated by '|'; integer holds its index
	WEIR_PARAM_EXPRESSION, // text over the input's fields, checked by the kind's plan()
	WEIR_PARAM_FIELD,      // the name of a field of the input; integer holds its index
	WEIR_PARAM_FIELDS,     // list of such
	WEIR_PARAM_TEXTS,      // list of texts, each once
	WEIR_PARAM_PAIRS,      // list of `name: text` (or of `name`, where text is then the name)
	WEIR_PARAM_MAP,        // map with its own table in `children`
	WEIR_PARAM_OPERATOR,   // map with a `kind` and that kind's parameters (a nested source)
};

struct weir_param {
	const char *name; // NULL ends a table
	enum weir_param_type type;
	bool required;
	const char *default_text; // as a user would write it; NULL: absent unless given
	int64_t min, max;         // INT, DURATION, SIZE, RATE: bounds; max 0: none above
	const char *choices;
	const struct weir_param *children; // MAP
	const char *doc;                   // one sentence, with the unit
};

enum weir_value_kind { WEIR_VALUE_SCALAR, WEIR_VALUE_LIST, WEIR_VALUE_MAP };

// A value with its place. Owned by the job; lives as long as the job's plan.
struct weir_value {
	enum weir_value_kind kind;
	const char *name; // the key it stands under in its map, or of a PAIRS entry; NULL in a list
	const char *text; // SCALAR: as written; OPERATOR: its kind
	int64_t integer;  // SCALAR, per its table type: ns, bytes, per second, index, 0 or 1
	const char *file;
	uint32_t line; // from 1; a default's: its map's; 0: given by the command line's flag `file`
	uint32_t count;
	struct weir_value **items; // LIST and MAP
};

// Returns the member of a map, or NULL.
const struct weir_value *weir_param_find(const struct weir_value *map, const char *name);

// The member's value; `fallback` where it is absent.
int64_t weir_param_int(const struct weir_value *map, const char *name, int64_t fallback);
const char *weir_param_text(const struct weir_value *map, const char *name, const char *fallback);
