#include "numa/partition.h"

#include "numa/assert.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SLACK = 16, PASSES_MAX = 16 };

struct link {
	unsigned a, b;
	uint64_t weight;
};

// A cluster of tasks that shall share a worker; named by its leader, of which it is the first task.
struct cluster {
	unsigned leader; // of a task: a task nearer the leader, itself if it leads
	uint64_t weight; // of a leader only, as is the group
	int group;
};

struct member {
	uint64_t weight; // of its cluster
	unsigned leader, task;
};

// `traffic` is tasks x workers: a task's traffic to each worker; `guests` is workers x groups: how
// many tasks of each group a worker has.
struct partition {
	const struct partition_problem *problem;
	const struct placement_task *tasks;
	size_t task_count, link_count;
	unsigned workers, groups;
	unsigned *worker_of;
	struct link *links;         // heaviest first, none from a task to itself
	unsigned *first, *links_of; // of task t: links_of[first[t]] up to first[t + 1]
	struct cluster *clusters;   // by task
	struct member *order;       // by cluster, the heaviest cluster first
	uint64_t *load, *traffic;
	unsigned *guests, *guests_all;
	unsigned *number; // of the workers, in the end
	uint64_t average, heaviest, target;
};

static int links_compare(const void *left, const void *right)
{
	const struct link *a = left, *b = right;
	if (a->weight != b->weight)
		return a->weight < b->weight ? 1 : -1;
	if (a->a != b->a)
		return a->a < b->a ? -1 : 1;
	return (a->b > b->b) - (a->b < b->b);
}

static int members_compare(const void *left, const void *right)
{
	const struct member *a = left, *b = right;
	if (a->weight != b->weight)
		return a->weight < b->weight ? 1 : -1;
	if (a->leader != b->leader)
		return a->leader < b->leader ? -1 : 1;
	return (a->task > b->task) - (a->task < b->task);
}

static void list_links(struct partition *p)
{
	const struct placement_graph *graph = p->problem->graph;
	for (size_t i = 0; i < graph->edge_count; i++) {
		struct placement_edge edge = graph->edges[i];
		if (edge.from != edge.to && edge.weight)
			p->links[p->link_count++] = (struct link){edge.from, edge.to, edge.weight};
	}
	qsort(p->links, p->link_count, sizeof(*p->links), links_compare);
	for (size_t i = 0; i < p->link_count; i++) {
		p->first[p->links[i].a]++;
		p->first[p->links[i].b]++;
	}
	for (size_t i = 0; i < p->task_count; i++)
		p->first[i + 1] += p->first[i];
	for (size_t i = p->link_count; i-- > 0;) {
		p->links_of[--p->first[p->links[i].a]] = i;
		p->links_of[--p->first[p->links[i].b]] = i;
	}
}

static unsigned other_end(const struct partition *p, unsigned link, unsigned task)
{
	return p->links[link].a == task ? p->links[link].b : p->links[link].a;
}

static void weigh(struct partition *p)
{
	uint64_t total = 0;
	for (size_t i = 0; i < p->task_count; i++) {
		total += p->tasks[i].weight;
		if (p->tasks[i].weight > p->heaviest)
			p->heaviest = p->tasks[i].weight;
		if (p->problem->group[i] >= (int)p->groups)
			p->groups = p->problem->group[i] + 1;
	}
	p->average = (total + p->workers - 1) / p->workers;
	p->target = p->average + p->average / SLACK;
}

static unsigned leader_of(struct partition *p, unsigned task)
{
	while (p->clusters[task].leader != task)
		task = p->clusters[task].leader = p->clusters[p->clusters[task].leader].leader;
	return task;
}

static void join_clusters(struct partition *p, unsigned a, unsigned b)
{
	unsigned low = a < b ? a : b, high = a < b ? b : a;
	struct cluster *into = &p->clusters[low], *from = &p->clusters[high];
	if (a == b || into->weight + from->weight > p->target)
		return;
	if (into->group >= 0 && from->group >= 0 && into->group != from->group)
		return;
	into->weight += from->weight;
	into->group = into->group >= 0 ? into->group : from->group;
	from->leader = low;
}

static void cluster_tasks(struct partition *p)
{
	for (unsigned i = 0; i < p->task_count; i++)
		p->clusters[i] = (struct cluster){i, p->tasks[i].weight, p->problem->group[i]};
	for (size_t i = 0; i < p->link_count; i++)
		join_clusters(p, leader_of(p, p->links[i].a), leader_of(p, p->links[i].b));
	for (unsigned i = 0; i < p->task_count; i++) {
		unsigned leader = leader_of(p, i);
		p->order[i] = (struct member){p->clusters[leader].weight, leader, i};
	}
	qsort(p->order, p->task_count, sizeof(*p->order), members_compare);
}

