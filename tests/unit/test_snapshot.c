#include <errno.h>
#include <isa-l/crc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "random_row.h"
#include "state/snapshot.h"

enum { ROOM = 1 << 20, SECTIONS_MAX = 8, BIG = 200000 };

static uint8_t buffer[ROOM], content[ROOM];

// Write what the golden files hold: `big` is the length of the middle section.
static int golden_write(uint8_t *out, size_t room, size_t big, size_t *ret_bytes)
{
	struct snapshot_writer w;
	snapshot_begin(&w, out, room);
	snapshot_section(&w, "task", 1);
	snapshot_u64(&w, 0x0123456789ABCDEF);
	snapshot_i64(&w, INT64_MIN);
	snapshot_section(&w, "empty", 7);
	snapshot_section(&w, "a name of 31 bytes, the longest", 0xFFFFFFFF);
	for (size_t i = 0; i < big; i++)
		snapshot_bytes(&w, &(uint8_t){(uint8_t)(i / 1000)}, 1);
	snapshot_section(&w, "last", 2);
	snapshot_u32(&w, 42);
	return snapshot_end(&w, ret_bytes);
}

static void golden_read(struct snapshot_reader *r, size_t big)
{
	uint32_t version;
	assert_int_equal(snapshot_find(r, "last", &version), 0);
	assert_int_equal(version, 2);
	assert_int_equal(snapshot_left(r), 4);
	assert_int_equal(snapshot_read_u32(r), 42);
	assert_int_equal(snapshot_find(r, "task", &version), 0);
	assert_int_equal(version, 1);
	assert_true(snapshot_read_u64(r) == 0x0123456789ABCDEF);
	assert_true(snapshot_read_i64(r) == INT64_MIN);
	assert_int_equal(snapshot_find(r, "absent", &version), -ENOENT);
	assert_int_equal(version, 1);
	assert_int_equal(snapshot_find(r, "empty", &version), 0);
	assert_int_equal(snapshot_left(r), 0);
	assert_int_equal(snapshot_find(r, "a name of 31 bytes, the longest", &version), 0);
	assert_true(version == 0xFFFFFFFF);
	assert_int_equal(snapshot_left(r), big);
	for (size_t i = 0; i < big; i++) {
		uint8_t byte;
		snapshot_read(r, &byte, 1);
		assert_int_equal(byte, (uint8_t)(i / 1000));
	}
	assert_int_equal(r->error, 0);
}

// Golden files are read for ever. When the format changes, today's stay and new ones join; a new
// one is made by WEIR_GOLDEN_WRITE=1 build/tests/unit/test_snapshot.
static void golden_check(const char *name, size_t big)
{
	char path[512];
	static uint8_t file[ROOM];
	size_t bytes;
	snprintf(path, sizeof(path), "%s/snapshot/%s", WEIR_TEST_DATA, name);
	assert_int_equal(golden_write(buffer, ROOM, big, &bytes), 0);
	if (getenv("WEIR_GOLDEN_WRITE")) {
		FILE *out = fopen(path, "wxb");
		assert_non_null(out);
		assert_int_equal(fwrite(buffer, 1, bytes, out), bytes);
		fclose(out);
	}
	FILE *in = fopen(path, "rb");
	assert_non_null(in);
	assert_int_equal(fread(file, 1, sizeof(file), in), bytes);
	fclose(in);
	assert_memory_equal(file, buffer, bytes);
	struct snapshot_reader r;
	assert_int_equal(snapshot_open(&r, file, bytes), 0);
	golden_read(&r, big);
}

static void golden_files_are_written_and_read(void **state)
{
	golden_check("v1_one_block.snapshot", 5);
	golden_check("v1_two_blocks.snapshot", 70001);
}

