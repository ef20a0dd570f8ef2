#include "perf/results.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "numa/assert.h"

struct result *results_add(struct results *results, const char *name, uint32_t workers,
	const char *unit, const struct measure *value, const struct measure *baseline, int cost)
{
	VERIFY(results->count < RESULTS_MAX);
	struct result *r = &results->list[results->count++];

	*r = (struct result){.workers = workers,
		.unit = unit,
		.value = measure_median(value),
		.spread = measure_spread(value)};
	snprintf(r->name, sizeof(r->name), "%s", name);
	if (baseline == NULL)
		return r;
	struct measure ratios = {.count = 0};
	for (uint32_t i = 0; i < value->count && i < baseline->count; i++) {
		double ratio = value->values[i] / baseline->values[i];
		measure_add(&ratios, cost ? 1 / ratio : ratio);
	}
	r->baseline = measure_median(baseline);
	r->ratio = measure_median(&ratios);
	r->spread = measure_spread(&ratios);
	return r;
}

#ifdef __clang__
#define COMPILER "clang"
#else
#define COMPILER "gcc"
#endif

#if defined(__OPTIMIZE__) && !WEIR_ASSERT && !defined(__SANITIZE_ADDRESS__)
#define OPTIMISED 1
#else
#define OPTIMISED 0
#endif

static json_t *result_json(const struct result *r)
{
	json_t *o = json_object();

	json_object_set_new(o, "name", json_string(r->name));
	json_object_set_new(o, "workers", json_integer(r->workers));
	json_object_set_new(o, "value", json_real(r->value));
	json_object_set_new(o, "unit", json_string(r->unit));
	json_object_set_new(o, "baseline", r->baseline == 0 ? json_null() : json_real(r->baseline));
	json_object_set_new(o, "ratio", r->baseline == 0 ? json_null() : json_real(r->ratio));
	json_object_set_new(o, "spread", json_real(r->spread));
	if (r->note[0] != '\0')
		json_object_set_new(o, "note", json_string(r->note));
	return o;
}

void results_print(const struct results *results)
{
	json_t *list = json_array(), *o = json_object();

	for (uint32_t i = 0; i < results->count; i++)
		json_array_append_new(list, result_json(&results->list[i]));
	json_object_set_new(o, "results", list);
	json_object_set_new(o, "compiler", json_string(COMPILER " " __VERSION__));
	json_object_set_new(o, "optimised", json_boolean(OPTIMISED));
	json_dumpf(o, stdout, JSON_REAL_PRECISION(6) | JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}
