#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdalign.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "random_row.h"
#include "state/utf8.h"

static void a_bid_lies_as_pinned(void **state)
{
	struct weir_schema s = {.variant = 2};
	schema_add(&s, "auction", WEIR_INT64, 0, 0);
	schema_add(&s, "extra", WEIR_STRING, 0, 0);
	schema_layout(&s);
	alignas(8) uint8_t got[64];
	struct record_builder b;
	record_begin(&b, &s, got, sizeof(got));
	record_set_int64(&b, 0, 0x0102030405060708);
	record_set_text(&b, 1, "hi", 2);
	assert_int_equal(record_end(&b), 40);
	static const uint8_t want[40] = {40, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6,
		5, 4, 3, 2, 1, 32, 0, 0, 0, 2, 0, 0, 0, 'h', 'i'};
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(record_validate(&s, got, 40), 0);
	assert_int_equal(record_validate(&s, got, 48), 0); // more may follow
	assert_int_equal(record_validate(&s, got, 39), -EBADMSG);
	assert_true(record_hash(got) == XXH3_64bits(want, 40));
}

static void random_rows_read_back(void **state)
{
	static uint8_t record[RANDOM_RECORD_MAX];
	uint64_t seed = 1;
	for (int round = 0; round < 2000; round++) {
		struct weir_schema s;
		static struct random_row row;
		random_schema(&seed, random_below(&seed, SCHEMA_FIELDS_MAX + 1), &s);
		random_row(&seed, &s, round % 3 * 30, &row);
		memset(record, 0xAA, sizeof(record));
		uint32_t length = random_build(&s, &row, record, sizeof(record));
		assert_true(length >= s.fixed_bytes && length % 8 == 0);
		assert_int_equal(record_length(record), length);
		assert_int_equal(record_variant(record), s.variant);
		assert_int_equal(record[length], 0xAA);
		assert_int_equal(record_validate(&s, record, length), 0);
		assert_true(record_hash(record) == XXH3_64bits(record, length));
		for (uint32_t i = 0; i < s.field_count; i++)
			assert_true(random_matches(&s, i, &row.values[i], record));
	}
}

static void too_little_room_is_said_and_kept_to(void **state)
{
	static uint8_t record[RANDOM_RECORD_MAX];
	uint64_t seed = 2;
	for (int round = 0; round < 200; round++) {
		struct weir_schema s;
		static struct random_row row;
		random_schema(&seed, 1 + random_below(&seed, 12), &s);
		random_row(&seed, &s, 10, &row);
		uint32_t length = random_build(&s, &row, record, sizeof(record));
		assert_int_equal(random_build(&s, &row, record, length), length);
		for (uint32_t room = 0; room < length; room++) {
			memset(record, 0xAA, sizeof(record));
			assert_int_equal(random_build(&s, &row, record, room), 0);
			for (uint32_t i = room; i < length; i++)
				assert_int_equal(record[i], 0xAA);
		}
	}
}

// Read all of a record with the accessors.  Returns whether every byte read lies inside.
static bool walk(const struct weir_schema *s, const uint8_t *record)
{
	bool inside = true;
	for (uint32_t i = 0; i < s->field_count; i++) {
		if (!type_is_text(s->fields[i].type))
			continue;
		struct weir_slice text = record_slice(record, s->fields[i].offset);
		inside &= text.data >= record &&
			text.data + text.length <= record + record_length(record);
		if (s->fields[i].type == WEIR_STRING)
			inside &= utf8_is_valid(text.data, text.length);
	}
	return inside;
}

// What a damaged record still says, built anew, is the damaged record: nothing else passes.
static bool is_canonical(const struct weir_schema *s, const uint8_t *record)
{
	static uint8_t copy[RANDOM_RECORD_MAX];
	struct record_builder b;
	record_begin(&b, s, copy, sizeof(copy));
	for (uint32_t i = 0; i < s->field_count; i++) {
		const struct weir_field *f = &s->fields[i];
		struct weir_slice text;
		if (record_is_null(record, i))
			continue;
		switch (f->type) {
		case WEIR_BOOL:
			record_set_bool(&b, i, record_bool(record, f->offset));
			break;
		case WEIR_DECIMAL:
			record_set_decimal(&b, i, record_decimal(record, f->offset));
			break;
		case WEIR_FLOAT64:
			record_set_float64(&b, i, record_float64(record, f->offset));
			break;
		case WEIR_STRING:
		case WEIR_BYTES:
			text = record_slice(record, f->offset);
			record_set_text(&b, i, text.data, text.length);
			break;
		default:
			record_set_int64(&b, i, record_int64(record, f->offset));
		}
	}
	return record_end(&b) == record_length(record) &&
		memcmp(copy, record, record_length(record)) == 0;
}

