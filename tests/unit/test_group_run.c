// Sets of key groups, and runs in a snapshot: any one group found through the directory, and
// directories that do not fit what they describe.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "state/group_run.h"

enum { BITS = 6, GROUPS = 1 << BITS, KEYS = 500, ROOM = 1 << 20 };

struct fixture {
	struct arena arena;
	struct group_set set;
	uint64_t hashes[KEYS];
	uint8_t snapshot[ROOM];
	struct snapshot_reader reader;
	bool seen[KEYS];
};

static int setup(void **state)
{
	static struct fixture f;
	if (arena_create(&f.arena, 4 << 20, -1, true) || group_set_create(&f.set, &f.arena, BITS))
		return -1;
	for (uint64_t i = 0; i < KEYS; i++) // none in the upper half of the groups
		f.hashes[i] = (i + 1) * 0x9E3779B97F4A7C15u >> 1;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	arena_destroy(&f->arena);
	return 0;
}

static void test_set(void **state)
{
	struct fixture *f = *state;
	struct group_set small, other;
	assert_int_equal(group_set_create(&other, &f->arena, BITS), 0);
	assert_int_equal(group_set_create(&small, &f->arena, 0), 0);
	assert_int_equal(group_set_next(&f->set, 0), GROUP_NONE);
	group_set_add(&f->set, 0);
	group_set_add(&f->set, GROUPS - 1);
	group_set_add_hash(&f->set, 5ull << (64 - BITS));
	assert_int_equal(group_set_count(&f->set), 3);
	assert_int_equal(group_set_next(&f->set, 0), 0);
	assert_int_equal(group_set_next(&f->set, 1), 5);
	assert_int_equal(group_set_next(&f->set, 6), GROUPS - 1);
	assert_int_equal(group_set_next(&f->set, GROUPS), GROUP_NONE);
	group_set_add(&other, 5);
	group_set_add(&other, 7);
	group_set_intersect(&f->set, &other);
	assert_int_equal(group_set_count(&f->set), 1);
	assert_true(group_set_has(&f->set, 5) && !group_set_has(&f->set, 7));
	group_set_remove(&f->set, 5);
	assert_int_equal(group_set_next(&f->set, 0), GROUP_NONE);
	group_set_add(&small, 0);
	assert_int_equal(group_set_next(&small, 0), 0);
	assert_int_equal(group_set_next(&small, 1), GROUP_NONE);
}

static void section_begin(struct fixture *f, struct snapshot_writer *w)
{
	snapshot_begin(w, f->snapshot, ROOM);
	snapshot_section(w, "run", 1);
}

static void section_end(struct fixture *f, struct snapshot_writer *w)
{
	size_t bytes;
	uint32_t version;
	assert_int_equal(snapshot_end(w, &bytes), 0);
	assert_int_equal(snapshot_open(&f->reader, f->snapshot, bytes), 0);
	assert_int_equal(snapshot_find(&f->reader, "run", &version), 0);
}

static uint32_t looks, writes; // of keys, since they were last set

// A key is its group, its number, and number % 5 bytes; every seventh has no place in the run.
static uint32_t key_look(const void *container, uint32_t i, uint64_t *ret_hash)
{
	const struct fixture *f = container;
	looks++;
	*ret_hash = f->hashes[i];
	return i % 7 == 0 ? 0 : 8 + i % 5;
}

static void key_write(const void *container, uint32_t i, uint32_t group, struct snapshot_writer *w)
{
	static const uint8_t filler[8] = {1, 2, 3, 4, 5};
	writes++;
	snapshot_u32(w, group);
	snapshot_u32(w, i);
	snapshot_bytes(w, filler, i % 5);
}

static void key_fetch(const void *container, uint32_t i, uint32_t stage)
{
	assert_true(i < KEYS && i % 7 != 0 && stage < GROUP_FETCHES);
}

// Returns how many parts it took; each looks at few keys, and writes fewer.
static uint32_t run_write(struct fixture *f, struct snapshot_writer *w)
{
	struct group_run run;
	const struct group_source source = {.container = f,
		.keys = KEYS,
		.numbers = KEYS,
		.look = key_look,
		.write = key_write,
		.fetch = key_fetch};
	uint32_t parts = 0;
	bool whole;
	group_run_begin(&run, BITS, &source, w);
	do {
		looks = writes = 0;
		whole = group_run_write(&run, &source, w);
		assert_true(looks <= 4 * w->part_keys && writes <= w->part_keys);
		parts++;
	} while (!whole);
	return parts;
}

