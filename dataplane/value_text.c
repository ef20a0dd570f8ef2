#include "dataplane/value_text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int value_bool_parse(const uint8_t *text, uint32_t bytes, bool *ret_value)
{
	static const char *const names[] = {"false", "true", "0", "1"};
	for (uint32_t i = 0; i < 4; i++) {
		if (strlen(names[i]) != bytes ||
			strncasecmp(names[i], (const char *)text, bytes) != 0)
			continue;
		*ret_value = i & 1;
		return 0;
	}
	return -EINVAL;
}

int value_int64_parse(const uint8_t *text, uint32_t bytes, int64_t *ret_value)
{
	const uint8_t *p = text, *limit = text + bytes;
	bool negative = p < limit && *p == '-', large = false;
	p += negative || (p < limit && *p == '+');
	if (p == limit)
		return -EINVAL;
	uint64_t value = 0;
	for (; p < limit; p++) {
		uint32_t digit = *p - (uint32_t)'0';
		if (digit > 9)
			return -EINVAL;
		large |= value > (uint64_t)INT64_MAX / 10;
		value = large ? 0 : value * 10 + digit;
	}
	if (large || value > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret_value = negative ? (int64_t)-value : (int64_t)value;
	return 0;
}

struct number {
	uint64_t digits;
	uint32_t count; // of significant digits
	int32_t exponent;
	bool negative;
};

static const uint8_t *take_digits(const uint8_t *p, const uint8_t *limit, struct number *n)
{
	for (; p < limit && *p >= '0' && *p <= '9'; p++) {
		n->count += n->count > 0 || *p != '0';
		if (n->count <= 19)
			n->digits = n->digits * 10 + (*p - '0');
	}
	return p;
}

static const uint8_t *take_exponent(const uint8_t *p, const uint8_t *limit, int32_t *exponent)
{
	bool negative = p < limit && *p == '-';
	int32_t value = 0;
	p += negative || (p < limit && *p == '+');
	if (p == limit)
		return NULL;
	for (; p < limit && *p >= '0' && *p <= '9'; p++)
		value = value < 100000 ? value * 10 + (*p - '0') : value;
	*exponent += negative ? -value : value;
	return p;
}

// [+-]digits[.digits][e[+-]digits]
static bool scan_number(const uint8_t *text, uint32_t bytes, struct number *n)
{
	const uint8_t *p = text, *limit = text + bytes;
	n->negative = p < limit && *p == '-';
	p += n->negative || (p < limit && *p == '+');
	const uint8_t *start = p, *point;
	p = take_digits(p, limit, n);
	bool any = p > start;
	if (p < limit && *p == '.') {
		point = p + 1;
		p = take_digits(point, limit, n);
		any |= p > point;
		n->exponent = -(int32_t)(p - point);
	}
	if (any && p < limit && (*p == 'e' || *p == 'E'))
		p = take_exponent(p + 1, limit, &n->exponent);
	return any && p == limit;
}

// Up to 2^53 and powers of ten up to 22 are exact, so one multiplication or division rounds right
// (Clinger, "How to read floating point numbers accurately").
static bool exact(const struct number *n, double *ret_value)
{
	static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
		1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	if (n->count > 19 || n->digits > 1ULL << 53 || n->exponent < -22 || n->exponent > 22)
		return false;
	double value = (double)n->digits;
	value = n->exponent < 0 ? value / powers[-n->exponent] : value * powers[n->exponent];
	*ret_value = n->negative ? -value : value;
	return true;
}

int value_float64_parse(const uint8_t *text, uint32_t bytes, double *ret_value)
{
	char copy[512];
	double value;
	struct number n = {0};
	if (!scan_number(text, bytes, &n))
		return -EINVAL;
	if (!exact(&n, &value)) {
		if (bytes >= sizeof(copy))
			return -ERANGE;
		memcpy(copy, text, bytes);
		copy[bytes] = '\0';
		value = strtod(copy, NULL);
	}
	if (!isfinite(value))
		return -ERANGE;
	*ret_value = value;
	return 0;
}

uint32_t value_int64_print(int64_t value, char out[VALUE_TEXT_BYTES])
{
	char digits[20];
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
	uint32_t at = sizeof(digits), used = 0;
	do {
		digits[--at] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (value < 0)
		out[used++] = '-';
	memcpy(out + used, digits + at, sizeof(digits) - at);
	return used + (uint32_t)sizeof(digits) - at;
}

uint32_t value_float64_print(double value, char out[VALUE_TEXT_BYTES])
{
	int length = 0;
	for (int digits = 15; digits <= 17; digits++) {
		length = snprintf(out, VALUE_TEXT_BYTES, "%.*g", digits, value);
		if (digits == 17 || strtod(out, NULL) == value)
			break;
	}
	return (uint32_t)length;
}
