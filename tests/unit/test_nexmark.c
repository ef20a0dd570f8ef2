// The generator against what Apache Beam's own jar made (tests/data/nexmark/README).
// Given a table and a prices file, it checks those alone.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "control/nexmark_csv.h"
#include "dataplane/java_random.h"
#include "dataplane/nexmark.h"

static _Alignas(8) uint8_t record[NEXMARK_RECORD_ROOM];
static struct weir_schema schemas[NEXMARK_KINDS];

static int schemas_make(void **state)
{
	for (int kind = 0; kind < NEXMARK_KINDS; kind++)
		nexmark_schema((enum nexmark_kind)kind, &schemas[kind]);
	return 0;
}

static uint64_t fnv1a(uint64_t hash, const char *data, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		hash = (hash ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
	return hash;
}

struct row {
	int64_t events, rate, group, first;
	uint64_t counts[NEXMARK_KINDS];
	uint64_t hash;
};

static bool row_read(FILE *file, struct row *ret_row)
{
	struct row *r = ret_row;
	return fscanf(file,
		       "%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNu64 ",%" SCNu64
		       ",%" SCNu64 ",%" SCNx64 "\n",
		       &r->events, &r->rate, &r->group, &r->first, &r->counts[0], &r->counts[1],
		       &r->counts[2], &r->hash) == 8;
}

static void row_check(const struct row *r)
{
	struct nexmark n;
	assert_int_equal(nexmark_init(&n, r->first + r->events, r->rate, r->group), 0);
	uint64_t counts[NEXMARK_KINDS] = {0};
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	char line[64 + NEXMARK_LINE_ROOM];
	for (uint64_t number = (uint64_t)r->first; number < n.events; number++) {
		nexmark_record(&n, number, record);
		uint16_t kind = record_variant(record);
		counts[kind]++;
		int length = snprintf(line, 64, "%u,%" PRId64 ",", kind,
			nexmark_watermark_ns(&n, number) / 1000000);
		length += (int)nexmark_csv_line(&schemas[kind], record, line + length);
		hash = fnv1a(hash, line, (uint32_t)length);
	}
	assert_memory_equal(counts, r->counts, sizeof(counts));
	if (hash != r->hash)
		fail_msg("%" PRId64 " events, rate %" PRId64 ", group %" PRId64 ", from %" PRId64
			 ": %016" PRIx64 " instead of %016" PRIx64,
			r->events, r->rate, r->group, r->first, hash, r->hash);
}

static const char *table = WEIR_TEST_DATA "/nexmark/beam.csv";
static const char *prices = WEIR_TEST_DATA "/nexmark/prices.csv";

static void matches_beam(void **state)
{
	FILE *file = fopen(table, "r");
	assert_non_null(file);
	struct row row;
	uint64_t events = 0;
	while (row_read(file, &row)) {
		row_check(&row);
		events += (uint64_t)row.events;
	}
	assert_true(feof(file));
	assert_true(events > 1000000);
	fclose(file);
}

// As many as shipped by default; tests/oracle/beam/run --large takes 100 M.
static void prices_match_beam(void **state)
{
	FILE *file = fopen(prices, "r");
	assert_non_null(file);
	uint64_t first, count, expected, hash = 0;
	assert_int_equal(fscanf(file, "%" SCNu64 ",%" SCNu64 ",%" SCNx64, &first, &count,
				 &expected),
		3);
	fclose(file);
	for (uint64_t seed = first; seed < first + count; seed++) {
		struct java_random r;
		random_seed(&r, seed);
		hash = hash * UINT64_C(0x100000001b3) + (uint64_t)random_price(&r);
	}
	assert_int_equal(hash, expected);
}

// From the documentation of java.util.Random, checked with the JDK: seed 42.
static void random_is_javas(void **state)
{
	struct java_random r;
	random_seed(&r, 42);
	assert_int_equal(random_int32(&r), -1170105035);
	assert_int_equal(random_int32(&r), 234785527);
	random_seed(&r, 42);
	assert_int_equal(random_int64(&r), INT64_C(-5025562857975149833));
	random_seed(&r, 42);
	assert_true(random_double(&r) == 0.7275636800328681);
	random_seed(&r, 42);
	assert_int_equal(random_int(&r, 10), 0);
	assert_int_equal(random_int(&r, 10), 3);
	random_seed(&r, 42);
	assert_int_equal(random_int(&r, 1024), 745); // a power of two takes the high bits
	random_seed(&r, 42);
	assert_int_equal(random_long(&r, INT64_C(1) << 40), INT64_C(871643575561));
}

// A bound of 2^30 + 1 throws away nearly every second draw.
static void random_draws_again(void **state)
{
	struct java_random r;
	random_seed(&r, 7);
	static const int32_t javas[] = {20678044, 747989380, 1053566254, 755731200, 259278708,
		542588911, 178712961, 234738279};
	for (size_t i = 0; i < sizeof(javas) / sizeof(javas[0]); i++)
		assert_int_equal(random_int(&r, (1 << 30) + 1), javas[i]);
}

static void records_are_valid(void **state)
{
	struct nexmark n;
	assert_int_equal(nexmark_init(&n, 200000, 10000, 1000), 0);
	for (uint64_t number = 0; number < n.events; number++) {
		memset(record, 0xA5, sizeof(record));
		uint32_t length = nexmark_record(&n, number, record);
		uint16_t kind = record_variant(record);
		assert_int_equal(record_validate(&schemas[kind], record, length), 0);
		assert_int_equal(
			record_int64(record,
				schemas[kind].fields[schema_find(&schemas[kind], "time")].offset) %
				1000000,
			0);
	}
}

// 903 puts all persons of 18 epochs in a row; in groups of 953 one event comes 953 times.
static void bytes_are_bounded(void **state)
{
	static const int64_t groups[] = {1, 7, 50, 903, 951, 953, 1000, 1906, 100000};
	static const int64_t events[] = {0, 1, 20, 51, 953, 2000, 20000};
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]) * 7; i++) {
		struct nexmark n;
		uint64_t bytes = 0;
		assert_int_equal(nexmark_init(&n, events[i % 7], 10000, groups[i / 7]), 0);
		n.pace = 1000;
		for (uint64_t number = 0; number < n.events; number++) {
			bytes += nexmark_record(&n, number, record);
			assert_true(record_length(record) <= NEXMARK_RECORD_ROOM - 8);
		}
		assert_true(nexmark_bytes_max(&n) >= bytes);
		if (n.events >= 2000 && n.group <= 1000 && n.group != 953)
			assert_true(nexmark_bytes_max(&n) < bytes * 6 / 5 + 1000 * 648);
	}
}