static int key_read(void *container, struct snapshot_reader *r, struct group_key *ret)
{
	struct fixture *f = container;
	uint8_t filler[8];
	ret->group = snapshot_read_u32(r);
	if (ret->group == GROUP_RUN_END)
		return 1;
	uint32_t number = snapshot_read_u32(r);
	snapshot_read(r, filler, number % 5);
	if (r->error || number >= KEYS || f->seen[number])
		return -EBADMSG;
	f->seen[number] = true;
	ret->hash = f->hashes[number];
	return 0;
}

static void test_groups_one_by_one(void **state)
{
	struct fixture *f = *state;
	struct snapshot_writer w;
	struct group_directory d;
	section_begin(f, &w);
	snapshot_u32(&w, 7); // a run need not be aligned
	run_write(f, &w);
	section_end(f, &w);
	assert_int_equal(snapshot_read_u32(&f->reader), 7);
	assert_int_equal(group_directory_read(&d, &f->reader), 0);
	assert_int_equal(d.count, KEYS);
	assert_int_equal(group_directory_mark(&d, &f->reader, &f->set), 0);
	assert_int_equal(snapshot_left(&f->reader), 0);
	assert_int_equal(group_set_count(&f->set), d.groups);
	assert_in_range(d.groups, 2, GROUPS / 2);
	for (uint32_t k = 0; k < GROUPS; k++) {
		uint32_t group = k * 37 % GROUPS;
		assert_int_equal(group_run_read_group(&d, group, BITS, f, key_read, &f->reader), 0);
		for (uint32_t i = 0; i < KEYS; i++)
			if (key_group(f->hashes[i], BITS) == group)
				assert_int_equal(f->seen[i], i % 7 != 0);
	}
	// All at once give the same.
	memset(f->seen, 0, sizeof(f->seen));
	snapshot_seek(&f->reader, d.keys_at);
	assert_int_equal(group_run_read(f, key_read, &f->reader), 0);
	for (uint32_t i = 0; i < KEYS; i++)
		assert_int_equal(f->seen[i], i % 7 != 0);
}

// However it is cut, it is the same to the byte; and with as much room as it says it needs it fits.
static void test_parts(void **state)
{
	static const uint32_t cuts[] = {SNAPSHOT_PART_KEYS, 1, 2, 7, 100};
	static uint8_t whole[ROOM];
	struct fixture *f = *state;
	struct snapshot_writer w;
	size_t bytes, cut_bytes;
	for (uint32_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
		memset(f->snapshot, 0xA5, ROOM);
		section_begin(f, &w);
		w.part_keys = cuts[i];
		uint32_t parts = run_write(f, &w);
		assert_true(parts >= KEYS * 6 / 7 / cuts[i]);
		assert_int_equal(snapshot_end(&w, i == 0 ? &bytes : &cut_bytes), 0);
		if (i == 0)
			memcpy(whole, f->snapshot, bytes);
		else
			assert_true(cut_bytes == bytes && memcmp(whole, f->snapshot, bytes) == 0);
		size_t needed = snapshot_needed(&w);
		for (size_t room = 0; room < needed; room += room < bytes + 16 ? 97 : 997) {
			snapshot_begin(&w, f->snapshot, room);
			snapshot_section(&w, "run", 1);
			w.part_keys = cuts[i];
			run_write(f, &w);
			if (snapshot_end(&w, &cut_bytes) == 0)
				continue; // what it needs is said rather too large
			assert_in_range(snapshot_needed(&w), room + 1, 2 * needed);
			size_t again = snapshot_needed(&w);
			snapshot_begin(&w, f->snapshot, again);
			snapshot_section(&w, "run", 1);
			run_write(f, &w);
			assert_int_equal(snapshot_end(&w, &cut_bytes), 0);
			assert_true(cut_bytes == bytes && memcmp(whole, f->snapshot, bytes) == 0);
		}
	}
}

// Write a run and be at its first key.
static struct group_directory written(struct fixture *f)
{
	struct snapshot_writer w;
	struct group_directory d;
	section_begin(f, &w);
	run_write(f, &w);
	section_end(f, &w);
	memset(f->seen, 0, sizeof(f->seen));
	assert_int_equal(group_directory_read(&d, &f->reader), 0);
	return d;
}

