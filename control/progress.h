// The line on a terminal that says how far a job is.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct engine_checkpoints;

struct progress {
	FILE *out;
	bool shown;
	uint64_t records; // at the last line
	double seconds;
};

// What a job has to say besides.
struct progress_job {
	int64_t event_ns; // the event time reached; INT64_MIN, INT64_MAX: none
	int64_t now_ns;   // by the wall clock
	const struct engine_checkpoints *checkpoints; // NULL: none are taken
};

// Overwrite the line: records so far, the rate since the last time and, of a job (else NULL), the
// event time, how far that is behind if less than a day, and what checkpoints came to.
void progress_show(struct progress *progress, uint64_t records, double seconds,
	const struct progress_job *job);
// Remove the line, if there is one.
void progress_clear(struct progress *progress);
