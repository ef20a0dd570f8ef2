// The engine: a planned job brought to life on the workers of this process's node. The agent (the
// calling thread, unpinned) creates it, starts it, polls it and takes its results.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/crossing.h"
#include "dataplane/job_plan.h"
#include "dataplane/node.h"

struct engine_config {
	const struct job_plan *plan;
	struct node *node; // whose workers run its part of the job, the first of them on its first
	uint32_t node_worker;                   // of the node's, the first that the job has
	uint32_t first_worker, worker_count;    // of the plan, that are the node's; count 0: all
	const struct crossing_network *network; // to the others; NULL: there are none
	const int *worker_cpus;                 // per worker of the node's: OS index of its CPU
	const int *worker_nodes;                // OS index of its NUMA node; NULL: any
	uint64_t incarnation;                   // of the job's tasks
	bool repair; // its place was lost: every task waits for the state of its other instance
	bool lazy;   // memory is touched when it is used, not at start: for short runs
};

enum engine_state { ENGINE_RUNNING, ENGINE_FINISHED, ENGINE_INTERRUPTED, ENGINE_FAILED };

// Figures of one operator, summed over its tasks (shares: averaged).
struct engine_figures {
	struct weir_counters counters;
	uint32_t tasks;
	double busy_share;          // of run time, spent in steps that did work
	double backpressured_share; // of run time, spent waiting for output credit
};

// What checkpoints came to, and what they cost.
struct engine_checkpoints {
	uint32_t committed;
	uint32_t early;              // before the interval was over: log or retention was half full
	double waiting_share_max;    // of run time, the task's that waited longest for a commit
	int64_t pause_ns_max;        // the longest that a task stood still for its snapshot
	uint64_t snapshot_bytes_max; // the largest of a task
};

struct engine;

// Start EAL, once in a process, in huge pages if enough are free, else with `bytes` in small ones;
// *ret_huge tells which. If others are quicker to take them, it starts over.  Returns 0 or -errno
// with a reason on stderr.
int engine_eal_start(uint64_t bytes, bool *ret_huge);
// The same with network cards of the PCI bus: DPDK takes those that are named and no others.
enum { ENGINE_PCI_MAX = 8 };
struct engine_eal_config {
	uint64_t bytes;
	uint32_t pci_count;
	const char *const *pci; // device arguments as of a link; what is not there is no error yet
};
int engine_eal_start_with(const struct engine_eal_config *config, bool *ret_huge);
// Do device arguments name a device of the PCI bus, as 0000:3b:00.0?  Thread: any.
bool engine_eal_is_pci(const char *device);
// Run this process anew, with the same arguments and EAL in small pages, because EAL cannot be
// started twice. Call it before anything is left to clean up; descriptors must close on exec.
// Returns -errno if that cannot be, or was done before.
int engine_eal_start_over(void);

// Lay out the memory that a source's tasks share, in `arena`. engine_create does it for sources
// that have none yet; a benchmark does it once and runs many engines over it.
int engine_share(struct weir_plan *plan, const struct weir_operator *kind, struct arena *arena);

// Build tasks, channels and arenas, lay out shared source memory.  Returns 0 or -errno, -ENOBUFS
// if there is no memory for frames; `error` says why.
int engine_create(const struct engine_config *config, char *error, uint32_t error_bytes,
	struct engine **ret_engine);
void engine_destroy(struct engine *engine); // NULL-safe; removes what sinks did not publish

int engine_start(struct engine *engine);
// Look after the workers; also those that are done, as long as places are repaired.
// Thread: agent, any rate.  Returns the state; FAILED fills in engine_error().
enum engine_state engine_poll(struct engine *engine);
// Stop the sources; what is under way is finished, open windows stay unfired.
void engine_interrupt(struct engine *engine);
// The workers let go of the job where it is; nothing may be published afterwards.
void engine_abort(struct engine *engine);
// Workers [first, first + count) of the plan are gone for good. Replicas here of their tasks take
// over at once, under `incarnation`, above all before; what was meant for them is forgotten. Tasks
// here whose replica they had go on without one only once `alone` says so: nothing may name that
// replica their successor any more. Told twice it is no error.
void engine_lose(struct engine *engine, uint32_t first, uint32_t count, uint64_t incarnation,
	bool alone);

// Workers [first, first + count) of the plan, which are lost, are another node's from now on, with
// `boots`, `peers` and `workers` of the network set. Each worker here reaches them anew, and keeps
// what they will need, as soon as it has done what their loss asked of it.  Thread: agent, of all.
void engine_admit(struct engine *engine, uint32_t first, uint32_t count);
bool engine_has_admitted(const struct engine *engine, uint32_t first, uint32_t count);
// All nodes have admitted them: tasks whose other instances are there give them their state. They
// are lost again (engine_lose, `alone`) if that is given up, here (engine_repair_error) or
// elsewhere.
void engine_feed(struct engine *engine, uint32_t first, uint32_t count);
// As far as it is this node's: its tasks may be taken over there, and all there get what they need.
bool engine_has_repaired(const struct engine *engine, uint32_t first, uint32_t count);
const char *engine_repair_error(const struct engine *engine, uint32_t first, uint32_t count);

// After FINISHED or INTERRUPTED: make all sinks' output visible; called again, that of sinks taken
// over since.  Returns 0 or -errno.
int engine_publish(struct engine *engine);

const char *engine_error(const struct engine *engine);
int64_t engine_started_ns(const struct engine *engine); // by clock_now_ns
double engine_seconds(const struct engine *engine);     // from start to the last task's end
// Have the workers show their figures as they are now.  Returns true when those asked for before
// are there, which then stay until the next call.
bool engine_refresh(struct engine *engine);
// The event time that all tasks have reached, as last refreshed; INT64_MIN: there is none yet,
// INT64_MAX: all have ended.
int64_t engine_event_time(const struct engine *engine);
// `operator_index` as in the plan; while running, as last refreshed.
void engine_figures(const struct engine *engine, uint32_t operator_index,
	struct engine_figures *ret_figures);
// The same of checkpoints.
void engine_checkpoints(const struct engine *engine, struct engine_checkpoints *ret_checkpoints);
// Result figures of the operator (see weir_operator.report), added up over its tasks; none while it
// runs.
void engine_report(const struct engine *engine, uint32_t operator_index,
	struct weir_reporter *reporter);
