// Replicas: the second instances of a planned job's tasks, on workers of other failure domains,
// with channels of their own (docs/replicas.md); and what the loss of a node then means.
#pragma once

#include "control/planner.h"
#include "control/workload.h"

// Add the replicas that the job's `recovery` asks for, behind spread_tasks. The participants' hosts
// and racks are the failure domains; without a host, a node is one. New tasks and channels
// follow those of before, which keep their numbers.
// Returns 0, or -EINVAL with an error added to the job.  Thread: agent.
int replicas_plan(struct job *job, struct planned_job *planned,
	const struct workload_participant *participants, uint32_t participant_count);

// What each participant's loss means.  Returns them by participant, on the heap.
struct workload_cover *replicas_cover(const struct job_plan *plan, struct heap *heap,
	const struct workload_participant *participants, uint32_t participant_count);
