#include "numa/topology.h"

#include "numa/assert.h"
#include "numa/pin.h"
#include "numa/quota.h"

#include <errno.h>
#include <hwloc.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DISTANCE_LOCAL = 10, DISTANCE_REMOTE = 20, PCI_CLASS_NETWORK = 0x02 };

// What is needed only while reading.
struct reading {
	hwloc_topology_t from;
	hwloc_bitmap_t usable; // PUs
	struct topology *to;
};

static unsigned count_of(hwloc_topology_t from, hwloc_obj_type_t type)
{
	int count = hwloc_get_nbobjs_by_type(from, type);
	return count > 0 ? count : 0;
}

static int open_source(hwloc_topology_t from, enum topology_kind kind, const char *text)
{
	setenv("HWLOC_HIDE_ERRORS", "2", 0); // what is wrong is said once, by the caller
	hwloc_topology_set_flags(from, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
	hwloc_topology_set_io_types_filter(from, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
	if (kind == TOPOLOGY_XML && access(text, R_OK))
		return -errno;
	if (kind == TOPOLOGY_XML && hwloc_topology_set_xml(from, text))
		return -EINVAL;
	if (kind == TOPOLOGY_SYNTHETIC && hwloc_topology_set_synthetic(from, text))
		return -EINVAL;
	errno = 0;
	return hwloc_topology_load(from) ? -(errno ? errno : EINVAL) : 0;
}

static int keep_affinity(hwloc_bitmap_t usable)
{
	unsigned *allowed;
	size_t count;
	int rc = pin_allowed(&allowed, &count);
	if (rc)
		return rc;
	hwloc_bitmap_t affinity = hwloc_bitmap_alloc();
	for (size_t i = 0; affinity && i < count; i++)
		hwloc_bitmap_set(affinity, allowed[i]);
	free(allowed);
	rc = affinity ? hwloc_bitmap_and(usable, usable, affinity) : -1;
	hwloc_bitmap_free(affinity);
	return rc ? -ENOMEM : 0;
}

static int read_usable(struct reading *reading, const unsigned *pus, size_t pu_count)
{
	hwloc_bitmap_t given = hwloc_bitmap_alloc();
	reading->usable = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(reading->from));
	int rc = given && reading->usable ? 0 : -ENOMEM;
	for (size_t i = 0; !rc && pus && i < pu_count; i++)
		rc = hwloc_bitmap_set(given, pus[i]) ? -ENOMEM : 0;
	if (!rc && pus && hwloc_bitmap_and(reading->usable, reading->usable, given))
		rc = -ENOMEM;
	hwloc_bitmap_free(given);
	if (!rc && hwloc_topology_is_thissystem(reading->from))
		rc = keep_affinity(reading->usable);
	return rc;
}

static int allocate(struct reading *reading)
{
	struct topology *to = reading->to;
	hwloc_topology_t from = reading->from;
	unsigned nodes = count_of(from, HWLOC_OBJ_NUMANODE), pus = count_of(from, HWLOC_OBJ_PU);
	unsigned caches = count_of(from, HWLOC_OBJ_L2CACHE) + count_of(from, HWLOC_OBJ_L3CACHE);
	unsigned nics = 0;
	for (hwloc_obj_t it = NULL; (it = hwloc_get_next_pcidev(from, it));)
		nics++;
	to->nodes = calloc(nodes + 1, sizeof(*to->nodes));
	to->caches = calloc(caches + 1, sizeof(*to->caches));
	to->cores = calloc(pus + 1, sizeof(*to->cores));
	to->pus = calloc(pus + 1, sizeof(*to->pus));
	to->nics = calloc(nics + 1, sizeof(*to->nics));
	to->distances = calloc((size_t)nodes * nodes + 1, sizeof(*to->distances));
	bool whole = to->nodes && to->caches && to->cores && to->pus && to->nics && to->distances;
	return whole ? 0 : -ENOMEM;
}

// Nodes keep hwloc's logical order, so a logical index is an index into `nodes`.
static void read_nodes(struct reading *reading)
{
	struct topology *to = reading->to;
	to->node_count = count_of(reading->from, HWLOC_OBJ_NUMANODE);
	for (size_t i = 0; i < to->node_count; i++) {
		hwloc_obj_t obj = hwloc_get_obj_by_type(reading->from, HWLOC_OBJ_NUMANODE, i);
		hwloc_obj_t package =
			hwloc_get_ancestor_obj_by_type(reading->from, HWLOC_OBJ_PACKAGE, obj);
		to->nodes[i] = (struct topology_node){
			.os_index = obj->os_index,
			.bytes = obj->attr->numanode.local_memory,
			.package = package ? (int)package->logical_index : TOPOLOGY_NONE,
		};
	}
}

// The tightest allowed node around the object; of equals the first, which is plain DRAM where
// there are several kinds of memory.
static int nearest_node(struct reading *reading, hwloc_obj_t obj)
{
	hwloc_const_nodeset_t allowed = hwloc_topology_get_allowed_nodeset(reading->from);
	int best = TOPOLOGY_NONE, best_pus = 0;
	for (size_t i = 0; i < reading->to->node_count; i++) {
		hwloc_obj_t node = hwloc_get_obj_by_type(reading->from, HWLOC_OBJ_NUMANODE, i);
		int pus = hwloc_bitmap_weight(node->cpuset);
		if (!hwloc_bitmap_isset(allowed, node->os_index) ||
			!hwloc_bitmap_isincluded(obj->cpuset, node->cpuset))
			continue;
		if (best == TOPOLOGY_NONE || pus < best_pus) {
			best = i;
			best_pus = pus;
		}
	}
	return best;
}

static void read_caches(struct reading *reading, hwloc_obj_type_t type, int level)
{
	struct topology *to = reading->to;
	unsigned count = count_of(reading->from, type);
	for (unsigned i = 0; i < count; i++) {
		hwloc_obj_t obj = hwloc_get_obj_by_type(reading->from, type, i);
		to->caches[to->cache_count++] = (struct topology_cache){
			.level = level,
			.bytes = obj->attr->cache.size,
			.node = nearest_node(reading, obj),
		};
	}
}

// The caches are entered as all L3, then all L2, each in logical order.
static int find_cache(struct reading *reading, hwloc_obj_t obj, hwloc_obj_type_t type)
{
	hwloc_obj_t cache = hwloc_get_ancestor_obj_by_type(reading->from, type, obj);
	unsigned before =
		type == HWLOC_OBJ_L2CACHE ? count_of(reading->from, HWLOC_OBJ_L3CACHE) : 0;
	return cache ? (int)(before + cache->logical_index) : TOPOLOGY_NONE;
}

static void add_core(struct reading *reading, hwloc_obj_t obj)
{
	struct topology *to = reading->to;
	struct topology_core *core = &to->cores[to->core_count++];
	*core = (struct topology_core){
		.os_index = obj->os_index,
		.node = nearest_node(reading, obj),
		.l2 = find_cache(reading, obj, HWLOC_OBJ_L2CACHE),
		.l3 = find_cache(reading, obj, HWLOC_OBJ_L3CACHE),
		.pu_first = to->pu_count,
	};
	if (core->node >= 0)
		to->nodes[core->node].cores++;
	if (core->l2 >= 0)
		to->caches[core->l2].cores++;
	if (core->l3 >= 0)
		to->caches[core->l3].cores++;
}

// A machine that does not tell its cores (some virtual ones) has one PU in each.
static void read_cores(struct reading *reading)
{
	struct topology *to = reading->to;
	hwloc_obj_t last = NULL;
	unsigned first_pu = UINT32_MAX;
	for (unsigned i = 0; i < count_of(reading->from, HWLOC_OBJ_PU); i++) {
		hwloc_obj_t pu = hwloc_get_obj_by_type(reading->from, HWLOC_OBJ_PU, i);
		if (!hwloc_bitmap_isset(reading->usable, pu->os_index))
			continue;
		hwloc_obj_t core =
			hwloc_get_ancestor_obj_by_type(reading->from, HWLOC_OBJ_CORE, pu);
		if (!core || core != last)
			add_core(reading, core ? core : pu);
		last = core;
		size_t index = to->core_count - 1;
		to->cores[index].pu_count++;
		to->pus[to->pu_count++] =
			(struct topology_pu){.os_index = pu->os_index, .core = index};
		if (pu->os_index < first_pu) {
			first_pu = pu->os_index;
			to->housekeeping = index;
		}
	}
}

static bool is_network(hwloc_obj_t device)
{
	if (device->attr->pcidev.class_id >> 8 == PCI_CLASS_NETWORK)
		return true;
	for (hwloc_obj_t it = device->io_first_child; it; it = it->next_sibling)
		if (it->type == HWLOC_OBJ_OS_DEVICE &&
			(it->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK ||
				it->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS))
			return true;
	return false;
}

// A device hangs on a node if what it is attached to lies within that node alone.
static int node_of_device(struct reading *reading, hwloc_obj_t device)
{
	hwloc_obj_t holder = hwloc_get_non_io_ancestor_obj(reading->from, device);
	if (!holder || hwloc_bitmap_iszero(holder->cpuset))
		return TOPOLOGY_NONE;
	for (size_t i = 0; i < reading->to->node_count; i++) {
		hwloc_obj_t node = hwloc_get_obj_by_type(reading->from, HWLOC_OBJ_NUMANODE, i);
		if (!hwloc_bitmap_iszero(node->cpuset) &&
			hwloc_bitmap_isincluded(holder->cpuset, node->cpuset))
			return i;
	}
	return TOPOLOGY_NONE;
}

static void read_nics(struct reading *reading)
{
	for (hwloc_obj_t it = NULL; (it = hwloc_get_next_pcidev(reading->from, it));) {
		if (!is_network(it))
			continue;
		const struct hwloc_pcidev_attr_s *pci = &it->attr->pcidev;
		struct topology_nic *nic = &reading->to->nics[reading->to->nic_count++];
		nic->node = node_of_device(reading, it);
		snprintf(nic->pci, sizeof(nic->pci), "%04x:%02x:%02x.%x", pci->domain, pci->bus,
			pci->dev, pci->func);
		for (hwloc_obj_t os = it->io_first_child; os; os = os->next_sibling)
			if (os->name && os->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK)
				snprintf(nic->name, sizeof(nic->name), "%.*s",
					TOPOLOGY_NAME_BYTES - 1, os->name);
	}
}

// hwloc keeps the matrix in 64 bits; values beyond 32 would be no ACPI distances.
static void read_distances(struct reading *reading)
{
	struct topology *to = reading->to;
	size_t n = to->node_count;
	struct hwloc_distances_s *found = NULL;
	unsigned count = 1;
	for (size_t i = 0; i < n * n; i++)
		to->distances[i] = i / n == i % n ? DISTANCE_LOCAL : DISTANCE_REMOTE;
	if (hwloc_distances_get_by_type(reading->from, HWLOC_OBJ_NUMANODE, &count, &found,
		    HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) ||
		!count)
		return;
	for (size_t i = 0; i < (size_t)found->nbobjs * found->nbobjs; i++) {
		size_t from = found->objs[i / found->nbobjs]->logical_index;
		size_t to_node = found->objs[i % found->nbobjs]->logical_index;
		if (found->values[i] > 0 && found->values[i] <= UINT16_MAX)
			to->distances[from * n + to_node] = found->values[i];
	}
	hwloc_distances_release(reading->from, found);
}

static int read_topology(struct reading *reading)
{
	int rc = allocate(reading);
	if (rc)
		return rc;
	read_nodes(reading);
	read_caches(reading, HWLOC_OBJ_L3CACHE, 3);
	read_caches(reading, HWLOC_OBJ_L2CACHE, 2);
	read_cores(reading);
	read_nics(reading);
	read_distances(reading);
	return reading->to->pu_count ? 0 : -ENOENT;
}

int topology_load(enum topology_kind kind, const char *text, const unsigned *pus, size_t pu_count,
	struct topology *ret_topology)
{
	struct topology read = {0};
	struct reading reading = {.to = &read};
	if (hwloc_topology_init(&reading.from))
		return -ENOMEM;
	int rc = open_source(reading.from, kind, text);
	if (!rc)
		rc = read_usable(&reading, pus, pu_count);
	if (!rc)
		rc = read_topology(&reading);
	if (!rc && hwloc_topology_is_thissystem(reading.from))
		read.quota_millis = quota_read("/proc/self/cgroup", "/sys/fs/cgroup");
	hwloc_bitmap_free(reading.usable);
	hwloc_topology_destroy(reading.from);
	if (rc) {
		topology_destroy(&read);
		return rc;
	}
	ASSERT(read.housekeeping < read.core_count);
	*ret_topology = read;
	return 0;
}

void topology_destroy(struct topology *topology)
{
	if (!topology)
		return;
	free(topology->nodes);
	free(topology->caches);
	free(topology->cores);
	free(topology->pus);
	free(topology->nics);
	free(topology->distances);
	*topology = (struct topology){0};
}

int topology_find_pu(const struct topology *topology, unsigned os_index)
{
	for (size_t i = 0; i < topology->pu_count; i++)
		if (topology->pus[i].os_index == os_index)
			return i;
	return TOPOLOGY_NONE;
}

uint32_t topology_distance(const struct topology *topology, int a, int b)
{
	if (a < 0 || b < 0)
		return DISTANCE_LOCAL;
	ASSERT((size_t)a < topology->node_count && (size_t)b < topology->node_count);
	return topology->distances[a * topology->node_count + b];
}

// The lowest usable OS index from `least` on, UINT_MAX if there is none.
static unsigned next_pu(const struct topology *topology, unsigned least)
{
	unsigned next = UINT_MAX;
	for (size_t i = 0; i < topology->pu_count; i++) {
		unsigned pu = topology->pus[i].os_index;
		next = pu >= least && pu < next ? pu : next;
	}
	return next;
}

void topology_pus_text(const struct topology *topology, char *text, size_t bytes)
{
	size_t used = 0;
	for (unsigned first = next_pu(topology, 0), last; first != UINT_MAX;
		first = next_pu(topology, last + 1)) {
		char range[32];
		for (last = first; next_pu(topology, last + 1) == last + 1;)
			last++;
		snprintf(range, sizeof(range), last == first ? "%u" : "%u-%u", first, last);
		if (used + strlen(range) + sizeof(",...") >= bytes) {
			snprintf(text + used, bytes - used, "%s...", used ? "," : "");
			return;
		}
		used += snprintf(text + used, bytes - used, "%s%s", used ? "," : "", range);
	}
}
