// Rows laid out in memory, over which the engine and the hand-written loops run in turn, and the
// figures by which their results are compared.
#pragma once

#include <stdint.h>

// Records of the pinned format, one after the other; the bids', auctions' and persons' variants are
// the generator's.
struct rows {
	const uint8_t *first, *limit;
	uint64_t records;
	uint32_t loops;   // how often they are read, one after the other; at least 1
	int64_t bound_ns; // no record's time is further than this behind one before it
};

// The output hash: the sum of XXH3-64 of each whole output record.
struct tally {
	uint64_t records;
	uint64_t hash;
};

static inline uint64_t rows_bytes(const struct rows *rows)
{
	return (uint64_t)(rows->limit - rows->first);
}