// As many keys a part as the reader says, or as lie in so many bytes.
static void test_read_in_parts(void **state)
{
	struct fixture *f = *state;
	written(f);
	f->reader.part_keys = 9;
	uint32_t seen = 0, parts = 0;
	for (int result = 1; result == 1; parts++) {
		result = group_run_read_part(f, key_read, &f->reader);
		uint32_t now = 0;
		for (uint32_t i = 0; i < KEYS; i++)
			now += f->seen[i];
		assert_int_equal(now - seen, result == 1 ? 9 : (KEYS * 6 / 7) % 9);
		seen = now;
	}
	assert_int_equal(seen, KEYS - (KEYS + 6) / 7);
	assert_int_equal(parts, seen / 9 + 1);
}

// A directory of two groups with a key of 8 bytes in each, and what may be wrong with it.
static void test_damaged_directories(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t count, groups;
		uint64_t bytes;
		struct {
			uint32_t group, keys;
			uint64_t at;
		} entries[2];
		uint32_t end;
		int error; // of reading the groups, where marking finds nothing
	} bad[] = {
		{2, 2, 16, {{3, 1, 0}, {5, 1, 8}}, GROUP_RUN_END, 0}, // this one is good
		{2, 2, 1 << 20, {{3, 1, 0}, {5, 1, 8}}, GROUP_RUN_END, 1},
		{2, 1 << 20, 16, {{3, 1, 0}, {5, 1, 8}}, GROUP_RUN_END, 1},
		{1, 2, 16, {{3, 1, 0}, {5, 1, 8}}, GROUP_RUN_END, 1},
		{2, 2, 16, {{5, 1, 0}, {3, 1, 8}}, GROUP_RUN_END, 1},
		{2, 2, 16, {{3, 1, 0}, {3, 1, 8}}, GROUP_RUN_END, 1},
		{2, 2, 16, {{3, 1, 0}, {GROUPS, 1, 8}}, GROUP_RUN_END, 1},
		{2, 2, 16, {{3, 1, 8}, {5, 1, 8}}, GROUP_RUN_END, 1},
		{2, 2, 16, {{3, 1, 0}, {5, 1, 0}}, GROUP_RUN_END, 1},
		{2, 2, 16, {{3, 1, 0}, {5, 1, 16}}, GROUP_RUN_END, 1},
		{2, 2, 16, {{3, 0, 0}, {5, 1, 8}}, GROUP_RUN_END, 1},
		{2, 2, 16, {{3, 1, 0}, {5, 1, 8}}, 0, 1},
		{2, 2, 16, {{3, 1, 0}, {5, 1, 9}}, GROUP_RUN_END, -EBADMSG},
		{3, 2, 16, {{3, 2, 0}, {5, 1, 8}}, GROUP_RUN_END, -EBADMSG},
		{2, 2, 16, {{3, 1, 0}, {6, 1, 8}}, GROUP_RUN_END, -EBADMSG},
	};
	f->hashes[0] = 3ull << (64 - BITS);
	f->hashes[5] = 5ull << (64 - BITS);
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct snapshot_writer w;
		struct group_directory d;
		memset(f->seen, 0, sizeof(f->seen));
		section_begin(f, &w);
		snapshot_u32(&w, bad[i].count);
		snapshot_u32(&w, bad[i].groups);
		snapshot_u64(&w, bad[i].bytes);
		snapshot_bytes(&w, bad[i].entries, sizeof(bad[i].entries));
		for (uint32_t k = 0; k < 2; k++) {
			snapshot_u32(&w, 3 + 2 * k);
			snapshot_u32(&w, 5 * k);
		}
		snapshot_u32(&w, bad[i].end);
		section_end(f, &w);
		int error = group_directory_read(&d, &f->reader);
		if (!error)
			error = group_directory_mark(&d, &f->reader, &f->set);
		assert_int_equal(error, bad[i].error == 1 ? -EBADMSG : 0);
		for (uint32_t g = 0; g < GROUPS && !error; g++)
			error = group_run_read_group(&d, g, BITS, f, key_read, &f->reader);
		assert_int_equal(error, bad[i].error == 1 ? -EBADMSG : bad[i].error);
	}
}

// A key that lies in another group than its own.
static void test_key_of_another_group(void **state)
{
	struct fixture *f = *state;
	struct group_directory d = written(f);
	uint32_t group = key_group(f->hashes[1], BITS);
	f->hashes[1] ^= 1ull << 63;
	assert_int_equal(group_run_read_group(&d, group, BITS, f, key_read, &f->reader), -EBADMSG);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_set), T(test_groups_one_by_one), T(test_parts),
		T(test_read_in_parts), T(test_damaged_directories), T(test_key_of_another_group)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
