#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "control/controller_parts.h"
#include "control/job_recovery.h"
#include "control/planner.h"
#include "numa/assert.h"

// What `weir check` would print.
static char *print_errors(struct job *job)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	VERIFY(out);
	errors_print(&job->errors, out);
	VERIFY(fclose(out) == 0 && text);
	return text;
}

static void check(struct job *job, const Weir__JobSpec *spec,
	const struct weir_operator *const *kinds)
{
	struct planned_job planned;
	const struct job_source source = {.file = *spec->file ? spec->file : "job",
		.text = (const char *)spec->text.data,
		.bytes = spec->text.len,
		.sets = (const char *const *)spec->sets,
		.set_count = (uint32_t)spec->n_sets,
		.kinds = kinds};
	job_load(job, &source);
	if (job->errors.count == 0 && job->cpu_count > 0)
		errors_add(&job->errors, source.file, 0,
			"workers.cpus: CPUs are a setting of each node in a cluster; remove it");
	if (job->errors.count == 0)
		planner_plan(job, job_workers(job, 2), &planned);
}

// The same token gives the same id.
static void make_id(char *id, size_t bytes, const char *name, const char *token)
{
	uint64_t hash = XXH3_64bits(token, strlen(token));
	snprintf(id, bytes, "%.*s-%08x", MESSAGE_NAME_MAX - 16, name, (uint32_t)hash);
}

static Weir__Survive survive_of(const struct job *job)
{
	const struct weir_value *recovery = job_recovery(job);
	if (recovery == NULL)
		return WEIR__SURVIVE__SURVIVE_NOTHING;
	return weir_param_int(recovery, "survive", RECOVERY_HOST) == RECOVERY_RACK
		? WEIR__SURVIVE__SURVIVE_RACK
		: WEIR__SURVIVE__SURVIVE_HOST;
}

Weir__JobRecord *submission_check(const Weir__JobSpec *spec, const char *token,
	const struct weir_operator *const *kinds, char **ret_errors)
{
	char id[MESSAGE_NAME_MAX + 1];
	Weir__JobRecord record = WEIR__JOB_RECORD__INIT, *copy = NULL;
	struct job *job = calloc(1, sizeof(*job));
	VERIFY(job);
	check(job, spec, kinds);
	if (job->errors.count > 0) {
		*ret_errors = print_errors(job);
	} else {
		make_id(id, sizeof(id), job->name, token);
		record.format = MESSAGE_VERSION;
		record.id = id;
		record.name = (char *)job->name;
		record.token = (char *)token;
		record.workers = job_workers(job, 0);
		record.survive = survive_of(job);
		copy = record_copy(&record);
	}
	job_destroy(job);
	free(job);
	return copy;
}
