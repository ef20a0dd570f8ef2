// Frames: what a receiver must refuse, and under which reason.
#include <setjmp.h>
#include <stdarg.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/frame.h"

enum { FRAME_BYTES = FRAME_HEADER_BYTES + 16 + 24 };

struct sample {
	alignas(8) uint8_t bytes[FRAME_BYTES];
};

static const struct frame_expect expect = {
	.job = 7, .channel = 3, .plan_version = 2, .incarnation = 9, .checksum = true};

static struct frame_header *header_of(struct sample *s)
{
	return (struct frame_header *)s->bytes;
}

static void seal(struct sample *s)
{
	header_of(s)->crc32c = frame_crc(s->bytes, FRAME_BYTES);
}

// Two records, of 16 and of 24 bytes.
static struct sample sample_frame(void)
{
	struct sample s = {{0}};
	*header_of(&s) = (struct frame_header){.version = FRAME_VERSION,
		.type = FRAME_DATA,
		.length = FRAME_BYTES,
		.item_count = 2,
		.job = 7,
		.channel = 3,
		.plan_version = 2,
		.incarnation = 9,
		.first_number = 100,
		.watermark = INT64_MIN};
	s.bytes[FRAME_HEADER_BYTES] = 16;
	s.bytes[FRAME_HEADER_BYTES + 16] = 24;
	seal(&s);
	return s;
}

static void test_good_frame_is_taken(void **state)
{
	struct sample s = sample_frame();
	assert_int_equal(frame_check(s.bytes, FRAME_BYTES, &expect), WEIR_DROP_COUNT);
}

static void test_any_flipped_bit_is_found(void **state)
{
	for (size_t bit = 0; bit < FRAME_BYTES * 8; bit++) {
		struct sample s = sample_frame();
		s.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(frame_check(s.bytes, FRAME_BYTES, &expect), WEIR_DROP_COUNT);
	}
}

static void test_any_shorter_frame_is_refused(void **state)
{
	struct sample s = sample_frame();
	for (uint32_t bytes = 0; bytes < FRAME_BYTES; bytes++)
		assert_int_equal(frame_check(s.bytes, bytes, &expect), WEIR_DROP_FRAME_SHORT);
}

// Each row: a change under a valid checksum, and the reason it is refused for.
static void test_reasons(void **state)
{
	static const struct {
		size_t offset;
		uint8_t value;
		enum weir_drop reason;
	} rows[] = {
		{offsetof(struct frame_header, version), 2, WEIR_DROP_FRAME_VERSION},
		{offsetof(struct frame_header, type), 0, WEIR_DROP_FRAME_VERSION},
		{offsetof(struct frame_header, type), FRAME_TYPE_LIMIT, WEIR_DROP_FRAME_VERSION},
		{offsetof(struct frame_header, type), FRAME_BARRIER, WEIR_DROP_FRAME_SIZE},
		{offsetof(struct frame_header, length), 96, WEIR_DROP_FRAME_SIZE},
		{offsetof(struct frame_header, order_log_length), 8, WEIR_DROP_FRAME_SIZE},
		{offsetof(struct frame_header, order_log_length) + 3, 255, WEIR_DROP_FRAME_SIZE},
		{offsetof(struct frame_header, item_count), 3, WEIR_DROP_FRAME_SIZE},
		{offsetof(struct frame_header, item_count), 0, WEIR_DROP_FRAME_SIZE},
		{offsetof(struct frame_header, job), 8, WEIR_DROP_FRAME_CHANNEL},
		{offsetof(struct frame_header, channel), 4, WEIR_DROP_FRAME_CHANNEL},
		{offsetof(struct frame_header, plan_version), 1, WEIR_DROP_FRAME_FENCED},
		{offsetof(struct frame_header, incarnation), 8, WEIR_DROP_FRAME_FENCED},
		{FRAME_HEADER_BYTES, 8, WEIR_DROP_FRAME_SIZE},
		{FRAME_HEADER_BYTES, 17, WEIR_DROP_FRAME_SIZE},
		{FRAME_HEADER_BYTES, 0, WEIR_DROP_FRAME_SIZE},
		{FRAME_HEADER_BYTES + 16, 32, WEIR_DROP_FRAME_SIZE},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sample s = sample_frame();
		s.bytes[rows[i].offset] = rows[i].value;
		seal(&s);
		assert_int_equal(frame_check(s.bytes, FRAME_BYTES, &expect), rows[i].reason);
	}
}

static void test_counting_records_stays_inside(void **state)
{
	struct sample s = sample_frame();
	const uint8_t *first = s.bytes + FRAME_HEADER_BYTES;
	assert_int_equal(frame_count_records(first, s.bytes + FRAME_BYTES), 2);
	assert_int_equal(frame_count_records(first, first), 0);
	assert_int_equal(frame_count_records(first, first + 7), -1);
	assert_int_equal(frame_count_records(first, s.bytes + FRAME_BYTES - 8), -1);
}

static enum weir_drop check_as(enum frame_type type, uint32_t items, bool log)
{
	struct sample s = sample_frame();
	struct frame_header *h = (struct frame_header *)s.bytes;
	struct frame_expect with = expect;
	h->type = type;
	h->item_count = items;
	h->order_log_length = 0;
	with.log = log;
	seal(&s);
	return frame_check(s.bytes, FRAME_BYTES, &with);
}

