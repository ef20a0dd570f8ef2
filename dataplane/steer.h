// Steering: a port that cannot put packets into the queue of the worker they are for has them come
// to any worker, which passes them on. One bounded ring for each pair of workers.
#pragma once

#include <stdalign.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_ring;

enum {
	STEER_WORKERS_MAX = 128,
	STEER_WORKER_OFFSET = 2, // in the session header: u16, little-endian, the worker it is for
};

#define STEER_COUNTERS(X)                                                                          \
	X(PASSED, "passed")       /* to another worker */                                          \
	X(FULL, "full")           /* dropped: that worker takes too slowly */                      \
	X(NO_WORKER, "no_worker") /* dropped: for a worker that is not there, or too short */

enum steer_counter {
#define X(id, name) STEER_##id,
	STEER_COUNTERS(X)
#undef X
		STEER_COUNTER_COUNT
};

extern const char *const steer_counter_names[STEER_COUNTER_COUNT];

struct steer {
	uint32_t workers;
	struct rte_ring **rings; // [from * workers + to]
	struct steer_count {
		alignas(64) uint64_t counted[STEER_COUNTER_COUNT];
	} * counts; // by the worker that passes on
};

// Rings of `capacity` packets.  Thread: agent.  Returns 0 or -ENOMEM.
int steer_create(struct steer *s, uint32_t workers, uint32_t capacity);
void steer_destroy(struct steer *s); // frees what is still in the rings; NULL-safe, half-built too

// Keep the packets for worker `self` at the front, in order, and pass on or drop the others.
// Thread: worker `self`.  Returns how many are kept.
uint32_t steer_sort(struct steer *s, uint32_t self, struct rte_mbuf **packets, uint32_t count);

// What others have passed on to `self`.  Thread: worker `self`.
uint32_t steer_take(struct steer *s, uint32_t self, struct rte_mbuf **packets, uint32_t count);
