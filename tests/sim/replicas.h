// The simulator's third world: nodes with the production engine and transport, a job across them
// whose tasks have replicas, a bad network between them, and nodes that die, or are taken for dead
// and live on. Others come in their place. What the controller would tell of losses and of those
// comes to each node at a time of its own.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/job.h"
#include "control/planner.h"
#include "control/workload.h"
#include "dataplane/engine_parts.h"
#include "tests/sim/capture.h"
#include "tests/sim/replicas_ledger.h"
#include "tests/sim/scenario.h"
#include "tests/sim/wire.h"

enum {
	REPLICA_PLACES_MAX = SCENARIO_NODES_MAX, // at the same time
	REPLICA_NODES_MAX = 12,                  // one after the other
	NODE_WORKERS_MAX = WIRE_PORTS_MAX / REPLICA_NODES_MAX,
	REPLICA_LOSSES_MAX = 8,
	REPLICA_INCARNATION = 1 << 8, // the job's at first
};

// What may happen to a seed's job, counted so that a range of seeds shows what it reached.
#define REPLICA_SITUATIONS(X)                                                                      \
	X(DIED, "a node died")                                                                     \
	X(PAUSED, "one taken for dead woke later")                                                 \
	X(AWAKE, "one taken for dead never paused")                                                \
	X(ZOMBIE_WORKED, "one taken for dead worked on after others knew")                         \
	X(ZOMBIE_HEARD, "one taken for dead heard of another's loss")                              \
	X(AT_START, "lost in the first 2 ms")                                                      \
	X(AT_END, "lost when tasks had finished")                                                  \
	X(TWICE, "two lost")                                                                       \
	X(DURING, "one lost while another was being replaced")                                     \
	X(LATE_NEWS, "a node told over 10 ms after another")                                       \
	X(NOT_ALONE, "an owner held up until it was told that it is alone")                        \
	X(CUT, "a path cut")                                                                       \
	X(CUT_OVER, "a path cut during a takeover")                                                \
	X(HARSH, "over 10 % of packets lost")                                                      \
	X(TAKEN_OVER, "a task taken over")                                                         \
	X(REPLAYED, "with log yet to obey")                                                        \
	X(AGAIN, "with items to be sent again")                                                    \
	X(AHEAD, "with receivers ahead of it")                                                     \
	X(FENCED, "a frame of a fenced or standing-by sender refused")                             \
	X(FULL, "a loss with retention full somewhere")                                            \
	X(LOG_FULL, "an owner held up by a full log")                                              \
	X(SINGLE, "a loss in a job with some tasks single")                                        \
	X(TWO_WORKERS, "a loss with two workers a node")                                           \
	X(STOPPED, "interrupted, and a loss")                                                      \
	X(JOINED, "a new node in a lost place")                                                    \
	X(STILL_LOST, "while another place was still lost")                                        \
	X(ADMITTED_LATE, "a worker that could not admit it at once")                               \
	X(GROWN, "a state larger than the memory asked for at first")                              \
	X(FED_FINISHED, "the state of a finished task given")                                      \
	X(WRITTEN_IN_PARTS, "a step that left a state half written")                               \
	X(WRITTEN_IN_VAIN, "a state half written for one that was lost")                           \
	X(READ_IN_PARTS, "a step that left a state half read")                                     \
	X(WHOLE, "a place whole again")                                                            \
	X(THIRD, "three or more lost, one after the other")                                        \
	X(LOST_ANEW, "a place lost that had been made whole")                                      \
	X(NEW_TOOK_OVER, "a task taken over by an instance made anew")                             \
	X(BACK, "a receiver back at a channel it had left")                                        \
	X(NEW_LOST, "the new node lost before its place was whole")                                \
	X(OTHER_LOST, "another lost before a place was whole")                                     \
	X(NO_ROOM, "a repair given up as retention or a log was full")                             \
	X(ENDED_DURING, "a job that ended before a place was whole")                               \
	X(ZOMBIE_REPLACED, "one taken for dead worked on beside the new one")                      \
	X(MISLED, "one lost that alone was told of another's loss")                                \
	X(MISLED_BEGAN, "and had taken over from it")                                              \
	X(UNTOLD, "a replica waited until it was told of a loss")                                  \
	X(MUTED, "a whole place that had not heard yet from whom to take")                         \
	X(CHOICE_UNTOLD, "a new instance waited until it was told of a loss")

enum replica_situation {
#define SITUATION(name, text) REPLICA_##name,
	REPLICA_SITUATIONS(SITUATION)
#undef SITUATION
		REPLICA_SITUATION_COUNT,
};

// How a loss comes about.
enum replica_when { LOSE_ANY, LOSE_FIRST, LOSE_LAST, LOSE_DURING };

// What one node is to be told of another's loss.
struct replica_news {
	int64_t begin_ns, alone_ns; // when; 0: nothing
	int64_t admit_ns, feed_ns;  // of who has its place then
};

struct replica_faults {
	struct wire_faults wire; // until end_ns
	int64_t end_ns;
	uint32_t cuts, pauses; // of a hundred thousand rounds or steps
	bool cut_over;         // paths are cut as a node is lost, too
	uint32_t losses;
	enum replica_when when[REPLICA_LOSSES_MAX];
	int64_t lose_at_ns;
	uint32_t repairs;     // that may be begun
	int64_t repair_at_ns; // not before
};

