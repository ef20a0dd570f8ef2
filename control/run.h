// `weir run`: a job from its file to its report, in this process.
#pragma once

#include "control/job.h"

struct run_options {
	const char *file;
	const char *report; // path, NULL: none
	const char *const *sets;
	uint32_t set_count;
};

// Run a job until its input ends or it is interrupted. Takes SIGINT and SIGTERM meanwhile.
// Thread: agent, which must not be pinned.  Returns the exit code.
int run_job(const struct run_options *options);
