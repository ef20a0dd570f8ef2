// A chain: the fused operators of one task, called one into the next; a link remembers what its
// operator could not finish because the output behind it was full.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/operator.h"

struct chain_groups;

enum chain_pending { PENDING_NONE, PENDING_BATCH, PENDING_WATERMARK, PENDING_FINISH };

struct chain_link {
	const struct weir_operator *kind;
	void *self;
	struct chain_link *next; // NULL behind the last
	const struct weir_schema *input;
	struct chain_groups *absent; // while key groups are absent, else NULL
	struct weir_context ctx;
	struct weir_counters counters;
	uint32_t operator_index;
	bool drops_fail;          // see weir_plan
	bool emits_packed;        // records_out is the next link's records_in
	uint64_t marks;           // source: watermarks emitted
	uint64_t produced_before; // source: records before this call of produce
	enum chain_pending pending;
	struct weir_batch batch;
	int64_t watermark_ns;
	struct weir_counters shown;  // see worker_ask_figures
	bool shown_packed;           // emits_packed
	bool published;              // by the thread that publishes, behind the end
	struct chain_groups *groups; // of kinds that are restored by key group
};

// All functions: owner's thread.  Return WEIR_DONE, WEIR_FULL (something is pending, also where it
// waits for key groups; resume before anything else) or WEIR_FAILED.

// Give the first transforming link a batch, a watermark, the end.
enum weir_flow chain_batch(struct chain_link *link, const struct weir_batch *batch);
enum weir_flow chain_watermark(struct chain_link *link, int64_t watermark_ns);
enum weir_flow chain_finish(struct chain_link *link);

// Go on with whatever is pending in links[0..count), the last first.
enum weir_flow chain_resume(struct chain_link *links, uint32_t count);

bool chain_is_drained(const struct chain_link *links, uint32_t count);
