// java.util.Random as its documentation defines it (a 48-bit linear congruential generator), and
// the draws Apache Beam's NEXMark generator builds on it.
#pragma once

#include <stdint.h>

struct java_random {
	uint64_t state; // 48 bits
};

static inline void random_seed(struct java_random *r, uint64_t seed)
{
	r->state = (seed ^ UINT64_C(0x5DEECE66D)) & ((UINT64_C(1) << 48) - 1);
}

static inline uint64_t random_step(struct java_random *r)
{
	r->state = (r->state * UINT64_C(0x5DEECE66D) + 0xB) & ((UINT64_C(1) << 48) - 1);
	return r->state;
}

// nextInt(): any int32.
static inline int32_t random_int32(struct java_random *r)
{
	return (int32_t)(uint32_t)(random_step(r) >> 16);
}

// nextInt(bound): 0 to bound - 1, each alike; bound is at least 1.
static inline int32_t random_int(struct java_random *r, int32_t bound)
{
	uint64_t bits = random_step(r) >> 17; // 31 of them
	if ((bound & (bound - 1)) == 0)
		return (int32_t)(bits * (uint32_t)bound >> 31);
	// The last, incomplete run of `bound` values is drawn again.
	for (;;) {
		uint32_t value = (uint32_t)bits % (uint32_t)bound;
		if (bits - value + (uint32_t)bound - 1 <= INT32_MAX)
			return (int32_t)value;
		bits = random_step(r) >> 17;
	}
}

// nextDouble(): [0, 1) in steps of 2^-53.
static inline double random_double(struct java_random *r)
{
	uint64_t high = random_step(r) >> 22;
	uint64_t low = random_step(r) >> 21;
	return (double)((high << 27) + low) * 0x1.0p-53;
}

// nextLong(): any int64 of the generator's.
static inline int64_t random_int64(struct java_random *r)
{
	uint64_t high = (uint64_t)random_int32(r) << 32;
	return (int64_t)(high + (uint64_t)(int64_t)random_int32(r));
}

// Beam's nextLong(random, bound): 0 to bound - 1; bound is at least 1.
int64_t random_long_wide(struct java_random *r, int64_t bound);

static inline int64_t random_long(struct java_random *r, int64_t bound)
{
	return bound < INT32_MAX ? random_int(r, (int32_t)bound) : random_long_wide(r, bound);
}

// Beam's six characters from one nextInt(): 'a' plus its signed digits to the base 26, lowest
// first.
void random_letters6(struct java_random *r, uint8_t *out);

// Beam's price: 100 to 10^8, its logarithm uniform.
int64_t random_price(struct java_random *r);
