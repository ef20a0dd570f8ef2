// Spreading a planned job over the workers of several nodes; and the mark by which nodes know that
// they planned the same.
#pragma once

#include "control/planner.h"

// Give every task one of `workers` workers, numbered over all nodes: tasks of one operator apart
// from each other, a task beside the one that alone feeds it, single ones where least is to do.
// Depends on the planned job and the number only.  Thread: agent.
void spread_tasks(struct planned_job *planned, struct heap *heap, uint32_t workers);

// Of tasks with their workers, channels, schemas and settings: the same on all nodes, or they must
// not run the job together.
uint64_t spread_plan_hash(const struct job_plan *plan);
