// build/tests/sim --seeds A..B | --seed N: whole jobs of production code in virtual time. Checked
// on every seed: the output equals a naive model's; a killed task's successor sends the same items
// under the same numbers, each to where its key belongs and none behind a watermark that promised
// otherwise; each item is consumed once, nothing is dropped, no mbuf and no state memory is lost.
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "numa/assert.h"
#include "tests/sim/capture.h"
#include "tests/sim/cluster/cluster.h"
#include "tests/sim/files.h"
#include "tests/sim/output.h"
#include "tests/sim/replicas.h"
#include "tests/sim/scale.h"
#include "tests/sim/takeover.h"
#include "tests/sim/trace.h"
#include "tests/sim/transport.h"
#include "tests/sim/whole/whole.h"
#include "tests/sim/world.h"

enum { PROCESSES_MAX = 64, SEED_SECONDS_MAX = 120 };
enum { EAL_BYTES = 256 << 20 };
enum { CHILD_BROKEN = 2, CHILD_DIED = 3 };
enum { SIZES_MAX = 8 };

struct options {
	uint64_t first, last;
	bool verbose;
	bool until; // the first violation
	bool (*run)(uint64_t seed, bool verbose);
	uint32_t processes;
	bool scale;
	uint32_t sizes[SIZES_MAX], size_count;
};

static bool run_seed(uint64_t seed, bool verbose)
{
	struct scenario scenario;
	struct world world;
	scenario_draw(&scenario, seed);
	bool good = world_create(&world, &scenario);
	if (good) {
		world_run(&world);
		good = !world.violated;
		for (uint32_t i = 0; i < scenario.query_count && good; i++)
			good = output_check(&scenario, i);
	}
	if (!good || verbose)
		fprintf(stderr,
			"seed %" PRIu64 ": %" PRIu64 " rounds, %u deaths, %" PRIu64
			" key groups absent, %" PRIu64 " of them needed, %" PRIu64
			" waits for them, job:\n%s",
			seed, world.steps, world.deaths, world.groups, world.groups_needed,
			world.group_waits, scenario.job);
	world_destroy(&world);
	return good;
}

static bool run_replicas_seed(uint64_t seed, bool verbose)
{
	static struct replica_world world;
	struct scenario scenario;
	scenario_draw_replicas(&scenario, seed);
	bool good = replica_world_create(&world, &scenario);
	if (good) {
		replica_world_run(&world);
		replica_world_gather(&world);
		good = !world.violated;
		for (uint32_t i = 0; i < scenario.query_count && good; i++)
			good = output_check(&scenario, i);
	}
	if (!good || verbose)
		fprintf(stderr,
			"seed %" PRIu64 ": %" PRIu64 " rounds, %.3f ms, %u nodes of %u, %u lost, "
			"job:\n%s",
			seed, world.rounds, (double)world.now_ns / 1e6, world.node_count,
			world.node_workers, world.losses, scenario.job);
	replica_seen_add(&world);
	world.violated |= !good;
	replica_world_destroy(&world);
	return !world.violated;
}

// What the processes know of each other, in memory they share.
struct progress {
	atomic_uint_fast64_t first_violation;
	uint64_t seeds[PROCESSES_MAX], violations[PROCESSES_MAX]; // run, and violated, by each
	uint64_t current[PROCESSES_MAX];
};

static struct progress *progress;
static uint32_t share; // which of the processes this is

static void note_violation(uint32_t of_share, uint64_t seed)
{
	uint64_t first = atomic_load(&progress->first_violation);
	while (seed < first &&
		!atomic_compare_exchange_weak(&progress->first_violation, &first, seed)) {
	}
	progress->violations[of_share]++;
}

static bool is_wanted(const struct options *o, uint64_t seed)
{
	return seed <= o->last && (!o->until || seed < atomic_load(&progress->first_violation));
}

static void name_seed(int signal_number)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "seed %" PRIu64 ": died of signal %d\n",
		progress->current[share], signal_number);
	if (write(STDERR_FILENO, text, (size_t)length) == length)
		_exit(CHILD_DIED);
	_exit(CHILD_DIED);
}

// A child takes every n-th seed from `seed` on.
static int child(const struct options *o, uint64_t seed)
{
	bool huge;
	signal(SIGABRT, name_seed);
	signal(SIGSEGV, name_seed);
	signal(SIGBUS, name_seed);
	signal(SIGFPE, name_seed);
	if (engine_eal_start(EAL_BYTES, &huge) != 0)
		return CHILD_BROKEN;
	for (; is_wanted(o, seed); seed += o->processes) {
		progress->current[share] = seed;
		progress->seeds[share]++;
		alarm(SEED_SECONDS_MAX); // dies of it: one step never ends
		if (!o->run(seed, o->verbose))
			note_violation(share, seed);
	}
	return 0;
}

static pid_t start(const struct options *o, uint32_t of_share, uint64_t seed)
{
	pid_t pid = fork();
	VERIFY(pid >= 0);
	if (pid != 0)
		return pid;
	share = of_share;
	exit(child(o, seed));
}

