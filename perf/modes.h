// What the benchmark driver can do, a function a mode; each returns the process's exit code.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *mode, *name;
	int64_t events, rate; // of event time, a second
	uint32_t loops, threads, rounds;
};

// Time one hand-written loop.
int mode_baseline(const struct options *options);
// Queries in the engine beside the hand-written loops, over the same rows.
int mode_nexmark(const struct options *options);
// Jobs with recovery, a part at a time, beside the same without.
int mode_recovery(const struct options *options);
// From a record's scheduled creation to the sink, at half load.
int mode_latency(const struct options *options);
// A frame's cost in a channel beside a bare ring's.
int mode_exchange(const struct options *options);
// Run everything tiny and compare the hashes of what must be equal.
int mode_smoke(const struct options *options);

struct results;

// What the modes measure, for mode_smoke to run tiny: 0, or an exit code. With `share` two threads
// may run on one core. EAL must run.
int nexmark_measure(struct results *results, int64_t events, uint32_t rounds, bool share);
int recovery_measure(struct results *results, const struct options *options, bool share);
int exchange_measure(struct results *results, uint64_t frames, uint32_t rounds, bool share);
int latency_measure(struct results *results, int64_t events, uint32_t rounds, bool share);
