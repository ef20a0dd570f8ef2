#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/decimal.h"

#define NINES "99999999999999999999999999999999999999" // 38

static __int128 value_of(const char *text, uint32_t scale)
{
	__int128 value = 0;
	assert_int_equal(decimal_parse(text, (uint32_t)strlen(text), 38, scale, &value), 0);
	return value;
}

static void texts_are_read(void **state)
{
	static const struct {
		const char *text;
		uint32_t precision, scale;
		int rc;
		const char *back;
	} table[] = {
		{"0", 1, 0, 0, "0"},
		{"-0", 1, 0, 0, "0"},
		{"12", 4, 2, 0, "12.00"},
		{"+1.5", 4, 2, 0, "1.50"},
		{".5", 4, 2, 0, "0.50"},
		{"5.", 4, 2, 0, "5.00"},
		{"-0.05", 4, 2, 0, "-0.05"},
		{"1.234", 4, 2, 0, "1.23"},
		{"1.235", 4, 2, 0, "1.24"},
		{"-1.235", 4, 2, 0, "-1.24"},
		{"1.2349999", 4, 2, 0, "1.23"},
		{"99.994", 4, 2, 0, "99.99"},
		{"99.995", 4, 2, -ERANGE, NULL},
		{"100", 4, 2, -ERANGE, NULL},
		{"-100", 4, 2, -ERANGE, NULL},
		{NINES, 38, 0, 0, NINES},
		{"-" NINES, 38, 0, 0, "-" NINES},
		{"0000000000" NINES, 38, 0, 0, NINES},
		{NINES "9", 38, 0, -ERANGE, NULL},
		{NINES NINES NINES, 38, 0, -ERANGE, NULL},
		{NINES ".5", 38, 0, -ERANGE, NULL},
		{"0." NINES, 38, 38, 0, "0." NINES},
		{"", 4, 2, -EINVAL, NULL},
		{"-", 4, 2, -EINVAL, NULL},
		{".", 4, 2, -EINVAL, NULL},
		{"1.2.3", 4, 2, -EINVAL, NULL},
		{"1e3", 4, 2, -EINVAL, NULL},
		{" 1", 4, 2, -EINVAL, NULL},
		{"--1", 4, 2, -EINVAL, NULL},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		__int128 value = 42;
		char back[DECIMAL_TEXT_BYTES];
		int rc = decimal_parse(table[i].text, (uint32_t)strlen(table[i].text),
			table[i].precision, table[i].scale, &value);
		if (rc != table[i].rc)
			fail_msg("%s: %d", table[i].text, rc);
		if (rc != 0) {
			assert_true(value == 42);
			continue;
		}
		uint32_t length = decimal_print(value, table[i].scale, back);
		assert_int_equal(length, strlen(back));
		assert_string_equal(back, table[i].back);
	}
}

static void results_beyond_38_digits_are_refused(void **state)
{
	__int128 most = value_of(NINES, 0), value = 42;
	assert_false(decimal_add(most, 1, &value));
	assert_false(decimal_add(-most, -1, &value));
	assert_false(decimal_multiply(most, 2, &value));
	assert_false(decimal_multiply(decimal_power[19], decimal_power[19], &value));
	assert_false(decimal_multiply(decimal_power[38 - 1], -10, &value));
	assert_false(decimal_rescale(most, 0, 1, &value));
	assert_false(decimal_divide(most, 1, 1, &value));
	assert_true(value == 42);
	assert_true(decimal_add(most, -1, &value) && value == most - 1);
	assert_true(decimal_multiply(decimal_power[19], decimal_power[18], &value));
	assert_true(value == decimal_power[37]);
	assert_true(decimal_multiply(most, -1, &value) && value == -most);
	assert_true(decimal_multiply(most, 0, &value) && value == 0);
}

