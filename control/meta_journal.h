// Metadata of a single controller: a map in memory and a journal in a folder, which one process
// holds. Every transaction that is answered is on disk; reads go on when writing fails. The lease
// holds as long as the process; leased keys of the one before are gone. How: docs/metadata.md.
// Thread: owner. Answers come from step alone, at most JOURNAL_STEP_TXNS disk writes a step.
#pragma once

#include "control/journal_disk.h"
#include "control/meta.h"

enum {
	JOURNAL_WHY_BYTES = 512,
	JOURNAL_QUEUE_MAX = 256, // requests not yet answered; more: -ENOBUFS
	JOURNAL_STEP_TXNS = 8,
	JOURNAL_WATCHES_MAX = 8,
	JOURNAL_STATE_BYTES_MAX = 256 << 20, // keys and values; more is refused
};

// Read the journal in the folder at `path`, begun if there is none.  Returns 0 or -errno, with one
// line in ret_why; after success that is "" or what was noteworthy, say a torn end cut off.
int meta_journal_open(const char *path, const struct meta_events *events, struct meta **ret_meta,
	char ret_why[JOURNAL_WHY_BYTES]);

// The same on a disk of one's own, which the journal then owns, also after a failure.
int meta_journal_open_on(struct journal_disk *disk, const char *path,
	const struct meta_events *events, struct meta **ret_meta, char ret_why[JOURNAL_WHY_BYTES]);