static void too_little_room_is_said_and_kept_to(void **state)
{
	static const size_t bigs[] = {0, 1, 7, 8, 65528 - 250, 65300, 65400, 131000};
	for (size_t k = 0; k < sizeof(bigs) / sizeof(bigs[0]); k++) {
		size_t bytes, less = 77;
		assert_int_equal(golden_write(buffer, ROOM, bigs[k], &bytes), 0);
		memset(buffer, 0xAA, sizeof(buffer));
		assert_int_equal(golden_write(buffer, bytes, bigs[k], &less), 0);
		assert_int_equal(less, bytes);
		assert_int_equal(buffer[bytes], 0xAA);
		size_t step = bytes < 1000 ? 1 : bytes / 97;
		for (size_t room = 0; room < bytes; room += step) {
			less = 77;
			memset(buffer, 0xAA, bytes);
			assert_int_equal(golden_write(buffer, room, bigs[k], &less), -ENOSPC);
			assert_int_equal(less, 77);
			for (size_t i = room; i < bytes; i++)
				assert_int_equal(buffer[i], 0xAA);
		}
		for (size_t room = bytes - 20; room < bytes; room++)
			assert_int_equal(golden_write(buffer, room, bigs[k], &less), -ENOSPC);
	}
}

// Any lengths, also such that ends fall on and around the ends of blocks.
static void sections_of_any_length_read_back(void **state)
{
	uint64_t seed = 1;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)random_u64(&seed);
	for (int round = 0; round < 300; round++) {
		struct snapshot_writer w;
		size_t lengths[SECTIONS_MAX], bytes;
		uint32_t count = random_below(&seed, SECTIONS_MAX), version;
		snapshot_begin(&w, buffer, sizeof(buffer));
		for (uint32_t i = 0; i < count; i++) {
			lengths[i] = random_below(&seed, 2)
				? random_below(&seed, 100)
				: 65528 - 150 + random_below(&seed, 300);
			char name[16];
			snprintf(name, sizeof(name), "s%u", i);
			snapshot_section(&w, name, i);
			for (size_t at = 0; at < lengths[i];) {
				size_t chunk = 1 + random_below(&seed, 40000);
				chunk = chunk < lengths[i] - at ? chunk : lengths[i] - at;
				snapshot_bytes(&w, content + i + at, chunk);
				at += chunk;
			}
		}
		assert_int_equal(snapshot_end(&w, &bytes), 0);
		struct snapshot_reader r;
		char name[SNAPSHOT_NAME_BYTES];
		assert_int_equal(snapshot_open(&r, buffer, bytes), 0);
		for (uint32_t i = 0; i < count; i++) {
			static uint8_t got[BIG];
			assert_int_equal(snapshot_next(&r, name, &version), 0);
			assert_int_equal(version, i);
			assert_int_equal(snapshot_left(&r), lengths[i]);
			snapshot_read(&r, got, lengths[i]);
			assert_memory_equal(got, content + i, lengths[i]);
			assert_int_equal(r.error, 0);
		}
		assert_int_equal(snapshot_next(&r, name, &version), -ENOENT);
	}
}

static void a_read_beyond_the_section_stops_all_reading(void **state)
{
	size_t bytes;
	uint32_t version;
	struct snapshot_reader r;
	assert_int_equal(golden_write(buffer, ROOM, 5, &bytes), 0);
	assert_int_equal(snapshot_open(&r, buffer, bytes), 0);
	assert_int_equal(snapshot_left(&r), 0); // before the first section
	assert_int_equal(snapshot_find(&r, "last", &version), 0);
	uint8_t five[5] = {1, 1, 1, 1, 1};
	snapshot_read(&r, five, sizeof(five));
	assert_memory_equal(five, "\0\0\0\0\0", 5);
	assert_int_equal(r.error, -EBADMSG);
	assert_int_equal(snapshot_read_u32(&r), 0);
	assert_int_equal(snapshot_find(&r, "task", &version), 0);
	assert_true(snapshot_read_u64(&r) == 0);
	assert_int_equal(r.error, -EBADMSG);
}

