
		.file = "f", .text = (const char *)data, .bytes = bytes, .kinds = job_kinds};
		.text = bytes ? (const char *)data : "", .bytes = bytes, .kinds = weir_operators};
		VERIFY(job->operators[i].id && job->operators[i].kind && job->operators[i].plan);
		VERIFY(line->text && *line->text && !strchr(line->text, '\n') && line->file);
		VERIFY(planner_plan(&job, 2, &planned) == 0 || job.errors.count > 0);
		check_sound(&job);
		const struct error_line *line = &job->errors.lines[i];
		nowhere = fopen("/dev/null", "w");
	VERIFY(job->order_count == job->operator_count);
	VERIFY(nowhere && job->name && job->operator_count > 0);
	check_errors(&job);
	const struct job_source source = {.file = "fuzz.yaml",
	for (uint32_t i = 0; i < job->operator_count; i++)
	for (uint32_t i = 0; i < shown; i++) {
	if (!nowhere)
	if (job.errors.count == 0)
	job_load(&job, &source);
	job_print_types(job, nowhere);
	static FILE *nowhere;
	static struct job job;
	struct job_source source = {
	struct planned_job planned;
	uint32_t shown = job->errors.count < ERRORS_MAX ? job->errors.count : ERRORS_MAX;
	}
#include "control/job.h"
#include "control/planner.h"
#include "fuzz.h"
#include "numa/assert.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/job_kinds.h"
#include <stdio.h>
#include <string.h>
// Any bytes as a job file: read, checked against the kinds built in, typed and planned.
// Job files: whatever is in one, it loads or says why not, with a place, and gives back its memory.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
static void check_errors(const struct job *job)
static void check_sound(const struct job *job)
{
}
	job_destroy(&job);
	return 0;
}
