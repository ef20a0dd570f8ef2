// Retention: a byte ring of frames, against a plain list, over many wraps.
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/retention.h"
#include "numa/arena.h"

enum { FRAME_MAX = FRAME_HEADER_BYTES + 200, FRAME_LINES_MAX = 5, LINE_BYTES = 64 };

static struct arena arena;

static struct retention new_retention(uint64_t capacity)
{
	struct retention r;
	arena_destroy(&arena);
	assert_int_equal(arena_create(&arena, 1 << 16, -1, true), 0);
	assert_int_equal(retention_create(&r, capacity, &arena), 0);
	return r;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static struct frame_header *frame(uint64_t number, uint32_t items, uint32_t bytes)
{
	alignas(8) static uint8_t memory[FRAME_MAX];
	struct frame_header *h = (struct frame_header *)memory;
	*h = (struct frame_header){.type = FRAME_DATA,
		.length = FRAME_HEADER_BYTES + bytes,
		.item_count = items,
		.first_number = number};
	memset(h + 1, (int)(number & 0xFF), bytes);
	return h;
}

static void check_kept(const struct retention *r, uint64_t number)
{
	const struct frame_header *h = retention_find(r, number);
	assert_non_null(h);
	assert_in_range(number, h->first_number, h->first_number + h->item_count - 1);
	const uint8_t *bytes = (const uint8_t *)(h + 1);
	for (uint32_t i = 0; i < h->length - FRAME_HEADER_BYTES; i++)
		assert_int_equal(bytes[i], h->first_number & 0xFF);
}

static void test_keeps_exactly_what_was_not_trimmed(void **state)
{
	uint32_t seed = 1;
	for (uint64_t capacity = 2 * FRAME_LINES_MAX * LINE_BYTES; capacity < 2000;
		capacity += 56) { // what is no whole line is not used
		struct retention r = new_retention(capacity);
		uint64_t first = 0, next = 0;
		for (int i = 0; i < 2000; i++) {
			uint32_t items = 1 + next_random(&seed) % 4;
			uint32_t bytes = next_random(&seed) % 200;
			if (!retention_has_room(&r, FRAME_HEADER_BYTES + bytes)) {
				first += 1 + next_random(&seed) % (next - first);
				retention_trim(&r, first);
				continue;
			}
			retention_append(&r, frame(next, items, bytes));
			next += items;
			check_kept(&r, next - 1);
			check_kept(&r, first);
		}
		assert_true(next > 500);
		assert_null(retention_find(&r, next));
	}
}

static void test_never_over_its_bound(void **state)
{
	struct retention r = new_retention(512);
	uint64_t number = 0;
	while (retention_has_room(&r, FRAME_HEADER_BYTES + 8))
		retention_append(&r, frame(number++, 1, 8));
	assert_int_equal(number, 512 / (2 * LINE_BYTES)); // in whole lines
	retention_reset(&r, 77);
	assert_null(retention_find(&r, 0));
	assert_true(retention_has_room(&r, FRAME_HEADER_BYTES + 8));
}

static void test_says_how_full_it_is_from_a_position_on(void **state)
{
	struct retention r = new_retention(8 * LINE_BYTES);
	for (uint64_t number = 0; number < 4; number++) {
		assert_int_equal(retention_eighths(&r, r.first), number);
		retention_append(&r, frame(number, 1, 0));
	}
	assert_int_equal(retention_eighths(&r, r.next - LINE_BYTES), 1);
	retention_trim(&r, 2);
	assert_int_equal(retention_eighths(&r, r.first), 2);
	assert_int_equal(retention_eighths(&r, r.next), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keeps_exactly_what_was_not_trimmed),
		cmocka_unit_test(test_never_over_its_bound),
		cmocka_unit_test(test_says_how_full_it_is_from_a_position_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
