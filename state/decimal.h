// Decimals: an int128 that counts units of 10^-scale, the scale being the type's; up to 38 digits.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define DECIMAL_DIGITS_MAX 38

// 10 to the power of 0 to 38.
extern const __int128 decimal_power[DECIMAL_DIGITS_MAX + 1];

// Sign, digits, point and a terminating NUL.
#define DECIMAL_TEXT_BYTES 44

// At most `precision` digits.
static inline bool decimal_fits(__int128 value, uint32_t precision)
{
	return value < decimal_power[precision] && value > -decimal_power[precision];
}

// Each returns false, leaving *ret_value, where the result has more than 38 digits.
bool decimal_add(__int128 a, __int128 b, __int128 *ret_value);
bool decimal_multiply(__int128 a, __int128 b, __int128 *ret_value); // the scales add up
// From one scale to another, half-up: ties away from zero.
bool decimal_rescale(__int128 value, uint32_t from, uint32_t to, __int128 *ret_value);
// a * 10^shift / b, half-up; b is not zero, shift is 0 to 76.
bool decimal_divide(__int128 a, __int128 b, uint32_t shift, __int128 *ret_value);
// The double's exact value, half-up; false for what is not a number as well.
bool decimal_from_float64(double value, uint32_t scale, __int128 *ret_value);

// The nearest double, ties to even.
double decimal_to_float64(__int128 value, uint32_t scale);

// Read [+-]digits[.digits], digits beyond `scale` half-up.
// Returns 0, -EINVAL (not a decimal) or -ERANGE (more than `precision` digits).
int decimal_parse(const void *text, uint32_t bytes, uint32_t precision, uint32_t scale,
	__int128 *ret_value);
// Write all `scale` digits behind the point.  Returns the text's length without its NUL.
uint32_t decimal_print(__int128 value, uint32_t scale, char out[DECIMAL_TEXT_BYTES]);
