// build/tests/sim --seeds A..B | --seed N: whole jobs of production code in virtual time. Checked
// on every seed: the output equals a naive model's, and a killed task's successor sends the same
// items under the same numbers.
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "numa/assert.h"
#include "tests/sim/capture.h"
#include "tests/sim/model.h"
#include "tests/sim/world.h"

struct options {
	uint64_t first, last;
	bool verbose;
	uint32_t processes;
};

static void print_row(const char *what, const struct rows *rows, size_t i)
{
	fprintf(stderr, "  %s row %zu of %zu:", what, i, rows->count);
	for (int v = 0; i < rows->count && v < ROW_WIDTH; v++)
		fprintf(stderr, " %" PRId64, rows->rows[i].values[v]);
	fputc('\n', stderr);
}

static void gather_output(struct rows *out)
{
	for (uint32_t i = 0; i < CAPTURE_TASKS_MAX; i++)
		for (size_t j = 0; j < capture_rows[i].count; j++)
			rows_add(out, &capture_rows[i].rows[j]);
	rows_sort(out);
}

// An interrupted job has fired its windows up to some time, all of them whole.
static void cut_model(const struct scenario *s, const struct rows *output, struct rows *model)
{
	size_t kept = 0;
	int64_t last = output->count == 0 ? INT64_MIN : output->rows[output->count - 1].values[0];
	if (!s->window) { // a part of the rows, in no particular places
		size_t at = 0;
		for (size_t i = 0; i < model->count && at < output->count; i++)
			if (row_compare(&model->rows[i], &output->rows[at]) == 0)
				model->rows[kept++] = output->rows[at++];
	} else {
		while (kept < model->count && model->rows[kept].values[0] <= last)
			kept++;
	}
	model->count = kept;
}

static bool check_output(const struct scenario *s)
{
	struct rows output = {0}, model = {0};
	gather_output(&output);
	model_compute(s, &model);
	if (s->interrupt_ns != 0)
		cut_model(s, &output, &model);
	size_t at = rows_difference(&output, &model);
	if (at != SIZE_MAX) {
		fprintf(stderr, "seed %" PRIu64 ": the output differs from the model\n", s->seed);
		print_row("output", &output, at);
		print_row("model ", &model, at);
	}
	rows_free(&output);
	rows_free(&model);
	return at == SIZE_MAX;
}

static bool run_seed(uint64_t seed, bool verbose)
{
	struct scenario scenario;
	struct world world;
	scenario_draw(&scenario, seed);
	bool good = world_create(&world, &scenario);
	if (good) {
		world_run(&world);
		good = !world.violated && check_output(&scenario);
	}
	if (!good || verbose)
		fprintf(stderr, "seed %" PRIu64 ": %" PRIu64 " rounds, %u deaths, job:\n%s", seed,
			world.steps, world.deaths, scenario.job);
	world_destroy(&world);
	return good;
}

// A child takes every n-th seed; its exit status says whether any was violated, its last words
// on the pipe how many. A child that dies names its seed.
static uint64_t run_share(const struct options *o, uint32_t share, uint64_t *current)
{
	uint64_t violations = 0;
	for (uint64_t seed = o->first + share; seed <= o->last; seed += o->processes) {
		*current = seed;
		violations += !run_seed(seed, o->verbose);
	}
	return violations;
}

static uint64_t current_seed;

static void name_seed(int signal_number)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "seed %" PRIu64 ": died of signal %d\n",
		current_seed, signal_number);
	if (write(STDERR_FILENO, text, (size_t)length) == length)
		_exit(3);
	_exit(3);
}

static int child(const struct options *o, uint32_t share, int out)
{
	bool huge;
	signal(SIGABRT, name_seed);
	signal(SIGSEGV, name_seed);
	if (engine_eal_start(128u << 20, &huge) != 0)
		return 2;
	uint64_t violations = run_share(o, share, &current_seed);
	return write(out, &violations, sizeof(violations)) == sizeof(violations) ? 0 : 2;
}

static uint64_t run_all(const struct options *o, bool *ret_broken)
{
	uint64_t violations = 0;
	int pipes[64][2];
	pid_t pids[64];
	for (uint32_t i = 0; i < o->processes; i++) {
		VERIFY(pipe(pipes[i]) == 0);
		pids[i] = fork();
		VERIFY(pids[i] >= 0);
		if (pids[i] == 0)
			exit(child(o, i, pipes[i][1]));
		close(pipes[i][1]);
	}
	for (uint32_t i = 0; i < o->processes; i++) {
		uint64_t found = 0;
		int status;
		if (read(pipes[i][0], &found, sizeof(found)) != sizeof(found))
			found = 1; // it died: at least the seed it named
		waitpid(pids[i], &status, 0);
		*ret_broken |= WIFEXITED(status) && WEXITSTATUS(status) == 2;
		violations += found;
	}
	return violations;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;
	switch (key) {
	case 's':
		o->first = strtoull(text, &end, 10);
		if (strncmp(end, "..", 2) != 0)
			argp_error(state, "--seeds: %s: give a range, as 1..2000", text);
		o->last = strtoull(end + 2, &end, 10);
		if (*end != 0 || o->last < o->first)
			argp_error(state, "--seeds: %s: give a range, as 1..2000", text);
		return 0;
	case 'n':
		o->first = o->last = strtoull(text, &end, 10);
		if (*end != 0)
			argp_error(state, "--seed: %s: give a number", text);
		return 0;
	case 'p':
		o->processes = (uint32_t)strtoul(text, &end, 10);
		if (*end != 0 || o->processes < 1 || o->processes > 64)
			argp_error(state, "--processes: %s: give 1 to 64", text);
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int main(int argc, char **argv)
{
	static const struct argp_option table[] = {
		{"seeds", 's', "A..B", 0, "Run these seeds (default 1..100)", 0},
		{"seed", 'n', "N", 0, "Run one seed again, in the very same way", 0},
		{"processes", 'p', "N", 0, "Share the seeds among N processes (default 1)", 0},
		{"verbose", 'v', NULL, 0, "Say what every seed runs", 0},
		{0},
	};
	static const struct argp argp = {table, parse, NULL,
		"Run whole jobs in virtual time, each from a seed that chooses the job, the order "
		"of steps, batch cuts, ring sizes, stalls and deaths, and check them.",
		NULL, NULL, NULL};
	struct options o = {.first = 1, .last = 100, .processes = 1};
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	bool broken = false;
	uint64_t violations = run_all(&o, &broken);
	printf("%" PRIu64 " seeds, %" PRIu64 " violations\n", o.last - o.first + 1, violations);
	return broken ? 2 : violations != 0;
}
