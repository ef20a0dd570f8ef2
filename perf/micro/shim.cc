#include "perf/micro/shim.h"

#include <atomic>

#include <benchmark/benchmark.h>

static std::atomic<bool> failed;

static benchmark::State *state_of(struct shim_state *state)
{
	return reinterpret_cast<benchmark::State *>(state);
}

void shim_register(const char *name, shim_benchmark run, int64_t argument, bool timed)
{
	auto *b = benchmark::RegisterBenchmark(name, [run, argument](benchmark::State &state) {
		run(reinterpret_cast<struct shim_state *>(&state), argument);
		state.SetItemsProcessed(state.iterations());
	});
	if (timed)
		b->UseManualTime();
}

bool shim_next(struct shim_state *state, int64_t count)
{
	return state_of(state)->KeepRunningBatch(count);
}

void shim_time(struct shim_state *state, double seconds)
{
	// Google Benchmark adds the times of all batches up and divides by all iterations.
	state_of(state)->SetIterationTime(seconds);
}

void shim_fail(struct shim_state *state, const char *why)
{
	failed = true;
	state_of(state)->SkipWithError(why);
}

int shim_main(int argc, char **argv)
{
	benchmark::Initialize(&argc, argv);
	if (benchmark::ReportUnrecognizedArguments(argc, argv))
		return 2;
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return failed ? 1 : 0;
}
