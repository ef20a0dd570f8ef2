// The worked examples of docs/formats.md are what the code makes and reads.
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "control/bus_frame.h"
#include "dataplane/frame.h"
#include "state/key.h"
#include "state/record.h"
#include "state/snapshot.h"
#include "state/table.h"

enum { ROOM = 4096 };

struct bytes {
	alignas(8) uint8_t data[ROOM];
	uint32_t count;
};

static char document[256 << 10];

static int document_read(void **state)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/../../docs/formats.md", WEIR_TEST_DATA);
	FILE *f = fopen(path, "r");
	if (!f)
		return -1;
	size_t count = fread(document, 1, sizeof(document) - 1, f);
	fclose(f);
	document[count] = 0;
	return 0;
}

// The bytes of block `name`: pairs of hex digits, each line up to a '|'.
static void example_find(const char *name, struct bytes *ret)
{
	char fence[64];
	snprintf(fence, sizeof(fence), "\n```hex %s\n", name);
	const char *at = strstr(document, fence);
	if (!at)
		fail_msg("docs/formats.md has no example %s", name);
	ret->count = 0;
	for (at += strlen(fence); *at != '`'; at = strchr(at, '\n') + 1) {
		const char *limit = at + strcspn(at, "|\n");
		for (unsigned byte; at + 2 <= limit && sscanf(at, "%2x", &byte) == 1; at += 3)
			ret->data[ret->count++] = (uint8_t)byte;
	}
}

static void example_check(const char *name, const void *data, uint32_t count)
{
	struct bytes want;
	example_find(name, &want);
	bool same = want.count == count && memcmp(want.data, data, count) == 0;
	for (uint32_t i = 0; !same && i < count; i++)
		fprintf(stderr, "%02x%c", ((const uint8_t *)data)[i], i % 8 == 7 ? '\n' : ' ');
	if (!same)
		fail_msg("%s is not what the code makes (above)", name);
}

// A number in the text, after `label`.
static uint64_t number_find(const char *label)
{
	const char *at = strstr(document, label);
	if (!at)
		fail_msg("docs/formats.md does not say: %s", label);
	return strtoull(at + strlen(label), NULL, 16);
}

static void bid_schema(struct weir_schema *s)
{
	*s = (struct weir_schema){.name = "bid", .variant = 2};
	schema_add(s, "auction", WEIR_INT64, 0, 0);
	schema_add(s, "bidder", WEIR_INT64, 0, 0);
	schema_add(s, "price", WEIR_INT64, 0, 0);
	schema_add(s, "time", WEIR_TIMESTAMP, 0, 0);
	schema_add(s, "extra", WEIR_STRING, 0, 0);
	schema_layout(s);
}

static void bid_build(struct bytes *ret)
{
	struct weir_schema s;
	struct record_builder b;
	bid_schema(&s);
	record_begin(&b, &s, ret->data, ROOM);
	record_set_int64(&b, 0, 1000);
	record_set_int64(&b, 1, 2001);
	record_set_int64(&b, 2, 12345678);
	record_set_int64(&b, 3, 978307260000000000);
	record_set_text(&b, 4, "hey", 3);
	ret->count = record_end(&b);
}

static void fare_schema(struct weir_schema *s)
{
	*s = (struct weir_schema){0};
	schema_add(s, "paid", WEIR_BOOL, 0, 0);
	schema_add(s, "name", WEIR_STRING, 0, 0);
	schema_add(s, "fare", WEIR_DECIMAL, 10, 2);
	schema_add(s, "note", WEIR_STRING, 0, 0);
	schema_add(s, "hash", WEIR_BYTES, 0, 0);
	schema_layout(s);
}

static void fare_build(struct bytes *ret)
{
	struct weir_schema s;
	struct record_builder b;
	fare_schema(&s);
	record_begin(&b, &s, ret->data, ROOM);
	record_set_bool(&b, 0, true);
	record_set_text(&b, 1, "Zo\xC3\xAB", 4);
	record_set_decimal(&b, 2, -150);
	record_set_text(&b, 4, "", 0);
	ret->count = record_end(&b);
}

static void records_are_as_shown(void **state)
{
	struct weir_schema s;
	struct bytes bid, fare;
	bid_build(&bid);
	fare_build(&fare);
	example_check("record-bid", bid.data, bid.count);
	example_check("record-fare", fare.data, fare.count);
	bid_schema(&s);
	example_find("record-bid", &bid);
	assert_int_equal(record_validate(&s, bid.data, bid.count), 0);
	fare_schema(&s);
	example_find("record-fare", &fare);
	assert_int_equal(record_validate(&s, fare.data, fare.count), 0);
}

static void keys_are_as_shown(void **state)
{
	struct weir_schema s;
	struct bytes bid, fare, key;
	static const uint16_t auction = 0, name_note_fare[] = {1, 3, 2};
	bid_schema(&s);
	bid_build(&bid);
	key.count = key_encode(&s, &auction, 1, bid.data, key.data, ROOM);
	example_check("key-auction", key.data, key.count);
	uint64_t hash = key_hash(key.data, key.count);
	assert_true(hash == key_hash_int64(1000));
	assert_true(hash == number_find("its hash is 0x"));
	assert_int_equal(key_group(hash, KEY_GROUP_BITS_DEFAULT),
		number_find("its key group of 4096 is 0x"));
	fare_schema(&s);
	fare_build(&fare);
	key.count = key_encode(&s, name_note_fare, 3, fare.data, key.data, ROOM);
	example_check("key-name-note-fare", key.data, key.count);
}

