// Job files: whatever is in one, it loads and is planned, with replicas, or says why not, with a
// place, and gives back its memory. Once with kinds made for tests and once with those built in.
#include <stdio.h>
#include <string.h>

#include "control/job_recovery.h"
#include "control/replicas.h"
#include "control/spread.h"
#include "numa/assert.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/job_kinds.h"
#include "tests/unit/plan_check.h"

static void check_sound(const struct job *job)
{
	static FILE *nowhere;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	VERIFY(nowhere && job->name && job->operator_count > 0);
	VERIFY(job->order_count == job->operator_count);
	for (uint32_t i = 0; i < job->operator_count; i++)
		VERIFY(job->operators[i].id && job->operators[i].kind && job->operators[i].plan);
	job_print_types(job, nowhere);
}

static void check_errors(const struct job *job)
{
	uint32_t shown = job->errors.count < ERRORS_MAX ? job->errors.count : ERRORS_MAX;

	for (uint32_t i = 0; i < shown; i++) {
		const struct error_line *line = &job->errors.lines[i];
		VERIFY(line->text && *line->text && !strchr(line->text, '\n') && line->file);
	}
}

static void check_planned(struct job *job)
{
	static const struct workload_participant nodes[] = {
		{.node = "a", .workers = 1, .host = "a", .rack = "a"},
		{.node = "b", .first_worker = 1, .workers = 1, .host = "b", .rack = "b"}};
	struct planned_job planned;
	struct plan_check check;

	if (planner_plan(job, 2, &planned) < 0) {
		VERIFY(job->errors.count > 0);
		return;
	}
	VERIFY(planned.plan.task_count > 0);
	spread_tasks(&planned, &job->heap, 2);
	VERIFY(plan_problem(&check, &planned.plan) == NULL);
	if (job_recovery(job) == NULL)
		return;
	uint32_t before = planned.plan.task_count;
	if (replicas_plan(job, &planned, nodes, 2) < 0) {
		VERIFY(job->errors.count > 0);
		return;
	}
	VERIFY(planned.plan.hot && planned.plan.task_count > before);
	VERIFY(plan_problem(&check, &planned.plan) == NULL);
	VERIFY(plan_beside_twin(&planned.plan, nodes, false) == PLAN_NONE);
}

static void try(const uint8_t *data, size_t bytes, const struct weir_operator *const *kinds)
{
	static struct job job;
	const struct job_source source = {.file = "f",
		.text = bytes ? (const char *)data : "",
		.bytes = bytes,
		.kinds = kinds};

	job_load(&job, &source);
	if (job.errors.count == 0) {
		check_sound(&job);
		check_planned(&job);
	}
	check_errors(&job);
	job_destroy(&job);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	try(data, bytes, job_kinds);
	try(data, bytes, weir_operators);
	return 0;
}
