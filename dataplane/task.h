// A task: one parallel instance of a chain of fused operators, stepped. It consumes items of its
// input channels (or produces records), obeys or writes its order log, aligns barriers and takes
// snapshots of itself. No clock, no thread, no system call inside.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/chain_groups.h"
#include "dataplane/exchange.h"
#include "dataplane/loss.h"
#include "dataplane/order_log.h"
#include "dataplane/replica.h"
#include "state/snapshot.h"

enum {
	TASK_LINKS_MAX = PLAN_STEPS_MAX + 1,
	TASK_SOURCE_RECORDS = 2048,
	TASK_STEP_FRAMES = 16,
	TASK_STEP_ENTRIES = 64, // of the log that a source obeys
};

enum task_outcome { TASK_RUNNING, TASK_FINISHED, TASK_FAILED };

// Requests to all tasks of a job. Written by the agent (release), read by workers (acquire).
struct task_control {
	_Atomic uint32_t epoch;     // the latest barrier wanted; sources inject it
	_Atomic uint32_t committed; // every task holds its snapshot of this epoch
	_Atomic bool interrupt;     // sources end early
	struct losses losses;       // of workers on other nodes; workers heed them
};

struct task_snapshot {
	uint8_t *data;
	size_t bytes; // 0: none
	uint32_t epoch;
	uint64_t log_next;  // of the order log when it was taken
	uint64_t *consumed; // per input, the next item's number
};

// The snapshot of the last committed epoch, and that of the one under way.
struct task_snapshots {
	struct task_snapshot kept[2];
	size_t room;                // bytes of each
	uint32_t committed, latest; // which of the two; equal: none is under way
};

// A snapshot of a task that is written, the task standing still; its chain's links one after the
// other.
struct task_writing {
	bool under_way;
	bool begins; // nothing of this link is written yet
	uint32_t link;
	struct snapshot_writer to;
};

// And one that is read into a new one.
struct task_reading {
	enum { READS_BLOCKS, READS_TASK, READS_LINKS } stage;
	bool begins;
	uint32_t link;
	struct snapshot_opening opening;
	struct snapshot_reader from;
};

struct task_config {
	const struct plan_task *plan;
	uint32_t id;
	uint32_t group_bits;
	bool recovery;
	uint64_t log_entries; // a power of two, with recovery
	size_t snapshot_bytes;
	struct arena *arena;          // for everything the task keeps but snapshots
	struct arena *snapshot_arena; // with recovery
	struct pool *pool;            // state memory of its worker
	const struct task_control *control;
	struct receiver *receivers;           // of its inputs, in order
	struct sender *senders;               // of its edges, in order
	const struct replica_config *replica; // NULL: it is the only instance
};

struct task {
	uint32_t id;
	enum task_outcome outcome;
	bool blocked;     // the last step ended with full output, or waiting for key groups
	bool idle_source; // nothing was due in the last step
	bool source;
	bool recovery;    // takes checkpoints
	bool logged;      // keeps an order log, for them or for a replica
	bool barrier_due; // aligned; the snapshot is taken, barriers are being sent
	bool end_due;     // all inputs have ended: finish the chain
	bool finishing;
	bool snapshot_taken; // in the last step
	bool stalled;        // with retention full until a checkpoint is committed
	bool catching_up;    // a successor that replays; its output runs on without credit
	uint32_t epoch;      // of the last barrier taken
	int64_t deadline_ns; // next time a step may find work, for an idle source
	int64_t watermark_ns;
	int64_t flush_age_ns;
	uint64_t produced;   // source: records so far
	uint64_t items_max;  // at most so many records a batch; the simulator varies it
	uint32_t part_keys;  // of a snapshot, see snapshot_writer; as that
	uint32_t link_count; // exchange included
	uint32_t input_count, input_at;
	uint32_t held_count, ended_count;
	struct receiver *receivers;
	struct exchange exchange;
	const struct task_control *control;
	struct order_log log;
	struct replica replica;
	struct task_snapshots snapshots;
	struct task_writing writing;
	struct task_reading reading;
	struct chain_load load; // key groups still to be restored from the committed snapshot
	struct chain_link links[TASK_LINKS_MAX];
	const struct plan_task *plan;
	int64_t event_time_shown; // see worker_ask_figures
	// Written by the owner at the end of a step (release), read by the agent (acquire).
	_Atomic uint32_t snapshot_epoch;
	_Atomic uint32_t outcome_seen;
	_Atomic bool wants_checkpoint; // its log or retention fills up
};

