// Trials of how fast, not only whether: goodput under loss against without, and how two sessions
// share a bottleneck.
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/transport.h"

static struct transport_world world;

static struct transport_scenario plain(uint64_t seed)
{
	struct random r = {seed};
	return (struct transport_scenario){.seed = seed,
		.endpoints = 2,
		.flows = 1,
		.window = 512,
		.frames = CHANNEL_FRAMES_MAX,
		.frame_bytes = 1024,
		.faults = {.delay_ns = (int64_t)random_in(&r, 5000, 60000)},
		.byte_ps = (int64_t)random_in(&r, 1600, 8000), // 5 to 1 Gbit/s
		.queue_ns = 1000000,
		.small_pools = true};
}

// Returns how long the items took; 0 when something was violated.
static int64_t transfer(const struct transport_scenario *s, uint64_t items)
{
	const struct flow flow = {.from = 0, .to = 1, .items = items, .no_marks = true};
	transport_world_create(&world, s, &flow);
	while (!world.violated && !transport_world_ended(&world)) {
		transport_world_round(&world);
		transport_check(&world);
		if (world.now_ns > 10000000000)
			transport_violate(&world, "no progress in 10 s");
	}
	int64_t took = world.violated ? 0 : world.now_ns;
	transport_world_destroy(&world);
	return took;
}

bool transport_trial_loss(uint64_t seed, bool verbose)
{
	struct transport_scenario s = plain(seed);
	uint64_t items = 200000;
	int64_t without = transfer(&s, items);
	s.faults.loss = 50;
	int64_t with = transfer(&s, items);
	bool good = without != 0 && with != 0 && with <= 2 * without;
	if (verbose || !good)
		fprintf(stderr, "seed %" PRIu64 ": %.3f ms without loss, %.3f ms with 5 %% lost\n",
			seed, (double)without / 1e6, (double)with / 1e6);
	if (!good)
		fprintf(stderr, "seed %" PRIu64 ": goodput at 5 %% loss is below a half\n", seed);
	return good;
}

// Two endpoints send to a third, whose link is slower than either; judged is the second half.
bool transport_trial_share(uint64_t seed, bool verbose)
{
	enum { START_NS = 100000000, END_NS = 250000000 };
	struct transport_scenario s = plain(seed);
	struct flow flows[2] = {{.from = 0, .to = 2, .items = UINT64_MAX, .no_marks = true},
		{.from = 1, .to = 2, .items = UINT64_MAX, .no_marks = true}};
	uint64_t before[2] = {0, 0};
	s.endpoints = 3;
	s.flows = 2;
	transport_world_create(&world, &s, flows);
	while (!world.violated && world.now_ns < END_NS) {
		transport_world_round(&world);
		transport_check(&world);
		if (world.now_ns >= START_NS && before[0] == 0) {
			before[0] = world.flows[0].bytes;
			before[1] = world.flows[1].bytes;
			world.wire.waited_ns = 0;
		}
	}
	double a = (double)(world.flows[0].bytes - before[0]);
	double b = (double)(world.flows[1].bytes - before[1]);
	double jain = (a + b) * (a + b) / (2 * (a * a + b * b));
	double used = (a + b) * (double)s.byte_ps / 1e3 / (END_NS - START_NS);
	bool good = !world.violated && jain >= 0.8 && used >= 0.5 && world.wire.waited_ns < 600000;
	if (verbose || !good)
		fprintf(stderr,
			"seed %" PRIu64 ": Jain index %.3f, %.2f of the bottleneck, waited at most "
			"%.1f us in it, %" PRIu64 " overflowed, delay %.1f us, %.2f ns a byte\n",
			seed, jain, used, (double)world.wire.waited_ns / 1e3, world.wire.overflowed,
			(double)s.faults.delay_ns / 1e3, (double)s.byte_ps / 1e3);
	transport_world_destroy(&world);
	return good;
}
