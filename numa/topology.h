// The machine as placement sees it: NUMA nodes, shared caches, cores with their PUs, NICs. Only PUs
// that may be used are in it (taskset, cgroup and the caller's own list respected). Things refer to
// each other by index into these arrays; what binding calls need is the OS index. Immutable.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { TOPOLOGY_NONE = -1, TOPOLOGY_NAME_BYTES = 32 };

enum topology_kind { TOPOLOGY_HOST, TOPOLOGY_XML, TOPOLOGY_SYNTHETIC };

struct topology_node {
	unsigned os_index;
	uint64_t bytes; // memory, 0: unknown
	unsigned cores; // usable ones near it; 0: memory only, or all were taken away
	int package;    // TOPOLOGY_NONE: not within one
};

// A cache that several PUs may share; `level` is 2 or 3.
struct topology_cache {
	int level;
	uint64_t bytes;
	unsigned cores; // usable ones under it
	int node;
};

struct topology_core {
	unsigned os_index;
	int node;                  // the node its memory should come from, TOPOLOGY_NONE: unknown
	int l2, l3;                // the caches above it, TOPOLOGY_NONE: there is none
	size_t pu_first, pu_count; // its usable PUs (SMT siblings), ascending by OS index
};

struct topology_pu {
	unsigned os_index;
	size_t core;
};

struct topology_nic {
	char name[TOPOLOGY_NAME_BYTES]; // the OS device's, or "" when a user-space driver holds it
	char pci[TOPOLOGY_NAME_BYTES];  // 0000:41:00.0
	int node;                       // TOPOLOGY_NONE: near no node in particular
};

struct topology {
	struct topology_node *nodes;
	struct topology_cache *caches; // those without usable cores included, like nodes
	struct topology_core *cores;   // neighbours are close: ordered by node, L3, L2
	struct topology_pu *pus;
	struct topology_nic *nics;
	size_t node_count, cache_count, core_count, pu_count, nic_count;
	uint32_t *distances;   // node_count x node_count, ACPI's units: 10 is local
	unsigned quota_millis; // the cgroup's CPU quota in thousandths of a CPU, 0: none
	size_t housekeeping;   // the core of the first usable PU, where kernel and agent run
};

// Load this host, or what `text` names: an XML file of hwloc or a synthetic description. Only the
// given PUs (OS indices) are used, all usable ones if `pus` is NULL. For the host call it before
// anything pins the calling thread (see pin_allowed).
// Owns: *ret_topology is the caller's, for topology_destroy.  Returns 0 or -errno: -EINVAL for a
// description that cannot be read, -ENOENT where no PU is left.
int topology_load(enum topology_kind kind, const char *text, const unsigned *pus, size_t pu_count,
	struct topology *ret_topology);

// NULL-safe and idempotent.
void topology_destroy(struct topology *topology);

// Index of the PU with this OS index, TOPOLOGY_NONE if it may not be used or does not exist.
int topology_find_pu(const struct topology *topology, unsigned os_index);

// ACPI distance of two nodes (indices, TOPOLOGY_NONE allowed: then as if local).
uint32_t topology_distance(const struct topology *topology, int a, int b);

// Write the usable PUs (OS indices) as "0-3,8"; cut short with "..." where there is no room.
void topology_pus_text(const struct topology *topology, char *text, size_t bytes);
