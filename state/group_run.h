// Runs: the keys of one container (a table, groups, sliding groups) in a snapshot, sorted by key
// group, behind a directory by which one group alone can be read. Format: docs/formats.md.
#pragma once

#include <stdint.h>

#include "state/group_set.h"
#include "state/snapshot.h"

// Stands where no more keys follow, in place of a key's group.
#define GROUP_RUN_END UINT32_MAX

struct group_share {
	uint64_t bytes;
	uint32_t keys;
};

// A container whose keys are written.
struct group_source {
	const void *container;
	uint32_t keys, numbers; // numbers: as the directory's count
	// The i-th key: its hash and how many bytes `write` will write; 0: it has no place there.
	uint32_t (*look)(const void *container, uint32_t i, uint64_t *ret_hash);
	void (*write)(const void *container, uint32_t i, uint32_t group, struct snapshot_writer *w);
	// Ask for what leads to the i-th key's next line, a stage after the other.
	void (*fetch)(const void *container, uint32_t i, uint32_t stage);
};

enum { GROUP_FETCHES = 3 }; // stages

enum group_run_stage { GROUP_RUN_LOOKS, GROUP_RUN_SORTS, GROUP_RUN_WRITES, GROUP_RUN_WRITTEN };

// A run that is written. Sorting costs no look at a key: what it takes is added up beforehand.
struct group_run {
	uint32_t bits;
	enum group_run_stage stage;
	uint32_t at;                // how far the stage is
	uint32_t keys;              // that are in the run
	uint64_t bytes;             // of all of them
	struct group_share *shares; // a group: what lies in it. This and what follows is the
	uint32_t *groups;           // writer's scratch; of the container's keys
	uint32_t *order;            // the run's keys, sorted
};

void group_run_begin(struct group_run *run, uint32_t bits, const struct group_source *source,
	struct snapshot_writer *w);
// A part of it; the container must stay as it is.  Returns whether the run is written.
bool group_run_write(struct group_run *run, const struct group_source *source,
	struct snapshot_writer *w);

// Where a run lies in a snapshot.
struct group_directory {
	uint32_t count;  // of the container's numbers
	uint32_t groups; // that have keys
	uint64_t bytes;  // of all keys
	size_t at, keys_at;
};

// Read a run's head; the reader is then at its first key.  Returns 0 or -EBADMSG.
int group_directory_read(struct group_directory *d, struct snapshot_reader *r);
// Check the whole directory, add its groups to `groups` and go behind the run.  Returns 0 or
// -EBADMSG.
int group_directory_mark(const struct group_directory *d, struct snapshot_reader *r,
	struct group_set *groups);

struct group_key {
	uint32_t group; // as the snapshot says
	uint64_t hash;
};

// Read one key into its place in a container.  Returns 0, -EBADMSG, -ENOMEM, or 1: there was
// GROUP_RUN_END in its place.
typedef int group_key_reader(void *container, struct snapshot_reader *r, struct group_key *ret);

// Read all keys from here to the end, a part of them, or those of one group, if it has any.  Return
// 0, or 1 where a part is not the last, or what the reader did.
int group_run_read(void *container, group_key_reader *read_key, struct snapshot_reader *r);
int group_run_read_part(void *container, group_key_reader *read_key, struct snapshot_reader *r);
int group_run_read_group(const struct group_directory *d, uint32_t group, uint32_t bits,
	void *container, group_key_reader *read_key, struct snapshot_reader *r);
