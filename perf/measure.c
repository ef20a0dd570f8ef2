#include "perf/measure.h"

#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

void measure_add(struct measure *m, double value)
{
	VERIFY(m->count < MEASURE_ROUNDS_MAX);
	m->values[m->count++] = value;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

// The value below which `share` of all lie, between neighbours linearly.
static double quantile(const struct measure *m, double share)
{
	double sorted[MEASURE_ROUNDS_MAX];

	VERIFY(m->count > 0);
	memcpy(sorted, m->values, m->count * sizeof(sorted[0]));
	qsort(sorted, m->count, sizeof(sorted[0]), ascending);
	double at = share * (m->count - 1);
	uint32_t below = (uint32_t)at;
	uint32_t above = below + 1 < m->count ? below + 1 : below;
	return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

double measure_median(const struct measure *m)
{
	return quantile(m, 0.5);
}

double measure_spread(const struct measure *m)
{
	return (quantile(m, 0.75) - quantile(m, 0.25)) / quantile(m, 0.5);
}

double measure_least(const struct measure *m)
{
	return quantile(m, 0);
}
