// An arena: one mapping on one NUMA node, handed out by bumping a pointer, freed as a whole.
// All record-path memory comes from arenas; once sealed, a further allocation is fatal.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum arena_pages { ARENA_PAGES_HUGE, ARENA_PAGES_TRANSPARENT, ARENA_PAGES_SMALL };

struct arena {
	uint8_t *base;
	size_t bytes;
	size_t used;
	bool sealed;
	enum arena_pages pages; // what the mapping got, best first
	int node;               // OS index of the NUMA node asked for, -1: any
};

// Map `bytes` (rounded up to whole pages) on NUMA node `node` (OS index, -1: any; preferred, so a
// full node spills to another), in huge pages where there are any, else transparent ones, and touch
// every page (prefault) unless `lazy`. Less than one huge page (2 MiB) gets small pages.
// Thread: any.  Returns 0 or -errno.
int arena_create(struct arena *arena, size_t bytes, int node, bool lazy);

// Bytes that arenas could take now: free huge pages and what the kernel says is available. 0: it
// does not say.  Thread: any.
uint64_t arena_available_bytes(void);

// Thread: owner, after the last use of anything from it. NULL-safe and idempotent.
void arena_destroy(struct arena *arena);

// Thread: owner.  Returns zeroed memory aligned to `align` (a power of two, at least 1).
// Fatal when sealed; NULL when the arena is full.
void *arena_alloc(struct arena *arena, size_t bytes, size_t align);

// From now on an allocation is a defect and ends the process.
void arena_seal(struct arena *arena);
