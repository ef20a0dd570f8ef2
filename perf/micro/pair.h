// Two pinned threads and frames between them: through a channel, with numbers, credits and
// checksums, or through a bare rte_ring whose consumer reads every line.
#pragma once

#include <stdint.h>

enum pair_kind {
	PAIR_BARE,     // rings of mbufs, bursts of 32
	PAIR_CHANNEL,  // numbers and credits, as between tasks of one process
	PAIR_RECOVERY, // and the running checksum over consumed items
	PAIR_CRC,      // and the CRC of every frame, as between processes
	PAIR_KINDS
};

enum { PAIR_ITEM_BYTES = 24, PAIR_FRAME_BYTES = 2048 };

struct pair_result {
	int64_t ns;
	uint64_t sum; // of a word a line of items, equal for all kinds
};

extern const char *const pair_names[PAIR_KINDS];

// Pass `frames` frames of `items` items each from a thread on cpus[0] to one on cpus[1].
// EAL must run.  Returns 0 or -errno.
int pair_run(enum pair_kind kind, uint32_t items, uint64_t frames, const int cpus[2],
	struct pair_result *ret_result);
