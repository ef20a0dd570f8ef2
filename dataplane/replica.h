// A task's other instance, as far as this one is concerned with it (docs/replicas.md): the owner
// streams its order log to it and lets nothing leave before that is held there; the replica takes
// the log, obeys it, and takes over when the owner is lost. Stepped with the task.
// Thread of everything here: the task's worker, unless stated.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/credit.h"
#include "dataplane/follower.h"
#include "dataplane/order_log.h"

struct arena;
struct exchange;
struct rte_mempool;

enum replica_role {
	REPLICA_NONE,   // the only instance
	REPLICA_OWNER,  // with a replica that holds its log
	REPLICA_ALONE,  // an owner without a replica
	REPLICA_FOLLOWS // the replica
};

// Losses that the workers of a job are told of. Written by the agent, read by workers.
struct loss {
	_Atomic uint64_t incarnation; // under which that worker's tasks are taken over; 0: it lives
	_Atomic bool alone;           // nothing names its instances successors any more
};
struct losses {
	_Atomic uint32_t count; // of times they changed (release; workers: acquire)
	uint32_t workers;
	struct loss *of; // by worker of the plan
};

enum { REPLICA_RELEASES = 64 };

// Once the log is held up to `index`, items below numbers[sender] may leave.
struct release {
	uint64_t index;
	uint64_t *numbers;
};

struct replica {
	enum replica_role role;
	bool replicated;      // it is, or was, one of two
	uint32_t twin_worker; // of the plan, the other instance's
	uint32_t losses_seen;
	struct channel *channel;               // of the log
	struct credit credit;                  // owner's
	struct frame_expect expect;            // replica's
	uint64_t streamed;                     // owner: entries below it are sent
	uint32_t release_first, release_count; // a ring
	struct release releases[REPLICA_RELEASES];
};

struct replica_config {
	enum replica_role role;
	uint32_t twin_worker;
	struct channel *channel;  // created
	struct rte_mempool *pool; // owner: for the log's frames
	uint64_t incarnation;     // of the job's tasks at first
	uint32_t sender_count;
	struct arena *arena;
};

// Returns 0 or -ENOMEM.
int replica_create(struct replica *r, const struct replica_config *config);

// Follower: take what has come of the log, and say so.  Returns the entries taken.
uint32_t replica_take_log(struct replica *r, struct order_log *log);

// The end of a step, everything of it sealed: stream the log and let leave what may.
// Returns the frames sent.
uint32_t replica_send(struct replica *r, struct order_log *log, struct exchange *x);

// The log is held where it has to be, so that nothing waits for that.
bool replica_is_settled(const struct replica *r, const struct order_log *log);
