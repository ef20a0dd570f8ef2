// What a controller is made of; for its own files alone.
#pragma once

#include "control/controller.h"
#include "control/jitter.h"
#include "control/message.h"

enum { REASON_BYTES = 256, WAITERS_MAX = 4, EVENTS_MAX = 512, PEERS_MAX = 4096, REFUSED_MAX = 16 };

// A record's place in metadata. It is changed only while settled: neither dirty nor being written.
struct entry {
	int64_t revision; // 0: not there yet
	bool dirty, writing, remove;
};

static inline bool entry_is_settled(const struct entry *entry)
{
	return !entry->dirty && !entry->writing;
}

enum command { COMMAND_PREPARE, COMMAND_START, COMMAND_INTERRUPT, COMMAND_PUBLISH, COMMAND_ABORT };

enum { LOSE = 1, LOSE_ALONE = 2 };

// A job's part on a node: what the node told, and was told.
struct part {
	Weir__Part *told;
	uint32_t commands; // bit per command, sent over this connection
	uint8_t *losses;   // by participant, LOSE and LOSE_ALONE alike
	uint32_t losses_room;
	uint64_t admit_boot, feed_boot; // of the replica it was told to admit, and to feed
	uint64_t number;                // of the last one
	int64_t moved_ns;               // when its progress last grew
	bool hung;                      // too long ago
	uint32_t place;                 // the participant, as last found
};

enum { SEAT_BITS = 13 }; // of a peer's number, hashed

enum node_state { NODE_UNKNOWN, NODE_JOINING, NODE_ALIVE, NODE_DEAD };

struct node {
	// What every step looks at comes first, in one cache line.
	struct entry entry;
	enum node_state state;
	bool leaving;
	bool look;     // its parts are to be swept
	bool silent;   // dead only because nothing is heard
	uint64_t peer; // 0: not connected
	int64_t heard_ns;
	int64_t swept_ns; // when its parts were last looked at for progress
	Weir__NodeRecord *record;
	struct jitter reports, moves; // of its reports, and of its parts' progress
	uint64_t number, seen;        // of commands: the last one sent, and carried out
	struct part *parts;
	uint32_t part_count;
	char reason[REASON_BYTES]; // of being dead
};

struct waiter {
	uint64_t peer, number;
};

// What this leader knows of a participant, beyond the record.
struct standing {
	bool heard;         // it told of its part, welcomed in this term: it obeys no older leader
	bool listed;        // another one was told that it is lost
	bool published;     // its own output and what it took over
	bool lost;          // decided, or written; for good
	bool gone, certain; // at the last look; not only silent
	int64_t lost_at;
	char why[REASON_BYTES]; // gone
};

// A place that is given to another node, see repair.c. The record says which, and to whom.
enum repair_phase {
	REPAIR_NONE,
	REPAIR_CHOSEN,   // written, or about to be; then its node prepares
	REPAIR_ADMITTED, // all are told who holds the place
	REPAIR_FED,      // and to give it what it needs
	REPAIR_WHOLE,    // all did; being written
	REPAIR_ENDED,    // given up; all are told, and the record is to say so
};

struct repair {
	enum repair_phase phase;
	uint32_t place;
	uint64_t incarnation; // of the node that is to have it
	uint32_t node_worker; // the first there
	int64_t since_ns, until_ns;
	int64_t again_ns, pause_ns; // when the next one may begin, and how long after that
	int64_t look_ns;            // when to look at it, whatever happens; 0: never
	char why[REASON_BYTES];     // the last one was given up; "": it was not
};

enum job_wish { WISH_NONE, WISH_INTERRUPT, WISH_CANCEL };

struct job_entry {
	struct entry entry;
	Weir__JobRecord *record;
	Weir__JobSpec *spec; // NULL: ended, it was not kept
	bool look;           // something changed that may let it go on
	enum job_wish wish;
	char waiting[REASON_BYTES];
	int64_t prepare_until_ns;
	Weir__JobState settled;     // the state as last written
	bool first_leader;          // it came to run under this leader
	struct node **nodes;        // per participant; NULL where unknown
	struct standing *standings; // per participant
	struct repair repair;
	Weir__Part **last; // per participant, what it told last; of ended jobs
	struct waiter waiters[WAITERS_MAX];
	uint32_t waiter_count;
};

enum phase { PHASE_STANDBY, PHASE_LOADING, PHASE_LEADING, PHASE_RESIGNED };

