#include "control/run.h"

#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "control/commands.h"
#include "control/core_claim.h"
#include "control/job_recovery.h"
#include "control/planner.h"
#include "control/progress.h"
#include "control/report.h"
#include "control/units.h"
#include "dataplane/output_file.h"

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USE = 2,
	POLL_MS = 2,
	PROGRESS_POLLS = 250,
	REPORT_BUFFER_BYTES = 64 << 10,
};

struct run {
	const struct run_options *options;
	struct job job;
	struct planned_job planned;
	struct node *node;
	struct engine *engine;
	struct core_claim cores;
	sigset_t stops;
	int signals; // signalfd
	uint32_t interrupts;
	bool report_open;
	struct output_file report_file;
	uint8_t report_buffer[REPORT_BUFFER_BYTES];
	char error[1024];
};

static int fail(struct run *run, const char *what)
{
	fprintf(stderr, "%s: %s\n", run->options->file, what);
	return EXIT_FAILED;
}

// What stops a job. It is blocked before anything is left to clean up and before any thread
// starts, which all inherit it. A terminal that goes counts, unless nohup has it ignored.
static void block_signals(struct run *run)
{
	struct sigaction hangup;
	sigemptyset(&run->stops);
	sigaddset(&run->stops, SIGINT);
	sigaddset(&run->stops, SIGTERM);
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaddset(&run->stops, SIGHUP);
	signal(SIGXFSZ, SIG_IGN); // a sink then gets an error, and says which file it was
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &run->stops, NULL);
}

static void warn_alone(struct run *run)
{
	if (job_recovery(&run->job) == NULL)
		return;
	const struct weir_value *at = weir_param_find(run->job.raw, "recovery");
	struct errors warning = {.heap = &run->job.heap};
	errors_add(&warning, at->file, at->line,
		"recovery: this is one process on one host, and nothing survives the host; the job "
		"runs without replicas, which `weir submit` gives it");
	errors_print(&warning, stderr);
}

static enum node_wait wait_of(const struct run *run)
{
	const struct weir_value *workers = weir_param_find(run->job.settings, "workers");
	int64_t otherwise = run->planned.shares_cpu ? NODE_WAIT_YIELD : NODE_WAIT_SPIN;
	return (enum node_wait)weir_param_int(workers, "wait", otherwise);
}

// Who polls a core that another job polls halves both, and neither would know.
static void claim_cores(struct run *run)
{
	const struct job_plan *plan = &run->planned.plan;
	int taken = core_claim_take(&run->cores, run->planned.worker_cpus, plan->worker_count);
	if (taken >= 0 && wait_of(run) == NODE_WAIT_SPIN)
		fprintf(stderr,
			"%s: CPU %d runs a worker of another weir as well, and the two slow each "
			"other; set workers.wait: yield, or other cores with workers.cpus\n",
			run->options->file, taken);
}

static bool is_used(const struct placement *placement, unsigned cpu)
{
	for (size_t i = 0; i < placement->worker_count; i++)
		if (placement->workers[i].pu == cpu)
			return true;
	return false;
}

// A CPU that the job would have had if it were alone, and another job has; -1: there is none.
static int given_way(const struct topology *topology, struct placement_request request,
	const struct placement *placement)
{
	const size_t count = request.taken_count;
	struct placement alone;
	int cpu = -1;
	request.taken_count = 0;
	if (placement_compute(topology, &request, &alone, NULL, 0) < 0)
		return -1;
	for (size_t i = 0; i < count && cpu < 0; i++)
		if (is_used(&alone, request.taken[i]) && !is_used(placement, request.taken[i]))
			cpu = (int)request.taken[i];
	placement_destroy(&alone);
	return cpu;
}

