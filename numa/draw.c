#include "numa/draw.h"

#include "numa/assert.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { NAMES_MAX = 6, RULE_COLUMNS = 78, LIST_BYTES = 64 };

struct drawing {
	FILE *out;
	const struct topology *topology;
	const struct placement_graph *graph;
	const struct placement *placement;
	uint64_t load; // of all workers
};

static void draw_bytes(FILE *out, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;
	double value = bytes;
	for (; value >= 1024 && unit < 4; unit++)
		value /= 1024;
	fprintf(out, value < 10 && unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static bool has_worker(const struct drawing *d, size_t core)
{
	for (size_t i = 0; i < d->placement->worker_count; i++)
		if (d->placement->workers[i].core == core)
			return true;
	return false;
}

static bool is_idle(const struct drawing *d, size_t core)
{
	return core != d->topology->housekeeping && !has_worker(d, core);
}

static bool is_cache_idle(const struct drawing *d, int l3)
{
	for (size_t core = 0; core < d->topology->core_count; core++)
		if (d->topology->cores[core].l3 == l3 && !is_idle(d, core))
			return false;
	return l3 >= 0;
}

// The PUs of cores [first, end), as "64-71,192-199".
static void pus_of_cores(const struct drawing *d, size_t first, size_t end, char *text,
	size_t bytes)
{
	struct topology part = *d->topology;
	const struct topology_core *cores = d->topology->cores;
	part.pus += cores[first].pu_first;
	part.pu_count = cores[end - 1].pu_first + cores[end - 1].pu_count - cores[first].pu_first;
	topology_pus_text(&part, text, bytes);
}

// "core 3     PU 3,131", or "cores 3-7  PU 3-7,131-135", padded to columns.
static void draw_cores(const struct drawing *d, size_t first, size_t end)
{
	char name[LIST_BYTES], pus[LIST_BYTES];
	pus_of_cores(d, first, end, pus, sizeof(pus));
	if (end - first == 1)
		snprintf(name, sizeof(name), "core %zu", first);
	else
		snprintf(name, sizeof(name), "cores %zu-%zu", first, end - 1);
	fprintf(d->out, "│   %-14s PU %-16s ", name, pus);
}

static void draw_tasks(const struct drawing *d, size_t worker)
{
	size_t shown = 0, hidden = 0;
	for (size_t i = 0; i < d->placement->task_count; i++) {
		if (d->placement->tasks[i].worker != worker)
			continue;
		if (shown == NAMES_MAX)
			hidden++;
		else
			fprintf(d->out, "%s%s", shown++ ? ", " : ": ", d->graph->tasks[i].name);
	}
	if (hidden)
		fprintf(d->out, " and %zu more", hidden);
}

static void draw_worker(const struct drawing *d, size_t worker)
{
	const struct placement_worker *own = &d->placement->workers[worker];
	fprintf(d->out, "worker %zu on PU %u", worker, own->pu);
	if (d->load)
		fprintf(d->out, ", %" PRIu64 " %% of the load",
			(own->load * 100 + d->load / 2) / d->load);
	draw_tasks(d, worker);
	fputc('\n', d->out);
}

static void draw_busy_core(const struct drawing *d, size_t core)
{
	draw_cores(d, core, core + 1);
	bool housekeeping = core == d->topology->housekeeping, first = true;
	if (housekeeping)
		fputs("housekeeping: kernel, agent\n", d->out);
	first = !housekeeping;
	for (size_t i = 0; i < d->placement->worker_count; i++) {
		if (d->placement->workers[i].core != core)
			continue;
		if (!first)
			fprintf(d->out, "│   %-14s    %-16s ", "", "");
		draw_worker(d, i);
		first = false;
	}
}

static void draw_cache(const struct drawing *d, int l3)
{
	fprintf(d->out, "│ L3 cache %d: ", l3);
	draw_bytes(d->out, d->topology->caches[l3].bytes);
	fputc('\n', d->out);
}

// The cores from `first` on that one line can stand for: idle and of one L3.
static size_t idle_run(const struct drawing *d, size_t first)
{
	const struct topology_core *cores = d->topology->cores;
	size_t end = first;
	while (end < d->topology->core_count && is_idle(d, end) &&
		cores[end].node == cores[first].node && cores[end].l3 == cores[first].l3)
		end++;
	return end;
}

// The cores from `first` on whose L3 caches are all idle.
static size_t idle_caches_run(const struct drawing *d, size_t first)
{
	const struct topology_core *cores = d->topology->cores;
	size_t end = first;
	while (end < d->topology->core_count && cores[end].node == cores[first].node &&
		is_cache_idle(d, cores[end].l3))
		end++;
	return end;
}

static void draw_idle_caches(const struct drawing *d, size_t first, size_t end)
{
	int low = d->topology->cores[first].l3, high = d->topology->cores[end - 1].l3;
	if (low == high) {
		draw_cache(d, low);
	} else {
		fprintf(d->out, "│ L3 caches %d-%d: ", low, high);
		draw_bytes(d->out, d->topology->caches[low].bytes);
		fputs(" each\n", d->out);
	}
	draw_cores(d, first, end);
	fputs("free\n", d->out);
}

// Draw the core, or the run of idle ones that begins with it.  Returns the next to draw.
static size_t draw_from(const struct drawing *d, size_t core)
{
	const struct topology_core *cores = d->topology->cores;
	size_t end = idle_caches_run(d, core);
	if (end > core) {
		draw_idle_caches(d, core, end);
		return end;
	}
	if (cores[core].l3 >= 0 && (core == 0 || cores[core - 1].l3 != cores[core].l3))
		draw_cache(d, cores[core].l3);
	if (!is_idle(d, core)) {
		draw_busy_core(d, core);
		return core + 1;
	}
	end = idle_run(d, core);
	draw_cores(d, core, end);
	fputs("free\n", d->out);
	return end;
}

static void draw_node_head(const struct drawing *d, int index)
{
	const struct topology *t = d->topology;
	if (index < 0) {
		fputs("┌ no node known\n", d->out);
		return;
	}
	fprintf(d->out, "┌ node %u", t->nodes[index].os_index);
	if (t->nodes[index].package >= 0)
		fprintf(d->out, ", package %d", t->nodes[index].package);
	if (t->nodes[index].bytes) {
		fputs(", ", d->out);
		draw_bytes(d->out, t->nodes[index].bytes);
	}
	for (size_t i = 0; i < t->node_count && t->node_count > 1; i++)
		fprintf(d->out, "%s %" PRIu32, i ? "" : ", distances",
			topology_distance(t, index, i));
	fputc('\n', d->out);
	for (size_t i = 0; i < t->nic_count; i++)
		if (t->nics[i].node == index)
			fprintf(d->out, "│ NIC %s%s%s\n", t->nics[i].name,
				t->nics[i].name[0] ? " " : "", t->nics[i].pci);
	if (!t->nodes[index].cores)
		fputs("│ no core to use\n", d->out);
}

static void draw_node(const struct drawing *d, int index)
{
	draw_node_head(d, index);
	for (size_t core = 0; core < d->topology->core_count;)
		core = d->topology->cores[core].node == index ? draw_from(d, core) : core + 1;
	fputs("└", d->out);
	for (int i = 1; i < RULE_COLUMNS; i++)
		fputs("─", d->out);
	fputc('\n', d->out);
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

static void draw_summary(const struct drawing *d)
{
	const struct topology *t = d->topology;
	const struct placement *p = d->placement;
	fprintf(d->out, "%zu node%s, %zu core%s, %zu PU%s, %zu NIC%s; %zu worker%s, %zu task%s\n",
		t->node_count, plural(t->node_count), t->core_count, plural(t->core_count),
		t->pu_count, plural(t->pu_count), t->nic_count, plural(t->nic_count),
		p->worker_count, plural(p->worker_count), p->task_count, plural(p->task_count));
}

static void draw_quota(const struct drawing *d)
{
	size_t workers = d->placement->worker_count;
	double quota = d->topology->quota_millis / 1000.0;
	if (!d->topology->quota_millis)
		return;
	fprintf(d->out, "  CPU quota of the cgroup: %.2f CPUs%s\n", quota,
		workers > quota ? ", fewer than workers: they will be stopped at times" : "");
}

static void draw_reasons(const struct drawing *d)
{
	const struct placement *p = d->placement;
	fputs("why\n", d->out);
	for (size_t i = 0; i < p->worker_count; i++)
		fprintf(d->out, "  worker %zu on PU %u: %s\n", i, p->workers[i].pu,
			p->workers[i].reason);
	for (size_t i = 0; i < p->task_count; i++)
		fprintf(d->out, "  %s on worker %u: %s\n", d->graph->tasks[i].name,
			p->tasks[i].worker, p->tasks[i].reason);
	draw_quota(d);
	if (p->traffic)
		fprintf(d->out, "  traffic: %.0f %% within a worker, %.0f %% within a node\n",
			100.0 * p->traffic_local / p->traffic,
			100.0 * p->traffic_node / p->traffic);
}

void draw_host(FILE *out, const struct topology *topology, const struct placement_graph *graph,
	const struct placement *placement)
{
	struct drawing drawing = {out, topology, graph, placement, 0};
	bool homeless = false;
	ASSERT(placement->task_count == (graph ? graph->task_count : 0));
	for (size_t i = 0; i < placement->worker_count; i++)
		drawing.load += placement->workers[i].load;
	for (size_t i = 0; i < topology->core_count; i++)
		homeless |= topology->cores[i].node == TOPOLOGY_NONE;
	draw_summary(&drawing);
	for (int i = homeless ? TOPOLOGY_NONE : 0; i < (int)topology->node_count; i++)
		draw_node(&drawing, i);
	draw_reasons(&drawing);
}