// The one request to metadata that is under way.
enum ask { ASK_NOTHING, ASK_LEADER, ASK_CLAIM, ASK_LOAD, ASK_WRITE, ASK_RESIGN };

struct inbox_item {
	uint64_t peer;
	Weir__Message *message; // NULL: closed
	char why[REASON_BYTES]; // of being closed
};

struct event_line {
	int64_t wall_ns;
	char text[REASON_BYTES];
};

struct controller {
	struct controller_config config;
	int64_t now_ns, wall_ns;
	// Election
	enum phase phase;
	bool resigning;
	uint64_t term, seen_term; // led, 0: none; highest known
	uint64_t counter;         // of incarnations in this term
	int64_t leader_revision, term_revision;
	char *leader_address; // as last read
	int64_t lease_until_ns;
	bool lease_lost, hint;
	int64_t look_at_ns; // when the leader is looked up again
	// Metadata
	enum ask ask;
	uint64_t request;
	int64_t retry_ns;
	int64_t asked_ns;        // when what is under way was asked for
	int64_t silent_since_ns; // of metadata, 0: it answers
	bool reload;             // what it knows of metadata may be wrong
	bool write_alone;        // one record a transaction: a larger one was refused
	// What it knows
	int64_t leading_since_ns;
	int64_t unsure_until_ns; // it was away: until then a connection that ends says little
	struct node **nodes; // by name
	uint32_t node_count;
	struct node *seats[1 << SEAT_BITS]; // by hashed peer, whoever was found there last
	struct job_entry **jobs;            // in the order of their submission
	uint32_t job_count;
	struct inbox_item *inbox;
	uint32_t inbox_count, inbox_room;
	uint64_t refused[REFUSED_MAX]; // boots of the last nodes of another protocol
	uint32_t refused_count;
	char refusal[REASON_BYTES]; // why it does not lead
	uint64_t event_count;
	struct event_line events[EVENTS_MAX];
};

// election.c
void election_step(struct controller *c);
void election_answered(struct controller *c, enum ask ask, enum meta_outcome outcome, int64_t rev);
void election_listed(struct controller *c, enum meta_outcome outcome,
	const struct meta_entry *entries, uint32_t count);
void election_step_down(struct controller *c, const char *why);
void election_redirect(struct controller *c, uint64_t peer, uint64_t number);

// registry.c: the records in metadata
bool registry_ask(struct controller *c, enum ask ask, int rc);
void registry_step(struct controller *c);
void registry_answered(struct controller *c, enum meta_outcome outcome, int64_t revision);
void registry_load(struct controller *c, const struct meta_entry *entries, uint32_t count);
void registry_forget(struct controller *c);
struct node *registry_node(struct controller *c, const char *name);
struct node *registry_add_node(struct controller *c, Weir__NodeRecord *record);
struct job_entry *registry_job(struct controller *c, const char *id);
struct job_entry *registry_add_job(struct controller *c, Weir__JobRecord *record,
	Weir__JobSpec *spec);
void job_entry_free(struct job_entry *job);

// membership.c
void membership_join(struct controller *c, uint64_t peer, const Weir__Join *join);
void membership_report(struct controller *c, uint64_t peer, const Weir__Report *report);
void membership_closed(struct controller *c, uint64_t peer, const char *why);
void membership_settled(struct controller *c, struct node *node);
void membership_step(struct controller *c);
void membership_late(struct controller *c, int64_t late_ns);
// Its part has gone on, after so long.
void membership_moved(struct controller *c, struct node *node, int64_t after_ns);
// The silence after which the node counts as dead, as things are.
int64_t membership_silence_ns(const struct controller *c, const struct node *node);
uint64_t controller_incarnation(struct controller *c);

// protocol.c
// Whether a node is of another protocol; `why`, of REASON_BYTES, says it.
bool protocol_refuses_node(struct controller *c, const Weir__Join *join, char *why);
// Whether a job runs with another one; `refusal` says which.
bool protocol_refuses_to_lead(struct controller *c);

// parts.c: of jobs on nodes
struct part *node_part(struct node *node, const char *job, uint64_t incarnation);
struct part *node_add_part(struct node *node, const char *job, uint64_t incarnation);
// What the node says it has. `seen`: of the commands, up to which; UINT64_MAX: it knows of none.
void node_take_parts(struct controller *c, struct node *node, Weir__Part **parts, size_t count,
	uint64_t seen);
void node_free_parts(struct node *node);

