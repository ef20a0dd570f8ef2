// What one seed runs: a job over NEXMark bids, drawn from the seed, as a job file and as plain
// numbers for the reference model.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/random.h"

enum scenario_aggregate { OF_COUNT, OF_SUM, OF_MIN, OF_MAX };

enum { SCENARIO_AGGREGATES_MAX = 4 };

struct scenario {
	uint64_t seed;
	uint64_t events, rate, group;
	uint32_t workers;
	uint32_t frame_bytes, credit;
	bool window; // else the bids themselves reach the sink
	int64_t size_ns, slide_ns;
	bool key_auction, key_bidder;
	uint32_t aggregate_count;
	enum scenario_aggregate aggregates[SCENARIO_AGGREGATES_MAX]; // of price
	uint32_t keep_modulo; // only bids whose price is divisible by it; 1: all
	uint32_t top;         // ranks kept per window; 0: no top
	bool one_sink;        // else one a worker, fused where it can be
	uint32_t kills;
	int64_t interrupt_ns; // 0: runs to the end
	char job[2048];       // the job file
};

void scenario_draw(struct scenario *s, uint64_t seed);
