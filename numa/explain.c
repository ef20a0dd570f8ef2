#include "numa/explain.h"

#include "numa/seating.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void add(char *reason, const char *format, ...)
{
	size_t used = strlen(reason);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason + used, PLACEMENT_REASON_BYTES - used, format, arguments);
	va_end(arguments);
}

static const char *nic_name(const struct topology_nic *nic)
{
	return nic->name[0] ? nic->name : nic->pci;
}

// The first other worker on the same PU, else on the same core; worker_count if there is none.
static size_t neighbour(const struct placement *placement, size_t worker, bool same_pu)
{
	const struct placement_worker *own = &placement->workers[worker];
	for (size_t i = 0; i < placement->worker_count; i++) {
		const struct placement_worker *other = &placement->workers[i];
		if (i != worker && (same_pu ? other->pu == own->pu : other->core == own->core))
			return i;
	}
	return placement->worker_count;
}

// Is another job on this core?
static bool is_polled(const struct explain_problem *problem, size_t index)
{
	const struct topology_core *core = &problem->topology->cores[index];
	bool polled = false;
	for (size_t pu = core->pu_first; pu < core->pu_first + core->pu_count; pu++)
		polled |= problem->taken[pu];
	return polled;
}

static void explain_seat(const struct explain_problem *problem, struct placement *placement,
	size_t i)
{
	struct placement_worker *worker = &placement->workers[i];
	char *reason = worker->reason;
	bool housekeeping = worker->core == problem->topology->housekeeping;
	if (problem->given)
		add(reason, "PU given; ");
	switch (worker->seat) {
	case PLACEMENT_CORE:
		add(reason, is_polled(problem, worker->core) ? "a core" : "a core of its own");
		break;
	case PLACEMENT_HOUSEKEEPING:
		add(reason, "the housekeeping core%s", problem->given ? "" : ": no other is left");
		break;
	case PLACEMENT_SIBLING:
		add(reason, "a hyper-thread beside worker %zu%s%s", neighbour(placement, i, false),
			housekeeping ? " on the housekeeping core" : "",
			problem->given ? "" : ": no core is free");
		break;
	case PLACEMENT_SHARED:
		add(reason, "shares its PU with worker %zu: no PU is free",
			neighbour(placement, i, true));
		break;
	}
}

// Which PUs other jobs poll, and what came of it.
static void explain_others(const struct explain_problem *problem, struct placement *placement,
	size_t i)
{
	const struct placement_worker *worker = &placement->workers[i];
	char *reason = placement->workers[i].reason;
	size_t count = 0, first = 0;
	for (size_t pu = problem->topology->pu_count; pu-- > 0;)
		if (problem->taken[pu]) {
			count++;
			first = pu;
		}
	if (problem->taken[worker->pu_index])
		add(reason, ", on a PU that another job polls%s",
			problem->given ? "" : ": none is free");
	else if (is_polled(problem, worker->core))
		add(reason, ", beside a PU that another job polls%s",
			problem->given ? "" : ": no core is free");
	else if (count == 1)
		add(reason, ", clear of PU %u, which another job polls",
			problem->topology->pus[first].os_index);
	else if (count > 1)
		add(reason, ", clear of the %zu PUs that other jobs poll", count);
}

// Why is the worker not on the node it would like?
static const char *why_not_on(const struct explain_problem *problem,
	const struct placement *placement, size_t node)
{
	size_t taken = 0;
	for (size_t core = 0; core < problem->topology->core_count; core++) {
		bool used = core == problem->topology->housekeeping || is_polled(problem, core);
		for (size_t i = 0; i < placement->worker_count && !used; i++)
			used = placement->workers[i].core == core;
		taken += used && problem->topology->cores[core].node == (int)node;
	}
	if (!problem->topology->nodes[node].cores)
		return "no usable core there";
	if (problem->given)
		return "PUs given";
	return taken == problem->topology->nodes[node].cores ? "its cores are taken"
							     : "other traffic weighs more";
}

static void explain_nic(const struct explain_problem *problem, struct placement *placement,
	size_t i)
{
	const struct topology *t = problem->topology;
	const uint64_t *nic = &problem->nic[i * t->node_count];
	char *reason = placement->workers[i].reason;
	int own = t->cores[placement->workers[i].core].node;
	size_t most = 0;
	for (size_t node = 1; node < t->node_count; node++)
		most = nic[node] > nic[most] ? node : most;
	if (!t->node_count || !nic[most])
		return;
	unsigned os_index = t->nodes[most].os_index;
	if (own == (int)most)
		add(reason, "; on node %u with the NIC it uses", os_index);
	else
		add(reason, "; away from the NIC it uses on node %u: %s", os_index,
			why_not_on(problem, placement, most));
}

// The worker this one talks to most, of equals the closest; itself if it talks to none.
static size_t main_peer(const struct explain_problem *problem, const struct placement *placement,
	size_t i)
{
	const uint64_t *traffic = &problem->traffic[i * placement->worker_count];
	size_t own_pu = placement->workers[i].pu_index, best = i;
	for (size_t w = 0; w < placement->worker_count; w++) {
		if (w == i || !traffic[w] || (best != i && traffic[w] < traffic[best]))
			continue;
		size_t pu = placement->workers[w].pu_index;
		if (best == i || traffic[w] > traffic[best] ||
			seating_distance(problem->topology, own_pu, pu) <
				seating_distance(problem->topology, own_pu,
					placement->workers[best].pu_index))
			best = w;
	}
	return best;
}

