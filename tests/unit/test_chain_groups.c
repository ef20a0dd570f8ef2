// Restoring by key group: what waits for which groups, how much a step restores, and kinds and
// snapshots that know nothing of it. The kind here counts records by key group and refuses to be
// given one whose group is absent.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/chain_groups.h"
#include "dataplane/operators/window_aggregate.h"
#include "state/group_set.h"
#include "state/snapshot.h"

enum { BITS = 4, GROUPS = 1 << BITS, SAVED = 100, READS_AT = 50 };

struct counter {
	uint64_t counts[GROUPS];
	bool here[GROUPS];
	uint32_t keys_calls, restores, watermarks, finishes;
	bool damaged;
};

static uint32_t group_of(const uint8_t *record)
{
	return record[8] % GROUPS;
}

static enum weir_flow process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct counter *c = self;
	for (; in->first < in->limit; in->first += 16) {
		assert_true(c->here[group_of(in->first)]);
		c->counts[group_of(in->first)]++;
	}
	return WEIR_DONE;
}

static enum weir_flow watermark(void *self, struct weir_context *ctx, int64_t watermark_ns)
{
	struct counter *c = self;
	for (uint32_t g = 0; g < GROUPS && watermark_ns >= READS_AT; g++)
		assert_true(c->here[g]);
	c->watermarks++;
	return WEIR_DONE;
}

static bool watermark_reads(const void *self, int64_t watermark_ns)
{
	return watermark_ns >= READS_AT;
}

static enum weir_flow finish(void *self, struct weir_context *ctx)
{
	struct counter *c = self;
	for (uint32_t g = 0; g < GROUPS; g++)
		assert_true(c->here[g]);
	c->finishes++;
	return WEIR_DONE;
}

static void keys(void *self, struct weir_context *ctx, const struct weir_batch *in,
	struct group_set *needed)
{
	((struct counter *)self)->keys_calls++;
	for (const uint8_t *at = in->first; at < in->limit; at += 16)
		group_set_add(needed, group_of(at));
}

static int restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	struct counter *c = self;
	c->restores++;
	for (uint32_t g = 0; g < GROUPS; g++) {
		c->counts[g] = snapshot_read_u64(r);
		c->here[g] = true;
	}
	return r->error;
}

// All groups but the last have state.
static int restore_begin(void *self, struct weir_context *ctx, struct snapshot_reader *r,
	struct group_set *absent)
{
	for (uint32_t g = 0; g + 1 < GROUPS; g++)
		group_set_add(absent, g);
	((struct counter *)self)->here[GROUPS - 1] = true;
	return 0;
}

static int restore_group(void *self, struct weir_context *ctx, struct snapshot_reader *r,
	uint32_t group)
{
	struct counter *c = self;
	assert_false(c->here[group]);
	if (c->damaged)
		return -EBADMSG;
	snapshot_seek(r, snapshot_tell(r) + group * sizeof(uint64_t));
	c->counts[group] = snapshot_read_u64(r);
	c->here[group] = true;
	return r->error;
}

#define KIND                                                                                       \
	.version = WEIR_OPERATOR_VERSION, .kind = "counter", .process = process,                   \
	.watermark = watermark, .finish = finish, .state_version = 2, .restore = restore,          \
	.groups_version = 2, .restore_begin = restore_begin, .restore_group = restore_group,       \
	.keys = keys, .watermark_reads = watermark_reads

static const struct weir_operator whole = {.size = sizeof(struct weir_operator), KIND};
// Built with the first header: what lies behind its end is not its own.
static const struct weir_operator early = {.size = WEIR_OPERATOR_SIZE_MIN, KIND};
// Built before there was watermark_reads.
static const struct weir_operator middle = {
	.size = offsetof(struct weir_operator, watermark_reads), KIND};

struct fixture {
	struct arena arena;
	struct counter counter;
	struct chain_link link;
	struct chain_load load;
	uint8_t snapshot[4096];
	struct snapshot_reader reader;
};

