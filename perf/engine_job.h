// A job run by the engine inside this process, again and again over the same rows in memory. Its
// source has the id `source` and is of kind memory; its sink has the id `sink` and is of kind null.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/engine.h"
#include "numa/arena.h"
#include "perf/baseline/rows.h"
#include "perf/baseline/team.h"

struct engine_job;
struct node;

// Check and plan a job for one worker a core of `cores`; `text` must outlive it. Mistakes are said
// on stderr.  Returns 0 or -EINVAL.
int engine_job_open(const char *text, const struct team *cores, struct engine_job **ret_job);
void engine_job_close(struct engine_job *job); // NULL-safe

// Lay out the source's rows in an arena of their own. Owns: *ret_arena is the caller's; destroyed
// after the last use of the rows.  Returns 0 or -errno.
int engine_job_lay(struct engine_job *job, struct arena *ret_arena);

// Which parts of recovery a job with a `checkpoint` section has: all, or the order log and running
// checksum only, or also room to retain what a run sends without ever forgetting it.
enum engine_job_parts { ENGINE_JOB_PLAIN, ENGINE_JOB_LOG, ENGINE_JOB_RETENTION, ENGINE_JOB_ALL };
void engine_job_keep(struct engine_job *job, enum engine_job_parts parts);

// Use the rows that another job, with the same source, has laid out.
void engine_job_adopt(struct engine_job *job, const struct engine_job *other);

// The rows as the hand-written loops read them.
struct rows engine_job_rows(const struct engine_job *job);

struct engine_outcome {
	struct tally tally;
	double seconds; // from the start to the last task's end
	struct engine_checkpoints checkpoints;
};

// Have the workers note the gaps between their clock readings, and look at the engine when it has
// finished.
struct engine_watch {
	void (*finished)(const struct engine *engine, const struct node *node, void *argument);
	void *argument;
};

// Run the job to its end; `watch` may be NULL.  EAL must run.  Returns 0 or -errno, said on stderr.
int engine_job_run(struct engine_job *job, const struct engine_watch *watch,
	struct engine_outcome *ret_outcome);
