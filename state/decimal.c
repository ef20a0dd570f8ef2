#include "state/decimal.h"

#include <errno.h>

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

// By halves of 64 bits: the compiler's own check calls a function that libgcc does not have.
bool decimal_multiply(__int128 a, __int128 b, __int128 *ret_value)
{
	magnitude x = magnitude_of(a), y = magnitude_of(b), product;
	if (x < y) {
		magnitude larger = y;
		y = x;
		x = larger;
	}
	if (y >> 64 != 0)
		return false;
	magnitude high = (x >> 64) * y;
	if (high >> 64 != 0)
		return false;
	magnitude low = (magnitude)(uint64_t)x * y;
	if (__builtin_add_overflow(high << 64, low, &product))
		return false;
	return conclude(product, (a < 0) != (b < 0), ret_value);
}

bool decimal_divide(__int128 a, __int128 b, uint32_t shift, __int128 *ret_value)
{
	__int128 dividend;
	ASSERT(b != 0);
	if (shift > DECIMAL_DIGITS_MAX || !decimal_multiply(a, decimal_power[shift], &dividend))
		return a == 0 && (*ret_value = 0, true);
	magnitude x = magnitude_of(dividend), y = magnitude_of(b);
	magnitude quotient = x / y;
	quotient += x % y >= y - x % y;
	return conclude(quotient, (a < 0) != (b < 0), ret_value);
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
