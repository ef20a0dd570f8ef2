// Checking what a user wrote against tables of struct weir_param.
#pragma once

#include "control/errors.h"
#include "dataplane/operator.h"

// What a check needs to know. Errors are added; what it returns is then as good as it gets.
struct params_scope {
	struct heap *heap;
	struct errors *errors;
	const struct weir_operator *const *kinds; // NULL at the end
	struct value_root root;                   // of the values that are checked
	const struct weir_schema *input;          // NULL: unknown, fields are not resolved
};

// Make the validated copy of `map`: the table's parameters with integers worked out and defaults
// filled in. Names the table does not have are left out.
struct weir_value *params_fill(const struct params_scope *scope, const struct weir_param *table,
	const struct weir_value *map);

// Report names that neither table has; `what` says whose parameters they would be.
void params_check_names(const struct params_scope *scope, const struct weir_param *table,
	const struct weir_param *other, const struct weir_value *map, const char *what);

// Returns the kind that `map` names under `kind`, or NULL after an error. Where a source and
// another kind share the name (csv), `source` says which is meant.
const struct weir_operator *params_kind(const struct params_scope *scope,
	const struct weir_value *map, bool source);
