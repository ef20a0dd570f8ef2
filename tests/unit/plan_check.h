// What must hold of every planned job, with and without replicas, whoever made it.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/workload.h"
#include "dataplane/job_plan.h"

struct plan_check {
	const struct job_plan *plan;
	uint32_t *left, *arrived; // by channel: its ends seen so far
	char problem[160];        // the first; "": none
};

#define PLAN_EXPECT(check, condition, ...)                                                         \
	do {                                                                                       \
		if (!(condition) && (check)->problem[0] == 0)                                      \
			snprintf((check)->problem, sizeof((check)->problem), __VA_ARGS__);         \
	} while (0)

// A channel's end; `schema`: what the other side thinks it carries.
static inline void plan_check_end(struct plan_check *k, uint32_t channel, uint32_t *seen,
	uint32_t task, const struct weir_schema *schema)
{
	PLAN_EXPECT(k, channel < k->plan->channel_count, "task %u: channel %u is not there", task,
		channel);
	if (k->problem[0] != 0)
		return;
	const struct plan_channel *c = &k->plan->channels[channel];
	bool out = seen == k->left;
	PLAN_EXPECT(k, (out ? c->from : c->to) == task, "channel %u: task %u is not its end",
		channel, task);
	PLAN_EXPECT(k, c->schema == schema, "channel %u: its schema is another at task %u", channel,
		task);
	seen[channel]++;
}

// Two channels that stand beside each other join the same producer or consumer with the two
// instances of the other end.
static inline void plan_check_beside(struct plan_check *k, uint32_t channel, uint32_t beside,
	bool out)
{
	const struct job_plan *plan = k->plan;
	if (k->problem[0] != 0)
		return;
	const struct plan_channel *a = &plan->channels[channel], *b = &plan->channels[beside];
	const struct plan_task *primary = &plan->tasks[out ? a->to : a->from];
	PLAN_EXPECT(k, primary->standing == PLAN_PRIMARY, "channel %u: its other end is no primary",
		channel);
	PLAN_EXPECT(k, primary->twin == (out ? b->to : b->from),
		"channels %u and %u: their other ends are no twins", channel, beside);
}

static inline void plan_check_edges(struct plan_check *k, uint32_t t)
{
	const struct plan_task *task = &k->plan->tasks[t];
	for (uint32_t e = 0; e < task->edge_count; e++) {
		const struct plan_edge *edge = &task->edges[e];
		PLAN_EXPECT(k, edge->exchange == EXCHANGE_HASH || edge->channel_count == 1,
			"task %u: edge %u goes nowhere or everywhere", t, e);
		for (uint32_t i = 0; i < edge->channel_count; i++) {
			uint32_t twin = edge->twins == NULL ? PLAN_NONE : edge->twins[i];
			plan_check_end(k, edge->channels[i], k->left, t, edge->output);
			if (k->problem[0] != 0)
				return;
			uint32_t to = k->plan->channels[edge->channels[i]].to;
			PLAN_EXPECT(k,
				(twin == PLAN_NONE) == (k->plan->tasks[to].standing == PLAN_SINGLE),
				"task %u: edge %u has not all of its consumers' instances", t, e);
			if (twin == PLAN_NONE)
				continue;
			plan_check_end(k, twin, k->left, t, edge->output);
			plan_check_beside(k, edge->channels[i], twin, true);
		}
	}
}

static inline void plan_check_inputs(struct plan_check *k, uint32_t t)
{
	const struct plan_task *task = &k->plan->tasks[t];
	for (uint32_t i = 0; i < task->input_count && k->problem[0] == 0; i++) {
		uint32_t standby =
			task->standby_inputs == NULL ? PLAN_NONE : task->standby_inputs[i];
		plan_check_end(k, task->inputs[i], k->arrived, t, task->steps[0].input);
		if (k->problem[0] != 0)
			return;
		uint32_t from = k->plan->channels[task->inputs[i]].from;
		PLAN_EXPECT(k,
			(standby == PLAN_NONE) == (k->plan->tasks[from].standing == PLAN_SINGLE),
			"task %u: input %u has not all of its producer's instances", t, i);
		if (standby == PLAN_NONE)
			continue;
		plan_check_end(k, standby, k->arrived, t, task->steps[0].input);
		plan_check_beside(k, task->inputs[i], standby, false);
	}
}

static inline void plan_check_twin(struct plan_check *k, uint32_t t)
{
	const struct plan_task *task = &k->plan->tasks[t];
	if (task->standing == PLAN_SINGLE)
		return;
	PLAN_EXPECT(k, task->twin < k->plan->task_count && task->twin != t,
		"task %u: its twin is not there", t);
	if (k->problem[0] != 0)
		return;
	const struct plan_task *twin = &k->plan->tasks[task->twin];
	bool primary = task->standing == PLAN_PRIMARY;
	PLAN_EXPECT(k, k->plan->hot, "task %u is replicated and the plan is not hot", t);
	PLAN_EXPECT(k, twin->twin == t, "task %u: its twin has another", t);
	PLAN_EXPECT(k, twin->standing == (primary ? PLAN_REPLICA : PLAN_PRIMARY),
		"task %u: not one of two is the primary", t);
	PLAN_EXPECT(k,
		twin->index == task->index && twin->count == task->count &&
			twin->steps == task->steps && twin->step_count == task->step_count &&
			twin->edge_count == task->edge_count &&
			twin->input_count == task->input_count,
		"task %u: its twin does something else", t);
	plan_check_end(k, task->log, k->left, t, NULL);
	plan_check_end(k, twin->log, k->arrived, t, NULL);
}

// Returns NULL, or what is wrong, in `check`: every channel must leave one task and reach one, both
// of which know it; and instances must fit each other.
static inline const char *plan_problem(struct plan_check *check, const struct job_plan *plan)
{
	*check = (struct plan_check){.plan = plan};
	check->left = calloc(plan->channel_count + 1, sizeof(uint32_t));
	check->arrived = calloc(plan->channel_count + 1, sizeof(uint32_t));
	for (uint32_t t = 0; t < plan->task_count; t++) {
		PLAN_EXPECT(check, plan->tasks[t].worker < plan->worker_count,
			"task %u: no worker %u", t, plan->tasks[t].worker);
		plan_check_edges(check, t);
		plan_check_inputs(check, t);
		plan_check_twin(check, t);
	}
	for (uint32_t c = 0; c < plan->channel_count; c++)
		PLAN_EXPECT(check, check->left[c] == 1 && check->arrived[c] == 1,
			"channel %u: leaves %u tasks and reaches %u", c, check->left[c],
			check->arrived[c]);
	free(check->left);
	free(check->arrived);
	return check->problem[0] == 0 ? NULL : check->problem;
}

static inline const struct workload_participant *plan_participant(uint32_t worker,
	const struct workload_participant *participants)
{
	while (worker - participants->first_worker >= participants->workers)
		participants++;
	return participants;
}

// Returns the first task that shares its twin's host (or rack), or PLAN_NONE.
static inline uint32_t plan_beside_twin(const struct job_plan *plan,
	const struct workload_participant *participants, bool rack)
{
	for (uint32_t t = 0; t < plan->task_count; t++) {
		const struct plan_task *task = &plan->tasks[t];
		if (task->standing == PLAN_SINGLE)
			continue;
		const struct workload_participant *a = plan_participant(task->worker, participants);
		const struct workload_participant *b =
			plan_participant(plan->tasks[task->twin].worker, participants);
		if (a == b || strcmp(rack ? a->rack : a->host, rack ? b->rack : b->host) == 0)
			return t;
	}
	return PLAN_NONE;
}