// jobs.c
bool job_is_ended(const struct job_entry *job);
bool job_end_is_written(const struct job_entry *job);
void job_change(struct controller *c, struct job_entry *job, Weir__JobState state);
void job_fail(struct controller *c, struct job_entry *job, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void jobs_settled(struct controller *c, struct job_entry *job);
void jobs_step(struct controller *c);
void jobs_look_at(struct controller *c, const struct node *node);

// takeover.c: participants that are gone, and jobs that go on without them
void takeover_settled(struct controller *c, struct job_entry *job);
// `place`: which participant it was last time.
void takeover_heard(struct controller *c, const struct node *node, const Weir__Part *told,
	uint32_t *place);
// Find who is gone, and have the others go on without.  Returns false if they cannot; `why` says
// it, MESSAGE_TEXT_MAX. Whoever is gone while the job publishes is left to the caller then.
bool takeover_look(struct controller *c, struct job_entry *job, char *why);
// The same, while a write of the record is under way.
void takeover_look_unsettled(struct controller *c, struct job_entry *job);
// Tell the parts whom they are to do without.
void takeover_tell(struct controller *c, struct job_entry *job);
// Note in the record whom it is without.  Returns whether it is to be written now.
bool takeover_mark(struct controller *c, struct job_entry *job);
// Whether a part knows all that its node has taken over.
bool takeover_is_known(const struct job_entry *job, uint32_t index, const Weir__Part *told);
bool takeover_is_without(const struct job_entry *job, uint32_t index); // and that is written
// Whether a node's process has no place in the job, and is to be given none.
bool takeover_is_over(const struct job_entry *job, const struct node *node);
// What may die now, as far as this leader has heard, as text of REASON_BYTES; "": the job has no
// replicas.
void takeover_survives(struct controller *c, const struct job_entry *job, char *text);

// repair.c: new replicas in the place of participants that are lost
void repair_settled(struct controller *c, struct job_entry *job);
// Go on with it, or begin.  Returns whether the record is being changed for it.
bool repair_look(struct controller *c, struct job_entry *job);
// The job is about to be written with this state: none goes on beyond running.
void repair_change(struct controller *c, struct job_entry *job, Weir__JobState state);
// Another participant is lost.
void repair_lost(struct controller *c, struct job_entry *job);
// Whether the others were told that a node is to have this place.
bool repair_is_told(const struct job_entry *job, uint32_t index);
// Whether nobody may be told of a loss: what is being written decides which one it would be.
bool repair_decides(const struct job_entry *job);
bool repair_is_wanted(const struct job_entry *job);
bool repair_is_due(const struct controller *c, const struct job_entry *job); // to be looked at
// Whether this process of a node is to have a place, or has not been told yet that it is not.
bool repair_is_at(const struct job_entry *job, const struct node *node);
// Returns whether one is under way.
bool repair_status(const struct controller *c, const struct job_entry *job,
	Weir__RepairStatus *status);

// deploy.c
bool deploy_choose(struct controller *c, struct job_entry *job);
// Who may take a place that is lost, for record_free.  Returns NULL, and says in `waiting` what
// the job waits for.
Weir__Replacement *deploy_choose_replacement(struct controller *c, struct job_entry *job,
	uint32_t place);
uint32_t deploy_free_workers(const struct controller *c, const struct node *node,
	uint32_t *ret_first);
void deploy_command(struct controller *c, struct job_entry *job, uint32_t index,
	enum command command);
void deploy_lose(struct controller *c, const struct job_entry *job, struct node *node,
	struct part *part, uint32_t lost, bool alone);
// Have a node prepare a replica of all tasks of a place. `record`: as it will be then.
void deploy_prepare_replica(struct controller *c, const struct job_entry *job,
	const Weir__JobRecord *record, uint32_t place, struct node *node);
void deploy_start(struct controller *c, struct node *node, struct part *part);
void deploy_admit(struct controller *c, struct node *node, struct part *part, Weir__Admit *admit);
void deploy_abort(struct controller *c, struct node *node, struct part *part);

// requests.c
void requests_take(struct controller *c, uint64_t peer, uint64_t number,
	const Weir__Request *request);
void requests_answer(struct controller *c, struct job_entry *job, const char *error);

// Have those who wait for an answer ask whoever leads next.
void requests_redirect(struct controller *c, struct job_entry *job);

// submission.c: a job as its client sent it, checked as `weir check` does
// Returns its record, or NULL with what is wrong in *ret_errors, for free().
Weir__JobRecord *submission_check(const Weir__JobSpec *spec, const char *token,
	const struct weir_operator *const *kinds, char **ret_errors);

// events.c
void events_add(struct controller *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
