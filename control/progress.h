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

// Overwrite the line: records so far and the rate since the last time, and what `checkpoints`
// (NULL: none are taken) came to.
void progress_show(struct progress *progress, uint64_t records, double seconds,
	const struct engine_checkpoints *checkpoints);
// Remove the line, if there is one.
void progress_clear(struct progress *progress);
