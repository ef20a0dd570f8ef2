// Job files: whatever is in one, it loads and is planned or says why not, with a place, and gives
// back its memory. Once with kinds made for tests and once with those built in.
#include <stdio.h>
#include <string.h>

#include "control/planner.h"
#include "numa/assert.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/job_kinds.h"

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
	struct planned_job planned;

	if (planner_plan(job, 2, &planned) < 0) {
		VERIFY(job->errors.count > 0);
		return;
	}
	VERIFY(planned.plan.task_count > 0);
	for (uint32_t i = 0; i < planned.plan.channel_count; i++)
		VERIFY(planned.plan.channels[i].to < planned.plan.task_count);
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
