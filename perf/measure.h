// Medians and spread of interleaved rounds.
#pragma once

#include <stdint.h>

enum { MEASURE_ROUNDS_MAX = 64 };

struct measure {
	double values[MEASURE_ROUNDS_MAX];
	uint32_t count;
};

void measure_add(struct measure *m, double value);
double measure_median(const struct measure *m);
// The distance between the quartiles, as a share of the median.
double measure_spread(const struct measure *m);
double measure_least(const struct measure *m);
