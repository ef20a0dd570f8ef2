// Sliding groups: the keys of the last `panes` panes with the accumulators of hopping windows,
// dense in the order in which keys came to life, an array a cell. Time is cut into blocks of
// `panes` panes. Per key there is the block's total so far and one cell a pane: of this block's
// panes what they held, of the panes not yet reached the suffix totals of the block before. A
// window is then two cells combined, whatever its length, and the cut depends on time alone
// (Tangwongsan, Hirzel, Schneider, "Low-latency sliding-window aggregation", DEBS 2017).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "numa/arena.h"
#include "state/aggregate.h"
#include "state/snapshot.h"
#include "state/table.h"

struct sliding {
	const struct aggregates *aggregates;
	struct pool *pool;
	uint32_t panes;
	struct table index;   // key → rows word: number + 1
	uint32_t count;       // numbers given out, dead keys among them
	uint32_t room;        // elements every array has
	uint32_t first_live;  // all below are dead
	uint32_t fold_first;  // the first born of the pane being folded
	uint32_t null_number; // of the null key; UINT32_MAX: none
	uint32_t cells_bytes; // of a key, in all arrays
	uint32_t saved_at;    // the pane that comes next in the snapshot that is written or read
	uint32_t saved_count, filled; // read: its numbers, and how far the arrays are ready
	int64_t *words;               // key, or the address of a bytes key among the index's texts
	void **totals;                // a cell: array of this block's totals
	void **rings;                 // a cell and pane of a block: array
};

// Rows of a window that fired: valid until the next call.
struct window_rows {
	int64_t start_ns, end_ns;
	uint32_t count;
	const int64_t *words;        // keys of an int64 table
	const uint8_t *const *texts; // canonical keys of a bytes table
	const uint32_t *text_bytes;
	uint32_t null_row;            // which row has the null key; UINT32_MAX: none
	const void *cells[CELLS_MAX]; // accumulators, an array a cell
};

// Room for the rows of one call.
struct window_scratch {
	int64_t words[BATCH_ROWS_MAX];
	const uint8_t *texts[BATCH_ROWS_MAX];
	uint32_t text_bytes[BATCH_ROWS_MAX];
	uint8_t *entries[BATCH_ROWS_MAX];
	uint32_t index[BATCH_ROWS_MAX];
	uint8_t *cells[CELLS_MAX];
};

// Returns 0 or -ENOMEM.
int sliding_create(struct sliding *s, const struct aggregates *aggregates, enum table_form form,
	uint32_t panes, struct pool *pool, struct arena *arena);
void sliding_destroy(struct sliding *s);

// Begin to fold a pane that closes: make room for its groups.  Returns 0 or -ENOMEM.
int sliding_begin(struct sliding *s, uint32_t keys);

// Groups of a closing pane, at most BATCH_ROWS_MAX; several may be of one key.
struct fold {
	uint8_t *const *entries;
	uint32_t count;
	const uint8_t *null_entry;
};

// Add groups of the pane that closes, `at` its number modulo `panes`.  Returns 0 or -ENOMEM.
int sliding_fold(struct sliding *s, uint32_t at, const struct fold *fold,
	struct window_scratch *scratch);

// Up to BATCH_ROWS_MAX rows of the window ending with pane `at`, from number *position on, which
// moves.  Returns rows in ret->count, 0: all were given.
void sliding_rows(struct sliding *s, uint32_t at, uint32_t *position,
	struct window_scratch *scratch, struct window_rows *ret);

// The window ending with pane `at` is done and had `rows` rows: make ready for the next pane.
// Returns 0 or -ENOMEM.
int sliding_advance(struct sliding *s, uint32_t at, uint64_t rows);

// As a run; `at` is the pane that comes next.
struct group_source sliding_source(struct sliding *s, uint32_t at);
// Take room for `count` numbers and make it ready until that returns true; then restore a key after
// the other (a group_key_reader), in any order but before anything else.  Return 0, -EBADMSG or
// -ENOMEM, after either of which only destroy is allowed.
int sliding_restore_begin(struct sliding *s, uint32_t at, uint32_t count);
bool sliding_restore_prepare(void *sliding);
int sliding_restore_key(void *sliding, struct snapshot_reader *r, struct group_key *ret);
