// Job files: whatever is in one, it loads or says why not, with a place, and gives back its memory.
#include <stdio.h>
#include <string.h>

#include "control/job.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct job_source source = {
		.file = "f", .text = (const char *)data, .bytes = bytes, .kinds = job_kinds};
	static struct job job;

	job_load(&job, &source);
	if (job.errors.count == 0)
		check_sound(&job);
	check_errors(&job);
	job_destroy(&job);
	return 0;
}