// A piece of a state goes over a log's channel and no other; its items are its bytes.
static void test_a_state_goes_with_a_log(void **state)
{
	uint32_t bytes = FRAME_BYTES - FRAME_HEADER_BYTES;
	assert_int_equal(check_as(FRAME_STATE, bytes, true), WEIR_DROP_COUNT);
	assert_int_equal(check_as(FRAME_STATE, bytes, false), WEIR_DROP_FRAME_VERSION);
	assert_int_equal(check_as(FRAME_STATE, bytes - 1, true), WEIR_DROP_FRAME_SIZE);
	assert_int_equal(check_as(FRAME_STATE, 0, true), WEIR_DROP_FRAME_SIZE);
	assert_int_equal(check_as(FRAME_DATA, 2, true), WEIR_DROP_FRAME_VERSION);
	assert_false(frame_is_mark(FRAME_STATE));
}

// So does what was told of losses.
static void test_losses_go_with_a_log(void **state)
{
	alignas(8) uint8_t bytes[FRAME_HEADER_BYTES + 2 * FRAME_LOSS_BYTES] = {0};
	struct frame_header *h = (struct frame_header *)bytes;
	struct frame_expect with = {.log = true};
	*h = (struct frame_header){.version = FRAME_VERSION,
		.type = FRAME_LOSSES,
		.length = sizeof(bytes),
		.item_count = 2};
	assert_int_equal(frame_check(bytes, sizeof(bytes), &with), WEIR_DROP_COUNT);
	h->item_count = 1;
	assert_int_equal(frame_check(bytes, sizeof(bytes), &with), WEIR_DROP_FRAME_SIZE);
	with.log = false;
	assert_int_equal(frame_check(bytes, sizeof(bytes), &with), WEIR_DROP_FRAME_VERSION);
	assert_false(frame_is_mark(FRAME_LOSSES));
}

// Runs of records: of one length, and ones that only the first lengths or the sum make seem so.
static void test_counting_records_of_equal_and_other_lengths(void **state)
{
	static const struct {
		uint32_t lengths[4];
		int64_t count;
	} rows[] = {
		{{24, 24, 24}, 3},
		{{24, 24}, 2},
		{{24, 16, 32}, 3}, // as long as three of 24
		{{24, 24, 16, 8}, 4},
		{{24, 48}, 2},
		{{24, 23, 25}, -1},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		alignas(8) uint8_t run[72] = {0};
		uint32_t at = 0;
		for (size_t k = 0; k < 4 && rows[i].lengths[k] != 0; k++) {
			memcpy(run + at, &rows[i].lengths[k], sizeof(uint32_t));
			at += rows[i].lengths[k];
		}
		assert_int_equal(frame_count_records(run, run + at), rows[i].count);
	}
}

// By the definition: byte for byte, over a copy with the field 0.
static uint32_t plain_crc(const uint8_t *frame, uint32_t length)
{
	uint32_t crc = 0xFFFFFFFFu;
	for (uint32_t i = 0; i < length; i++) {
		bool in_field = i >= offsetof(struct frame_header, crc32c) && i < 32;
		crc ^= in_field ? 0 : frame[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
	}
	return crc ^ 0xFFFFFFFFu;
}

// Alone and together, whatever the lengths, which decide how they are worked out.
static void test_the_checksum_is_crc32c_in_bursts_too(void **state)
{
	enum { FRAMES = 9, ROOM = 3072 };
	static alignas(8) uint8_t data[FRAMES][ROOM];
	static const uint32_t lengths[] = {
		64, 88, 65, 71, 300, 320, 344, 408, 800, 1440, 1601, 3000};
	const uint32_t kinds = sizeof(lengths) / sizeof(lengths[0]);
	for (uint32_t turn = 0; turn < 3 * kinds; turn++) {
		const struct frame_header *frames[FRAMES];
		uint32_t crcs[FRAMES], count = 1 + turn % FRAMES;
		for (uint32_t i = 0; i < count; i++) {
			uint32_t length = lengths[(turn + i * (turn / kinds)) % kinds];
			for (uint32_t k = 0; k < length; k++)
				data[i][2 + k] = (uint8_t)(k * 31 + i * 7 + turn);
			struct frame_header *h = (struct frame_header *)(data[i] + 2);
			h->length = length;
			frames[i] = h;
		}
		frame_crc_burst(frames, count, crcs);
		for (uint32_t i = 0; i < count; i++) {
			uint32_t length = frames[i]->length;
			assert_int_equal(crcs[i], plain_crc(data[i] + 2, length));
			assert_int_equal(frame_crc(frames[i], length), crcs[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_frame_is_taken),
		cmocka_unit_test(test_any_flipped_bit_is_found),
		cmocka_unit_test(test_any_shorter_frame_is_refused),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_a_state_goes_with_a_log),
		cmocka_unit_test(test_losses_go_with_a_log),
		cmocka_unit_test(test_counting_records_stays_inside),
		cmocka_unit_test(test_counting_records_of_equal_and_other_lengths),
		cmocka_unit_test(test_the_checksum_is_crc32c_in_bursts_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