static struct fixture *begin(const struct weir_operator *kind, uint32_t version)
{
	static struct fixture f;
	struct snapshot_writer w;
	size_t bytes;
	uint32_t found;
	if (f.arena.base != NULL)
		arena_destroy(&f.arena);
	memset(&f, 0, sizeof(f));
	assert_int_equal(arena_create(&f.arena, 1 << 16, -1, true), 0);
	f.link = (struct chain_link){.kind = kind, .self = &f.counter};
	f.link.ctx = (struct weir_context){.counters = &f.link.counters, .link = &f.link};
	assert_int_equal(chain_groups_create(&f.link, &f.load, &f.arena, BITS), 0);
	snapshot_begin(&w, f.snapshot, sizeof(f.snapshot));
	snapshot_section(&w, "it", version);
	for (uint32_t g = 0; g < GROUPS; g++)
		snapshot_u64(&w, g + 1 == GROUPS ? 0 : SAVED + g);
	assert_int_equal(snapshot_end(&w, &bytes), 0);
	assert_int_equal(snapshot_open(&f.reader, f.snapshot, bytes), 0);
	assert_int_equal(snapshot_find(&f.reader, "it", &found), 0);
	assert_int_equal(chain_groups_restore(&f.link, &f.reader), 0);
	return &f;
}

static struct fixture *begin_with(const struct weir_operator *kind, uint32_t groups_a_step)
{
	struct fixture *f = begin(kind, 2);
	assert_int_equal(f->load.absent, GROUPS - 1);
	assert_int_equal(f->counter.restores, 0);
	f->load.groups_max = f->load.groups_left = groups_a_step;
	return f;
}

// A batch of a record for each group named; it must stay until it is processed.
static enum weir_flow feed(struct fixture *f, const char *groups)
{
	static uint8_t records[64][16] __attribute__((aligned(8)));
	uint32_t count = 0;
	for (; groups[count]; count++) {
		memcpy(records[count], &(uint32_t){16}, 4);
		records[count][8] = (uint8_t)(groups[count] - 'a');
	}
	return chain_batch(&f->link,
		&(struct weir_batch){
			.form = WEIR_PACKED, .first = records[0], .limit = records[count]});
}

static uint32_t step(struct fixture *f)
{
	uint32_t restored;
	assert_int_equal(chain_groups_step(&f->link, 1, &f->load, &restored), WEIR_DONE);
	return restored;
}

static void check_counts(const struct fixture *f, const char *groups)
{
	uint64_t want[GROUPS];
	for (uint32_t g = 0; g < GROUPS; g++)
		want[g] = g + 1 == GROUPS ? 0 : SAVED + g;
	for (; *groups; groups++)
		want[*groups - 'a']++;
	assert_memory_equal(f->counter.counts, want, sizeof(want));
}

static void a_batch_waits_for_its_groups_only(void **state)
{
	struct fixture *f = begin_with(&whole, 2);
	assert_int_equal(feed(f, "kbkg"), WEIR_FULL);
	assert_int_equal(f->load.absent, GROUPS - 1 - 2);
	assert_int_equal(chain_resume(&f->link, 1), WEIR_FULL); // the step's share is used up
	assert_int_equal(step(f), 2);
	assert_int_equal(chain_resume(&f->link, 1), WEIR_DONE);
	assert_int_equal(f->counter.keys_calls, 1);
	assert_int_equal(f->load.needed, 3);
	assert_int_equal(f->load.absent, GROUPS - 1 - 3);
	assert_int_equal(f->counter.counts['k' - 'a'], SAVED + 'k' - 'a' + 2);
	// What is there, or has no state, is not waited for.
	assert_int_equal(feed(f, "bgp"), WEIR_DONE);
	assert_int_equal(f->load.needed, 3);
	while (f->load.absent != 0)
		assert_in_range(step(f), 1, 2);
	check_counts(f, "kbkgbgp");
	uint32_t calls = f->counter.keys_calls;
	assert_null(f->link.absent);
	assert_int_equal(feed(f, "abc"), WEIR_DONE);
	assert_int_equal(f->counter.keys_calls, calls);
	assert_int_equal(f->load.needed + f->load.background, GROUPS - 1);
}

