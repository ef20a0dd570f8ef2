// Google Benchmark for C: benchmarks are registered and run through these few calls.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shim_state; // benchmark::State

typedef void (*shim_benchmark)(struct shim_state *state, int64_t argument);

// `timed`: the benchmark tells its own time by shim_time.
void shim_register(const char *name, shim_benchmark run, int64_t argument, bool timed);

// Returns whether to do `count` further operations, which count as that many iterations.
bool shim_next(struct shim_state *state, int64_t count);
// Of the operations that the last shim_next asked for.
void shim_time(struct shim_state *state, double seconds);
void shim_fail(struct shim_state *state, const char *why);

// Run what is registered, as Google Benchmark's flags say.  Returns the exit code: 1 when a
// benchmark failed.
int shim_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
