// One seed's cluster: production controllers and agents as processes of one virtual world, with
// metadata, bus and workloads that fail as the seed says, and a ledger that watches them.
#pragma once

#include "control/agent.h"
#include "control/controller.h"
#include "control/message.h"
#include "tests/sim/cluster/vtime.h"
#include "tests/sim/random.h"

enum {
	CONTROLLERS_MAX = 3,
	NODES_MAX = 6,
	PROCESSES_MAX_SIM = CONTROLLERS_MAX + NODES_MAX + 1, // and the client
	CLIENT_JOBS_MAX = 24,
	LEDGER_TERMS_MAX = 4096,
	SIM_WORKERS = 2,             // of a node
	SIM_JOB_BYTES = 4096,        // of a job's file
	REPAIRED_WITHIN_MS = 100000, // the longest pause, and what a try may take
};

#define MS 1000000LL

struct cluster;
struct process;

// What nodes do, what is submitted to them, and what must hold of it.
struct cluster_work {
	const char *world; // as traces name it
	const struct weir_operator *const *kinds;
	// Of a process that starts, which may fill in the rest of its agent's config; and of one
	// that is gone, its agent first.
	struct workload *(*create)(struct process *p, struct agent_config *config);
	void (*destroy)(struct process *p);
	uint32_t (*parts)(const struct process *p);
	void (*write_job)(struct cluster *c, uint32_t job, char *text, size_t bytes);
	// A job's record is written: before it changes, and what it is to be. NULL: is not.
	void (*wrote)(struct cluster *c, const Weir__JobRecord *was, const Weir__JobRecord *is);
	void (*fault)(struct cluster *c); // one more, of what is its own
	void (*cut)(struct cluster *c);   // a partition began or ended
	void (*calm)(struct cluster *c);  // all faults end
};

enum role { ROLE_CONTROLLER, ROLE_NODE, ROLE_CLIENT };

struct sim_bus;
struct sim_meta;
struct sim_work;

// A process: its machine lives from start to crash; paused, it gets nothing until it is woken.
struct process {
	struct cluster *cluster;
	enum role role;
	uint32_t index; // of all
	char name[8];   // also its address
	bool up, paused, leaving;
	uint64_t boot; // grows with every start
	int64_t wake_ns;
	bool step_asked;
	struct sim_bus *bus;
	struct sim_meta *meta;
	struct sim_work *work;
	struct controller *controller;
	struct agent *agent;
	bool meta_cut;             // it cannot reach metadata
	bool tainted;              // its workers hang
	int64_t starved_ns;        // since when its workers have no core; 0: they have
	int64_t starved_before_ns; // for how long they had none before that
	int64_t disturbed_ns;      // when something last happened to it that may make it look dead
};

struct conn;
struct stored { // a key of metadata
	char key[META_KEY_MAX];
	void *value;
	size_t bytes;
	int64_t revision;
	uint64_t lease; // 0: none
};

struct lease {
	uint64_t id;
	int64_t until_ns;
};

// Metadata's side of the world.
struct server {
	int64_t revision;
	struct stored *keys;
	size_t count, room;
	struct lease leases[64];
	uint32_t lease_count;
	uint64_t lease_next;
	bool gone;
	bool journal;     // of a single controller: its leases end with the process
	int64_t delay_ns; // at most, of each way
};

struct published {
	char job[MESSAGE_NAME_MAX + 1];
	uint64_t incarnation;
	uint32_t process;
	uint32_t participant; // whose output
};

