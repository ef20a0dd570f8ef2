// A part of a job on this node, and the workload that has it; for their own files alone.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "control/planner.h"
#include "control/pulse.h"
#include "control/workload_engine.h"

enum { ERROR_BYTES = 512 };

// A place that another node has, as this part was told.
struct admission {
	uint64_t boot; // 0: none
	bool feed;
	bool refused; // it is lost still, or again
};

enum action { ACTION_NONE, ACTION_BUILD, ACTION_PUBLISH };

// The background owns a part from the moment it is given until its action is done; the state
// (release, acquire) says when. One that is discarded meanwhile, it tears down as well.
struct workload_part {
	struct errand errand; // first; of the background
	struct workload_engine *of;
	struct workload_part *next; // of the parts
	enum action action;         // NONE: only to be torn down
	bool busy, doomed;          // queued or being acted on; discarded. Under the lock
	_Atomic enum workload_state state;
	struct workload_request request; // a copy, on the part's heap
	struct heap heap;
	struct job *job;
	struct planned_job planned;
	struct engine *engine;
	struct crossing_network network;           // to the other participants, from here:
	struct workload_participant *participants; // the request's
	uint16_t *numbers;                         // by worker of the plan
	uint32_t *peers;
	uint64_t *boots;
	uint64_t plan_hash;
	const struct workload_cover *covers; // by participant; NULL: nothing is replicated
	uint32_t *lost, lost_count;          // participants
	struct admission *admissions;        // by participant
	uint32_t *admitted, admitted_count, *repaired, repaired_count;
	char refusal[ERROR_BYTES]; // why what was admitted last is lost again
	bool owed; // output that was taken over behind the publishing, or while it went on
	struct report report;
	struct heap figures; // the report's
	int64_t figures_at_ns;
	char error[ERROR_BYTES];
};

struct workload_engine {
	struct workload workload; // first: the interface
	struct workload_engine_config config;
	struct workload_part *parts;
	struct pulse pulse;       // of all workers
	pthread_mutex_t reaching; // of peers
	pthread_mutex_t lock;     // of what the background and the loop both write
};

static inline void set_state(struct workload_part *part, enum workload_state state)
{
	atomic_store_explicit(&part->state, state, memory_order_release);
}

static inline enum workload_state state_of(const struct workload_part *part)
{
	return atomic_load_explicit(&part->state, memory_order_acquire);
}

static inline void fail(struct workload_part *part, const char *why)
{
	if (why != part->error)
		snprintf(part->error, sizeof(part->error), "%s", why);
	set_state(part, WORKLOAD_FAILED);
}

// workload_build.c: bringing a part about, in the background
struct workload_participant part_keep_participant(struct heap *heap,
	const struct workload_participant *participant);
void part_keep_request(struct workload_part *part, const struct workload_request *request);
// Find how a participant's workers are reached.  Returns 0, or -errno with one line in `why`,
// ERROR_BYTES.  Thread: any.
int part_reach(struct workload_engine *w, struct workload_part *part, uint32_t participant,
	char *why);
// The whole job is planned, and this node's tasks are built: PREPARED or FAILED.
void part_build(struct workload_engine *w, struct workload_part *part);

// workload_places.c: participants that are lost, and their places that other nodes have
void part_lose(struct workload_part *part, uint32_t lost, uint64_t successor, bool alone);
void part_admit(struct workload_engine *w, struct workload_part *part,
	const struct workload_admission *admission);
// See what has become of what it was told.
void part_note_places(struct workload_part *part);
