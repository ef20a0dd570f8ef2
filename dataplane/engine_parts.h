// What the engine's files share; nobody else includes it.
#pragma once

#include <stdalign.h>
#include <stdatomic.h>

#include "dataplane/checkpoint.h"
#include "dataplane/engine.h"
#include "dataplane/worker.h"
#include "numa/arena.h"
#include "state/pool.h"

struct rte_mempool;

// The job's share of a worker, with its memory.
struct engine_worker {
	struct worker worker;
	struct crossing crossing;
	uint32_t index;
	struct arena arena;     // touched at start
	struct arena snapshots; // taken as it is used: most states are far smaller than their room
	struct pool state;
	struct rte_mempool *frames; // of the channels towards this worker
};

struct engine {
	struct engine_config config;
	bool attached;        // workers have it
	_Atomic bool *counts; // by task: its output and figures are the job's, not its twin's
	bool figures_asked;
	uint32_t worker_count; // this node's
	uint32_t task_count, channel_count;
	struct engine_worker *workers;
	struct task *tasks;
	struct channel *channels;
	struct sender *senders;     // of its tasks, each task's in order of its edges
	struct receiver *receivers; // of its tasks, each task's in order of its inputs
	struct sender **sender_of;  // by channel; NULL: that end is on another node
	struct receiver **receiver_of;
	struct follower *followers; // of its tasks' senders
	struct arena shared;        // sources' shared memory
	struct arena tables;        // all of the above
	int64_t started_ns, ended_ns;
	bool interrupted;
	char error[512];
	struct checkpoint checkpoint; // of the tasks that are this node's
	// `interrupt`: agent; the epochs: whoever drives checkpoints. Workers read.
	alignas(64) struct task_control control;
};

// Is the task one of this node's? The others are in the tables, empty.
static inline bool engine_owns(const struct engine *e, uint32_t task)
{
	return e->config.plan->tasks[task].worker - e->config.first_worker < e->worker_count;
}

// Is it on this node's worker `index`?
static inline bool engine_is_on(const struct engine *e, uint32_t task, uint32_t index)
{
	return e->config.plan->tasks[task].worker == e->config.first_worker + index;
}

static inline struct engine_worker *engine_worker_of(const struct engine *e, uint32_t task)
{
	return &e->workers[e->config.plan->tasks[task].worker - e->config.first_worker];
}

// dataplane/engine_build.c
int engine_build(struct engine *e);
void engine_dismantle(struct engine *e);

int engine_no_memory(struct engine *e, const char *what, uint64_t bytes); // says so in e->error
// Whose memory a channel's credit is; NULL: no end of this node needs any.
struct engine_worker *engine_frames_of(const struct engine *e, uint32_t channel);

// dataplane/engine_channels.c
int engine_build_channels(struct engine *e);

// dataplane/engine_crossing.c
uint64_t engine_crossing_bytes(const struct engine *e, uint32_t index); // of a worker's arena
uint32_t engine_frame_bytes(const struct engine *e, uint32_t channel);
int engine_build_crossings(struct engine *e); // 0, or -errno with the reason in e->error

// dataplane/engine_replicas.c
bool engine_is_followed(const struct engine *e, uint32_t channel);    // its frames go by followers
uint64_t engine_replica_bytes(const struct engine *e, uint32_t task); // of its worker's arena
// The sender of an edge's channel, its followers from *next on.  Returns 0 or -ENOMEM.
int engine_create_followed(struct engine *e, const struct plan_edge *edge, uint32_t index,
	struct follower **next);
// Fill in what the task's other instance needs to know; NULL when there is none.
const struct replica_config *engine_replica_config(struct engine *e, uint32_t task,
	struct replica_config *config);
void engine_drain_replicas(struct engine *e); // give all mbufs back

// dataplane/engine_losses.c
uint64_t engine_losses_bytes(const struct engine *e); // of its tables
void engine_create_losses(struct engine *e);
void engine_serve_loans(struct engine *e);
void engine_end_loans(struct engine *e); // when no worker runs

struct task_config engine_task_config(struct engine *e, uint32_t task);
