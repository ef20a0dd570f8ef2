// The exchange: the last link of a task's chain. It sends rows over the channels of the task's
// edges, each row to the channel its key group belongs to, and marks over all of them.
#pragma once

#include <stdint.h>

#include "dataplane/channel.h"
#include "dataplane/job_plan.h"

struct exchange_edge;

// One 8-byte field copied from a record into a narrower one.
struct exchange_move {
	uint32_t from, to; // byte offsets
};

// Send rows of `in` until it is empty (WEIR_DONE) or a channel has no room (WEIR_FULL).
typedef enum weir_flow (*exchange_kernel)(struct exchange_edge *edge, struct weir_context *ctx,
	struct weir_batch *in);

struct exchange_edge {
	const struct plan_edge *plan;
	exchange_kernel kernel;
	uint32_t group_bits;
	uint32_t channel_count;
	struct sender **senders;
	uint16_t *channel_of_group;
	uint32_t move_count;
	struct exchange_move moves[SCHEMA_FIELDS_MAX];
	uint32_t record_bytes; // of an output record without texts
	struct weir_batch pending;
};

struct exchange {
	uint32_t edge_count;
	struct exchange_edge *edges;
	uint32_t sender_count;
	struct sender *senders; // of all edges
	bool spread;            // the batch in hand was copied to the edges' pending
	uint32_t mark_at;       // next sender to get the mark under way
	int64_t end_watermark;  // what END carries: INT64_MAX at a natural end, else INT64_MIN
};

// The kind that a chain's last link has. Not in the list of kinds: only tasks make it.
extern const struct weir_operator exchange_operator;

// Build the edges of a task over its senders (in order of edges, then channels).
// Returns 0 or -ENOMEM.
int exchange_create(struct exchange *x, const struct plan_task *task, struct sender *senders,
	uint32_t group_bits, struct arena *arena);

// Send a mark over all channels; WEIR_FULL: call again with the same.
enum weir_flow exchange_mark(struct exchange *x, enum frame_type type, int64_t watermark_ns,
	uint32_t epoch);

// How full the fullest sender's retention is, in eighths; what is needless is forgotten first.
uint32_t exchange_retained(struct exchange *x);

// What the fullest sender has retained since its last barrier, in eighths of its room.
uint32_t exchange_since_barrier(const struct exchange *x);

// The sender that no checkpoint can make room for, or NULL.
const struct sender *exchange_stuck(const struct exchange *x);

// Make all senders run on without credit, or no longer.
void exchange_run_on(struct exchange *x, bool on);

// The end of a step: hand over what is sealed, open frames older than max_age_ns included.
void exchange_flush(struct exchange *x, int64_t now_ns, int64_t max_age_ns);

// The kernel that serves an edge best (dataplane/exchange_kernels.c).
exchange_kernel exchange_choose_kernel(struct exchange_edge *edge);