static void say_cpus(const struct run *run, int taken)
{
	const char *separator = "";
	fprintf(stderr, "%s: another weir polls CPU %d, so this one runs on CPU ",
		run->options->file, taken);
	for (uint32_t i = 0; i < run->planned.plan.worker_count; i++) {
		fprintf(stderr, "%s%d", separator, run->planned.worker_cpus[i]);
		separator = ",";
	}
	fputc('\n', stderr);
}

static int place(struct run *run, const struct topology *topology, uint32_t workers)
{
	unsigned taken[CORE_CLAIM_MAX];
	const struct placement_request request = {.graph = &run->planned.graph,
		.workers = workers,
		.cpus = run->job.cpus,
		.cpu_count = run->job.cpu_count,
		.taken = taken,
		.taken_count = core_claim_others(taken, CORE_CLAIM_MAX)};
	struct placement placement;
	int rc = placement_compute(topology, &request, &placement, run->error, sizeof(run->error));
	if (rc < 0) {
		fail(run, *run->error ? run->error : strerror(-rc));
		return EXIT_USE;
	}
	planner_place(&run->job, &run->planned, &placement);
	int other = request.taken_count == 0 ? -1 : given_way(topology, request, &placement);
	if (other >= 0)
		say_cpus(run, other);
	placement_destroy(&placement);
	claim_cores(run);
	return EXIT_DONE;
}

static int plan(struct run *run)
{
	struct topology topology;
	int rc = topology_load(TOPOLOGY_HOST, NULL, NULL, 0, &topology);
	if (rc < 0)
		return fail(run, "the host's topology cannot be read");
	uint32_t workers = job_workers(&run->job, placement_workers_default(&topology));
	if (planner_plan(&run->job, workers, &run->planned) < 0) {
		errors_print(&run->job.errors, stderr);
		rc = EXIT_USE;
	} else {
		rc = place(run, &topology, workers);
	}
	topology_destroy(&topology);
	return rc;
}

// Memory for all frames and EAL's own needs.
static uint64_t frame_memory(const struct job_plan *plan)
{
	uint64_t frames = (uint64_t)plan->channel_count * (plan->channel_frames + 16);
	return frames * (plan->frame_bytes + 512) + (64 << 20);
}

static int create_node(struct run *run)
{
	const struct node_config config = {.worker_count = run->planned.plan.worker_count,
		.worker_cpus = run->planned.worker_cpus,
		.wait = wait_of(run)};
	return node_create(&config, &run->node);
}

static int start_workers(struct run *run)
{
	run->signals = signalfd(-1, &run->stops, SFD_CLOEXEC | SFD_NONBLOCK);
	int rc = run->signals < 0 ? -errno : engine_start(run->engine);
	if (rc == 0)
		rc = node_start(run->node);
	if (rc == 0)
		return EXIT_DONE;
	snprintf(run->error, sizeof(run->error), "workers did not start: %s", strerror(-rc));
	return fail(run, run->error);
}

static int start(struct run *run)
{
	bool huge;
	if (engine_eal_start(frame_memory(&run->planned.plan), &huge) < 0) {
		snprintf(run->error, sizeof(run->error), "DPDK did not start");
		return EXIT_FAILED; // why, it has said
	}
	snprintf(run->error, sizeof(run->error), "not enough memory for the workers");
	if (create_node(run) < 0)
		return fail(run, run->error);
	const struct engine_config config = {.plan = &run->planned.plan,
		.worker_cpus = run->planned.worker_cpus,
		.worker_nodes = run->planned.worker_nodes,
		.node = run->node};
	int rc = engine_create(&config, run->error, sizeof(run->error), &run->engine);
	if (rc == -ENOBUFS && huge)
		engine_eal_start_over();
	if (rc < 0)
		return fail(run, run->error);
	return start_workers(run);
}

static uint64_t source_records(const struct run *run)
{
	uint64_t records = 0;
	struct engine_figures figures;
	for (uint32_t i = 0; i < run->job.operator_count; i++) {
		if (run->job.operators[i].kind->role != WEIR_SOURCE)
			continue;
		engine_figures(run->engine, i, &figures);
		records += figures.counters.records_out;
	}
	return records;
}

