// A job: its file read, checked and typed along every edge. What the planner starts from.
#pragma once

#include "control/errors.h"
#include "dataplane/operator.h"

#define JOB_NO_INPUT UINT32_MAX

enum { JOB_OPERATORS_MAX = 256, JOB_TASKS_MAX = 1024 };

struct job_operator {
	const char *id;
	bool named;                       // the id is sound, so that others can name it
	const struct weir_operator *kind; // NULL after an error
	const struct weir_value *raw;     // its map as written
	uint32_t input;                   // operator, JOB_NO_INPUT: a source, or an error
	const char *input_text;           // as written, NULL: none
	const char *output_name;          // of the input that is read, "" for an only one
	uint32_t parallelism;             // asked for; 0: the planner's choice
	uint32_t consumers;
	bool replicated;        // where the job runs on several nodes
	struct weir_plan *plan; // against all fields of its input; NULL after an error
};

struct job {
	struct heap heap;
	struct errors errors; // count 0: the job is sound
	const struct weir_operator *const *kinds;
	const char *file, *name;
	struct weir_value *raw;      // the file's root as written, flags applied
	struct weir_value *settings; // validated sections
	unsigned *cpus;              // workers.cpus; NULL: left to the placement
	uint32_t cpu_count;
	uint32_t operator_count;
	struct job_operator operators[JOB_OPERATORS_MAX];
	uint32_t order_count;
	uint32_t order[JOB_OPERATORS_MAX]; // every operator behind its input
	struct job_planned *planned;       // all plans ever made, for unplan
};

struct job_source {
	const char *file;
	const char *text; // the file's content; NULL: read it
	size_t bytes;
	const char *const *sets; // `operator.parameter=value`, applied in order
	uint32_t set_count;
	const struct weir_operator *const *kinds; // NULL at the end
};

// The sections beside `operators`, for the reference.
extern const struct weir_param job_table[];
extern const struct weir_param job_operator_table[]; // what every operator may have

// Load and check a job; job->errors says what is wrong. Destroy it in any case.  Thread: agent.
void job_load(struct job *job, const struct job_source *source);
void job_destroy(struct job *job);

// Workers the job asks for, by count or by its CPUs; else `otherwise`.
uint32_t job_workers(const struct job *job, uint32_t otherwise);

// Plan an operator against an input schema, which must outlive the job's use.
// Returns NULL after an error was added.
struct weir_plan *job_plan_operator(struct job *job, uint32_t index,
	const struct weir_plan *upstream, const struct weir_schema *input);

// Returns the schema of the named output of a plan, or NULL.
const struct weir_schema *plan_output(const struct weir_plan *plan, const char *name);

// Returns the id of the sink that writes the file at `path`, or NULL.
const char *job_sink_of(const struct job *job, const char *path);

// Print what every operator gives: `id.output: field type, …`.
void job_print_types(const struct job *job, FILE *out);
