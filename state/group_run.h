// Runs: the keys of one container (a table, groups, sliding groups) in a snapshot, sorted by key
// group, behind a directory by which one group alone can be read. Format: docs/formats.md.
#pragma once

#include <stdint.h>

#include "state/group_set.h"
#include "state/pool.h"
#include "state/snapshot.h"

// Stands where no more keys follow, in place of a key's group.
#define GROUP_RUN_END UINT32_MAX

struct group_share {
	uint64_t bytes;
	uint32_t keys;
};

// A run that is written. Sorting costs no look at a key: what it takes is added up beforehand.
struct group_run {
	struct pool *pool;
	uint32_t bits, room;
	uint32_t added, keys;       // keys of the container, and those of them in the run
	uint32_t *groups;           // of the keys added
	uint32_t *order;            // the run's keys, by their numbers as they were added, sorted
	struct group_share *shares; // a group: what lies in it
};

// Of at most `room` keys.  Returns 0 or -ENOMEM, with nothing to be ended.
int group_run_begin(struct group_run *run, struct pool *pool, uint32_t bits, uint32_t room);
void group_run_end(struct group_run *run);

// The container's next key, `bytes` of the snapshot long; or it has no place in the run.
static inline void group_run_add(struct group_run *run, uint64_t hash, uint64_t bytes)
{
	uint32_t group = key_group(hash, run->bits);
	run->groups[run->added++] = group;
	run->shares[group].keys++;
	run->shares[group].bytes += bytes;
	run->keys++;
}

static inline void group_run_skip(struct group_run *run)
{
	run->groups[run->added++] = GROUP_NONE;
}

// Sort, and write all that comes before the keys; `count` is the container's count of numbers.
void group_run_write(struct group_run *run, uint32_t count, struct snapshot_writer *w);

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

// Read all keys from here to the end, or those of one group, if it has any.  Return 0 or what the
// reader did.
int group_run_read(void *container, group_key_reader *read_key, struct snapshot_reader *r);
int group_run_read_group(const struct group_directory *d, uint32_t group, uint32_t bits,
	void *container, group_key_reader *read_key, struct snapshot_reader *r);