// Returns 0 or -errno; `error` says why.
int task_create(struct task *t, const struct task_config *config, char *error,
	uint32_t error_bytes);
void task_destroy(struct task *t); // NULL-safe

// The last watermark that the task took or, a source, gave; INT64_MIN: none yet, INT64_MAX: it has
// ended, or waits for its state.  Thread: owner.
int64_t task_event_time(const struct task *t);

// Do a bounded piece of work.  Returns the records and marks handled; 0: nothing to do now.
// Thread: owner.
uint32_t task_step(struct task *t, int64_t now_ns);

// All that it sent has been taken by those it is for; a replica sends nothing.  Thread: owner.
bool task_has_sent(const struct task *t);

// Does what it does count, or that of its other instance?  Thread: owner, or agent once it stands
// still.
static inline bool task_is_owner(const struct task *t)
{
	return t->replica.role < REPLICA_FOLLOWS;
}

// The instances on that worker of the plan are gone: its own other one is taken over under
// `incarnation`, or, `alone`, done without.  Told twice it is no error. Thread: owner, of all four.
void task_lose(struct task *t, uint32_t worker, uint64_t incarnation, bool alone);

// Another node has that worker now, and no state: from then on all is kept that its tasks will
// need. Once nothing here is waited for that the loss asked for (task_may_admit).
bool task_may_admit(const struct task *t, uint32_t worker);
void task_admit(struct task *t, uint32_t worker, uint64_t boot);

// Give the other instance there its state, as soon as may be.
void task_feed(struct task *t, uint32_t worker);

// Can it do without any instance of this node again, for those there? And why it never will.
bool task_is_repaired(const struct task *t, uint32_t worker);
const char *task_repair_failure(const struct task *t, uint32_t worker); // NULL: nothing is wrong

// Why a failed task failed.
const char *task_error(const struct task *t);

// Take a snapshot of the task as it is, its chain drained, a part at a time.  Returns 0, -EAGAIN
// (not yet: key groups are absent, frames could not be sent, or, with writing.under_way, more is to
// follow and the task must stay as it is) or -errno.
int task_snapshot(struct task *t);

// Does it want a checkpoint, or one that is under way to be committed?
static inline bool task_awaits_commit(const struct task *t)
{
	return t->snapshots.latest != t->snapshots.committed ||
		atomic_load_explicit(&t->wants_checkpoint, memory_order_relaxed);
}

// The same for another process, into `room` bytes, maybe none, at `out`: with what the task keeps
// outside of it, and the end of its log.  Returns 0; -EAGAIN; -ENOSPC with the room that it needs;
// or -EFBIG with why it cannot be, in *ret_refused.
int task_snapshot_whole(struct task *t, void *out, size_t room, size_t *ret_bytes,
	const char **ret_refused);

// Restore that into a task that is new, a part at a time, always of the same bytes.  Returns 0 and
// the end of the log then, -EAGAIN when more is to follow, or -errno.
int task_restore_whole(struct task *t, const void *data, size_t bytes, uint64_t *ret_log);

// Once the latest epoch is committed: forget the log and the retained items it makes needless.
void task_commit(struct task *t);

// Make a newly created task the successor of a dead one: it takes over the order log and the
// snapshots (which outlive a task in another failure domain), restores the committed snapshot and
// will replay the log. Its receivers' next_number then says from where upstream must send again.
// Operators that can be are restored by key group while it runs: the snapshot's bytes must stay as
// they are until load.absent is 0.  Returns 0, or -errno when the snapshot cannot be read.
int task_succeed(struct task *t, struct task *dead);
