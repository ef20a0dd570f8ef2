// Expressions over a record's fields, compiled once and evaluated column by column.
//
// Literals 12, 0.908 (decimal), 1.5e3 (float64), 'text', true, false, null, 250ms, 1h,
// timestamp '2001-01-01T00:00:00Z'; + - * / %; = <> < <= > >=; and, or, not (three-valued);
// is [not] null; [not] in (…); abs, coalesce, length, mod, substring, cast(x as type).
// Dividing by zero, overflow and a text that cannot be cast make the row an error.
#pragma once

#include <stdint.h>

#include "dataplane/counters.h"
#include "state/batch.h"

struct arena;
struct expression;
struct expression_state;

// Compile `text` over a schema's fields.  Returns 0, -EINVAL with a message that names the
// position, or -ENOMEM.
int expression_compile(const char *text, const struct weir_schema *schema, char *error,
	uint32_t error_bytes, struct expression **ret_expression);
void expression_free(struct expression *x); // NULL-safe

// The result's type (a duration is int64, in ns), in a field without a name.
const struct weir_field *expression_type(const struct expression *x);
uint64_t expression_fields(const struct expression *x); // a bit per field that is read
int expression_field(const struct expression *x);       // a plain field: its index; else -1

// Make one instance's scratch memory.  Returns 0 or -ENOMEM.
int expression_state_create(const struct expression *x, struct arena *arena,
	struct expression_state **ret_state);

// Evaluate rows [0, count) of columns, count at most BATCH_ROWS_MAX. A row that is an error gets
// 1 + its enum weir_drop in errors[row], the rest of which stays; its value means nothing.
// The column stays valid until the next call and, of text, as long as its input.
struct weir_column expression_eval(const struct expression *x, struct expression_state *state,
	const struct weir_column *columns, uint32_t count, uint8_t *errors);
