// What the benchmark driver can do, a function a mode; each returns the process's exit code.
#pragma once

#include <stdint.h>

struct options {
	const char *mode, *name;
	int64_t events, rate; // of event time, a second
	uint32_t loops, threads, rounds;
};

// Time one hand-written loop.
int mode_baseline(const struct options *options);
// Run everything tiny and compare the hashes of what must be equal.
int mode_smoke(const struct options *options);
