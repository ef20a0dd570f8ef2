#include "numa/placement.h"

#include "numa/assert.h"
#include "numa/explain.h"
#include "numa/partition.h"
#include "numa/seating.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS_MAX = 4096 };

// A computation under way.
struct draft {
	const struct topology *topology;
	const struct placement_request *request;
	const struct placement_graph *graph;
	unsigned workers;
	struct placement to;
	int *group;          // of a task: the node of its NIC
	unsigned *cpus;      // as requested, by index
	bool *taken;         // of a PU
	unsigned *worker_of; // of a task
	size_t *pu_of;       // of a worker
	uint64_t *traffic, *nic;
	char *error;
	size_t error_bytes;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct draft *draft,
	const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (draft->error)
		vsnprintf(draft->error, draft->error_bytes, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int check_graph(const struct draft *draft)
{
	const struct placement_graph *graph = draft->graph;
	for (size_t i = 0; i < graph->task_count; i++)
		if (graph->tasks[i].nic >= (int)draft->topology->nic_count)
			return refuse(draft, "task %s uses NIC %d, but there are %zu",
				graph->tasks[i].name, graph->tasks[i].nic,
				draft->topology->nic_count);
	for (size_t i = 0; i < graph->edge_count; i++)
		if (graph->edges[i].from >= graph->task_count ||
			graph->edges[i].to >= graph->task_count)
			return refuse(draft, "edge %zu joins tasks %u and %u, but there are %zu", i,
				graph->edges[i].from, graph->edges[i].to, graph->task_count);
	return 0;
}

static int check_workers(struct draft *draft)
{
	const struct placement_request *request = draft->request;
	draft->workers = request->workers;
	if (request->cpus && !draft->workers)
		draft->workers = request->cpu_count;
	if (!request->cpus && !draft->workers)
		draft->workers = placement_workers_default(draft->topology);
	if (request->cpus && draft->workers != request->cpu_count)
		return refuse(draft, "%u workers and a list of CPUs of %zu; leave one of them out",
			draft->workers, request->cpu_count);
	if (draft->workers == 0 || draft->workers > WORKERS_MAX)
		return refuse(draft, "%u workers; give 1 to %d", draft->workers, WORKERS_MAX);
	return 0;
}

static int check_cpus(const struct draft *draft)
{
	const struct placement_request *request = draft->request;
	char usable[128];
	for (size_t i = 0; request->cpus && i < request->cpu_count; i++) {
		if (topology_find_pu(draft->topology, request->cpus[i]) == TOPOLOGY_NONE) {
			topology_pus_text(draft->topology, usable, sizeof(usable));
			return refuse(draft, "CPU %u cannot be used; those that can are %s",
				request->cpus[i], usable);
		}
		for (size_t j = 0; j < i; j++)
			if (request->cpus[j] == request->cpus[i])
				return refuse(draft,
					"CPU %u is given twice; give one for each worker",
					request->cpus[i]);
	}
	return 0;
}

static int allocate(struct draft *draft)
{
	size_t tasks = draft->graph->task_count + 1, workers = draft->workers;
	draft->group = calloc(tasks, sizeof(*draft->group));
	draft->worker_of = calloc(tasks, sizeof(*draft->worker_of));
	draft->cpus = calloc(workers, sizeof(*draft->cpus));
	draft->taken = calloc(draft->topology->pu_count, sizeof(*draft->taken));
	draft->pu_of = calloc(workers, sizeof(*draft->pu_of));
	draft->traffic = calloc(workers * workers, sizeof(*draft->traffic));
	draft->nic = calloc(workers * (draft->topology->node_count + 1), sizeof(*draft->nic));
	draft->to.workers = calloc(workers, sizeof(*draft->to.workers));
	draft->to.tasks = calloc(tasks, sizeof(*draft->to.tasks));
	bool whole = draft->group && draft->worker_of && draft->cpus && draft->taken &&
		draft->pu_of && draft->traffic && draft->nic && draft->to.workers &&
		draft->to.tasks;
	return whole ? 0 : -ENOMEM;
}

static void release(struct draft *draft)
{
	free(draft->group);
	free(draft->worker_of);
	free(draft->cpus);
	free(draft->taken);
	free(draft->pu_of);
	free(draft->traffic);
	free(draft->nic);
	placement_destroy(&draft->to);
}

// PUs that this process may not use are nobody's concern.
static void mark_taken(struct draft *draft)
{
	for (size_t i = 0; i < draft->request->taken_count; i++) {
		int pu = topology_find_pu(draft->topology, draft->request->taken[i]);
		if (pu != TOPOLOGY_NONE)
			draft->taken[pu] = true;
	}
}

static int assign_tasks(struct draft *draft)
{
	const struct placement_graph *graph = draft->graph;
	for (size_t i = 0; i < graph->task_count; i++) {
		int nic = graph->tasks[i].nic;
		draft->group[i] = nic < 0 ? TOPOLOGY_NONE : draft->topology->nics[nic].node;
	}
	struct partition_problem problem = {graph, draft->group, draft->workers};
	return partition_compute(&problem, draft->worker_of, &draft->to.load_limit);
}

// Sum up the traffic between workers and to NICs; a NIC that is near no node draws nobody.
static void sum_traffic(struct draft *draft)
{
	const struct placement_graph *graph = draft->graph;
	for (size_t i = 0; i < graph->edge_count; i++) {
		struct placement_edge edge = graph->edges[i];
		size_t from = draft->worker_of[edge.from], to = draft->worker_of[edge.to];
		if (from == to)
			continue;
		draft->traffic[from * draft->workers + to] += edge.weight;
		draft->traffic[to * draft->workers + from] += edge.weight;
	}
	for (size_t i = 0; i < graph->task_count; i++)
		if (draft->group[i] >= 0)
			draft->nic[draft->worker_of[i] * draft->topology->node_count +
				draft->group[i]] += graph->tasks[i].nic_weight;
}

static int seat_workers(struct draft *draft)
{
	struct seating_problem problem = {
		.topology = draft->topology,
		.traffic = draft->traffic,
		.nic = draft->nic,
		.workers = draft->workers,
		.cpus = draft->request->cpus ? draft->cpus : NULL,
		.taken = draft->taken,
	};
	for (size_t i = 0; problem.cpus && i < draft->workers; i++)
		draft->cpus[i] = topology_find_pu(draft->topology, draft->request->cpus[i]);
	return seating_compute(&problem, draft->pu_of);
}

// Where the CPUs were given, worker i is the one that sits on the i-th of them.
static void number_by_cpus(struct draft *draft)
{
	for (size_t i = 0; i < draft->workers; i++)
		for (size_t task = 0; task < draft->graph->task_count; task++)
			if (draft->pu_of[draft->worker_of[task]] == draft->cpus[i])
				draft->to.tasks[task].worker = i;
	for (size_t task = 0; task < draft->graph->task_count; task++)
		draft->worker_of[task] = draft->to.tasks[task].worker;
	for (size_t i = 0; i < draft->workers; i++)
		draft->pu_of[i] = draft->cpus[i];
}

// Whoever comes first on a core has it; those after him are its siblings or share its PU.
static enum placement_seat seat_of(const struct draft *draft, size_t worker)
{
	size_t core = draft->to.workers[worker].core;
	enum placement_seat seat =
		core == draft->topology->housekeeping ? PLACEMENT_HOUSEKEEPING : PLACEMENT_CORE;
	for (size_t i = 0; i < worker; i++) {
		if (draft->to.workers[i].pu_index == draft->to.workers[worker].pu_index)
			return PLACEMENT_SHARED;
		if (draft->to.workers[i].core == core)
			seat = PLACEMENT_SIBLING;
	}
	return seat;
}

static void fill_workers(struct draft *draft)
{
	const struct topology *t = draft->topology;
	draft->to.worker_count = draft->workers;
	for (size_t i = 0; i < draft->workers; i++) {
		size_t pu = draft->pu_of[i], core = t->pus[pu].core;
		int node = t->cores[core].node;
		draft->to.workers[i] = (struct placement_worker){
			.pu = t->pus[pu].os_index,
			.node = node < 0 ? -1 : (int)t->nodes[node].os_index,
			.pu_index = pu,
			.core = core,
		};
		draft->to.workers[i].seat = seat_of(draft, i);
	}
}

static void fill_tasks(struct draft *draft)
{
	const struct placement_graph *graph = draft->graph;
	struct placement *to = &draft->to;
	to->task_count = graph->task_count;
	for (size_t i = 0; i < graph->task_count; i++) {
		to->tasks[i].worker = draft->worker_of[i];
		to->workers[draft->worker_of[i]].load += graph->tasks[i].weight;
	}
	for (size_t i = 0; i < graph->edge_count; i++) {
		struct placement_edge edge = graph->edges[i];
		size_t from = draft->worker_of[edge.from], into = draft->worker_of[edge.to];
		to->traffic += edge.weight;
		to->traffic_local += from == into ? edge.weight : 0;
		to->traffic_node +=
			to->workers[from].node == to->workers[into].node ? edge.weight : 0;
	}
	for (size_t i = 0; i < draft->workers; i++)
		ASSERT(to->workers[i].load <= to->load_limit);
}

static int explain(struct draft *draft)
{
	struct explain_problem problem = {
		.topology = draft->topology,
		.graph = draft->graph,
		.traffic = draft->traffic,
		.nic = draft->nic,
		.given = draft->request->cpus,
		.taken = draft->taken,
	};
	explain_workers(&problem, &draft->to);
	return explain_tasks(&problem, &draft->to);
}

static int compute(struct draft *draft)
{
	mark_taken(draft);
	int rc = assign_tasks(draft);
	if (rc)
		return rc;
	sum_traffic(draft);
	rc = seat_workers(draft);
	if (rc)
		return rc;
	if (draft->request->cpus) {
		number_by_cpus(draft);
		memset(draft->traffic, 0,
			draft->workers * draft->workers * sizeof(*draft->traffic));
		memset(draft->nic, 0,
			draft->workers * draft->topology->node_count * sizeof(*draft->nic));
		sum_traffic(draft);
	}
	fill_workers(draft);
	fill_tasks(draft);
	return explain(draft);
}

int placement_compute(const struct topology *topology, const struct placement_request *request,
	struct placement *ret_placement, char *error, size_t error_bytes)
{
	static const struct placement_graph nothing;
	struct draft draft = {
		.topology = topology,
		.request = request,
		.graph = request->graph ? request->graph : &nothing,
		.error = error,
		.error_bytes = error_bytes,
	};
	int rc = check_graph(&draft);
	if (!rc)
		rc = check_workers(&draft);
	if (!rc)
		rc = check_cpus(&draft);
	if (!rc)
		rc = allocate(&draft);
	if (!rc)
		rc = compute(&draft);
	if (!rc) {
		*ret_placement = draft.to;
		draft.to = (struct placement){0};
	}
	release(&draft);
	return rc;
}

void placement_destroy(struct placement *placement)
{
	if (!placement)
		return;
	free(placement->workers);
	free(placement->tasks);
	*placement = (struct placement){0};
}

unsigned placement_workers_default(const struct topology *topology)
{
	unsigned quota = topology->quota_millis / 1000, cores = topology->core_count;
	if (topology->quota_millis && quota < cores)
		cores = quota;
	return cores > 1 ? cores - 1 : 1;
}
