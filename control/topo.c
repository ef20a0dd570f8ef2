#include "control/topo.h"

#include "control/commands.h"
#include "control/core_claim.h"
#include "control/cpus.h"
#include "control/planner.h"
#include "control/units.h"
#include "numa/draw.h"

#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { DONE = 0, FAILED = 1, WRONG_USE = 2, KEY_XML = 0x100, KEY_SYNTHETIC, KEY_CPUS, KEY_JSON };

struct topo {
	enum topology_kind kind;
	const char *text; // of the XML file's path or the description
	struct placement_request request;
	unsigned taken[CORE_CLAIM_MAX];
	const char *file; // of the job, NULL: place only workers
	const char **sets;
	uint32_t set_count;
	struct job *job;
	struct planned_job planned;
	struct heap heap;
	bool json;
};

static const char doc[] =
	"Draw a host, which worker and which tasks of a job would run on which of its PUs, and "
	"why. The host is this one, as far as taskset and cgroup leave it to us, or one that is "
	"described.\v"
	"  weir topo\n"
	"  weir topo examples/nexmark/q5.yaml\n"
	"  weir topo --workers 8 --synthetic \"pack:2 [numa] l3:8 core:8 pu:2\"\n"
	"  lstopo host.xml; weir topo --xml host.xml --json\n";

static const struct argp_option options[] = {
	{"xml", KEY_XML, "FILE", 0, "A host that hwloc's `lstopo FILE.xml` has described", 0},
	{"synthetic", KEY_SYNTHETIC, "TEXT", 0,
		"A host in hwloc's words, as \"numa:2 core:8 pu:2\"", 0},
	{"workers", 'w', "N", 0, "Worker threads; by default all cores but one, at least 1", 0},
	{"cpus", KEY_CPUS, "LIST", 0, "Put worker i on the i-th of these PUs, as 2-5,8", 0},
	{"set", 's', "OPERATOR.PARAMETER=VALUE", 0, "Change the job before it is checked", 0},
	{"json", KEY_JSON, NULL, 0, "Print JSON", 0},
	{0},
};

static void take_workers(struct topo *topo, const char *argument, struct argp_state *state)
{
	int64_t count;
	if (units_parse(WEIR_PARAM_INT, argument, &count) || count < 1 || count > UINT16_MAX)
		argp_error(state, "--workers %s: write a whole number from 1 on", argument);
	topo->request.workers = count;
}

static void take_cpus(struct topo *topo, const char *argument, struct argp_state *state)
{
	unsigned *cpus;
	uint32_t count;
	const char *wrong = cpus_parse(&topo->heap, argument, &cpus, &count);
	if (wrong)
		argp_error(state, "--cpus %s %s", argument, wrong);
	topo->request.cpus = cpus;
	topo->request.cpu_count = count;
}

