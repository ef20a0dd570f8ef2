// A job's operators as a graph: who reads whom, in which order, and what cannot be.
#pragma once

#include "control/job.h"

// Find every operator's input, check roles, and put every operator behind what it reads.
void job_connect(struct job *job);

// Add an error about an operator, at its member `name` if it has one.
void job_operator_error(struct job *job, const struct job_operator *op, const char *name,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