static void a_frame_is_as_shown(void **state)
{
	struct bytes bid, frame;
	bid_build(&bid);
	struct frame_header h = {.version = FRAME_VERSION,
		.type = FRAME_DATA,
		.length = FRAME_HEADER_BYTES + bid.count,
		.item_count = 1,
		.job = 1,
		.channel = 5,
		.plan_version = 2,
		.incarnation = 0x100000001,
		.first_number = 41,
		.watermark = 978307250000000000,
		.epoch = 3};
	memcpy(frame.data, &h, sizeof(h));
	memcpy(frame.data + sizeof(h), bid.data, bid.count);
	frame.count = h.length;
	h.crc32c = frame_crc(frame.data, frame.count);
	memcpy(frame.data, &h, sizeof(h));
	example_check("frame-header", frame.data, FRAME_HEADER_BYTES);
	struct frame_expect expect = {.job = 1,
		.channel = 5,
		.plan_version = 2,
		.incarnation = 0x100000001,
		.checksum = true};
	struct bytes shown;
	example_find("frame-header", &shown);
	memcpy(frame.data, shown.data, FRAME_HEADER_BYTES);
	assert_int_equal(frame_check(frame.data, frame.count, &expect), WEIR_DROP_COUNT);
}

static void a_snapshot_is_as_shown(void **state)
{
	struct bytes file;
	struct snapshot_writer w;
	struct snapshot_reader r;
	size_t count;
	uint32_t version;
	snapshot_begin(&w, file.data, ROOM);
	snapshot_section(&w, "hourly", 3);
	snapshot_u32(&w, 42);
	assert_int_equal(snapshot_end(&w, &count), 0);
	example_check("snapshot", file.data, (uint32_t)count);
	example_find("snapshot", &file);
	assert_int_equal(snapshot_open(&r, file.data, file.count), 0);
	assert_int_equal(snapshot_find(&r, "hourly", &version), 0);
	assert_int_equal(version, 3);
	assert_int_equal(snapshot_read_u32(&r), 42);
}

// A table without accumulators: null in one row, then 1000 in three.
static void a_run_is_as_shown(void **state)
{
	static uint8_t file[1 << 17]; // sorting takes some of it
	struct arena arena;
	struct pool pool;
	struct table t;
	struct snapshot_writer w;
	struct snapshot_reader r;
	struct bytes run;
	size_t count;
	uint32_t version;
	assert_int_equal(arena_create(&arena, 1 << 20, -1, true), 0);
	assert_int_equal(pool_create(&pool, &arena, 1 << 19), 0);
	table_create(&t, &pool, TABLE_INT64, false, TABLE_INT64_HEAD, NULL);
	((struct table_entry *)table_take_null(&t))->rows = 1;
	((struct table_entry *)table_take_int64(&t, 1000))->rows = 3;
	snapshot_begin(&w, file, sizeof(file));
	snapshot_section(&w, "run", 1);
	const struct group_source source = table_source(&t);
	struct group_run sorted;
	group_run_begin(&sorted, 12, &source, &w);
	assert_true(group_run_write(&sorted, &source, &w));
	assert_int_equal(snapshot_end(&w, &count), 0);
	assert_int_equal(snapshot_open(&r, file, count), 0);
	assert_int_equal(snapshot_find(&r, "run", &version), 0);
	run.count = (uint32_t)snapshot_left(&r);
	snapshot_read(&r, run.data, run.count);
	example_check("run", run.data, run.count);
	table_destroy(&t);
	arena_destroy(&arena);
}

static void a_message_is_as_shown(void **state)
{
	struct evbuffer *stream = evbuffer_new();
	assert_int_equal(bus_frame_put(stream, "hello", 5), 0);
	example_check("message", evbuffer_pullup(stream, -1),
		(uint32_t)evbuffer_get_length(stream));
	evbuffer_free(stream);
}

static void the_output_hash_is_as_shown(void **state)
{
	struct bytes bid, fare;
	bid_build(&bid);
	fare_build(&fare);
	assert_true(record_hash(bid.data) == number_find("the bid's is 0x"));
	assert_true(record_hash(fare.data) == number_find("the fare's is 0x"));
	uint64_t sum = 2 * record_hash(bid.data) + record_hash(fare.data);
	assert_true(sum == number_find("and the fare is count 3, hash 0x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_as_shown),
		cmocka_unit_test(keys_are_as_shown),
		cmocka_unit_test(a_frame_is_as_shown),
		cmocka_unit_test(a_snapshot_is_as_shown),
		cmocka_unit_test(a_run_is_as_shown),
		cmocka_unit_test(a_message_is_as_shown),
		cmocka_unit_test(the_output_hash_is_as_shown),
	};
	return cmocka_run_group_tests(tests, document_read, NULL);
}