// Damage of any byte is seen, and so is any cut and anything behind.
static void damage_is_refused(void **state)
{
	static const size_t bigs[] = {5, 70001};
	uint64_t seed = 2;
	for (int k = 0; k < 2; k++) {
		size_t bytes;
		struct snapshot_reader r = {.error = 77};
		assert_int_equal(golden_write(buffer, ROOM, bigs[k], &bytes), 0);
		size_t step = k ? 499 : 1;
		for (size_t at = 0; at < bytes; at += step) {
			buffer[at] ^= (uint8_t)(1u << random_below(&seed, 8));
			uint8_t before = buffer[at];
			assert_int_equal(snapshot_open(&r, buffer, bytes), -EBADMSG);
			assert_int_equal(r.error, 77);
			assert_int_equal(golden_write(buffer, ROOM, bigs[k], &bytes), 0);
			assert_int_not_equal(before, buffer[at]);
		}
		for (size_t cut = 0; cut < bytes; cut += step)
			assert_int_equal(snapshot_open(&r, buffer, cut), -EBADMSG);
		assert_int_equal(snapshot_open(&r, buffer, SNAPSHOT_BLOCK_BYTES), -EBADMSG);
		memset(buffer + bytes, 0, 100000);
		for (size_t more = 1; more < 100; more++)
			assert_int_equal(snapshot_open(&r, buffer, bytes + more), -EBADMSG);
		assert_int_equal(snapshot_open(&r, buffer, 2 * SNAPSHOT_BLOCK_BYTES), -EBADMSG);
	}
}

// However large, a call verifies so many blocks.
static void it_is_opened_in_parts(void **state)
{
	static uint8_t large[2 << 20];
	struct snapshot_reader r;
	size_t bytes, before = 0, big = 20 * SNAPSHOT_BLOCK_BYTES;
	assert_int_equal(golden_write(large, sizeof(large), big, &bytes), 0);
	struct snapshot_opening o = {.data = large, .bytes = bytes};
	for (int parts = 1; snapshot_open_part(&o, &r) == 1; parts++) {
		assert_int_equal(o.verified - before, 8 * SNAPSHOT_BLOCK_BYTES);
		before = o.verified;
		assert_true(parts <= 2);
	}
	golden_read(&r, big);
	large[10 * SNAPSHOT_BLOCK_BYTES] ^= 1;
	o = (struct snapshot_opening){.data = large, .bytes = bytes};
	assert_int_equal(snapshot_open_part(&o, &r), 1);
	assert_int_equal(snapshot_open_part(&o, &r), -EBADMSG);
}

// Lent memory is never written over, and what does not fit with it fits without.
static void the_rooms_end_is_lent(void **state)
{
	static uint8_t room[2000];
	struct snapshot_writer w;
	size_t bytes;
	for (size_t lent = 0; lent < 2100; lent += 20) {
		snapshot_begin(&w, room, sizeof(room) - 3);
		snapshot_section(&w, "it", 1);
		uint8_t *memory = snapshot_scratch(&w, lent);
		size_t least = 32 + 48 + 8; // header, section, a block's end
		if (lent > sizeof(room) - 3 - least) {
			assert_null(memory);
			assert_int_equal(snapshot_end(&w, &bytes), -ENOSPC);
			assert_true(snapshot_needed(&w) >= lent + least);
			continue;
		}
		assert_non_null(memory);
		assert_int_equal((uintptr_t)(memory - room) % 8, 0);
		assert_true(memory + lent <= room + sizeof(room) - 3);
		memset(memory, 0xAA, lent);
		size_t left = (size_t)(memory - room) - least;
		assert_false(lent % 40 != 0 && snapshot_fits(&w, left + 1));
		for (size_t i = 0; i < left + 1; i++)
			snapshot_bytes(&w, "b", 1);
		for (size_t i = 0; i < lent; i++)
			assert_int_equal(memory[i], 0xAA);
		snapshot_scratch_end(&w);
		assert_int_equal(snapshot_end(&w, &bytes), -ENOSPC);
	}
}