// A child that died leaves its seed as violated, and another goes on behind it.
static bool run_all(const struct options *o)
{
	pid_t pids[PROCESSES_MAX];
	bool broken = false;
	uint32_t running = o->processes;
	for (uint32_t i = 0; i < o->processes; i++)
		pids[i] = start(o, i, o->first + i);
	while (running > 0) {
		int status;
		pid_t pid = wait(&status);
		uint32_t i = 0;
		while (pids[i] != pid)
			i++;
		if (WIFEXITED(status) && WEXITSTATUS(status) != CHILD_DIED) {
			broken |= WEXITSTATUS(status) != 0;
			running--;
			continue;
		}
		if (WIFSIGNALED(status))
			fprintf(stderr, "seed %" PRIu64 ": killed by signal %d\n",
				progress->current[i], WTERMSIG(status));
		note_violation(i, progress->current[i]);
		pids[i] = start(o, i, progress->current[i] + o->processes);
	}
	return broken;
}

static void parse_sizes(struct options *o, const char *text, struct argp_state *state)
{
	char *end = (char *)text;
	o->size_count = 0;
	do {
		uint64_t nodes = strtoull(end, &end, 10);
		if (nodes < 2 || nodes > SCALE_NODES_MAX || nodes % 2 != 0 ||
			o->size_count == SIZES_MAX)
			argp_error(state, "--nodes: %s: give up to %d even numbers of up to %d",
				text, SIZES_MAX, SCALE_NODES_MAX);
		o->sizes[o->size_count++] = (uint32_t)nodes;
	} while (*end++ == ',');
	if (end[-1] != 0)
		argp_error(state, "--nodes: %s: give numbers, as 10,100,1000", text);
}

static int run_scale(const struct options *o)
{
	struct scale_result results[SIZES_MAX];
	bool good = true;
	for (uint32_t i = 0; i < o->size_count; i++) {
		scale_run(o->sizes[i], &results[i]);
		good &= results[i].good;
	}
	scale_print(results, o->size_count);
	return !good;
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
		if (*end != 0 || o->processes < 1 || o->processes > PROCESSES_MAX)
			argp_error(state, "--processes: %s: give 1 to 64", text);
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'c':
		o->run = cluster_run_seed;
		return 0;
	case 'u':
		o->until = true;
		return 0;
	case 'r':
		o->run = run_replicas_seed;
		replica_seen_create();
		setenv("WEIR_SMALL_PAGES", "1", 1); // it fills its pools anew for every seed
		return 0;
	case 'l':
		o->scale = true;
		return 0;
	case 'o':
		parse_sizes(o, text, state);
		return 0;
	case 'f':
		o->run = files_run_seed;
		return 0;
	case 'w':
		o->run = whole_run_seed;
		whole_seen_create();
		setenv("WEIR_SMALL_PAGES", "1", 1); // it fills its pools anew for every seed
		return 0;
	case 'k':
		o->run = takeover_run_seed;
		setenv("WEIR_SMALL_PAGES", "1", 1);
		takeover_create();
		return 0;
	case 'x':
		trace_to(text);
		return 0;
	case 't':
		o->run = transport_run_seed;
		setenv("WEIR_SMALL_PAGES", "1", 1); // it fills its pools anew for every seed
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
		{"cluster", 'c', NULL, 0,
			"Controllers and nodes, metadata and messages that fail, in place of jobs",
			0},
		{"files", 'f', NULL, 0, "Jobs whose sinks write files, while tasks die", 0},
		{"until-violation", 'u', NULL, 0, "Stop at the first violation", 0},
		{"transport", 't', NULL, 0, "Run the transport alone, over a bad network", 0},
		{"replicas", 'r', NULL, 0,
			"Jobs across nodes, their tasks with hot replicas, and nodes that die", 0},
		{"whole", 'w', NULL, 0,
			"All of it at once: the cluster, and jobs that run on its nodes", 0},
		{"takeover", 'k', NULL, 0,
			"How long replicas take to take over, with the time that steps took here",
			0},
		{"scale", 'l', NULL, 0,
			"How far one leader goes, with the time that its steps took here", 0},
		{"nodes", 'o', "N,…", 0, "With --scale: how many (default 10,100,1000)", 0},
		{"trace", 'x', "FILE", 0,
			"With --replicas, --cluster or --whole: append to FILE what happened", 0},
		{"verbose", 'v', NULL, 0, "Say what every seed runs", 0},
		{0},
	};
	static const struct argp argp = {table, parse, NULL,
		"Run whole jobs in virtual time, each from a seed that chooses the job, the order "
		"of steps, batch cuts, ring sizes, stalls and deaths, and check them.",
		NULL, NULL, NULL};
	struct options o = {.first = 1,
		.last = 100,
		.processes = 1,
		.run = run_seed,
		.sizes = {10, 100, 1000},
		.size_count = 3};
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.scale)
		return run_scale(&o);
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	VERIFY(progress != MAP_FAILED);
	atomic_store(&progress->first_violation, UINT64_MAX);
	bool broken = run_all(&o);
	uint64_t seeds = 0, violations = 0;
	for (uint32_t i = 0; i < o.processes; i++) {
		seeds += progress->seeds[i];
		violations += progress->violations[i];
	}
	if (o.run == run_replicas_seed)
		replica_seen_print();
	if (o.run == whole_run_seed)
		whole_seen_print();
	if (o.run == takeover_run_seed)
		takeover_print();
	if (violations != 0)
		printf("first violation: seed %" PRIu64 "\n",
			(uint64_t)atomic_load(&progress->first_violation));
	printf("%" PRIu64 " seeds, %" PRIu64 " violations\n", seeds, violations);
	return broken ? 2 : violations != 0;
}
