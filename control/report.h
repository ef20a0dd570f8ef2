// What a run came to: the figures of every operator and in total, as JSON and as a table.
#pragma once

#include <stdio.h>

#include "control/job.h"
#include "dataplane/engine.h"

enum { REPORT_RESULTS_MAX = 16 };

// A figure of an operator's own, its tasks' added up.
struct report_result {
	const char *name;
	uint64_t value;
};

struct report_operator {
	const char *id, *kind;
	enum weir_role role;
	bool leads; // first of its tasks' chains, whose shares are all of the chain's
	struct engine_figures figures;
	uint32_t result_count;
	struct report_result results[REPORT_RESULTS_MAX];
};

struct report {
	const char *job;
	const char *state; // finished, interrupted, failed
	const char *error; // NULL: none
	double seconds;
	uint32_t workers;
	bool recovery; // whether `checkpoints` says anything
	struct engine_checkpoints checkpoints;
	uint32_t operator_count;
	struct report_operator *operators;
};

// Collect the figures of an engine onto `heap`. The rest of `report` is the caller's to fill.
void report_collect(struct report *report, struct heap *heap, const struct job_plan *plan,
	const struct engine *engine);

// Total of the job: in are the records that sources read, out those that reached the sinks; shares
// are of the workers' time.
void report_total(const struct report *report, struct engine_figures *ret_total);

// Returns JSON text for free(), with `schema: weir-report-1`.
char *report_json(const struct report *report);

void report_print(const struct report *report, FILE *out);
