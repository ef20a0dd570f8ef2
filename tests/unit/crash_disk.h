// A disk for journals in memory, that fails or crashes at a chosen call. After a crash, what was
// not synced is there in part, in any 64-byte pieces. All from one seed.
#pragma once

#include "control/journal_disk.h"

struct crash_disk {
	struct journal_disk disk;
	uint64_t random;
	unsigned calls;
	unsigned crash_at;             // the call in which it dies; 0: none
	unsigned fail_from, fail_upto; // calls that fail with `fail_with`
	int fail_with;
	bool dead; // every call fails
	unsigned publishes;
	struct crash_file *names[2], *lasting[2]; // "journal", "journal.new"; and after a crash
	struct crash_file *files;
};

void crash_disk_init(struct crash_disk *disk, uint64_t seed);

// As after the power came back; what the journal had open is gone.
void crash_disk_restart(struct crash_disk *disk);
void crash_disk_free(struct crash_disk *disk);
