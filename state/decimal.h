// Decimals: an int128 that counts units of 10^-scale, the scale being the type's; up to 38 digits.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define DECIMAL_DIGITS_MAX 38

// 10 to the power of 0 to 38.
extern const __int128 decimal_power[DECIMAL_DIGITS_MAX + 1];

// At most `precision` digits.
static inline bool decimal_fits(__int128 value, uint32_t precision)
{
	return value < decimal_power[precision] && value > -decimal_power[precision];
}
