// A node: the pinned, polling workers of this process. Jobs come and go: each gives a worker its
// share, a set of tasks, and takes it back. Thread: agent, for all functions.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"

enum node_wait { NODE_WAIT_SPIN, NODE_WAIT_YIELD, NODE_WAIT_SLEEP };

enum { NODE_SHARES_MAX = 64, NODE_GAPS_MAX = 1 << 18, NODE_GAP_NS = 10000 };

struct node_config {
	uint32_t worker_count;
	const int *worker_cpus; // OS index of the CPU a worker is pinned to; copied
	enum node_wait wait;
	struct transport *transports;      // a worker each; NULL: no other nodes
	bool watch_gaps;                   // keep the gaps between clock readings, see node_gaps
	void (*on_worker)(void *argument); // called by each worker's thread before its first step
	void *on_worker_argument;
	int64_t (*clock)(void); // NULL: clock_now_ns
};

// A span in which a worker did not read its clock.
struct node_gap {
	int64_t from_ns, to_ns;
};

struct node;

// Returns 0 or -errno; no thread runs before node_start.
int node_create(const struct node_config *config, struct node **ret_node);
int node_start(struct node *node);
// One round of a worker: what its thread does again and again. Of a node that is not started the
// caller is the worker.  Returns the work done.
uint32_t node_round(struct node *node, uint32_t worker, int64_t now_ns);
int64_t node_now_ns(const struct node *node);
void node_stop(struct node *node);    // returns once no worker runs; NULL-safe
void node_destroy(struct node *node); // NULL-safe; stops it first

// The worker steps the share from now on.  Returns 0, or -ENOSPC when it has NODE_SHARES_MAX.
int node_attach(struct node *node, uint32_t worker, struct worker *share);
// Returns once the worker has let go of the share; one that is not attached is no error.
void node_detach(struct node *node, uint32_t worker, struct worker *share);

// How often the worker has gone round, busy or idle; one that stands still is hung.
uint64_t node_rounds(const struct node *node, uint32_t worker);

// The worker's thread, as gettid() names it; 0: it has not begun.
int node_thread(const struct node *node, uint32_t worker);

// Gaps of over NODE_GAP_NS between two readings of a worker's clock, in order; once stopped.
// Returns how many there were; at most NODE_GAPS_MAX are kept in *ret_gaps.
uint64_t node_gaps(const struct node *node, uint32_t worker, const struct node_gap **ret_gaps);
