#include "state/decimal.h"

#include <errno.h>
#include <math.h>

#include "numa/assert.h"

#define E19 ((__int128)10000000000000000000ULL)

const __int128 decimal_power[DECIMAL_DIGITS_MAX + 1] = {
	1,
	10,
	100,
	1000,
	10000,
	100000,
	1000000,
	10000000,
	100000000,
	1000000000,
	10000000000,
	100000000000,
	1000000000000,
	10000000000000,
	100000000000000,
	1000000000000000,
	10000000000000000,
	100000000000000000,
	1000000000000000000,
	E19,
	E19 * 10,
	E19 * 100,
	E19 * 1000,
	E19 * 10000,
	E19 * 100000,
	E19 * 1000000,
	E19 * 10000000,
	E19 * 100000000,
	E19 * 1000000000,
	E19 * 10000000000,
	E19 * 100000000000,
	E19 * 1000000000000,
	E19 * 10000000000000,
	E19 * 100000000000000,
	E19 * 1000000000000000,
	E19 * 10000000000000000,
	E19 * 100000000000000000,
	E19 * 1000000000000000000,
	E19 *E19,
};

typedef unsigned __int128 magnitude;

static magnitude magnitude_of(__int128 value)
{
	return value < 0 ? -(magnitude)value : (magnitude)value;
}

// Give a magnitude its sign, if it has at most 38 digits.
static bool conclude(magnitude value, bool negative, __int128 *ret_value)
{
	if (value >= (magnitude)decimal_power[DECIMAL_DIGITS_MAX])
		return false;
	*ret_value = negative ? -(__int128)value : (__int128)value;
	return true;
}

bool decimal_add(__int128 a, __int128 b, __int128 *ret_value)
{
	__int128 sum;
	if (__builtin_add_overflow(a, b, &sum) || !decimal_fits(sum, DECIMAL_DIGITS_MAX))
		return false;
	*ret_value = sum;
	return true;
}

// 256 bits: products of two numbers of 38 digits, and dividends shifted up.
struct wide {
	magnitude high, low;
};

static struct wide wide_multiply(magnitude a, magnitude b)
{
	uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64);
	uint64_t b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
	magnitude low = (magnitude)a0 * b0, high = (magnitude)a1 * b1;
	magnitude cross = (magnitude)a0 * b1, other = (magnitude)a1 * b0;
	magnitude middle = (low >> 64) + (uint64_t)cross + (uint64_t)other;
	return (struct wide){high + (cross >> 64) + (other >> 64) + (middle >> 64),
		middle << 64 | (uint64_t)low};
}

// n / d for a d below 2^127, at once where 128 bits hold n, else by binary long division.
// Returns false when the quotient needs more than 128 bits.
static bool wide_divide(struct wide n, magnitude d, magnitude *ret_quotient, magnitude *ret_rest)
{
	ASSERT(d > 0 && d >> 127 == 0);
	if (n.high >= d)
		return false;
	magnitude rest = n.high, quotient = n.low;
	if (n.high == 0) {
		rest = n.low % d;
		quotient = n.low / d;
	}
	for (int bit = 0; bit < 128 && n.high != 0; bit++) {
		rest = rest << 1 | quotient >> 127;
		quotient <<= 1;
		if (rest >= d) {
			rest -= d;
			quotient |= 1;
		}
	}
	*ret_quotient = quotient;
	*ret_rest = rest;
	return true;
}

bool decimal_multiply(__int128 a, __int128 b, __int128 *ret_value)
{
	struct wide product = wide_multiply(magnitude_of(a), magnitude_of(b));
	return product.high == 0 && conclude(product.low, (a < 0) != (b < 0), ret_value);
}

bool decimal_divide(__int128 a, __int128 b, uint32_t shift, __int128 *ret_value)
{
	uint32_t first = shift < DECIMAL_DIGITS_MAX ? shift : DECIMAL_DIGITS_MAX;
	magnitude d = magnitude_of(b), quotient, rest;
	ASSERT(b != 0 && shift <= 2 * DECIMAL_DIGITS_MAX);
	struct wide n = wide_multiply(magnitude_of(a), (magnitude)decimal_power[first]);
	if (shift > first) { // beyond 256 bits is beyond 38 digits of any b
		magnitude more = (magnitude)decimal_power[shift - first];
		struct wide upper = wide_multiply(n.high, more), lower = wide_multiply(n.low, more);
		n.low = lower.low;
		if (upper.high || __builtin_add_overflow(upper.low, lower.high, &n.high))
			return false;
	}
	if (!wide_divide(n, d, &quotient, &rest) || quotient >> 127)
		return false;
	return conclude(quotient + (rest >= d - rest), (a < 0) != (b < 0), ret_value);
}