static void ties_round_away_from_zero(void **state)
{
	__int128 value;
	assert_true(decimal_rescale(125, 2, 1, &value) && value == 13);
	assert_true(decimal_rescale(-125, 2, 1, &value) && value == -13);
	assert_true(decimal_rescale(124, 2, 1, &value) && value == 12);
	assert_true(decimal_rescale(-124, 2, 1, &value) && value == -12);
	assert_true(decimal_rescale(7, 0, 3, &value) && value == 7000);
	assert_true(decimal_divide(1, 3, 3, &value) && value == 333);
	assert_true(decimal_divide(2, 3, 3, &value) && value == 667);
	assert_true(decimal_divide(-1, 8, 2, &value) && value == -13);
	assert_true(decimal_divide(1, -8, 2, &value) && value == -13);
	assert_true(decimal_divide(5, 10, 0, &value) && value == 1);
	assert_true(decimal_divide(-4, 10, 0, &value) && value == 0);
}

static uint64_t random_state = 1;

static uint64_t random_bits(void)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return random_state >> 32;
}

// A product of any size agrees with long multiplication in base 10.
static void products_agree_with_long_multiplication(void **state)
{
	for (int round = 0; round < 20000; round++) {
		uint32_t m = 1 + (uint32_t)random_bits() % 38, n = 1 + (uint32_t)random_bits() % 38;
		uint8_t x[38] = {0}, y[38] = {0}, z[77] = {0};
		__int128 a = 0, b = 0, want = 0, got;
		for (uint32_t i = m; i-- > 0; a = a * 10 + x[i])
			x[i] = (uint8_t)(random_bits() % 10);
		for (uint32_t i = n; i-- > 0; b = b * 10 + y[i])
			y[i] = (uint8_t)(random_bits() % 10);
		for (uint32_t i = 0; i < 38; i++) {
			uint32_t carry = 0;
			for (uint32_t j = 0; j < 38; j++, carry /= 10) {
				carry += z[i + j] + x[i] * y[j];
				z[i + j] = (uint8_t)(carry % 10);
			}
			z[i + 38] = (uint8_t)carry;
		}
		bool fits = true;
		for (uint32_t i = 77; i-- > 38;)
			fits &= z[i] == 0;
		for (uint32_t i = 38; i-- > 0;)
			want = want * 10 + z[i];
		assert_int_equal(decimal_multiply(a, -b, &got), fits);
		if (fits)
			assert_true(got == -want);
	}
}

#define BIG (decimal_power[38] - 1)

static __int128 random_decimal(uint32_t digits)
{
	unsigned __int128 bits = 0;
	for (int i = 0; i < 4; i++)
		bits = bits << 32 | random_bits();
	return (__int128)bits % decimal_power[digits];
}

static void large_quotients_need_only_a_result_that_fits(void **state)
{
	__int128 value = 77;
	assert_false(decimal_divide(BIG, 1, 1, &value));
	assert_false(decimal_divide(BIG, 1, 76, &value));
	assert_false(decimal_divide(1, 1, 38, &value));
	assert_false(decimal_divide(1, BIG, 76, &value));
	// The upper half of the dividend equals the divisor, so the quotient is above 2^128.
	assert_false(decimal_divide((__int128)1 << 100, decimal_power[38] >> 28, 38, &value));
	assert_true(value == 77);
	assert_true(decimal_divide(BIG, BIG, 37, &value) && value == decimal_power[37]);
	assert_true(decimal_divide(1, BIG, 75, &value) && value == decimal_power[37]);
	assert_true(decimal_divide(-BIG, 7, 0, &value) && value == (-BIG / 7));
	for (int i = 0; i < 10000; i++) // none of 38 digits can be raised that far
		assert_false(decimal_divide(random_decimal(38), random_decimal(38), 76, &value));
}

