// One seed's world: the production engine, its workers stepped in an order, with batch cuts, at
// times and with deaths that the seed chooses. One thread, virtual time.
#pragma once

#include "control/job.h"
#include "control/planner.h"
#include "dataplane/engine_parts.h"
#include "tests/sim/ledger.h"
#include "tests/sim/scenario.h"

enum { WORLD_DEATHS_MAX = 24 };

// The memory a successor lives in; the dead one's worker arena is sealed.
struct afterlife {
	struct arena arena;
	struct pool pool;
};

struct world {
	const struct scenario *scenario;
	struct random random, paces;
	struct job job;
	struct planned_job planned;
	struct engine *engine;
	struct ledger ledger;
	int64_t now_ns;
	int64_t stalled_until_ns[16]; // per worker
	uint64_t steps;
	uint32_t kills, deaths; // times and tasks killed
	// Key groups that successors began without, those of them that something waited for, and
	// the times it had to wait for another step.
	uint64_t groups, groups_needed, group_waits;
	struct afterlife afterlives[WORLD_DEATHS_MAX];
	bool violated;
};

// Returns false, having said why, when the job cannot be built.
bool world_create(struct world *w, const struct scenario *scenario);
void world_destroy(struct world *w);

// Run to the end, or to the first violation; says it on stderr. Files of sinks are then published.
void world_run(struct world *w);

// Where every task and channel stands, on stderr (tests/sim/dump.c).
void world_dump(const struct world *w);

// Kill a task and put its successor in its place (tests/sim/kill.c).
void world_kill(struct world *w, uint32_t task);
// Count what a task, which is about to go, restored (tests/sim/kill.c).
void world_note_load(struct world *w, const struct chain_load *load);

// Properties that hold at any time, and at the end, when the tasks are destroyed on the way
// (tests/sim/check.c).  Return NULL, or which does not hold.
const char *check_credit(const struct world *w);
const char *check_watermark(const struct task *t);
const char *check_end(struct world *w);