// A job with replicas, as it really is. The task of a participant has an instance in its place and
// one in that of replica_of; one of them owns it. Told is what the present holder of a place was.
struct shadow {
	struct shadow *next;
	char job[MESSAGE_NAME_MAX + 1];
	uint64_t incarnation, term;    // of the leader that had it run
	int64_t prepared_ns, until_ns; // until then it has something to do
	bool runs, at_end;             // at_end: all have come to theirs, as written
	uint32_t count;
	uint32_t processes[NODES_MAX];    // by place: who holds it,
	uint64_t boots[NODES_MAX];        // as which replica that was made; 0: the first
	bool failed[NODES_MAX];           // its part has
	bool given_up[PROCESSES_MAX_SIM]; // by process, as written; the record may be gone by now
	uint32_t owners[NODES_MAX];       // by participant: the place that owns its task
	bool begun[NODES_MAX];            // by participant: who follows its task has begun
	bool told[NODES_MAX][NODES_MAX];  // place: that the second is lost,
	bool alone[NODES_MAX][NODES_MAX]; // and to do without
	uint64_t under[NODES_MAX];        // by place: under what others took over from it
	uint64_t successor_max;           // that there ever was
	// The replica that is being made: whose place, as which, of which leader
	uint32_t place;
	uint64_t boot, boot_term; // 0: none
	bool told_new[NODES_MAX]; // what its part was told is lost
	int64_t lacking_ns;       // since when one could be made; 0: it could not
};

struct client_job {
	char token[32];
	char id[MESSAGE_NAME_MAX + 1]; // once known
	bool done;
};

struct client {
	uint64_t peer, number;
	bool opened;
	int64_t asked_ns;
	uint32_t target; // controller asked
	uint32_t submitted;
	struct client_job jobs[CLIENT_JOBS_MAX];
	enum { CLIENT_IDLE, CLIENT_SUBMIT, CLIENT_CANCEL } doing;
	uint32_t about; // job
	bool publish;
};

struct cluster {
	struct vtime time;
	struct random random;
	uint64_t seed;
	bool verbose;
	uint32_t controllers, nodes, count; // processes
	struct process processes[PROCESSES_MAX_SIM];
	bool cut[PROCESSES_MAX_SIM][PROCESSES_MAX_SIM]; // from, to
	struct conn *conns;
	uint64_t conn_next;
	struct server server;
	struct client client;
	const struct cluster_work *work;
	int64_t ms;                  // how long a millisecond of faults and timeouts is
	int64_t silence_ns;          // after which controllers take a node for dead
	uint32_t jobs_max;           // to be submitted
	uint32_t cancels;            // of a thousand ticks
	uint32_t faults_ms, calm_ms; // how long they happen; all is quiet so long after
	uint32_t nodes_min, nodes_max;
	uint64_t boot_next;
	bool faults; // they still happen
	bool ending; // the world is being taken down
	uint32_t fault_count;
	int64_t delay_ns;                // of messages, at most
	void (*wake)(struct process *p); // whose processes are stepped elsewhere; NULL: here
	uint64_t term_boots[LEDGER_TERMS_MAX];
	struct published *published;
	size_t published_count;
	struct shadow *shadows;
	uint32_t taken_over; // jobs that ended well without a participant
	uint32_t repaired;   // places that were whole again
	uint32_t given_up;   // new replicas that were not
	uint32_t ended_count, finished_count;
	bool violated;
};

// Run one seed.  Returns whether all held; says on stderr what did not.
bool cluster_run_seed(uint64_t seed, bool verbose);
// The same of a cluster with what is to be chosen beforehand, which is then gone.
bool cluster_run(struct cluster *c, uint64_t seed, bool verbose);

__attribute__((format(printf, 2, 3))) void cluster_violate(struct cluster *c, const char *format,
	...);
// What happens, when somebody wants to read it.
__attribute__((format(printf, 2, 3))) void cluster_say(const struct cluster *c, const char *format,
	...);
void process_wake(struct process *p); // have it stepped soon
bool process_runs(const struct process *p);
void world_strike(struct cluster *c, uint32_t process); // have a fault befall it soon
// The same, and metadata and a controller, so that what is told then may never be written.
void world_strike_all(struct cluster *c, uint32_t process);