// Put the task on the worker, from nowhere or from the one it is on.
static void task_enter(struct partition *p, unsigned task, unsigned worker, int sign)
{
	int group = p->problem->group[task];
	p->load[worker] += sign * (int64_t)p->tasks[task].weight;
	if (group >= 0) {
		p->guests[worker * p->groups + group] += sign;
		p->guests_all[worker] += sign;
	}
	for (unsigned i = p->first[task]; i < p->first[task + 1]; i++) {
		unsigned peer = other_end(p, p->links_of[i], task);
		p->traffic[(size_t)peer * p->workers + worker] +=
			sign * (int64_t)p->links[p->links_of[i]].weight;
	}
}

static void task_move(struct partition *p, unsigned task, unsigned worker)
{
	task_enter(p, task, p->worker_of[task], -1);
	task_enter(p, task, worker, 1);
	p->worker_of[task] = worker;
}

static uint64_t traffic_to(const struct partition *p, unsigned task, unsigned worker)
{
	return p->traffic[(size_t)task * p->workers + worker];
}

// Tasks on the worker that use a NIC of another node than this group's.
static unsigned strangers(const struct partition *p, int group, unsigned worker)
{
	return group < 0 ? 0 : p->guests_all[worker] - p->guests[worker * p->groups + group];
}

static uint64_t cluster_traffic(const struct partition *p, size_t first, size_t end,
	unsigned worker)
{
	uint64_t sum = 0;
	for (size_t i = first; i < end; i++)
		sum += traffic_to(p, p->order[i].task, worker);
	return sum;
}

// Where it fits: where it talks most, then the least loaded. Where it fits nowhere: the latter.
static unsigned worker_for_cluster(const struct partition *p, size_t first, size_t end)
{
	const struct cluster *cluster = &p->clusters[p->order[first].leader];
	unsigned best = 0;
	uint64_t best_traffic = 0;
	bool best_fits = false;
	for (unsigned w = 0; w < p->workers; w++) {
		bool fits = p->load[w] + cluster->weight <= p->target &&
			!strangers(p, cluster->group, w);
		uint64_t traffic = fits ? cluster_traffic(p, first, end, w) : 0;
		bool better = fits != best_fits   ? fits
			: traffic != best_traffic ? traffic > best_traffic
						  : p->load[w] < p->load[best];
		if (w == 0 || better) {
			best = w;
			best_traffic = traffic;
			best_fits = fits;
		}
	}
	return best;
}

static void assign_clusters(struct partition *p)
{
	for (size_t first = 0, end; first < p->task_count; first = end) {
		end = first + 1;
		while (end < p->task_count && p->order[end].leader == p->order[first].leader)
			end++;
		unsigned worker = worker_for_cluster(p, first, end);
		for (size_t i = first; i < end; i++) {
			p->worker_of[p->order[i].task] = worker;
			task_enter(p, p->order[i].task, worker, 1);
		}
	}
}

// The task whose move from one worker to the other lowers the higher of the two loads and costs
// least traffic; task_count if there is none.
static unsigned task_to_shed(const struct partition *p, unsigned from, unsigned to)
{
	unsigned best = p->task_count;
	bool best_fits = false;
	int64_t best_gain = 0;
	for (unsigned task = 0; task < p->task_count; task++) {
		uint32_t weight = p->tasks[task].weight;
		if (p->worker_of[task] != from || !weight || p->load[to] + weight >= p->load[from])
			continue;
		bool fits = !strangers(p, p->problem->group[task], to);
		int64_t gain = traffic_to(p, task, to) - traffic_to(p, task, from);
		if (best == p->task_count || fits > best_fits ||
			(fits == best_fits && gain > best_gain)) {
			best = task;
			best_fits = fits;
			best_gain = gain;
		}
	}
	return best;
}

// Each move lowers the sum of the squared loads, so this ends; and when the least loaded worker can
// take no task, the most loaded is above it, so above the average, by at most the heaviest task.
static void balance(struct partition *p)
{
	for (;;) {
		unsigned most = 0, least = 0;
		for (unsigned w = 1; w < p->workers; w++) {
			most = p->load[w] > p->load[most] ? w : most;
			least = p->load[w] < p->load[least] ? w : least;
		}
		if (p->load[most] <= p->target) // good enough: leave tasks with their peers
			return;
		unsigned task = task_to_shed(p, most, least);
		if (task == p->task_count) {
			p->target = p->load[most];
			return;
		}
		task_move(p, task, least);
	}
}

