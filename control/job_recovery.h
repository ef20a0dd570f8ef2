// A job's section `recovery`: which of its operators are to have replicas.
#pragma once

#include "control/job.h"

enum recovery_survive { RECOVERY_HOST, RECOVERY_RACK }; // as the section's choices

// Returns the validated section, or NULL: nothing is replicated.
const struct weir_value *job_recovery(const struct job *job);

// Mark the operators whose tasks are replicated; behind job_connect. What the section names and
// the job has not, or cannot replicate, becomes an error.
void job_choose_replicated(struct job *job);

// Add an error about the section.
void job_recovery_error(struct job *job, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
