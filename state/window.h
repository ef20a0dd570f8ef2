// Windows: keyed aggregates over tumbling and hopping windows of event time. Time is cut into
// panes of `slide`, aligned to the epoch; a record touches only its pane's table. When the
// watermark reaches a pane's end the pane closes: its groups are the window's (tumbling), or are
// folded into the sliding groups, from which the window's rows come (hopping).
#pragma once

#include <stdint.h>

#include "state/groups.h"
#include "state/sliding.h"

#define WINDOW_KEYS_MAX 8
#define WINDOW_PANES_MAX 16384
#define WINDOW_KEY_BYTES 65536u // the longest canonical key

struct window_config {
	int64_t size_ns, slide_ns; // slide divides size
	const struct weir_schema *schema;
	uint32_t time_field; // int64 or timestamp
	uint32_t key_count;
	uint16_t keys[WINDOW_KEYS_MAX];
	uint32_t group_bits;
	uint32_t key_bytes_max;       // of a canonical key; 0: WINDOW_KEY_BYTES, which is the most
	struct aggregates aggregates; // over entries of window_form's head
};

struct pane {
	int64_t number;     // floor(time / slide)
	size_t saved_at;    // where its run is in the snapshot it is restored from; 0: none
	struct table table; // or, of a listed window,
	struct groups groups;
};

// Why records did not get into a window.
struct window_drops {
	uint64_t late;         // its pane is closed
	uint64_t out_of_range; // no time, or its windows reach beyond representable time
	uint64_t too_large;    // a key longer than config->key_bytes_max
};

struct window {
	// The pane of the last record, so that the hot path is one compare: times in [pane_start,
	// pane_start + pane_span) belong to `pane`. Span 0: none.
	int64_t pane_start;
	uint64_t pane_span;
	struct pane *pane;
	const struct window_config *config;
	struct pool *pool;
	enum table_form form;
	bool listed;       // panes keep groups, else tables
	uint32_t panes;    // in a window
	struct pane *open; // by number
	uint32_t open_count, open_room;
	int64_t next_pane;      // all below are closed
	int64_t next_close_ns;  // before it no pane can close
	uint32_t keys_usual;    // in the pane that closed last
	uint32_t groups_absent; // to be restored still; until then nothing fires
	size_t sliding_saved_at;
	struct sliding sliding;
	// A window that is being given out, pane `next_pane` - 1 its last, gathered (merged or
	// folded) before.
	bool firing, gathered;
	uint32_t position;
	uint64_t fired_rows;
	struct pane closing;
	struct window_scratch scratch;
	uint8_t *key; // room for one canonical key
	// A snapshot that is written or read in parts.
	struct window_parts {
		uint32_t run, runs; // which is under way, the open panes' first; of how many
		enum window_part { WINDOW_BEGINS, WINDOW_PREPARES, WINDOW_READS } stage;
		struct group_run sorted;
	} parts;
};

// int64 and timestamp keys that stand alone are kept as they are, others in canonical encoding.
enum table_form window_form(const struct weir_schema *schema, const uint16_t *keys,
	uint32_t key_count);
static inline uint32_t window_head_bytes(enum table_form form)
{
	return form == TABLE_INT64 ? TABLE_INT64_HEAD : TABLE_BYTES_HEAD;
}

// `config` is borrowed.  Returns 0 or -ENOMEM.
int window_create(struct window *w, const struct window_config *config, struct pool *pool,
	struct arena *arena);
void window_destroy(struct window *w);

// Make the pane of a time the one of the last record.  Returns 0; 1: the record is to be dropped,
// which is counted; -ENOMEM.
int window_turn(struct window *w, int64_t time_ns, struct window_drops *drops);

// Add rows [from, to) of columns of the schema; at least the time, the keys and the fields
// aggregated must be there.  Returns 0 or -ENOMEM.
int window_update(struct window *w, const struct weir_column *columns, uint32_t from, uint32_t to,
	struct window_drops *drops);

// A part of firing the windows that end at or before watermark_ns: up to BATCH_ROWS_MAX entries
// are gathered, or given out as rows, windows by time, keys in order of creation. Call again while
// `firing`; once it is not, older records are late. Rows stay valid until the next call.
// Returns 0 or -ENOMEM.
int window_fire(struct window *w, int64_t watermark_ns, struct window_rows *ret);

// Whether a watermark makes a window fire, that is, whether window_fire reads groups.
bool window_is_due(const struct window *w, int64_t watermark_ns);

#define WINDOW_STATE_VERSION 2
#define WINDOW_GROUPS_VERSION 2 // from here on it can be restored by key group

// Not while it fires, or groups are absent. A part; `first`: begin anew. The window must stay as it
// is from the first to the last.  Returns whether all is written.
bool window_snapshot(struct window *w, struct snapshot_writer *writer, bool first);
// A part, for a fresh window of the same config, from a section of any version.  Returns 0 once all
// is restored, 1 when more is to follow, -EBADMSG, -EINVAL (another shape) or -ENOMEM.
int window_restore(struct window *w, struct snapshot_reader *reader, bool first);
// The same by key group: add to `absent` those that have state; then restore each of them, in any
// order, from the same section. Records of groups that window_keys does not name may come before.
int window_restore_begin(struct window *w, struct snapshot_reader *reader,
	struct group_set *absent);
int window_restore_group(struct window *w, struct snapshot_reader *reader, uint32_t group);
// Add the key groups that must not be absent when these rows are added. Listed panes have no use
// for it: they need that of the null key alone, as other keys are appended, and merged later.
void window_keys(struct window *w, const struct weir_column *columns, uint32_t count,
	struct group_set *needed);