static void take_host(struct topo *topo, enum topology_kind kind, const char *text,
	struct argp_state *state)
{
	if (topo->text)
		argp_error(state, "%s is a second host; give one --xml or --synthetic", text);
	topo->kind = kind;
	topo->text = text;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct topo *topo = state->input;
	switch (key) {
	case KEY_XML:
		take_host(topo, TOPOLOGY_XML, argument, state);
		return 0;
	case KEY_SYNTHETIC:
		take_host(topo, TOPOLOGY_SYNTHETIC, argument, state);
		return 0;
	case 'w':
		take_workers(topo, argument, state);
		return 0;
	case KEY_CPUS:
		take_cpus(topo, argument, state);
		return 0;
	case 's':
		topo->sets[topo->set_count++] = argument;
		return 0;
	case KEY_JSON:
		topo->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "name one job file; %s is a second", argument);
		topo->file = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int report_load(const struct topo *topo, int rc)
{
	if (topo->kind == TOPOLOGY_XML)
		fprintf(stderr, "--xml %s: %s; give a file that `lstopo FILE.xml` has written\n",
			topo->text, rc == -EINVAL ? "no topology of hwloc" : strerror(-rc));
	else if (topo->kind == TOPOLOGY_SYNTHETIC)
		fprintf(stderr,
			"--synthetic \"%s\": %s; describe a host as in "
			"\"pack:2 [numa] l3:8 core:8 pu:2\"\n",
			topo->text,
			rc == -EINVAL ? "no description that hwloc knows" : strerror(-rc));
	else
		fprintf(stderr, "this host cannot be read: %s\n", strerror(-rc));
	return topo->kind == TOPOLOGY_HOST ? FAILED : WRONG_USE;
}

static int print(const struct topo *topo, const struct topology *topology,
	const struct placement *placement)
{
	int rc = 0;
	if (topo->json)
		rc = topo_json(stdout, topology, topo->request.graph, placement);
	else
		draw_host(stdout, topology, topo->request.graph, placement);
	if (!rc && (fflush(stdout) || ferror(stdout)))
		rc = -EIO;
	if (rc)
		fprintf(stderr, "the output cannot be written: %s\n", strerror(-rc));
	return rc ? FAILED : DONE;
}

static int place(const struct topo *topo, const struct topology *topology)
{
	struct placement placement;
	char error[256] = "";
	int rc = placement_compute(topology, &topo->request, &placement, error, sizeof(error));
	if (rc) {
		const char *place = topo->file ? topo->file : "topo";
		fprintf(stderr, "%s: %s\n", place, *error ? error : strerror(-rc));
		return rc == -EINVAL ? WRONG_USE : FAILED;
	}
	int code = print(topo, topology, &placement);
	placement_destroy(&placement);
	return code;
}

// Load and plan the job for as many workers as it will get.
static int plan(struct topo *topo, const struct topology *topology)
{
	struct placement_request *request = &topo->request;
	const struct job_source source = {.file = topo->file,
		.sets = topo->sets,
		.set_count = topo->set_count,
		.kinds = weir_operators};
	job_load(topo->job, &source);
	if (topo->job->errors.count == 0) {
		unsigned usual = placement_workers_default(topology);
		if (!request->workers)
			request->workers =
				request->cpus ? request->cpu_count : job_workers(topo->job, usual);
		if (!request->cpus) {
			request->cpus = topo->job->cpus;
			request->cpu_count = topo->job->cpu_count;
		}
		planner_plan(topo->job, request->workers, &topo->planned);
		request->graph = &topo->planned.graph;
	}
	errors_print(&topo->job->errors, stderr);
	return topo->job->errors.count ? WRONG_USE : DONE;
}

static int plan_and_place(struct topo *topo, const struct topology *topology)
{
	if (topo->kind == TOPOLOGY_HOST) { // others say nothing of jobs
		topo->request.taken = topo->taken;
		topo->request.taken_count = core_claim_others(topo->taken, CORE_CLAIM_MAX);
	}
	if (!topo->file)
		return place(topo, topology);
	topo->job = calloc(1, sizeof(*topo->job));
	if (!topo->job)
		return FAILED;
	int code = plan(topo, topology);
	if (code == DONE)
		code = place(topo, topology);
	job_destroy(topo->job);
	free(topo->job);
	return code;
}

int topo_command(int argc, char **argv)
{
	static const struct argp argp = {options, parse, "[JOB.yaml]", doc, NULL, NULL, NULL};
	struct topo topo = {.kind = TOPOLOGY_HOST, .sets = calloc(argc, sizeof(char *))};
	struct topology topology;
	argp_err_exit_status = WRONG_USE;
	argp_parse(&argp, argc, argv, 0, NULL, &topo);
	int rc = topology_load(topo.kind, topo.text, NULL, 0, &topology);
	int code = rc ? report_load(&topo, rc) : plan_and_place(&topo, &topology);
	if (!rc)
		topology_destroy(&topology);
	heap_destroy(&topo.heap);
	free(topo.sets);
	return code;
}