static void explain_peer(const struct explain_problem *problem, struct placement *placement,
	size_t i)
{
	const struct topology *t = problem->topology;
	size_t peer = main_peer(problem, placement, i);
	size_t own_core = placement->workers[i].core, peer_core = placement->workers[peer].core;
	const struct topology_core *a = &t->cores[own_core], *b = &t->cores[peer_core];
	char *reason = placement->workers[i].reason;
	if (peer == i) {
		add(reason, "; talks to no other worker");
		return;
	}
	if (a->node != b->node) {
		add(reason, "; not on the node of worker %zu, to which it talks most: %s", peer,
			b->node < 0 ? "that is unknown" : why_not_on(problem, placement, b->node));
		return;
	}
	const char *shared = own_core == peer_core ? "core"
		: a->l2 >= 0 && a->l2 == b->l2     ? "L2 cache"
		: a->l3 >= 0 && a->l3 == b->l3     ? "L3 cache"
						   : "node";
	add(reason, "; one %s with worker %zu, to which it talks most", shared, peer);
}

static bool has_task(const struct placement *placement, size_t worker)
{
	for (size_t i = 0; i < placement->task_count; i++)
		if (placement->tasks[i].worker == worker)
			return true;
	return false;
}

void explain_workers(const struct explain_problem *problem, struct placement *placement)
{
	for (size_t i = 0; i < placement->worker_count; i++) {
		struct placement_worker *worker = &placement->workers[i];
		explain_seat(problem, placement, i);
		explain_others(problem, placement, i);
		explain_nic(problem, placement, i);
		if (placement->task_count && !has_task(placement, i))
			add(worker->reason, "; no task for it");
		else if (placement->task_count && placement->worker_count > 1)
			explain_peer(problem, placement, i);
		if (worker->node >= 0)
			add(worker->reason, "; memory from node %d", worker->node);
	}
}

// A task's heaviest peer, and its traffic to that peer's worker and to its own.
struct peer {
	unsigned task;
	uint64_t weight, traffic_there, traffic_here;
};

static void consider_peer(const struct placement *placement, struct peer *peers, unsigned task,
	unsigned other, uint64_t w)
{
	struct peer *peer = &peers[task];
	unsigned own = placement->tasks[task].worker;
	bool better = w > peer->weight ||
		(w == peer->weight && placement->tasks[other].worker == own &&
			placement->tasks[peer->task].worker != own);
	if (w && task != other && better) {
		peer->task = other;
		peer->weight = w;
	}
}

static void add_traffic(const struct placement *placement, struct peer *peers, unsigned task,
	unsigned other, uint64_t w)
{
	unsigned on = placement->tasks[other].worker;
	if (on == placement->tasks[task].worker)
		peers[task].traffic_here += w;
	if (peers[task].weight && on == placement->tasks[peers[task].task].worker)
		peers[task].traffic_there += w;
}

static const char *why_apart(const struct explain_problem *problem,
	const struct placement *placement, unsigned task, const struct peer *peer)
{
	const struct placement_task *own = &problem->graph->tasks[task];
	unsigned there = placement->tasks[peer->task].worker;
	if (placement->workers[there].load + own->weight > placement->load_limit)
		return "that worker would be overloaded";
	if (peer->traffic_here >= peer->traffic_there)
		return "its other peers weigh more";
	return "the NICs that worker uses are on another node";
}

static void explain_task(const struct explain_problem *problem, struct placement *placement,
	unsigned task, const struct peer *peer)
{
	const struct placement_task *own = &problem->graph->tasks[task];
	char *reason = placement->tasks[task].reason;
	if (own->nic >= 0)
		add(reason, "uses NIC %s; ", nic_name(&problem->topology->nics[own->nic]));
	if (placement->worker_count == 1) {
		add(reason, "there is one worker");
		return;
	}
	if (!peer->weight) {
		add(reason, "talks to no other task: balances the load");
		return;
	}
	bool together = placement->tasks[task].worker == placement->tasks[peer->task].worker;
	add(reason, "%s %.60s, its heaviest peer", together ? "with" : "apart from",
		problem->graph->tasks[peer->task].name);
	if (!together)
		add(reason, ": %s", why_apart(problem, placement, task, peer));
}

int explain_tasks(const struct explain_problem *problem, struct placement *placement)
{
	const struct placement_graph *graph = problem->graph;
	struct peer *peers = calloc(graph->task_count + 1, sizeof(*peers));
	if (!peers)
		return -ENOMEM;
	for (size_t i = 0; i < graph->edge_count; i++) {
		struct placement_edge edge = graph->edges[i];
		consider_peer(placement, peers, edge.from, edge.to, edge.weight);
		consider_peer(placement, peers, edge.to, edge.from, edge.weight);
	}
	for (size_t i = 0; i < graph->edge_count; i++) {
		struct placement_edge edge = graph->edges[i];
		if (edge.from == edge.to)
			continue;
		add_traffic(placement, peers, edge.from, edge.to, edge.weight);
		add_traffic(placement, peers, edge.to, edge.from, edge.weight);
	}
	for (size_t i = 0; i < graph->task_count; i++)
		explain_task(problem, placement, i, &peers[i]);
	free(peers);
	return 0;
}
