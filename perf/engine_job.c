#include "perf/engine_job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/planner.h"
#include "dataplane/engine.h"
#include "dataplane/operators/source_memory.h"
#include "numa/assert.h"
#include "perf/sink_latency.h"

enum { POLL_US = 500, KINDS_MAX = 64, RETENTION_BYTES = 128 << 20 };

struct engine_job {
	struct job job;
	struct planned_job planned;
	uint32_t sink;
	const struct weir_operator *kinds[KINDS_MAX + 2]; // NULL at the end
};

// Those built in, and the one that only benchmarks have.
static void kinds_collect(const struct weir_operator **out)
{
	uint32_t count = 0;

	for (; weir_operators[count] != NULL; count++) {
		VERIFY(count < KINDS_MAX);
		out[count] = weir_operators[count];
	}
	out[count] = &sink_latency;
	out[count + 1] = NULL;
}

static int plan(struct engine_job *j, const struct team *cores)
{
	unsigned cpus[TEAM_THREADS_MAX];
	struct topology topology;
	struct placement placement;
	char error[512] = "";
	int err = planner_plan(&j->job, cores->threads, &j->planned);

	if (err != 0)
		return err;
	for (uint32_t i = 0; i < cores->threads; i++)
		cpus[i] = (unsigned)cores->cpus[i];
	err = topology_load(TOPOLOGY_HOST, NULL, NULL, 0, &topology);
	if (err != 0)
		return err;
	const struct placement_request request = {.graph = &j->planned.graph,
		.workers = cores->threads,
		.cpus = cpus,
		.cpu_count = cores->threads};
	err = placement_compute(&topology, &request, &placement, error, sizeof(error));
	if (err == 0) {
		planner_place(&j->job, &j->planned, &placement);
		placement_destroy(&placement);
	} else {
		fprintf(stderr, "bench: %s\n", error);
	}
	topology_destroy(&topology);
	return err;
}

int engine_job_open(const char *text, const struct team *cores, struct engine_job **ret_job)
{
	struct engine_job *j = calloc(1, sizeof(*j));
	const struct job_source source = {
		.file = "bench", .text = text, .bytes = strlen(text), .kinds = j->kinds};

	VERIFY(j != NULL);
	kinds_collect(j->kinds);
	job_load(&j->job, &source);
	int err = j->job.errors.count != 0 ? -EINVAL : plan(j, cores);
	if (err != 0) {
		errors_print(&j->job.errors, stderr);
		engine_job_close(j);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < j->job.operator_count; i++)
		if (strcmp(j->job.operators[i].id, "sink") == 0)
			j->sink = i;
	*ret_job = j;
	return 0;
}

void engine_job_close(struct engine_job *j)
{
	if (j == NULL)
		return;
	job_destroy(&j->job);
	free(j);
}

void engine_job_keep(struct engine_job *j, enum engine_job_parts parts)
{
	struct job_plan *plan = &j->planned.plan;

	if (parts == ENGINE_JOB_PLAIN || parts == ENGINE_JOB_ALL)
		return;
	plan->channel_retention_bytes = parts == ENGINE_JOB_LOG ? 0 : RETENTION_BYTES;
	plan->task_snapshot_bytes = 0;
	plan->checkpoint_interval_ns = 0;
}

// The plan of the source, of which every source task has a step.
static struct weir_plan *source_plan(const struct engine_job *j)
{
	for (uint32_t t = 0; t < j->planned.plan.task_count; t++) {
		const struct plan_step *step = &j->planned.plan.tasks[t].steps[0];
		if (step->kind == &source_memory)
			return step->plan;
	}
	VERIFY(!"the job reads from memory");
	return NULL;
}

int engine_job_lay(struct engine_job *j, struct arena *ret_arena)
{
	struct weir_plan *source = source_plan(j);
	struct arena arena;
	int err = arena_create(&arena, source->shared_bytes + 4096, -1, true);

	if (err != 0)
		return err;
	err = engine_share(source, &source_memory, &arena);
	if (err != 0)
		arena_destroy(&arena);
	else
		*ret_arena = arena;
	return err;
}

void engine_job_adopt(struct engine_job *j, const struct engine_job *other)
{
	source_plan(j)->shared = source_plan(other)->shared;
}

struct rows engine_job_rows(const struct engine_job *j)
{
	struct rows rows = {.bound_ns = 0};

	source_memory_rows(source_plan(j), &rows.first, &rows.limit, &rows.records, &rows.loops);
	// Times begin anew with each loop, so nothing may be late by the whole span.
	rows.bound_ns = rows.loops > 1 ? INT64_C(86400000000000) : 0;
	return rows;
}

struct tally_reporter {
	struct weir_reporter reporter;
	struct tally tally;
};

static void tally_add(struct weir_reporter *reporter, const char *name, uint64_t value)
{
	struct tally_reporter *r = (struct tally_reporter *)reporter;

	if (strcmp(name, "count") == 0)
		r->tally.records += value;
	if (strcmp(name, "hash") == 0)
		r->tally.hash += value;
}

static int attend(const struct engine_job *j, struct node *node, struct engine *engine,
	struct engine_outcome *ret_outcome)
{
	struct tally_reporter report = {.reporter = {tally_add}};
	enum engine_state state;
	int err = engine_start(engine);

	if (err == 0)
		err = node_start(node);
	if (err != 0)
		return err;
	while ((state = engine_poll(engine)) == ENGINE_RUNNING)
		usleep(POLL_US);
	if (state != ENGINE_FINISHED) {
		fprintf(stderr, "bench: the job failed: %s\n", engine_error(engine));
		return -EIO;
	}
	engine_report(engine, j->sink, &report.reporter);
	ret_outcome->tally = report.tally;
	ret_outcome->seconds = engine_seconds(engine);
	engine_checkpoints(engine, &ret_outcome->checkpoints);
	return 0;
}

static int run_on(struct engine_job *j, struct node *node, const struct engine_watch *watch,
	struct engine_outcome *ret_outcome)
{
	const struct engine_config config = {.plan = &j->planned.plan,
		.worker_cpus = j->planned.worker_cpus,
		.worker_nodes = j->planned.worker_nodes,
		.node = node};
	struct engine *engine;
	char error[512];
	int err = engine_create(&config, error, sizeof(error), &engine);

	if (err != 0) {
		fprintf(stderr, "bench: %s\n", error);
		return err;
	}
	err = attend(j, node, engine, ret_outcome);
	node_stop(node);
	if (err == 0 && watch != NULL)
		watch->finished(engine, node, watch->argument);
	engine_destroy(engine);
	return err;
}

int engine_job_run(struct engine_job *j, const struct engine_watch *watch,
	struct engine_outcome *ret_outcome)
{
	const struct node_config config = {.worker_count = j->planned.plan.worker_count,
		.worker_cpus = j->planned.worker_cpus,
		.wait = NODE_WAIT_SPIN,
		.watch_gaps = watch != NULL};
	struct node *node;
	int err = node_create(&config, &node);

	if (err != 0)
		return err;
	err = run_on(j, node, watch, ret_outcome);
	node_destroy(node);
	return err;
}