static void damage_is_refused_or_harmless(void **state)
{
	static uint8_t record[RANDOM_RECORD_MAX];
	uint64_t seed = 3;
	uint32_t refused = 0, passed = 0;
	for (int round = 0; round < 150; round++) {
		struct weir_schema s;
		static struct random_row row;
		random_schema(&seed, 1 + random_below(&seed, 40), &s);
		random_row(&seed, &s, 20, &row);
		uint32_t length = random_build(&s, &row, record, sizeof(record));
		for (uint32_t at = 0; at < length; at++) {
			uint8_t before = record[at];
			for (int bit = 0; bit < 9; bit++) {
				record[at] = bit < 8 ? (uint8_t)(before ^ 1u << bit) : 0xFF;
				if (record_validate(&s, record, length)) {
					refused++;
				} else {
					passed++;
					assert_true(walk(&s, record) && is_canonical(&s, record));
				}
			}
			record[at] = before;
		}
		for (uint32_t cut = 0; cut < length; cut++)
			assert_int_equal(record_validate(&s, record, cut), -EBADMSG);
	}
	assert_true(refused > 10000 && passed > 10000);
}

// One field each, so that every rule of the format is seen to be checked.
static void each_rule_is_checked(void **state)
{
	struct weir_schema s = {.variant = 1};
	schema_add(&s, "flag", WEIR_BOOL, 0, 0);      // 12, hole 13 to 16
	schema_add(&s, "amount", WEIR_DECIMAL, 3, 0); // 16
	schema_add(&s, "text", WEIR_STRING, 0, 0);    // 32
	schema_add(&s, "blob", WEIR_BYTES, 0, 0);     // 40, texts from 48
	schema_layout(&s);
	alignas(8) uint8_t good[64], bad[64];
	struct record_builder b;
	record_begin(&b, &s, good, sizeof(good));
	record_set_bool(&b, 0, true);
	record_set_decimal(&b, 1, -999);
	record_set_text(&b, 2, "\xC3\xA9", 2);
	record_set_text(&b, 3, "xyz", 3);
	assert_int_equal(record_end(&b), 56);
	static const struct {
		uint8_t at, value;
	} damage[] = {{0, 48}, {0, 55}, {0, 64}, {3, 1}, {4, 2}, {5, 1}, {6, 1}, {7, 1}, {8, 1},
		{8, 2}, {8, 4}, {8, 8}, {8, 16}, {11, 0x80}, {12, 2}, {13, 1}, {15, 1}, {16, 0},
		{31, 0}, {32, 47}, {32, 49}, {36, 1}, {36, 3}, {39, 1}, {40, 48}, {44, 7}, {44, 2},
		{47, 0x80}, {48, 'a'}, {49, 'a'}, {53, 1}, {55, 1}};
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		memcpy(bad, good, sizeof(good));
		memset(bad + 56, 0, 8);
		assert_int_equal(record_validate(&s, bad, 56), 0);
		bad[damage[i].at] = damage[i].value;
		if (record_validate(&s, bad, 64) != -EBADMSG)
			fail_msg("byte %u = %u passed", damage[i].at, damage[i].value);
	}
	memcpy(bad, good, sizeof(good));
	bad[50] = 0xFF; // any byte will do in bytes
	assert_int_equal(record_validate(&s, bad, 56), 0);
}

// The record ends where the mapping ends, so a read outside is a fault.
static void nothing_is_read_outside(void **state)
{
	struct weir_schema s = {0};
	schema_add(&s, "a", WEIR_STRING, 0, 0);
	schema_add(&s, "b", WEIR_STRING, 0, 0);
	schema_layout(&s);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *map =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
	uint8_t *record = map + page - 40;
	struct record_builder b;
	record_begin(&b, &s, record, 40);
	record_set_text(&b, 0, "12345678", 8);
	record_set_text(&b, 1, "", 0);
	assert_int_equal(record_end(&b), 40);
	assert_int_equal(record_validate(&s, record, 40), 0);
	static const uint32_t lengths[] = {9, 13, 8192, 0x7FFFFFFF, 0xFFFFFFE4, 0xFFFFFFFF};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memcpy(record + 16, &lengths[i], 4);
		for (uint8_t length = 0; length < 64; length += 8) {
			record[0] = length;
			assert_int_equal(record_validate(&s, record, 40), -EBADMSG);
		}
	}
	for (uint32_t bytes = 0; bytes < 28; bytes++) // less than the fixed part is there at all
		assert_int_equal(record_validate(&s, map + page - bytes, bytes), -EBADMSG);
	munmap(map, 2 * page);
}

static void utf8_follows_rfc_3629(void **state)
{
	static const char *const good[] = {"", "plain ASCII, longer than eight", "\xC2\x80",
		"\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF",
		"\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "1234567\xC3\xA9 12345678\xC3\xA9"};
	static const char *const bad[] = {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2z",
		"\xE0\x9F\xBF", "\xE0\xA0", "\xED\xA0\x80", "\xED\xBF\xBF", "\xEF\xBF",
		"\xF0\x8F\xBF\xBF", "\xF0\x90\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
		"12345678\xFF", "1234567\xC3", "\xE2\x82\x41", "\xF0\x90\x41\x80"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(utf8_is_valid((const uint8_t *)good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(utf8_is_valid((const uint8_t *)bad[i], strlen(bad[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bid_lies_as_pinned),
		cmocka_unit_test(random_rows_read_back),
		cmocka_unit_test(too_little_room_is_said_and_kept_to),
		cmocka_unit_test(damage_is_refused_or_harmless),
		cmocka_unit_test(each_rule_is_checked),
		cmocka_unit_test(nothing_is_read_outside),
		cmocka_unit_test(utf8_follows_rfc_3629),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
