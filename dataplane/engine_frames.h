// Memory of frames. A link may hold sent ones for a while after their job is gone, as network cards
// do, so that a pool lives on until the last has come back.  Thread: any.
#pragma once

#include <stdint.h>

struct rte_mempool;

// So many frames of `room` bytes, headroom included, on that NUMA node if it has memory.
// Returns NULL without memory.
struct rte_mempool *engine_frames_create(uint32_t frames, uint16_t room, int node);

// NULL-safe. What is not there yet is waited for: those that have all go with later calls.
void engine_frames_free(struct rte_mempool *pool);