// The one repair under way (tests/sim/replicas_repair.c).
struct replica_repair {
	bool active, feeding;
	bool may_be_lost; // the new node, before it is whole
	uint32_t place, node;
	uint64_t boot, successors[REPLICA_PLACES_MAX];
	int64_t begun_ns;
	int64_t whole_ns; // when it is written; 0: not yet
};

struct replica_node {
	struct engine *engine;
	struct transport transports[NODE_WORKERS_MAX]; // each on a port of its own
	struct arena arena;                            // theirs
	struct crossing_network network;
	uint32_t peers[WIRE_PORTS_MAX];
	uint64_t boots[WIRE_PORTS_MAX];
	struct rte_mempool *packets;
	uint32_t place;
	bool anew;          // in the place of a lost one
	bool dead;          // steps no more
	bool lost;          // is taken for dead
	bool heeds;         // if so, what it hears of others
	bool misled;        // it alone was told that `misled_of` is lost, which lives
	uint32_t misled_of; // a place
	uint32_t eager;     // of a thousand turns it takes
	int64_t paused_until_ns;
	// By place:
	struct replica_news news[REPLICA_PLACES_MAX];
	uint64_t successors[REPLICA_PLACES_MAX];
	bool begun[REPLICA_PLACES_MAX], alone[REPLICA_PLACES_MAX]; // it was told
	bool admits[REPLICA_PLACES_MAX]; // and then that another has it, which it has not done yet
};

struct replica_world {
	const struct scenario *scenario;
	struct random random;
	struct job job;
	struct planned_job planned;
	struct workload_cover *covers;
	struct wire wire;
	struct replica_faults faults;
	struct replica_ledger ledger;
	uint32_t place_count, node_workers;
	uint32_t holders[REPLICA_PLACES_MAX]; // the node that has it, or had last
	bool whole[REPLICA_PLACES_MAX];       // and it is all there
	uint32_t node_count;
	struct replica_node nodes[REPLICA_NODES_MAX];
	struct replica_repair repair;
	uint64_t incarnation;    // the latest of all
	int64_t misled_until_ns; // when the misled one is lost; 0: there is none
	int64_t muted_until_ns;  // the new node does not hear who sends at `muted`
	uint32_t muted;          // a place
	bool short_logs;
	uint32_t losses;
	int64_t now_ns;
	int64_t calm_ns; // from then on nothing goes wrong any more, and all has been told
	uint64_t rounds;
	uint64_t seen[REPLICA_SITUATION_COUNT];
	bool violated;
};

// Plan its job over places of node_workers each, and begin its ledger.  Returns false, having said
// why, when that cannot be.
bool replica_world_plan(struct replica_world *w, const struct workload_participant *participants);

// Returns false, having said why, when the job cannot be built.
bool replica_world_create(struct replica_world *w, const struct scenario *scenario);
void replica_world_run(struct replica_world *w);
void replica_world_destroy(struct replica_world *w); // its mbufs must all be back

// Put the rows of the instances that count where the check of outputs looks for them.
void replica_world_gather(struct replica_world *w);

void replica_world_dump(const struct replica_world *w); // on stderr (tests/sim/replicas_dump.c)
void replica_violate(struct replica_world *w, const char *what);

static inline uint32_t replica_place_of(const struct replica_world *w, uint32_t task)
{
	return w->planned.plan.tasks[task].worker / w->node_workers;
}

static inline uint32_t replica_node_of(const struct replica_world *w, uint32_t task)
{
	return w->holders[replica_place_of(w, task)];
}

// Does it have its place, and is not taken for dead?
static inline bool replica_lives(const struct replica_world *w, uint32_t node)
{
	return !w->nodes[node].lost && w->holders[w->nodes[node].place] == node;
}

// A new node in that place, whose tasks wait for their state. False without memory for it.
bool replica_world_add(struct replica_world *w, uint32_t place, uint64_t boot);

static inline struct task *replica_task(const struct replica_world *w, uint32_t task)
{
	return &w->nodes[replica_node_of(w, task)].engine->tasks[task];
}

// Any cuts of batches and frames must do, and any order of tasks: other ones from here on.
void replica_vary(struct random *r, struct worker *worker);
void replica_shuffle(struct random *r, struct worker *worker);

// How bad a network is.
void replica_draw_wire(struct wire_faults *f, struct random *r);

// Faults, losses and who hears of them (tests/sim/replicas_faults.c).
void replica_faults_draw(struct replica_world *w);
void replica_faults_round(struct replica_world *w);
void replica_faults_hear(struct replica_world *w, uint32_t node); // before it steps

// Places that are lost are given to new nodes (tests/sim/replicas_repair.c).
void replica_repair_round(struct replica_world *w);
void replica_repair_hear(struct replica_world *w, uint32_t node);
void replica_repair_give_up(struct replica_world *w); // its node is lost, if it was not

// What must hold after a worker has stepped (tests/sim/replicas_check.c), and at the end.
void replica_check_step(struct replica_world *w, uint32_t node, uint32_t worker);
void replica_check_end(struct replica_world *w);

// How many seeds reached what; the processes share it (tests/sim/replicas_seen.c).
void replica_seen_create(void);
void replica_seen_add(const struct replica_world *w);
void replica_seen_print(void);