// value 2^shift, half-up.  Returns false when it is far beyond 38 digits.
static bool wide_shift(struct wide value, int shift, magnitude *ret_value)
{
	bool half = false;
	for (; shift > 0 && value.high == 0 && value.low != 0; shift--) {
		value.high = value.low >> 127;
		value.low <<= 1;
	}
	for (; shift < 0 && (value.high || value.low || half); shift++) {
		half = value.low & 1;
		value.low = value.low >> 1 | value.high << 127;
		value.high >>= 1;
	}
	*ret_value = value.low + half;
	return value.high == 0 && value.low >> 127 == 0;
}

bool decimal_from_float64(double value, uint32_t scale, __int128 *ret_value)
{
	int exponent;
	magnitude units;
	if (!isfinite(value))
		return false;
	uint64_t digits = (uint64_t)ldexp(frexp(fabs(value), &exponent), 53);
	struct wide scaled = wide_multiply(digits, (magnitude)decimal_power[scale]);
	return wide_shift(scaled, exponent - 53, &units) && conclude(units, value < 0, ret_value);
}

double decimal_to_float64(__int128 value, uint32_t scale)
{
	magnitude units = magnitude_of(value), d = (magnitude)decimal_power[scale], quotient, rest;
	if (units == 0)
		return 0;
	int exponent = 0;
	for (; units >> 126 == 0; exponent--)
		units <<= 1;
	for (; d >> 126 == 0; exponent++)
		d <<= 1;
	// The quotient has 65 or 66 bits; the nearest double to 62 of them and to whether any bit
	// behind is set is the one to the exact quotient.
	wide_divide((struct wide){units >> 63, units << 65}, d, &quotient, &rest);
	uint64_t top = (uint64_t)(quotient >> 3) | ((quotient & 7) != 0 || rest != 0);
	double result = ldexp((double)top, exponent - 62);
	return value < 0 ? -result : result;
}

bool decimal_rescale(__int128 value, uint32_t from, uint32_t to, __int128 *ret_value)
{
	ASSERT(from <= DECIMAL_DIGITS_MAX && to <= DECIMAL_DIGITS_MAX);
	if (from <= to)
		return decimal_multiply(value, decimal_power[to - from], ret_value);
	return decimal_divide(value, decimal_power[from - to], 0, ret_value);
}

static bool digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

int decimal_parse(const void *text, uint32_t bytes, uint32_t precision, uint32_t scale,
	__int128 *ret_value)
{
	const uint8_t *p = text, *limit = p + bytes;
	bool negative = p < limit && *p == '-', point = false, any = false, large = false;
	uint32_t behind = 0;
	bool up = false;
	__int128 value = 0;
	for (p += p < limit && (*p == '-' || *p == '+'); p < limit; p++) {
		if (*p == '.' && !point) {
			point = true;
			continue;
		}
		if (!digit(*p))
			return -EINVAL;
		any = true;
		behind += point;
		if (behind > scale) {
			up = behind == scale + 1 ? *p >= '5' : up;
		} else {
			large |= value >= decimal_power[DECIMAL_DIGITS_MAX - 1];
			value = large ? 0 : value * 10 + (*p - '0');
		}
	}
	if (!any)
		return -EINVAL;
	if (large || !decimal_rescale(value, behind < scale ? behind : scale, scale, &value))
		return -ERANGE;
	value += up;
	if (!decimal_fits(value, precision))
		return -ERANGE;
	*ret_value = negative ? -value : value;
	return 0;
}

uint32_t decimal_print(__int128 value, uint32_t scale, char out[DECIMAL_TEXT_BYTES])
{
	char digits[DECIMAL_TEXT_BYTES];
	uint32_t count = 0, used = 0;
	magnitude left = magnitude_of(value);
	ASSERT(decimal_fits(value, DECIMAL_DIGITS_MAX) && scale <= DECIMAL_DIGITS_MAX);
	for (; left >> 64 != 0; left /= 10)
		digits[count++] = (char)('0' + (int)(left % 10));
	for (uint64_t rest = (uint64_t)left; rest > 0 || count <= scale; rest /= 10)
		digits[count++] = (char)('0' + rest % 10);
	if (value < 0)
		out[used++] = '-';
	while (count > 0) {
		out[used++] = digits[--count];
		if (count == scale && scale > 0)
			out[used++] = '.';
	}
	out[used] = '\0';
	return used;
}
