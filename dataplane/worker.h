// A worker's share of a job: steps the job's tasks placed on it, one after the other. The loop that
// calls it, with a real clock and a real thread, is in dataplane/node.c; the simulator calls it
// itself.
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/checkpoint.h"
#include "dataplane/loss.h"

// How a task's time was spent.
struct worker_load {
	int64_t busy_ns;      // in steps that did work
	int64_t blocked_ns;   // with its output full
	int64_t awaiting_ns;  // of that, with its retention full until a checkpoint is committed
	int64_t pause_ns;     // for the snapshot under way
	int64_t pause_ns_max; // the longest that it stood still for one
	uint64_t snapshot_bytes_max;
};

struct worker {
	uint32_t task_count;
	uint32_t running;              // tasks not yet finished
	struct checkpoint *checkpoint; // of its tasks, with recovery
	struct task **tasks;
	struct worker_load *loads, *loads_shown; // a task each
	uint32_t *work;                          // of the last step, a task each
	int64_t last_ns;                         // of the last step; 0: none yet
	int64_t ended_ns; // when its last task had finished and all had come to its place
	const struct losses *losses; // of workers on other nodes; NULL: none are looked for
	struct heeded *heeded;       // by worker of the plan: what was made of them
	struct told_losses told;
	uint32_t losses_seen;
	bool heeds;                // something of them is still to be done
	struct crossing *crossing; // NULL: nothing goes to other nodes, nor comes from there
	// worker: write (release), counters, loads and ended_ns before it; agent: read (acquire)
	alignas(64) atomic_bool done;
	// agent: asks (release); worker: reads (acquire), copies, says so in the other (release)
	atomic_uint figures_wanted, figures_given;
};

// Have counters, loads and event times copied to where they may be read while the worker goes on:
// `shown` of the tasks' links, event_time_shown and loads_shown.
// Thread: agent; once they are ready it may ask again. When the worker is done they stand still.
void worker_ask_figures(struct worker *w);
bool worker_figures_ready(const struct worker *w);

// One round over all tasks.  Returns what they handled, 0: nothing to do now.
// Thread: owner.
uint32_t worker_step(struct worker *w, int64_t now_ns);

// What the agent told of losses since the last step: act on it. The beginning of a step.
// Thread: owner.
void worker_heed(struct worker *w); // dataplane/worker_losses.c

// The earliest time at which an idle task expects work; INT64_MAX: only others can bring any.
int64_t worker_deadline(const struct worker *w);