static void groups_come_in_the_background_while_a_batch_waits(void **state)
{
	struct fixture *f = begin_with(&whole, 1);
	assert_int_equal(feed(f, "ba"), WEIR_FULL); // takes a
	assert_int_equal(step(f), 1);
	assert_int_equal(chain_resume(&f->link, 1), WEIR_DONE);
	for (uint32_t g = 0; g < 5; g++)
		step(f);
	assert_int_equal(feed(f, "cde"), WEIR_DONE);
	assert_int_equal(f->load.needed, 2);
	while (f->load.absent != 0)
		assert_int_equal(step(f), 1);
	check_counts(f, "bacde");
}

static void marks_wait_for_all_groups(void **state)
{
	struct fixture *f = begin_with(&whole, 4);
	assert_int_equal(chain_watermark(&f->link, READS_AT - 1), WEIR_DONE);
	assert_int_equal(f->load.absent, GROUPS - 1);
	assert_int_equal(chain_watermark(&f->link, READS_AT), WEIR_FULL);
	uint32_t steps = 1;
	do
		step(f);
	while (++steps < 10 && chain_resume(&f->link, 1) == WEIR_FULL);
	assert_int_equal(steps, 4);
	assert_int_equal(f->counter.watermarks, 2);
	assert_int_equal(f->load.absent, 0);
	check_counts(f, "");
	f = begin_with(&whole, 100);
	assert_int_equal(chain_finish(&f->link), WEIR_DONE);
	assert_int_equal(f->counter.finishes, 1);
	check_counts(f, "");
	f = begin_with(&middle, 100); // any watermark may read
	assert_int_equal(chain_watermark(&f->link, READS_AT - 1), WEIR_DONE);
	assert_int_equal(f->load.absent, 0);
}

static void older_kinds_and_snapshots_are_restored_at_once(void **state)
{
	struct fixture *f = begin(&early, 2);
	assert_int_equal(f->counter.restores, 1);
	assert_null(f->link.absent);
	assert_int_equal(feed(f, "abc"), WEIR_DONE);
	assert_int_equal(f->counter.keys_calls, 0);
	check_counts(f, "abc");
	f = begin(&whole, 1);
	assert_int_equal(f->counter.restores, 1);
	assert_int_equal(f->load.absent, 0);
	check_counts(f, "");
}

static void damage_stops_the_task(void **state)
{
	struct fixture *f = begin_with(&whole, 2);
	uint32_t restored;
	f->counter.damaged = true;
	assert_int_equal(feed(f, "c"), WEIR_FAILED);
	assert_non_null(strstr(f->link.ctx.error, "key group 2 "));
	f = begin_with(&whole, 2);
	f->counter.damaged = true;
	assert_int_equal(chain_groups_step(&f->link, 1, &f->load, &restored), WEIR_FAILED);
}

static void half_an_interface_is_unfit(void **state)
{
	struct weir_operator kind = whole;
	assert_null(weir_operator_unfit(&kind));
	kind.keys = NULL;
	assert_non_null(weir_operator_unfit(&kind));
	kind = whole;
	kind.restore_begin = NULL;
	assert_non_null(weir_operator_unfit(&kind));
	kind.size = WEIR_OPERATOR_SIZE_MIN;
	assert_null(weir_operator_unfit(&kind));
	kind = window_aggregate;
	kind.snapshot = NULL;
	assert_non_null(weir_operator_unfit(&kind));
	kind = window_aggregate;
	kind.restore = NULL;
	assert_non_null(weir_operator_unfit(&kind));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_waits_for_its_groups_only),
		cmocka_unit_test(groups_come_in_the_background_while_a_batch_waits),
		cmocka_unit_test(marks_wait_for_all_groups),
		cmocka_unit_test(older_kinds_and_snapshots_are_restored_at_once),
		cmocka_unit_test(damage_stops_the_task),
		cmocka_unit_test(half_an_interface_is_unfit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