// bus.c
struct bus *sim_bus_create(struct process *p);
struct bus *sim_bus_of(struct process *p);
void sim_bus_destroy(struct process *p);
void sim_bus_crash(struct process *p, bool silent);  // silent: nobody is told
void sim_bus_break(struct cluster *c, uint32_t nth); // a connection, for no reason
void sim_bus_end(struct cluster *c);

// meta.c
struct meta *sim_meta_create(struct process *p);
void sim_meta_destroy(struct process *p);
void sim_meta_server_start(struct cluster *c);
void sim_meta_end(struct cluster *c);
const struct stored *sim_meta_find(const struct cluster *c, const char *key);

// work.c
extern const struct cluster_work sim_work;
bool sim_work_has(const struct process *p, const char *job);
bool sim_work_runs(const struct process *p, const char *job); // its part is not at its end
// Whether its part, if there is one, gives all that the new holder of a place needs.
bool sim_work_repaired(const struct process *p, const char *job, uint32_t place, uint64_t boot);

// For how long its workers had no core so far.
static inline int64_t process_starved_ns(const struct process *p)
{
	int64_t now_ns = p->starved_ns == 0 ? 0 : p->cluster->time.now_ns - p->starved_ns;
	return p->starved_before_ns + now_ns;
}

// trace.c: events for tests/model/trace
void cluster_trace_begin(const struct cluster *c);
void cluster_trace_end(void);
void cluster_trace_write(const struct cluster *c, const struct meta_put *put);
void cluster_trace_step(const struct process *p); // of a controller
struct cluster_trace_part {
	const char *job;
	uint32_t place;
	uint64_t boot; // of the replica that it is, 0: of none
};
__attribute__((format(printf, 4, 5))) void cluster_trace_part(const struct process *p,
	const struct cluster_trace_part *part, const char *event, const char *format, ...);

// client.c
void sim_client_start(struct process *p);
void sim_client_step(struct process *p, bool quiet);

// ledger.c
void ledger_write(struct cluster *c, const struct stored *before, const struct meta_put *put);
void ledger_term(struct cluster *c, const struct process *p);
void ledger_start(struct cluster *c, const struct process *p, const char *job,
	uint64_t incarnation);
void ledger_publish(struct cluster *c, const struct process *p, const char *job,
	uint64_t incarnation, uint32_t participant);
void ledger_alone(struct cluster *c, const char *job, uint32_t lost); // a part is told
void ledger_ended(struct cluster *c, const Weir__JobRecord *job); // of that work
Weir__JobRecord *ledger_job(const struct cluster *c, const char *id);
bool ledger_is_quiet(const struct cluster *c, const char **ret_why);

// replicas.c
#define NO_REPLICA UINT32_MAX
// Who has the replica of a participant's task: one's partner, the next one, or none, by the job.
uint32_t replica_of(const char *job, uint32_t count, uint32_t participant);
// Fills whom its loss concerns.  Returns how many.
uint32_t replica_partners(const char *job, uint32_t count, uint32_t participant, uint32_t *by);
struct shadow *shadow_of(const struct cluster *c, const char *job);
struct shadow *shadow_prepare(struct cluster *c, const struct workload_request *request);
// What a part is told; `boot`: of the replica that it is, 0: of none.
struct shadow_loss {
	uint32_t place;
	uint64_t boot;
	uint32_t lost;
	uint64_t successor;
	bool alone;
};
void shadow_lose(struct cluster *c, struct shadow *s, const struct shadow_loss *loss);
// Whether the job went on without a process, by its record, which may be gone.
bool shadow_is_without(const struct cluster *c, const char *job, uint64_t incarnation,
	uint32_t process);
// Whether a part has all it needs to come to its end.
bool shadow_may_end(struct cluster *c, struct shadow *s, uint32_t place, uint64_t boot);
void shadow_write(struct cluster *c, const Weir__JobRecord *was, const Weir__JobRecord *is);
void shadow_end(struct cluster *c);
