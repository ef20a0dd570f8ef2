// CRC32C of four texts together is that of each, by the definition, however it is worked out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/crc.h"

enum { TEXT_MAX = 3600, BEGUN = 0x12345678 };

static uint8_t texts[4][TEXT_MAX + 64];

// Bit by bit (RFC 3720, appendix B.4), of the first bytes each: before[n] is that of n.
static void crcs_before(const uint8_t *text, uint32_t begun, uint32_t before[TEXT_MAX + 1])
{
	uint32_t crc = begun;
	for (uint32_t i = 0; i < TEXT_MAX; i++) {
		before[i] = crc;
		crc ^= text[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
	}
	before[TEXT_MAX] = crc;
}

static void check(void (*four)(const uint8_t *const[4], uint32_t, uint32_t[4]))
{
	static uint32_t before[4][TEXT_MAX + 1];
	const uint8_t *at[4];
	for (uint32_t i = 0; i < 4; i++) {
		at[i] = texts[i] + i; // at any address
		for (uint32_t k = 0; k < TEXT_MAX; k++)
			texts[i][i + k] = (uint8_t)((k * 0x9E3779B1u + i * 77) >> 13);
		crcs_before(at[i], BEGUN + i, before[i]);
	}
	for (uint32_t bytes = 0; bytes <= TEXT_MAX; bytes += bytes < 600 ? 1 : 7) {
		uint32_t crcs[4] = {BEGUN, BEGUN + 1, BEGUN + 2, BEGUN + 3};
		four(at, bytes, crcs);
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(crcs[i], before[i][bytes]);
	}
}

// As this CPU does it.
static void test_four_together(void **state)
{
	check(crc_four);
}

// As one does that cannot multiply without carry.
static void test_four_together_plainly(void **state)
{
	check(crc_four_plain);
}

static void test_the_published_value(void **state)
{
	assert_int_equal(crc_text((const uint8_t *)"123456789", 9, 0xFFFFFFFFu) ^ 0xFFFFFFFFu,
		0xE3069283u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_four_together),
		cmocka_unit_test(test_four_together_plainly),
		cmocka_unit_test(test_the_published_value),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