static void blocks_that_changed_places_are_refused(void **state)
{
	static uint8_t swap[SNAPSHOT_BLOCK_BYTES];
	size_t bytes;
	struct snapshot_reader r;
	assert_int_equal(golden_write(buffer, ROOM, 250000, &bytes), 0);
	assert_int_equal(snapshot_open(&r, buffer, bytes), 0);
	memcpy(swap, buffer + SNAPSHOT_BLOCK_BYTES, sizeof(swap));
	memcpy(buffer + SNAPSHOT_BLOCK_BYTES, buffer + 2 * SNAPSHOT_BLOCK_BYTES, sizeof(swap));
	memcpy(buffer + 2 * SNAPSHOT_BLOCK_BYTES, swap, sizeof(swap));
	assert_int_equal(snapshot_open(&r, buffer, bytes), -EBADMSG);
	assert_int_equal(golden_write(buffer, ROOM, 250000, &bytes), 0);
	assert_int_equal(snapshot_open(&r, buffer, bytes - SNAPSHOT_BLOCK_BYTES), -EBADMSG);
	assert_int_equal(snapshot_open(&r, buffer, 2 * SNAPSHOT_BLOCK_BYTES), -EBADMSG);
}

// Set a one-block snapshot's checksum right again.
static void reseal(uint8_t *data, size_t bytes)
{
	uint32_t payload = (uint32_t)bytes - 8, prefix[2] = {0, payload};
	uint32_t crc = crc32_iscsi((unsigned char *)prefix, 8, 0xFFFFFFFF);
	crc = ~crc32_iscsi(data, (int)payload, crc);
	memcpy(data + payload, &payload, 4);
	memcpy(data + payload + 4, &crc, 4);
}

static void the_checksum_is_crc32c(void **state)
{
	unsigned char check[] = "123456789"; // RFC 3720, and every catalogue of CRCs
	assert_true(~crc32_iscsi(check, 9, 0xFFFFFFFF) == 0xE3069283);
	size_t bytes;
	static uint8_t copy[1024];
	assert_int_equal(golden_write(buffer, ROOM, 5, &bytes), 0);
	memcpy(copy, buffer, bytes);
	reseal(copy, bytes);
	assert_memory_equal(copy, buffer, bytes);
}

// With a right checksum, what is inside still is not believed. At the end of a mapping, so that
// a read outside is a fault.
static void wrong_shapes_are_refused(void **state)
{
	static const struct {
		size_t at;
		int64_t value;
		int bytes, want;
	} damage[] = {{0, 'w', 1, -EBADMSG}, {8, 0, 4, -EBADMSG}, {8, 2, 4, 0},
		{12, 0, 4, -EBADMSG}, {12, 2, 4, -ENOTSUP}, {12, -1, 4, -ENOTSUP},
		{16, 0, 8, -EBADMSG}, {16, -1, 8, -EBADMSG}, {24, 3, 4, -EBADMSG},
		{24, 5, 4, -EBADMSG}, {24, 0, 4, -EBADMSG}, {24, -1, 4, -EBADMSG},
		{28, 1, 4, -EBADMSG}, {32, 0, 1, -EBADMSG}, {32, 'x', 1, 0}, {32, 0, 4, -EBADMSG},
		{63, 1, 1, -EBADMSG}, {37, 1, 1, -EBADMSG}, {64, 5, 4, 0}, {68, 1, 4, -EBADMSG},
		{72, 17, 8, -EBADMSG}, {72, 8, 8, -EBADMSG}, {72, -1, 8, -EBADMSG},
		{72, -16, 8, -EBADMSG}, {72, 1ll << 32, 8, -EBADMSG}, {72, 0, 8, -EBADMSG},
		{175, 'x', 1, -EBADMSG}, {184, 6, 8, 0}, {184, 9, 8, -EBADMSG},
		{199, 1, 1, -EBADMSG}, {240, 3, 8, 0}, {240, 8, 8, 0}, {240, 9, 8, -EBADMSG},
		{240, 0, 8, -EBADMSG}, {240, 16, 8, -EBADMSG}, {240, -8, 8, -EBADMSG},
		{240, -40, 8, -EBADMSG}};
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes;
	uint8_t *map =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
	assert_int_equal(golden_write(buffer, ROOM, 5, &bytes), 0);
	uint8_t *data = map + page - bytes;
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		struct snapshot_reader r;
		memcpy(data, buffer, bytes);
		memcpy(data + damage[i].at, &damage[i].value, (size_t)damage[i].bytes);
		reseal(data, bytes);
		int got = snapshot_open(&r, data, bytes);
		if (got != damage[i].want)
			fail_msg("byte %zu = %lld: %d", damage[i].at, (long long)damage[i].value,
				got);
	}
	munmap(map, 2 * page);
}

