#include "control/topo.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

// Packing and appending pass NULL on, so that one check at the end finds any want of memory.

static json_t *index_json(int index)
{
	return index < 0 ? json_null() : json_integer(index);
}

static json_t *node_json(const struct topology *t, size_t index)
{
	const struct topology_node *node = &t->nodes[index];
	json_t *distances = json_array();
	for (size_t i = 0; i < t->node_count; i++)
		json_array_append_new(distances, json_integer(topology_distance(t, index, i)));
	return json_pack("{s:i, s:I, s:i, s:o, s:o}", "node", (int)node->os_index, "bytes",
		(json_int_t)node->bytes, "cores", (int)node->cores, "package",
		index_json(node->package), "distances", distances);
}

static int node_os(const struct topology *t, int index)
{
	return index < 0 ? TOPOLOGY_NONE : (int)t->nodes[index].os_index;
}

static json_t *cache_json(const struct topology *t, size_t index)
{
	const struct topology_cache *cache = &t->caches[index];
	return json_pack("{s:i, s:i, s:I, s:i, s:o}", "cache", (int)index, "level", cache->level,
		"bytes", (json_int_t)cache->bytes, "cores", (int)cache->cores, "node",
		index_json(node_os(t, cache->node)));
}

static json_t *core_json(const struct topology *t, size_t index)
{
	const struct topology_core *core = &t->cores[index];
	json_t *pus = json_array();
	for (size_t i = 0; i < core->pu_count; i++)
		json_array_append_new(pus, json_integer(t->pus[core->pu_first + i].os_index));
	return json_pack("{s:i, s:o, s:o, s:o, s:b, s:o}", "core", (int)index, "node",
		index_json(node_os(t, core->node)), "l2", index_json(core->l2), "l3",
		index_json(core->l3), "housekeeping", index == t->housekeeping, "pus", pus);
}

static json_t *nic_json(const struct topology *t, size_t index)
{
	const struct topology_nic *nic = &t->nics[index];
	return json_pack("{s:s, s:s, s:o}", "name", nic->name, "pci", nic->pci, "node",
		index_json(node_os(t, nic->node)));
}

static json_t *list(const struct topology *topology, size_t count,
	json_t *(*entry)(const struct topology *topology, size_t index))
{
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++)
		if (json_array_append_new(array, entry(topology, i))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *workers_json(const struct placement *placement)
{
	static const char *const seats[] = {"core", "housekeeping", "sibling", "shared"};
	json_t *array = json_array();
	for (size_t i = 0; i < placement->worker_count; i++) {
		const struct placement_worker *worker = &placement->workers[i];
		json_t *entry = json_pack("{s:i, s:i, s:i, s:o, s:s, s:I, s:s}", "worker", (int)i,
			"pu", (int)worker->pu, "core", (int)worker->core, "node",
			index_json(worker->node), "seat", seats[worker->seat], "load",
			(json_int_t)worker->load, "reason", worker->reason);
		if (json_array_append_new(array, entry)) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *tasks_json(const struct placement_graph *graph, const struct placement *placement)
{
	json_t *array = json_array();
	for (size_t i = 0; i < placement->task_count; i++) {
		json_t *entry = json_pack("{s:s, s:i, s:I, s:s}", "task", graph->tasks[i].name,
			"worker", (int)placement->tasks[i].worker, "weight",
			(json_int_t)graph->tasks[i].weight, "reason", placement->tasks[i].reason);
		if (json_array_append_new(array, entry)) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int topo_json(FILE *out, const struct topology *topology, const struct placement_graph *graph,
	const struct placement *placement)
{
	json_t *root = json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I}}",
		"schema", "weir-topo-1", "quota_millis", (int)topology->quota_millis, "nodes",
		list(topology, topology->node_count, node_json), "caches",
		list(topology, topology->cache_count, cache_json), "cores",
		list(topology, topology->core_count, core_json), "nics",
		list(topology, topology->nic_count, nic_json), "workers", workers_json(placement),
		"tasks", tasks_json(graph, placement), "traffic", "all",
		(json_int_t)placement->traffic, "within_worker",
		(json_int_t)placement->traffic_local, "within_node",
		(json_int_t)placement->traffic_node);
	if (!root)
		return -ENOMEM;
	int rc = json_dumpf(root, out, JSON_INDENT(1)) ? -EIO : 0;
	json_decref(root);
	return fputc('\n', out) == EOF ? -EIO : rc;
}
