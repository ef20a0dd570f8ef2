// What the files of the window_aggregate kind share; nobody else includes it.
#pragma once

#include "dataplane/operator.h"
#include "state/window.h"

// The first words of a packed record that say whether and where it is counted.
struct window_packed {
	bool usable; // an int64 key and int64 values, all in the first 32 fields
	uint16_t variant;
	uint32_t time_offset, key_offset;
	uint32_t null_mask; // of time and key in the first null word
};

struct window_detail {
	struct window_config config;
	struct window_packed packed;
	uint64_t fields;     // read of the input
	uint64_t key_fields; // those among them that are the key
};

struct window_operator {
	const struct weir_plan *plan;
	const struct window_detail *detail;
	struct window window;
	struct batch_columns input, output;
	int64_t bounds[2]; // of the window whose rows are out
};

// window_plan.c
int window_plan(struct weir_plan *plan);
extern const struct weir_param window_params[];

// window_kernel.c: add a PACKED batch of packed.usable form, all of it; *rows grows by
// those of the input's variant.  Returns 0 or -ENOMEM.
int window_packed_add(struct window *w, const struct window_packed *packed, struct weir_batch *in,
	struct window_drops *drops, uint64_t *rows);

// window_output.c: rows as columns of the output schema, valid until the next call.  Returns 0 or
// -EOVERFLOW and the aggregate that left the decimal's range.
int window_output(struct window_operator *op, const struct window_rows *rows,
	struct weir_batch *ret_batch, uint32_t *ret_aggregate);