// Payloads of any length: the header, a section of `section` bytes and `more` bytes, all sealed.
static int odd_open(size_t section, size_t more, uint32_t sections)
{
	static const size_t header = 32, section_header = 48;
	uint8_t data[256] = {0};
	struct snapshot_reader r;
	size_t bytes, payload = header + (section ? section_header + section : 0) + more;
	assert_int_equal(golden_write(buffer, ROOM, 5, &bytes), 0);
	memcpy(data, buffer, payload);
	memcpy(data + 16, &payload, 8);
	memcpy(data + 24, &sections, 4);
	memcpy(data + 72, &section, section ? 8 : 0);
	reseal(data, payload + 8);
	uint8_t *exact = malloc(payload + 8);
	memcpy(exact, data, payload + 8);
	int rc = snapshot_open(&r, exact, payload + 8);
	free(exact);
	return rc;
}

static void odd_lengths_are_refused(void **state)
{
	assert_int_equal(odd_open(16, 0, 1), 0);
	assert_int_equal(odd_open(0, 0, 0), 0);
	for (size_t section = 1; section < 16; section++)
		assert_int_equal(odd_open(section, 0, 1), section == 8 ? 0 : -EBADMSG);
	for (size_t more = 1; more < 48; more++)
		assert_int_equal(odd_open(0, more, 1), -EBADMSG);
	for (uint32_t payload = 0; payload < 32; payload++) { // less than a header
		struct snapshot_reader r;
		uint8_t *exact = calloc(1, payload + 8);
		memcpy(exact, "WEIRSNAP\1\0\0\0\1\0\0\0", payload < 16 ? payload : 16);
		reseal(exact, payload + 8);
		assert_int_equal(snapshot_open(&r, exact, payload + 8), -EBADMSG);
		free(exact);
	}
}

// A full block has no empty one behind it: a snapshot has one form.
static void an_empty_last_block_is_refused(void **state)
{
	struct snapshot_writer w;
	struct snapshot_reader r;
	size_t bytes;
	snapshot_begin(&w, buffer, sizeof(buffer));
	snapshot_section(&w, "full", 1);
	snapshot_bytes(&w, content, SNAPSHOT_BLOCK_BYTES - 8 - 32 - 48);
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	assert_int_equal(bytes, SNAPSHOT_BLOCK_BYTES);
	assert_int_equal(snapshot_open(&r, buffer, bytes), 0);
	uint32_t trailer[2] = {0}, prefix[2] = {1, 0};
	trailer[1] = ~crc32_iscsi((unsigned char *)prefix, 8, 0xFFFFFFFF);
	memcpy(buffer + bytes, trailer, 8);
	assert_int_equal(snapshot_open(&r, buffer, bytes + 8), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_files_are_written_and_read),
		cmocka_unit_test(too_little_room_is_said_and_kept_to),
		cmocka_unit_test(sections_of_any_length_read_back),
		cmocka_unit_test(a_read_beyond_the_section_stops_all_reading),
		cmocka_unit_test(damage_is_refused),
		cmocka_unit_test(it_is_opened_in_parts),
		cmocka_unit_test(the_rooms_end_is_lent),
		cmocka_unit_test(blocks_that_changed_places_are_refused),
		cmocka_unit_test(the_checksum_is_crc32c),
		cmocka_unit_test(wrong_shapes_are_refused),
		cmocka_unit_test(odd_lengths_are_refused),
		cmocka_unit_test(an_empty_last_block_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
