// The operator interface: what a kind of operator is. The one header for operator authors.
//
// A kind is one file that exports one `struct weir_operator`. A task creates one instance; all
// calls on an instance come from the worker that owns the task, except plan, publish and report,
// which come from the agent while no worker runs. An instance reads time, memory and the outside
// only through its context, keeps no mutable statics and never blocks.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/counters.h"
#include "dataplane/param.h"
#include "state/batch.h"

#define WEIR_OPERATOR_VERSION 1
#define WEIR_OUTPUTS_MAX 8
#define WEIR_KEYS_MAX 8

enum weir_flow {
	WEIR_DONE,   // all of it is done
	WEIR_FULL,   // the output is full: stop, return WEIR_FULL; you are called again
	WEIR_IDLE,   // produce: nothing is due before ctx->deadline_ns
	WEIR_END,    // produce: the input has ended
	WEIR_FAILED, // weir_fail has said why; the job stops
};

struct weir_output {
	const char *name; // "" for an only one
	struct weir_schema schema;
};

// What an operator of a job is, worked out once before it runs and then read by all its tasks.
struct weir_plan {
	const struct weir_value *params;  // validated against the kind's table
	const struct weir_schema *input;  // NULL for a source
	const char *id;                   // the operator's id in the job
	const struct weir_plan *upstream; // of the input; NULL for a source
	uint32_t record_bytes_max;        // that a frame holds; 0: no bound
	// plan() fills in:
	struct weir_output outputs[WEIR_OUTPUTS_MAX];
	uint32_t output_count;
	uint16_t keys[WEIR_KEYS_MAX]; // fields of the input that decide which task gets a record
	uint32_t key_count;           // 0: not keyed
	uint64_t fields_used;         // a bit per field of the input that is read or passed on
	uint32_t parallelism_max;     // 0: any
	bool drops_fail;              // source: what is dropped behind it fails the job
	size_t shared_bytes;          // source: memory all tasks share, see share()
	void *detail;                 // the kind's own, freed by unplan; outlives the tasks
	// the runtime's:
	void *shared;
	void (*error)(struct weir_plan *plan, const struct weir_value *at, const char *text);
	void *error_sink;
};

