// The order log: entries grow, stay apart at snapshots, are obeyed in order.
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/order_log.h"
#include "numa/arena.h"

static struct arena arena;

static struct order_entry consumed(uint16_t input, uint64_t position)
{
	return (struct order_entry){
		.kind = ORDER_CONSUMED, .input = input, .position = position, .checksum = position};
}

static void append(struct order_log *log, uint16_t input, uint64_t position)
{
	struct order_entry entry = consumed(input, position);
	order_log_append(log, &entry);
}

static struct order_log new_log(uint64_t capacity)
{
	struct order_log log;
	arena_destroy(&arena);
	assert_int_equal(arena_create(&arena, 1 << 16, -1, true), 0);
	assert_int_equal(order_log_create(&log, capacity, &arena), 0);
	return log;
}

static void test_runs_of_one_input_are_one_entry(void **state)
{
	struct order_log log = new_log(8);
	append(&log, 0, 3);
	append(&log, 0, 5);
	append(&log, 1, 2);
	append(&log, 0, 6);
	assert_int_equal(log.next, 3);
	assert_int_equal(log.entries[0].position, 5);
	assert_int_equal(log.entries[0].checksum, 5);
	assert_false(order_log_replaying(&log));
}

static void test_snapshot_keeps_entries_apart(void **state)
{
	struct order_log log = new_log(8);
	append(&log, 0, 3);
	order_log_seal(&log);
	append(&log, 0, 5);
	assert_int_equal(log.next, 2);
	assert_int_equal(log.entries[0].position, 3);
}

static void test_replay_follows_the_entries_then_goes_live(void **state)
{
	struct order_log log = new_log(8);
	append(&log, 0, 3);
	append(&log, 1, 2);
	log.replay = 0;
	assert_true(order_log_replaying(&log));
	assert_int_equal(order_log_current(&log)->input, 0);
	order_log_obeyed(&log);
	assert_int_equal(order_log_current(&log)->position, 2);
	order_log_obeyed(&log);
	assert_false(order_log_replaying(&log));
}

static void test_trim_makes_room_in_the_ring(void **state)
{
	struct order_log log = new_log(4);
	for (uint16_t i = 0; i < 4; i++)
		append(&log, i, 1);
	assert_true(order_log_is_full(&log));
	order_log_trim(&log, 3);
	append(&log, 9, 1);
	append(&log, 8, 1);
	append(&log, 7, 1);
	assert_true(order_log_is_full(&log));
	log.replay = log.first;
	for (const uint16_t *want = (const uint16_t[]){3, 9, 8, 7}, *at = want; at < want + 4;
		at++) {
		assert_int_equal(order_log_current(&log)->input, *at);
		order_log_obeyed(&log);
	}
}

static void test_mix_depends_on_all_it_is_given(void **state)
{
	uint64_t base = order_mix(1, 2, 4);
	assert_int_not_equal(base, order_mix(2, 2, 4));
	assert_int_not_equal(base, order_mix(1, 3, 4));
	assert_int_not_equal(base, order_mix(1, 2, 6));
}

static void lay_records(uint8_t *at, uint32_t count, uint32_t bytes, uint32_t seed)
{
	for (uint32_t i = 0; i < count; i++, at += bytes) {
		for (uint32_t b = 0; b < bytes; b++) {
			seed = seed * 1664525u + 1013904223u;
			at[b] = (uint8_t)(seed >> 24);
		}
		memcpy(at, &bytes, sizeof(bytes));
	}
}

// Cut anywhere, record by record or many at once, of one length or by the way for any.
static void test_records_mix_the_same_however_they_are_cut(void **state)
{
	enum { COUNT = 9 };
	alignas(8) uint8_t records[COUNT * 48];
	for (uint32_t bytes = 16; bytes <= 48; bytes += 8) {
		lay_records(records, COUNT, bytes, bytes);
		uint64_t whole = order_mix_records(5, records, COUNT);
		for (uint32_t cut = 0; cut <= COUNT; cut++) {
			uint64_t parts = order_mix_records(5, records, cut) +
				order_mix_records(5 + cut, records + cut * bytes, COUNT - cut);
			assert_int_equal(parts, whole);
			if (bytes < ORDER_EVEN_BYTES_MIN)
				continue;
			parts = order_mix_even(5, records, cut, bytes) +
				order_mix_even(5 + cut, records + cut * bytes, COUNT - cut, bytes);
			assert_int_equal(parts, whole);
		}
	}
}

// Any bit of what is covered, and the order.
static void test_records_mix_by_number_and_content(void **state)
{
	alignas(8) uint8_t records[2 * 40], swapped[2 * 40];
	lay_records(records, 2, 40, 3);
	uint64_t base = order_mix_records(1, records, 2);
	assert_int_not_equal(base, order_mix_records(2, records, 2));
	memcpy(swapped, records + 40, 40);
	memcpy(swapped + 40, records, 40);
	assert_int_not_equal(base, order_mix_records(1, swapped, 2));
	for (uint32_t bit = 8 * 8; bit < 8 * ORDER_MIXED_BYTES; bit++) {
		records[40 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(base, order_mix_records(1, records, 2));
		records[40 + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(base, order_mix_records(1, records, 2));
}

static uint64_t documented_mix(uint64_t value, uint64_t key)
{
	value ^= key;
	return (value & UINT32_MAX) * (value >> 32);
}

// docs/formats.md, written down once more.
static uint64_t documented(uint64_t number, const uint8_t *record, uint32_t bytes)
{
	uint64_t key = (number + 1) * 0x9e3779b97f4a7c15, words[3] = {0};
	memcpy(words, record + 8, bytes < 32 ? bytes - 8 : sizeof(words));
	return documented_mix(words[0] ^ words[1], key) +
		documented_mix(words[1] ^ words[2], key + 0xc2b2ae3d27d4eb4f) + bytes;
}

static void test_checksum_is_the_documented_one(void **state)
{
	enum { AT_ONCE = 5, BYTES_MAX = 64 };
	alignas(8) uint8_t records[AT_ONCE * BYTES_MAX];
	for (uint32_t bytes = 16; bytes <= BYTES_MAX; bytes += 8) {
		uint64_t expected = 0;
		lay_records(records, AT_ONCE, bytes, 7 * bytes);
		for (uint32_t i = 0; i < AT_ONCE; i++)
			expected += documented(77 + i, records + i * bytes, bytes);
		assert_true(order_mix_records(77, records, AT_ONCE) == expected);
		if (bytes >= ORDER_EVEN_BYTES_MIN)
			assert_true(order_mix_even(77, records, AT_ONCE, bytes) == expected);
	}
	assert_true(order_mix(4, 2, 9) ==
		(2 ^ 5 * 0x9e3779b97f4a7c15) * (9 + 5 * 0x9e3779b97f4a7c15));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_of_one_input_are_one_entry),
		cmocka_unit_test(test_snapshot_keeps_entries_apart),
		cmocka_unit_test(test_replay_follows_the_entries_then_goes_live),
		cmocka_unit_test(test_trim_makes_room_in_the_ring),
		cmocka_unit_test(test_mix_depends_on_all_it_is_given),
		cmocka_unit_test(test_records_mix_the_same_however_they_are_cut),
		cmocka_unit_test(test_records_mix_by_number_and_content),
		cmocka_unit_test(test_checksum_is_the_documented_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