// q = a 10^shift / b exactly when twice the rest is at most b, the tie being away from zero.
static void quotients_agree_with_the_definition(void **state)
{
	for (int i = 0; i < 100000; i++) {
		__int128 a = random_decimal(18), b = random_decimal(1 + i % 18), q;
		uint32_t shift = (uint32_t)random_bits() % 19;
		__int128 n = a * decimal_power[shift], size = b < 0 ? -b : b;
		if (b == 0)
			continue;
		assert_true(decimal_divide(a, b, shift, &q));
		__int128 rest = n % b * 2, up = (n < 0) == (b < 0) ? 1 : -1;
		assert_true(q == n / b + ((rest < 0 ? -rest : rest) >= size ? up : 0));
	}
	for (int i = 0; i < 20000; i++) { // a quotient of 256 bits, multiplied back
		uint32_t digits = (uint32_t)random_bits() % 20;
		__int128 a = random_decimal(18 + digits), b = random_decimal(18), q, back;
		if (b == 0 || !decimal_divide(a, b, 19, &q) || !decimal_divide(q, 1, 0, &back))
			continue;
		// a 10^19 = q b + r, compared modulo 2^128: |r| is at most b / 2
		__int128 r =
			(__int128)((unsigned __int128)a * (unsigned __int128)decimal_power[19] -
				(unsigned __int128)q * (unsigned __int128)b);
		assert_true(2 * (r < 0 ? -r : r) <= (b < 0 ? -b : b));
	}
}

static void doubles_convert_exactly(void **state)
{
	__int128 value = 77;
	assert_false(decimal_from_float64(NAN, 2, &value));
	assert_false(decimal_from_float64(INFINITY, 2, &value));
	assert_false(decimal_from_float64(0x1p127, 0, &value));
	assert_false(decimal_from_float64(-1e300, 0, &value));
	assert_false(decimal_from_float64(0x1.fffffffffffffp127, 0, &value));
	assert_false(decimal_from_float64(1.0, 38, &value));
	assert_true(value == 77);
	assert_true(decimal_from_float64(2.675, 2, &value) && value == 267); // 2.67499999…
	assert_true(decimal_from_float64(-0.125, 2, &value) && value == -13);
	assert_true(decimal_from_float64(0.49999999999999994, 0, &value) && value == 0);
	assert_true(decimal_from_float64(0x1p-1074, 38, &value) && value == 0);
	assert_true(decimal_from_float64(-0.0, 3, &value) && value == 0);
	assert_true(decimal_from_float64(0.1, 38, &value));
	assert_true(value == value_of("0.10000000000000000555111512312578270212", 38));
	assert_true(decimal_from_float64(0x1p126, 0, &value) && value == (__int128)1 << 126);
	assert_true(decimal_to_float64(0, 5) == 0);
	assert_true(decimal_to_float64(BIG, 0) == 1e38);
	assert_true(decimal_to_float64(-1, 38) == -1e-38);
	__int128 tie = ((__int128)1 << 65) + (1 << 12);
	assert_true(decimal_to_float64(tie, 0) == 0x1p65);
	assert_true(decimal_to_float64(tie + 1, 0) == 0x1p65 + 0x1p13);
}

// glibc's strtod and printf are correctly rounded, printf with ties to even.
static void doubles_agree_with_the_c_library(void **state)
{
	for (int i = 0; i < 50000; i++) {
		char text[DECIMAL_TEXT_BYTES], want[400], exact[400];
		uint32_t scale = (uint32_t)random_bits() % 39;
		__int128 value = random_decimal(1 + (uint32_t)random_bits() % 38), back;
		decimal_print(value, scale, text);
		double number = decimal_to_float64(value, scale);
		assert_true(number == strtod(text, NULL));
		if (!decimal_from_float64(number, scale, &back))
			continue;
		decimal_print(back, scale, text);
		snprintf(want, sizeof(want), "%.*f", (int)scale, number);
		// 180 digits behind the point hold any of these exactly.
		int length = snprintf(exact, sizeof(exact), "%.200f", number);
		const char *rest = exact + length - 200 + scale;
		if (*rest != '5' || strspn(rest + 1, "0") != 199 - scale)
			assert_string_equal(text, want[0] == '-' && back == 0 ? want + 1 : want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_read),
		cmocka_unit_test(results_beyond_38_digits_are_refused),
		cmocka_unit_test(ties_round_away_from_zero),
		cmocka_unit_test(products_agree_with_long_multiplication),
		cmocka_unit_test(large_quotients_need_only_a_result_that_fits),
		cmocka_unit_test(quotients_agree_with_the_definition),
		cmocka_unit_test(doubles_convert_exactly),
		cmocka_unit_test(doubles_agree_with_the_c_library),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
