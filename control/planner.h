// The planner: from a checked job to tasks, channels and the weighted graph that is placed.
#pragma once

#include "control/job.h"
#include "dataplane/job_plan.h"
#include "numa/placement.h"

enum { PLAN_CHANNELS_MAX = 1 << 16, PLAN_TASKS_MAX = 4096 };

// All of it on the job's heap.
struct planned_job {
	struct job_plan plan;
	struct plan_task *tasks;      // the plan's
	struct placement_graph graph; // tasks as the plan's; edges: its channels
	int *worker_cpus;             // per worker of the plan, once placed
	int *worker_nodes;
	bool shares_cpu; // two workers run on one CPU
};

// Plan a job without errors for a number of workers; no task has a worker yet.
// Returns 0, or -EINVAL with errors added to the job.  Thread: agent.
int planner_plan(struct job *job, uint32_t workers, struct planned_job *ret_planned);

// Give every task its worker. Workers that got no task are left out.
void planner_place(struct job *job, struct planned_job *planned, const struct placement *placement);
