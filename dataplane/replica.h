// A task's other instance, as far as this one is concerned with it (docs/replicas.md): the owner
// streams its order log to it and lets nothing leave before that is held there; the replica takes
// the log, obeys it, and takes over when the owner is lost; one that was lost is made anew from the
// owner's state. Stepped with the task.
// Thread of everything here: the task's worker, unless stated.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/credit.h"
#include "dataplane/feed.h"
#include "dataplane/follower.h"
#include "dataplane/loss.h"
#include "dataplane/order_log.h"

struct arena;
struct exchange;
struct rte_mempool;

enum replica_role {
	REPLICA_NONE,    // the only instance
	REPLICA_OWNER,   // with a replica that holds its log
	REPLICA_ALONE,   // an owner without a replica
	REPLICA_FEEDS,   // an owner that gives a new replica its state
	REPLICA_FOLLOWS, // the replica
	REPLICA_WAITS    // one that waits for that state
};

enum { REPLICA_RELEASES = 64 };

// Once the log is held up to `index`, items below numbers[sender] may leave.
struct release {
	uint64_t index;
	uint64_t *numbers;
};

struct replica {
	enum replica_role role;
	bool replicated;                // it is, or was, one of two
	uint32_t twin_worker;           // of the plan, the other instance's
	struct channel *out, *in;       // of the log that it streams as owner, and that it obeys
	struct credit credit;           // of the one it streams
	struct frame_expect expect;     // of the one it obeys
	uint64_t incarnation;           // of what it streams
	uint64_t streamed;              // entries below it are sent
	const struct told_losses *told; // its worker's
	uint64_t said;                  // losses told that are said in what it streams
	struct rte_mbuf *untold; // of the log that it obeys: losses that its node was not told of
	bool announced;          // that a state follows is sent
	struct feed feed;
	struct loan loan;                      // for the state
	uint32_t release_first, release_count; // a ring
	struct release releases[REPLICA_RELEASES];
};

struct replica_config {
	enum replica_role role;
	uint32_t twin_worker;
	struct channel *out, *in; // created
	const struct told_losses *told;
	struct rte_mempool *pool; // for the frames of the log that it streams
	uint64_t incarnation;     // of the logs at first
	uint32_t sender_count;
	struct arena *arena;
};

// Returns 0 or -ENOMEM.
int replica_create(struct replica *r, const struct replica_config *config);

// Follower: take what has come of the log, up to what was made where losses were known that this
// node was not told of yet, and say so.  Returns the entries taken.
uint32_t replica_take_log(struct replica *r, struct order_log *log);

// The end of a step, everything of it sealed: stream the log and let leave what may.
// Returns the frames sent.
uint32_t replica_send(struct replica *r, struct order_log *log, struct exchange *x);

// The other instance is another one from now on, which has no state; it is told under
// `incarnation`.
void replica_admit(struct replica *r, uint64_t incarnation);

// Owner: the state as of the end of `log` is there, of so many bytes; send it, then the log.
void replica_feed(struct replica *r, struct order_log *log, uint64_t bytes,
	const struct exchange *x);

// New instance: it has its state, up to `index` of the log, and says so.
void replica_restored(struct replica *r, struct order_log *log, uint64_t index);

// Owner: does the new instance have its state?
bool replica_is_fed(const struct replica *r);

// It follows no more: give back what it has in hand of the log.
void replica_let_go(struct replica *r);

// Free that.  Thread: agent, when no worker runs.
void replica_drain(struct replica *r);

// The log is held where it has to be, so that nothing waits for that.
bool replica_is_settled(const struct replica *r, const struct order_log *log);
