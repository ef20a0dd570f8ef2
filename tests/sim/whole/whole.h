// One world of everything: production controllers, agents, workloads, engines and transports, with
// metadata, bus, packets and processes that fail as the seed says, in one virtual time. The cluster
// of tests/sim/cluster, whose nodes do real work over the wire of tests/sim/wire.c; jobs are looked
// at as the replicas' world looks at them (tests/sim/replicas.h).
#pragma once

#include "control/workload_part.h"
#include "tests/sim/cluster/cluster.h"
#include "tests/sim/replicas.h"

enum { WHOLE_NODES_MAX = 5, WHOLE_JOBS_MAX = 3 };

// What may happen in a seed, counted so that a range of seeds shows what it reached.
#define WHOLE_SITUATIONS(X)                                                                        \
	X(CRASHED, "a node's process crashed")                                                     \
	X(STARVED, "a part told that its workers had no core")                                     \
	X(LOST, "a place lost, as parts were told")                                                \
	X(SECOND, "a place lost while another was")                                                \
	X(ZOMBIE_WORKED, "one taken for dead worked on")                                           \
	X(TAKEN_OVER, "a task taken over")                                                         \
	X(REPLAYED, "with log yet to obey")                                                        \
	X(AGAIN, "with items to be sent again")                                                    \
	X(AHEAD, "with receivers ahead of it")                                                     \
	X(TRIED, "a new replica begun")                                                            \
	X(WHOLE, "a place whole again")                                                            \
	X(LOST_ANEW, "a place lost that had been made whole")                                      \
	X(NEW_LOST, "a new replica lost before its place was whole")                               \
	X(NEW_TOOK_OVER, "a task taken over by an instance made anew")                             \
	X(NEW_LEADER, "a record of a running job by another leader")                               \
	X(NEW_LEADER_LOST, "while a place was lost")                                               \
	X(ENDED_WELL, "a job that ended well")                                                     \
	X(OUTLIVED, "a job that ended well after a loss")                                          \
	X(ENDED_EARLY, "a job that was to end early, and did")                                     \
	X(FAILED, "a job that failed, having lost too much")                                       \
	X(TWO_WORKERS, "a job of two workers a node")                                              \
	X(UNEVEN, "a job whose places are not of one size")                                        \
	X(RACKS, "a job that is to survive a rack")

enum whole_situation {
#define SITUATION(name, text) WHOLE_##name,
	WHOLE_SITUATIONS(SITUATION)
#undef SITUATION
		WHOLE_SITUATION_COUNT,
};

struct whole;

// A node's process, and what it leaves behind when it dies, until the seed is over.
struct whole_life {
	struct whole_life *next;
	struct whole *whole;
	struct process *process;
	bool dead;
	struct rte_mempool *packets;
	struct arena arena; // of
	struct transport transports[NODE_WORKERS_MAX];
	struct node *node;
	struct peers peers;
	const char *link; // its address
	struct background background;
	struct errand *first, **behind; // that it has to do
	struct workload workload;       // before
	struct workload *inner;         // the production one
	int64_t round_ns;               // of a worker, at most
	struct whole_turn {
		struct whole_life *life;
		uint32_t worker;
	} turns[NODE_WORKERS_MAX];
};

// A part of a job, to the end of the seed: of its run, and of the run's world the node `slot`.
struct whole_part {
	struct whole_part *next;
	struct whole_life *life;
	struct whole_run *run;
	uint32_t place, slot;
	uint64_t repair;                       // boot of the replica that it is; 0: of none
	struct workload_part *inner;           // NULL: it was discarded
	bool failed;                           // which was seen
	uint64_t progress;                     // as last told
	int64_t starved_ns;                    // of its process, when that last grew
	uint64_t admitted[REPLICA_PLACES_MAX]; // boots
	struct whole_listed {
		bool admitted, repaired, gave_up;
	} listed[REPLICA_PLACES_MAX]; // as traced
	struct capture_set rows;
};

// A job under one incarnation.
struct whole_run {
	struct whole_run *next;
	char job[MESSAGE_NAME_MAX + 1];
	uint64_t incarnation;
	const struct scenario *scenario;
	uint64_t term; // of the leader that had it run; 0: it never did
	int64_t since_ns[REPLICA_PLACES_MAX];
	bool even;              // its places are of one size, so that its tasks can be looked at
	bool closed;            // its parts go: nothing is asked of them any more
	bool well, interrupted; // it ended, and well
	uint32_t strikes;       // that may yet come with its losses and new replicas
	struct replica_world world;
};

struct whole {
	struct cluster cluster; // first
	struct random random;
	struct wire wire;
	uint32_t node_workers, racks;
	struct scenario scenarios[WHOLE_JOBS_MAX];
	struct whole_life *lives; // the latest of each node first
	struct whole_part *parts;
	struct whole_run *runs;
	uint64_t seen[WHOLE_SITUATION_COUNT];
};

// Run one seed.  Returns whether all held; says on stderr what did not.
bool whole_run_seed(uint64_t seed, bool verbose);

// How many seeds reached what; the processes share it (seen.c).
void whole_seen_create(void);
void whole_seen_add(const struct whole *w);
void whole_seen_print(void);

static inline struct whole *whole_of(struct cluster *c)
{
	return (struct whole *)c;
}

// life.c: processes, their workers' rounds and what they do in the background
struct workload *whole_life_begin(struct process *p, struct agent_config *config);
void whole_life_end(struct process *p);
void whole_lives_destroy(struct whole *w);
uint32_t whole_first_port(const struct whole *w, uint32_t process);

// work.c: the workload, with a look at what it is told
void whole_work_create(struct whole_life *life);
struct whole_part *whole_part_of(struct whole *w, const struct workload_part *inner);
uint32_t whole_part_count(const struct process *p);

// run.c: what must hold of a job
struct whole_run *whole_run_find(struct whole *w, const char *job, uint64_t incarnation);
// Whose first part is prepared. NULL: none can be looked at.
struct whole_run *whole_run_begin(struct whole *w, const struct workload_request *request);
void whole_run_built(struct whole_part *part); // its engine is there
void whole_run_lose(struct whole_part *part, uint32_t lost, bool alone);
void whole_run_admit(struct whole_part *part, const struct workload_admission *admission);
void whole_run_stepped(struct whole_part *part, uint32_t worker);
void whole_run_discard(struct whole_part *part);
void whole_run_wrote(struct cluster *c, const Weir__JobRecord *was, const Weir__JobRecord *is);
void whole_run_publish(struct whole_part *part);
void whole_runs_end(struct whole *w); // the last look, and they are gone
