#include "control/units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t factor;
};

// Largest first, for printing.
static const struct unit duration_units[] = {{"d", 86400000000000}, {"h", 3600000000000},
	{"m", 60000000000}, {"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}, {NULL, 0}};
static const struct unit size_units[] = {{"TiB", 1LL << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20},
	{"KiB", 1 << 10}, {"B", 1}, {NULL, 0}};
static const struct unit rate_units[] = {
	{"G/s", 1000000000}, {"M/s", 1000000}, {"k/s", 1000}, {"/s", 1}, {NULL, 0}};

static const struct unit *unit_find(const struct unit *units, const char *name)
{
	for (; units->name; units++)
		if (strcmp(units->name, name) == 0)
			return units;
	return NULL;
}

// Digits with an optional sign; *ret_rest is what follows them.
static const char *number_parse(const char *text, int64_t *ret_value, const char **ret_rest)
{
	bool negative = *text == '-';
	const char *at = text + negative;
	int64_t value = 0;
	if (*at < '0' || *at > '9')
		return "is not a whole number";
	for (; *at >= '0' && *at <= '9'; at++) {
		int digit = *at - '0';
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_sub_overflow(value, digit, &value)) // negative has more room
			return "is too large";
	}
	if (!negative && __builtin_sub_overflow(0, value, &value))
		return "is too large";
	*ret_value = value;
	*ret_rest = at;
	return NULL;
}

static const char *scaled_parse(const struct unit *units, const char *text, const char *remedy,
	int64_t *ret_value)
{
	int64_t value;
	const char *rest;
	const char *problem = number_parse(text, &value, &rest);
	if (problem)
		return strcmp(problem, "is too large") == 0 ? problem : remedy;
	if (value == 0 && !*rest) { // zero of anything is zero
		*ret_value = 0;
		return NULL;
	}
	const struct unit *unit = unit_find(units, rest + strspn(rest, " "));
	if (!unit)
		return remedy;
	if (__builtin_mul_overflow(value, unit->factor, &value))
		return "is too large";
	*ret_value = value;
	return NULL;
}

static const char *rate_parse(const char *text, int64_t *ret_value)
{
	static const char remedy[] = "is not a rate: write a number with /s, k/s, M/s or /min";
	const char *minute = strstr(text, "/min");
	int64_t value;
	const char *rest;
	if (!minute || minute[4]) {
		const char *problem = number_parse(text, &value, &rest);
		if (problem || *rest)
			return scaled_parse(rate_units, text, remedy, ret_value);
		*ret_value = value;
		return NULL;
	}
	const char *problem = number_parse(text, &value, &rest);
	if (problem || rest != minute)
		return remedy;
	if (value % 60)
		return "is no whole number a second; write a multiple of 60/min";
	*ret_value = value / 60;
	return NULL;
}

const char *units_parse(enum weir_param_type type, const char *text, int64_t *ret_value)
{
	int64_t value;
	const char *rest;
	switch (type) {
	case WEIR_PARAM_DURATION:
		return scaled_parse(duration_units, text,
			"is not a time: write a whole number and its unit, "
			"ns, us, ms, s, m, h or d",
			ret_value);
	case WEIR_PARAM_SIZE:
		return scaled_parse(size_units, text,
			"is not a size: write a whole number and its unit, B, KiB, MiB, GiB or TiB",
			ret_value);
	case WEIR_PARAM_RATE:
		return rate_parse(text, ret_value);
	default:
		break;
	}
	const char *problem = number_parse(text, &value, &rest);
	if (problem || *rest)
		return problem ? problem : "is not a whole number";
	*ret_value = value;
	return NULL;
}

void units_print(enum weir_param_type type, int64_t value, char *out, uint32_t out_bytes)
{
	const struct unit *unit = NULL;
	if (type == WEIR_PARAM_DURATION)
		unit = duration_units;
	else if (type == WEIR_PARAM_SIZE)
		unit = size_units;
	else if (type == WEIR_PARAM_RATE)
		unit = rate_units;
	if (!unit || value == 0) {
		snprintf(out, out_bytes, "%" PRId64, value);
		return;
	}
	while (value % unit->factor)
		unit++;
	snprintf(out, out_bytes, "%" PRId64 "%s", value / unit->factor, unit->name);
}