static int64_t record_time(const uint8_t *at)
{
	const struct weir_schema *schema = &schemas[record_variant(at)];
	return record_int64(at, schema->fields[schema_find(schema, "time")].offset);
}

// Going backwards, the earliest time behind each number is known.
static void watermark_is_kept(void **state)
{
	static const int64_t groups[] = {1, 2, 50, 953, 1000, 4096};
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		struct nexmark n;
		assert_int_equal(nexmark_init(&n, 10000, 1000, groups[g]), 0);
		int64_t earliest_ns = INT64_MAX;
		bool tight = false;
		for (uint64_t number = n.events; number-- > 0;) {
			nexmark_record(&n, number, record);
			int64_t time_ns = record_time(record);
			earliest_ns = time_ns < earliest_ns ? time_ns : earliest_ns;
			assert_true(nexmark_watermark_ns(&n, number) <= earliest_ns);
			tight |= nexmark_watermark_ns(&n, number) == earliest_ns;
		}
		assert_true(tight);
	}
}

static void a_number_alone_decides(void **state)
{
	struct nexmark n, longer;
	assert_int_equal(nexmark_init(&n, 1000, 10000, 50), 0);
	assert_int_equal(nexmark_init(&longer, 1000000, 10000, 50), 0);
	static _Alignas(8) uint8_t other[NEXMARK_RECORD_ROOM];
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t number = i * 617 % 1000;
		uint32_t length = nexmark_record(&n, number, record);
		assert_int_equal(nexmark_record(&longer, number, other), length);
		assert_memory_equal(record, other, length);
	}
}

static void bounds_are_checked(void **state)
{
	struct nexmark n;
	assert_int_equal(nexmark_init(&n, 0, 1, 1), 0);
	assert_int_equal(nexmark_init(&n, -1, 1, 1), -EINVAL);
	assert_int_equal(nexmark_init(&n, NEXMARK_EVENTS_MAX + 1, 10000, 1), -EINVAL);
	assert_int_equal(nexmark_init(&n, 1, 0, 1), -EINVAL);
	assert_int_equal(nexmark_init(&n, 1, NEXMARK_RATE_MAX + 1, 1), -EINVAL);
	assert_int_equal(nexmark_init(&n, 1, 1, 0), -EINVAL);
	assert_int_equal(nexmark_init(&n, 1, 1, NEXMARK_GROUP_MAX + 1), -EINVAL);
	// At one event a second int64 ns hold less than 246 years.
	assert_int_equal(nexmark_init(&n, INT64_C(246) * 366 * 86400, 1, 1), 0);
	assert_int_equal(nexmark_init(&n, INT64_C(247) * 366 * 86400, 1, 1), -ERANGE);
	assert_int_equal(nexmark_init(&n, 10, 1, NEXMARK_GROUP_MAX), 0);
	nexmark_record(&n, 9, record);
	assert_true(record_time(record) > 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(matches_beam),
		cmocka_unit_test(prices_match_beam),
		cmocka_unit_test(random_is_javas),
		cmocka_unit_test(random_draws_again),
		cmocka_unit_test(records_are_valid),
		cmocka_unit_test(bytes_are_bounded),
		cmocka_unit_test(watermark_is_kept),
		cmocka_unit_test(a_number_alone_decides),
		cmocka_unit_test(bounds_are_checked),
	};
	const struct CMUnitTest given[] = {
		cmocka_unit_test(matches_beam),
		cmocka_unit_test(prices_match_beam),
	};
	if (argc == 3) {
		table = argv[1];
		prices = argv[2];
		return cmocka_run_group_tests_name("nexmark given", given, schemas_make, NULL);
	}
	return cmocka_run_group_tests_name("nexmark", all, schemas_make, NULL);
}
