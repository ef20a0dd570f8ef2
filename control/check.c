#include <argp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "control/commands.h"
#include "control/planner.h"

static const char doc[] =
	"Check job files, down to the types along every edge, without running them.\v"
	"Every mistake is one line, `file:line: path: what is wrong; how to mend it`, and the exit "
	"code is then 2.\n\n"
	"  weir check examples/nexmark/*.yaml\n"
	"  weir check --types --set hourly.window.tumbling=2h examples/flights/delays.yaml\n";

struct check {
	bool types;
	const char **sets;
	uint32_t set_count;
	char **files;
	int file_count;
};

static const struct argp_option options[] = {
	{"set", 's', "OPERATOR.PARAMETER=VALUE", 0, "Change the job before it is checked", 0},
	{"types", 't', NULL, 0, "Print the fields that every operator gives", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct check *check = state->input;
	switch (key) {
	case 's':
		check->sets[check->set_count++] = argument;
		return 0;
	case 't':
		check->types = true;
		return 0;
	case ARGP_KEY_ARGS:
		check->files = state->argv + state->next;
		check->file_count = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "name at least one job file");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

// Plan as well: some mistakes show only once there are tasks.
static bool check_file(const struct check *check, const char *file)
{
	struct job *job = calloc(1, sizeof(*job));
	struct planned_job planned;
	const struct job_source source = {.file = file,
		.sets = check->sets,
		.set_count = check->set_count,
		.kinds = weir_operators};
	job_load(job, &source);
	if (job->errors.count == 0)
		planner_plan(job, job_workers(job, 2), &planned);
	bool sound = job->errors.count == 0;
	errors_print(&job->errors, stderr);
	if (sound)
		printf("%s: ok\n", file);
	if (sound && check->types)
		job_print_types(job, stdout);
	job_destroy(job);
	free(job);
	return sound;
}

int check_command(int argc, char **argv)
{
	static const struct argp argp = {options, parse, "FILE...", doc, NULL, NULL, NULL};
	struct check check = {.sets = calloc((size_t)argc, sizeof(char *))};
	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &check);
	bool sound = true;
	for (int i = 0; i < check.file_count; i++)
		sound = check_file(&check, check.files[i]) && sound;
	free(check.sets);
	return sound ? 0 : 2;
}
