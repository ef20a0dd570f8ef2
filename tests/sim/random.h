// The simulator's only randomness: one stream a seed (SplitMix64, Steele, Lea and Flood 2014).
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = (r->state += 0x9E3779B97F4A7C15ULL);
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	return z ^ z >> 31;
}

// In [low, high].
static inline uint64_t random_in(struct random *r, uint64_t low, uint64_t high)
{
	return low + random_next(r) % (high - low + 1);
}

static inline bool random_chance(struct random *r, uint32_t of_thousand)
{
	return random_next(r) % 1000 < of_thousand;
}