static void take_signals(struct run *run)
{
	struct signalfd_siginfo info;
	struct pollfd fd = {.fd = run->signals, .events = POLLIN};
	if (poll(&fd, 1, POLL_MS) <= 0)
		return;
	while (read(run->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		run->interrupts++;
	if (run->interrupts == 1)
		engine_interrupt(run->engine);
}

static int64_t wall_clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// Until the job ends. A second signal ends it at once, and nothing is published.
static enum engine_state attend(struct run *run)
{
	struct progress progress = {.out = stderr};
	struct engine_checkpoints checkpoints;
	bool terminal = isatty(STDERR_FILENO);
	enum engine_state state;
	uint32_t shown = 0;
	for (uint32_t polls = 1;; polls++) {
		state = engine_poll(run->engine);
		if (state != ENGINE_RUNNING || run->interrupts > 1)
			break;
		take_signals(run);
		if (!terminal || polls - shown < PROGRESS_POLLS || !engine_refresh(run->engine))
			continue;
		engine_checkpoints(run->engine, &checkpoints);
		const struct progress_job job = {.event_ns = engine_event_time(run->engine),
			.now_ns = wall_clock_ns(),
			.checkpoints = run->planned.plan.recovery ? &checkpoints : NULL};
		progress_show(&progress, source_records(run), engine_seconds(run->engine), &job);
		shown = polls;
	}
	progress_clear(&progress);
	return state;
}

static int publish_report(struct run *run, const struct report *report)
{
	if (!run->report_open)
		return 0;
	char *text = report_json(report);
	int rc = output_file_write(&run->report_file, text, strlen(text));
	if (rc == 0)
		rc = output_file_write(&run->report_file, "\n", 1);
	if (rc == 0)
		rc = output_file_publish(&run->report_file);
	free(text);
	if (rc < 0)
		fprintf(stderr, "%s: cannot be written: %s\n", run->options->report, strerror(-rc));
	return rc;
}

// A job that is sound but could not start has a report as well, without figures.
static void report_failure(struct run *run)
{
	struct report report = {.job = run->job.name,
		.state = "failed",
		.error = run->error,
		.workers = run->planned.plan.worker_count};
	publish_report(run, &report);
}

static const char *conclude(struct run *run, enum engine_state state)
{
	if (state == ENGINE_FAILED)
		return engine_error(run->engine);
	if (run->interrupts > 1) {
		engine_abort(run->engine);
		return "interrupted twice; nothing was published";
	}
	if (engine_publish(run->engine) < 0)
		return engine_error(run->engine);
	return NULL;
}

static int finish(struct run *run, enum engine_state state)
{
	struct report report = {.job = run->job.name, .workers = run->planned.plan.worker_count};
	report.error = conclude(run, state);
	report.seconds = engine_seconds(run->engine);
	report.state = report.error           ? "failed"
		: state == ENGINE_INTERRUPTED ? "interrupted"
					      : "finished";
	report_collect(&report, &run->job.heap, &run->planned.plan, run->engine);
	if (report.error)
		fail(run, report.error);
	fflush(stdout);
	report_print(&report, stderr);
	int rc = publish_report(run, &report);
	return report.error || rc < 0 ? EXIT_FAILED : EXIT_DONE;
}

// The report's place is tried before the job runs, not after.
static int open_report(struct run *run)
{
	const char *path = run->options->report;
	if (!path)
		return EXIT_DONE;
	const char *sink = job_sink_of(&run->job, path);
	if (sink) {
		fprintf(stderr, "--report %s: is the file of %s, too; name another\n", path, sink);
		return EXIT_USE;
	}
	int rc = output_file_open(&run->report_file, path, run->report_buffer,
		sizeof(run->report_buffer));
	run->report_open = rc == 0;
	if (rc == 0)
		return EXIT_DONE;
	fprintf(stderr, "--report %s: %s; name a file in a directory that may be written to\n",
		path, rc == -EINVAL ? "is there and is no regular file" : strerror(-rc));
	return EXIT_USE;
}

int run_job(const struct run_options *options)
{
	struct run *run = calloc(1, sizeof(*run));
	run->options = options;
	run->signals = -1;
	const struct job_source source = {.file = options->file,
		.sets = options->sets,
		.set_count = options->set_count,
		.kinds = weir_operators};
	job_load(&run->job, &source);
	errors_print(&run->job.errors, stderr);
	block_signals(run);
	int code = run->job.errors.count ? EXIT_USE : open_report(run);
	if (code == EXIT_DONE)
		code = plan(run);
	if (code == EXIT_DONE)
		warn_alone(run);
	if (code == EXIT_DONE) {
		code = start(run);
		if (code == EXIT_DONE)
			code = finish(run, attend(run));
		else
			report_failure(run);
	}
	core_claim_release(&run->cores);
	engine_destroy(run->engine);
	node_destroy(run->node);
	if (run->report_open)
		output_file_discard(&run->report_file);
	if (run->signals >= 0)
		close(run->signals);
	job_destroy(&run->job);
	free(run);
	return code;
}

static const char doc[] =
	"Run a job until its input ends, or until Ctrl-C: that stops the sources and publishes "
	"what is done; a second Ctrl-C publishes nothing.\v"
	"  weir run examples/nexmark/q5.yaml\n"
	"  weir run --workers 2 --set source.events=10000000 --report q5.json "
	"examples/nexmark/q5.yaml\n\n"
	"A job file names operators and what each reads:\n\n"
	"  version: 1\n"
	"  job: bids\n"
	"  operators:\n"
	"    - {id: source, kind: nexmark, events: 1000000}\n"
	"    - {id: sink, kind: csv, input: source.bid, path: bids.csv}\n\n"
	"`weir kinds` lists the kinds of operators, docs/jobs.md explains the rest. Exit codes: 0 "
	"done, 1 the job failed, 2 wrong use or a mistake in the job file.";

static const struct argp_option options[] = {
	{"workers", 'w', "N", 0,
		"Worker threads, each on a core of its own; by default one a core "
		"but one, at least 1",
		0},
	{"set", 's', "OPERATOR.PARAMETER=VALUE", 0, "Change the job before it is checked", 0},
	{"report", 'r', "FILE", 0, "Write the figures of the run to FILE, as JSON", 0},
	{0},
};

struct arguments {
	struct run_options options;
	const char **sets;
	char workers[32];
};

static void take_workers(struct arguments *a, const char *argument, struct argp_state *state)
{
	int64_t count = 0;
	if (units_parse(WEIR_PARAM_INT, argument, &count) || count < 1 || count > JOB_TASKS_MAX)
		argp_error(state, "--workers %s: write a whole number from 1 to %d", argument,
			JOB_TASKS_MAX);
	snprintf(a->workers, sizeof(a->workers), "workers.count=%d", (int)count);
	a->sets[a->options.set_count++] = a->workers;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct arguments *a = state->input;
	switch (key) {
	case 'w':
		take_workers(a, argument, state);
		return 0;
	case 's':
		a->sets[a->options.set_count++] = argument;
		return 0;
	case 'r':
		a->options.report = argument;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "name one job file; %s is a second", argument);
		a->options.file = argument;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "name a job file, as in `weir run examples/nexmark/q0.yaml`");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int run_command(int argc, char **argv)
{
	static const struct argp argp = {options, parse, "JOB.yaml", doc, NULL, NULL, NULL};
	struct arguments a = {.sets = calloc((size_t)argc, sizeof(char *))};
	a.options.sets = a.sets;
	argp_err_exit_status = EXIT_USE;
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	int code = run_job(&a.options);
	free(a.sets);
	return code;
}
