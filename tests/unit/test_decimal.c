#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_read),
		cmocka_unit_test(results_beyond_38_digits_are_refused),
		cmocka_unit_test(ties_round_away_from_zero),
		cmocka_unit_test(products_agree_with_long_multiplication),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
