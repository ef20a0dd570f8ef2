// Key groups that are absent: an operator restored by key group begins without them. What a batch
// needs, which its kind's `keys` names, is restored before the batch is processed, and what remains
// follows in the background, so many groups a step; whoever waits, waits as with full output.
#pragma once

#include "dataplane/chain.h"

// Of a task: how much it restores in a step, over all its operators.
struct chain_load {
	uint32_t absent;      // groups; 0: all state is there
	uint32_t groups_max;  // in a step, at least 1; the simulator varies it
	uint32_t groups_left; // of this step
	uint64_t bytes;       // of the sections that groups are restored from
	uint64_t needed;      // groups restored because something waited for them
	uint64_t background;  // and the others
	uint64_t waits;       // times something had to wait for a later step
};

// Get ready for restoring by key group, if the kind can: memory for it.  Returns 0 or -ENOMEM.
int chain_groups_create(struct chain_link *link, struct chain_load *load, struct arena *arena,
	uint32_t group_bits);

// Begin to restore from the reader's section, or restore at once where kind or section are not by
// key group. The snapshot must stay as it is until load->absent is 0.  Returns 0 or -errno.
int chain_groups_restore(struct chain_link *link, const struct snapshot_reader *r);

// With link->absent set, before process, watermark and finish of what is pending: WEIR_DONE, it may
// be called; WEIR_FULL, not in this step; WEIR_FAILED.
enum weir_flow chain_groups_for_batch(struct chain_link *link);
enum weir_flow chain_groups_for_watermark(struct chain_link *link);
enum weir_flow chain_groups_for_all(struct chain_link *link);

// The end of a step, while load->absent is not 0: use up what the step may restore.  Returns
// WEIR_DONE or WEIR_FAILED, and the groups restored in the whole step.
enum weir_flow chain_groups_step(struct chain_link *links, uint32_t count, struct chain_load *load,
	uint32_t *ret_restored);
