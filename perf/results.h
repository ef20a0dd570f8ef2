// The list of figures a run has found, printed as the `results` of the report (schema in
// docs/performance.md).
#pragma once

#include <stdint.h>

#include "perf/measure.h"

enum { RESULTS_MAX = 128 };

struct result {
	char name[64];
	uint32_t workers; // or threads
	double value;
	const char *unit;
	double baseline; // what the value is compared with, in the same unit; 0: nothing
	double ratio;    // of the two, per round, the median: over 1 is better than the baseline
	double spread;   // of the ratio, or without a baseline of the value
	char note[160];  // "" or what a reader must know
};

struct results {
	struct result list[RESULTS_MAX];
	uint32_t count;
};

// The median of `value`, and with a baseline the median of the rounds' ratios; with `cost` a
// smaller value is the better one.
struct result *results_add(struct results *results, const char *name, uint32_t workers,
	const char *unit, const struct measure *value, const struct measure *baseline, int cost);

// To stdout: a JSON object on one line.
void results_print(const struct results *results);
