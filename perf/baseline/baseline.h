// The yardstick: for each query a fused loop written by hand over the same rows as the engine's, on
// one thread or partitioned by key on several, hashing the same output records.
#pragma once

#include <stdint.h>

#include "perf/baseline/rows.h"
#include "perf/baseline/team.h"

struct baseline {
	const char *name;
	const char *summary;
	// Take all memory the loops need.  Returns 0 or -errno.
	int (*create)(const struct rows *rows, uint32_t threads, void **ret_self);
	void (*destroy)(void *self); // NULL-safe
	// Thread: `part` of the team, all at once.
	void (*work)(void *self, uint32_t part);
	// Bring together what the threads found; on one thread, after the work.
	struct tally (*finish)(void *self);
};

extern const struct baseline *const baselines[]; // NULL at the end

const struct baseline *baseline_find(const char *name);

// One timed run over rows.  Returns 0 and the whole time, or -errno of create().
int baseline_run(const struct baseline *baseline, const struct rows *rows, const struct team *team,
	struct tally *ret_tally, int64_t *ret_ns);