// Report what is wrong with value `at` of a plan (place and path are added), with a remedy.
void weir_plan_error(struct weir_plan *plan, const struct weir_value *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct arena;
struct group_set;
struct pool;
struct snapshot_writer;
struct snapshot_reader;
struct chain_link;

// What an instance sees of the world.
struct weir_context {
	int64_t now_ns;      // time of this step
	int64_t start_ns;    // when the job started; the same for all its tasks
	int64_t deadline_ns; // produce sets it before it returns WEIR_IDLE
	bool replays;        // produce: when is decided, so a source does not wait for its pace
	uint64_t produced;   // produce adds the records it emitted, of all variants
	uint32_t task_index, task_count;
	struct arena *arena; // for create() only
	struct pool *pool;   // state memory, any time
	struct weir_counters *counters;
	struct chain_link *link; // the runtime's
	char error[512];
	bool goes_on; // watermark: returns WEIR_FULL because the rest is for the next step
};

// Record why the job must stop.  Returns WEIR_FAILED.
enum weir_flow weir_fail(struct weir_context *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

// Pass a batch on. It is always taken; its memory must stay as it is until the operator is called
// again. On WEIR_FULL emit nothing more and return WEIR_FULL.
enum weir_flow weir_emit(struct weir_context *ctx, const struct weir_batch *batch);

// Source only: promise that no later record has a time before watermark_ns. Same rules; at most
// one between two records, and none behind records emitted in the same call of produce.
enum weir_flow weir_emit_watermark(struct weir_context *ctx, int64_t watermark_ns);

// process and produce only: count records that are not passed on. Where their source says
// `on_error: fail` the job then stops, once the call has returned.
void weir_drop(struct weir_context *ctx, enum weir_drop reason, uint64_t records);

// Result figures of an operator for the report; tasks' values of a name are added up mod 2^64. The
// name need not outlive the call.
struct weir_reporter {
	void (*add)(struct weir_reporter *reporter, const char *name, uint64_t value);
};

enum weir_role { WEIR_SOURCE, WEIR_TRANSFORM, WEIR_SINK };

// Versions: what is added stands at the end and may be left out. A kind built with an older header
// is shorter, as `size` says, and is run as if what it lacks were NULL; of one built with a newer
// header what is unknown here is not used. Only a change of what is there raises `version`, and a
// kind of another version is refused (weir_operator_unfit).
struct weir_operator {
	uint32_t size;    // sizeof(struct weir_operator)
	uint32_t version; // WEIR_OPERATOR_VERSION
	const char *kind;
	const char *summary; // one sentence for help and the reference
	enum weir_role role;
	bool partial;   // run on parts first and again on the union, it gives the same result
	bool immediate; // sink: it acts outside as it goes, not in publish; has no replica
	const struct weir_param *params;

	// Check parameters against the input and fill in the plan.  Returns 0, or -EINVAL after
	// weir_plan_error.  Thread: agent.
	int (*plan)(struct weir_plan *plan);
	void (*unplan)(struct weir_plan *plan); // may be NULL
	// Source with shared_bytes: fill memory that all tasks share, before the clock starts.
	// Returns 0 or -errno after weir_plan_error.  Thread: agent.
	int (*share)(struct weir_plan *plan, void *memory);

	// Make an instance, all its fixed memory from ctx->arena.
	// Returns 0 or -errno; a message in ctx->error by weir_fail says why.
	int (*create)(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self);
	void (*destroy)(void *self); // NULL-safe; unpublished output is gone after unplan

	// Source: emit the watermark that is due, if any, then at most records_max records, which
	// may be 0.
	enum weir_flow (*produce)(void *self, struct weir_context *ctx, uint64_t records_max);

	// Consume rows of `in` (move its position) until it is empty or the output is full. Emitted
	// batches may point into `in`.
	enum weir_flow (*process)(void *self, struct weir_context *ctx, struct weir_batch *in);
	// No later input has a time before watermark_ns; the runtime passes it on when this returns
	// WEIR_DONE. What takes long is done in parts, see goes_on. May be NULL, as may finish.
	enum weir_flow (*watermark)(void *self, struct weir_context *ctx, int64_t watermark_ns);
	// The input has ended: flush. (At a natural end watermark(INT64_MAX) came before.)
	enum weir_flow (*finish)(void *self, struct weir_context *ctx);

	// Write and read all that future output depends on, in one section that is already open.
	// NULL: stateless. restore returns 0 or -errno.
	uint32_t state_version;
	void (*snapshot)(const void *self, struct snapshot_writer *w);
	int (*restore)(void *self, struct weir_context *ctx, struct snapshot_reader *r);

	// Sink: make the output visible, after every task of the job has finished well.
	// Thread: agent.  Returns 0 or -errno after weir_fail.
	int (*publish)(void *self, struct weir_context *ctx);
	void (*report)(const void *self, struct weir_reporter *reporter); // may be NULL

	// Restoring by key group, so that records are taken before all state is back; all NULL, or
	// only watermark_reads. It is done with sections of state_version `groups_version` and
	// later; `restore` reads those before.
	//
	// Read what belongs to no key group and add to `absent` those that have state. Until they
	// are restored, they are not there; each is restored once, from a copy of the reader.
	// Return 0 or -errno, with a message by weir_fail where there is more to say.
	uint32_t groups_version;
	int (*restore_begin)(void *self, struct weir_context *ctx, struct snapshot_reader *r,
		struct group_set *absent);
	int (*restore_group)(void *self, struct weir_context *ctx, struct snapshot_reader *r,
		uint32_t group);
	// Add the key groups that process will need for the rows of `in`, which stays as it is. It
	// runs only while some group is absent; process is called once all it names are there, so
	// that it never waits. Groups that are there may be named.
	void (*keys)(void *self, struct weir_context *ctx, const struct weir_batch *in,
		struct group_set *needed);
	// Whether watermark() will read groups; it is then called once all are there, as are finish
	// and snapshot in any case. NULL: it always will.
	bool (*watermark_reads)(const void *self, int64_t watermark_ns);

	// As snapshot and restore, which are there too, in parts of a tenth of a millisecond or so:
	// with a large state others on the worker would wait for long. `first` begins anew, however
	// far it came before; between two parts nothing else is called but destroy. snapshot_part
	// returns whether all is written; restore_part 0, 1 when more is to follow, or -errno.
	// NULL: it is done at once.
	bool (*snapshot_part)(void *self, struct snapshot_writer *w, bool first);
	int (*restore_part)(void *self, struct weir_context *ctx, struct snapshot_reader *r,
		bool first);
};

// Whether a kind was built with this member of the struct and has it.
#define WEIR_OPERATOR_HAS(kind, member)                                                            \
	((kind)->size >= offsetof(struct weir_operator, member) + sizeof((kind)->member) &&        \
		(kind)->member != NULL)
// A kind of the first header: it ends with report.
#define WEIR_OPERATOR_SIZE_MIN offsetof(struct weir_operator, groups_version)

// Why a kind cannot be run, or NULL.
const char *weir_operator_unfit(const struct weir_operator *kind);

// The kinds built in, NULL at the end.
extern const struct weir_operator *const weir_operators[];