// Move the task where it talks more than where it is, if that leaves the load within the target.
static bool improve_by_move(struct partition *p, unsigned task)
{
	unsigned best = p->worker_of[task];
	for (unsigned w = 0; w < p->workers; w++) {
		if (w == p->worker_of[task] || traffic_to(p, task, w) <= traffic_to(p, task, best))
			continue;
		if (p->load[w] + p->tasks[task].weight <= p->target &&
			!strangers(p, p->problem->group[task], w))
			best = w;
	}
	if (best == p->worker_of[task])
		return false;
	task_move(p, task, best);
	return true;
}

// May `in` replace `out` on out's worker?
static bool replaceable(const struct partition *p, unsigned out, unsigned in)
{
	unsigned worker = p->worker_of[out];
	const int *group = p->problem->group;
	bool stranger = group[in] >= 0 && group[out] >= 0 && group[in] != group[out];
	return p->load[worker] - p->tasks[out].weight + p->tasks[in].weight <= p->target &&
		strangers(p, group[in], worker) <= stranger;
}

static int64_t gain_of_swap(const struct partition *p, unsigned a, unsigned b)
{
	unsigned on_a = p->worker_of[a], on_b = p->worker_of[b];
	int64_t gain = traffic_to(p, a, on_b) - traffic_to(p, a, on_a);
	gain += traffic_to(p, b, on_a) - traffic_to(p, b, on_b);
	for (unsigned i = p->first[a]; gain > 0 && i < p->first[a + 1]; i++)
		if (other_end(p, p->links_of[i], a) == b)
			gain -= 2 * (int64_t)p->links[p->links_of[i]].weight;
	return gain;
}

static bool improve_by_swap(struct partition *p, unsigned a)
{
	for (unsigned b = a + 1; b < p->task_count; b++) {
		unsigned on_a = p->worker_of[a], on_b = p->worker_of[b];
		if (on_a == on_b || !replaceable(p, a, b) || !replaceable(p, b, a) ||
			gain_of_swap(p, a, b) <= 0)
			continue;
		task_move(p, a, on_b);
		task_move(p, b, on_a);
		return true;
	}
	return false;
}

// Every change lowers the traffic between workers, so this ends; the bound keeps it short.
static void improve(struct partition *p)
{
	bool changed = true;
	for (int pass = 0; changed && pass < PASSES_MAX; pass++) {
		changed = false;
		for (unsigned task = 0; task < p->task_count; task++)
			changed |= improve_by_move(p, task) || improve_by_swap(p, task);
	}
}

static void number_workers(struct partition *p)
{
	unsigned next = 0;
	memset(p->number, 0xff, p->workers * sizeof(*p->number));
	for (size_t i = 0; i < p->task_count; i++) {
		unsigned *number = &p->number[p->worker_of[i]];
		*number = *number == UINT32_MAX ? next++ : *number;
		p->worker_of[i] = *number;
	}
	ASSERT(next <= p->workers);
}

static int allocate(struct partition *p)
{
	size_t tasks = p->task_count + 1, links = p->problem->graph->edge_count + 1;
	size_t workers = p->workers, groups = p->groups + 1;
	p->links = calloc(links, sizeof(*p->links));
	p->links_of = calloc(2 * links, sizeof(*p->links_of));
	p->first = calloc(tasks + 1, sizeof(*p->first));
	p->clusters = calloc(tasks, sizeof(*p->clusters));
	p->order = calloc(tasks, sizeof(*p->order));
	p->load = calloc(workers, sizeof(*p->load));
	p->traffic = calloc(tasks * workers, sizeof(*p->traffic));
	p->guests = calloc(workers * groups, sizeof(*p->guests));
	p->guests_all = calloc(workers, sizeof(*p->guests_all));
	p->number = calloc(workers, sizeof(*p->number));
	bool whole = p->links && p->links_of && p->first && p->clusters && p->order && p->load &&
		p->traffic && p->guests && p->guests_all && p->number;
	return whole ? 0 : -ENOMEM;
}

static void release(struct partition *p)
{
	free(p->links);
	free(p->links_of);
	free(p->first);
	free(p->clusters);
	free(p->order);
	free(p->load);
	free(p->traffic);
	free(p->guests);
	free(p->guests_all);
	free(p->number);
}

int partition_compute(const struct partition_problem *problem, unsigned *worker_of,
	uint64_t *ret_limit)
{
	struct partition p = {
		.problem = problem,
		.tasks = problem->graph->tasks,
		.task_count = problem->graph->task_count,
		.workers = problem->workers,
		.worker_of = worker_of,
	};
	ASSERT(problem->workers > 0);
	weigh(&p);
	int rc = allocate(&p);
	if (!rc) {
		list_links(&p);
		cluster_tasks(&p);
		assign_clusters(&p);
		balance(&p);
		improve(&p);
		number_workers(&p);
		*ret_limit = p.target;
	}
	release(&p);
	return rc;
}
