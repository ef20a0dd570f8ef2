// A workload: what a node's agent has the dataplane do. A part is one node's share of a job, under
// one incarnation; every node plans the whole job from the same text and participants and runs the
// tasks of its own workers. Real: control/workload_engine.c; the simulator's does no work at all.
// Thread: the control plane's event loop. No call blocks; what takes long goes on by itself.
#pragma once

#include "control/report.h"

enum { WORKLOAD_NAME_MAX = 64, WORKLOAD_PARTICIPANTS_MAX = 1024, WORKLOAD_LINKS_MAX = 16 };

// A node that takes part: workers [first_worker, first_worker + workers) of the job are its own.
struct workload_participant {
	const char *node;
	uint64_t incarnation; // of the node
	uint32_t first_worker, workers;
	uint32_t node_worker; // of the node's own, the first of them: the job alone has them
	uint32_t link_count;
	const char *const *links; // addresses of its links, as its config says
	const char *host, *rack;  // failure domains to plan with, whoever holds the place now
	uint64_t boot;            // of its sessions; 0: the job's incarnation
	bool lost;                // nobody holds it: not to be reached before somebody is admitted
};

// A participant is held by another node from now on.
struct workload_admission {
	uint32_t place;
	bool feed;     // the other instances here of its tasks give it their state
	uint64_t boot; // of its sessions; higher than those of who held the place before
	const struct workload_participant *as;
};

// What the loss of a participant means, by the plan: the same on every node.
struct workload_cover {
	bool whole;        // every task it has is replicated
	uint32_t by_count; // participants that have the other instances of its tasks
	const uint32_t *by;
};

// Borrowed for the call.
struct workload_request {
	const char *job; // id, also names the job in logs
	const char *text;
	size_t text_bytes;
	const char *const *sets; // as in struct job_source
	uint32_t set_count;
	uint32_t plan_version;
	uint64_t incarnation; // of the job's tasks; grows whenever parts of it are prepared anew
	uint32_t participant_count;
	const struct workload_participant *participants; // by name, the same on every node
	uint32_t self;                                   // index of this node among them
	uint64_t repair; // boot of the place being repaired, which is `self`; 0: an ordinary part
};

// A part's states, in order; FAILED can follow any, the ones behind RUNNING are final but for
// publishing. X-macro: name in messages and status.
#define WORKLOAD_STATES(X)                                                                         \
	X(NONE, "none")                                                                            \
	X(PREPARING, "preparing")                                                                  \
	X(PREPARED, "prepared")                                                                    \
	X(RUNNING, "running")                                                                      \
	X(FINISHED, "finished")                                                                    \
	X(INTERRUPTED, "interrupted")                                                              \
	X(PUBLISHING, "publishing")                                                                \
	X(PUBLISHED, "published")                                                                  \
	X(FAILED, "failed")

enum workload_state {
#define WORKLOAD_STATE(name, text) WORKLOAD_##name,
	WORKLOAD_STATES(WORKLOAD_STATE)
#undef WORKLOAD_STATE
		WORKLOAD_STATE_COUNT,
};

// As of the last step. Texts and operators live until the next call.
struct workload_status {
	enum workload_state state;
	const char *error;  // FAILED, or a place is refused that was admitted: one line, else NULL
	uint64_t plan_hash; // from PREPARED on: of tasks, channels, schemas and settings
	uint64_t progress;  // grows while every worker of the part polls, idle or not
	int64_t starved_ns; // that workers were kept from it, having no core, since it last grew
	double seconds;     // since the start, until the end
	uint32_t operator_count;
	const struct report_operator *operators; // this node's share of the figures
	uint32_t cover_count; // from PREPARED on, a participant each; 0: nothing is replicated
	const struct workload_cover *covers;
	uint32_t lost_count; // participants that it was told are lost, also of one that FAILED
	const uint32_t *lost;
	uint32_t admitted_count; // participants that other nodes hold now, as all workers here know
	const uint32_t *admitted;
	uint32_t repaired_count; // of these, the ones that have all that instances here give them
	const uint32_t *repaired;
};

struct workload;
struct workload_part;

struct workload_ops {
	// Check, plan and build a part: PREPARING, then PREPARED or FAILED; up to its connections
	// to the other participants, which are being prepared at the same time.
	// Owns: *ret_part until discard.  Returns 0 or -errno, when nothing was begun.
	int (*prepare)(struct workload *workload, const struct workload_request *request,
		struct workload_part **ret_part);
	void (*start)(struct workload *workload, struct workload_part *part);     // PREPARED
	void (*interrupt)(struct workload *workload, struct workload_part *part); // RUNNING
	void (*publish)(struct workload *workload, struct workload_part *part);   // ended well
	// Stop it where it is, publish nothing (more), free it. What that takes may go on; whatever
	// is prepared later waits for it.
	void (*discard)(struct workload *workload, struct workload_part *part);
	void (*status)(const struct workload *workload, const struct workload_part *part,
		struct workload_status *ret_status);
	// Look after the parts.  Returns the next deadline, INT64_MAX: none.
	int64_t (*step)(struct workload *workload, int64_t now_ns);
	void (*destroy)(struct workload *workload); // NULL-safe
	// Participant `lost` is gone for good, see engine_lose; one that was admitted is it again.
	// PREPARED to PUBLISHED; told twice it is no error. A part that has published goes back to
	// PUBLISHING for what it takes over. What comes under `successor` is taken only from here
	// on, and what `lost` acknowledges counts no more.
	void (*lose)(struct workload *workload, struct workload_part *part, uint32_t lost,
		uint64_t successor, bool alone);
	// Without `feed`: reach it, forget the one before, keep what it will need. With: its tasks'
	// other instances here give it their state. RUNNING; told twice it is no error. Where that
	// cannot be, the place is listed among the lost again, with an `error`, until it is lost.
	void (*admit)(struct workload *workload, struct workload_part *part,
		const struct workload_admission *admission);
};

struct workload {
	const struct workload_ops *ops;
};
