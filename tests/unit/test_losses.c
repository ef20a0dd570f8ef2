// What an engine tells its workers of places that are lost, and held by another node since, and the
// order in which a worker acts on it, whenever it looks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/engine_parts.h"
#include "numa/arena.h"

enum { OWN, OTHER, WORKERS }; // of the plan

// A worker with one task, which has no channels but a twin on the other worker.
struct fixture {
	struct job_plan plan;
	struct plan_task tasks[2];
	uint64_t boots[WORKERS];
	uint32_t peers[WORKERS];
	uint16_t numbers[WORKERS];
	struct crossing_network network;
	struct engine *engine;
	struct engine_worker worker;
	struct task task, *of_worker;
};

static int set_up(void **state)
{
	struct fixture *f = aligned_alloc(64, (sizeof(*f) + 63) & ~(size_t)63);
	struct engine *e = aligned_alloc(64, (sizeof(*e) + 63) & ~(size_t)63);
	memset(f, 0, sizeof(*f));
	memset(e, 0, sizeof(*e));
	f->tasks[0] = (struct plan_task){.worker = OWN, .standing = PLAN_PRIMARY, .twin = 1};
	f->tasks[1] = (struct plan_task){.worker = OTHER, .standing = PLAN_REPLICA, .twin = 0};
	f->plan = (struct job_plan){
		.worker_count = WORKERS, .task_count = 2, .tasks = f->tasks, .hot = true};
	f->network = (struct crossing_network){
		.boots = f->boots, .peers = f->peers, .workers = f->numbers};
	f->boots[OWN] = f->boots[OTHER] = 7;
	f->engine = e;
	e->config.plan = &f->plan;
	e->config.network = &f->network;
	e->worker_count = 1;
	e->task_count = 2;
	e->workers = &f->worker;
	assert_int_equal(arena_create(&e->tables, 1 << 20, -1, false), 0);
	engine_create_losses(e);
	f->task.replica.replicated = true;
	f->task.replica.role = REPLICA_OWNER;
	f->task.replica.twin_worker = OTHER;
	f->task.replica.told = &f->worker.worker.told;
	f->of_worker = &f->task;
	f->worker.worker.tasks = &f->of_worker;
	f->worker.worker.task_count = 1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	arena_destroy(&f->engine->tables);
	free(f->engine);
	free(f);
	return 0;
}

static void lose(struct fixture *f, bool alone)
{
	engine_lose(f->engine, OTHER, 1, 100, alone);
}

static void look(struct fixture *f)
{
	worker_heed(&f->worker.worker);
}

static enum replica_role role(const struct fixture *f)
{
	return f->task.replica.role;
}

static bool has_admitted(const struct fixture *f)
{
	return engine_has_admitted(f->engine, OTHER, 1);
}

static void an_owner_waits_until_it_may_do_without(void **state)
{
	struct fixture *f = *state;
	lose(f, false);
	look(f);
	assert_int_equal(role(f), REPLICA_OWNER);
	lose(f, true);
	lose(f, false); // told twice
	look(f);
	assert_int_equal(role(f), REPLICA_ALONE);
}

// Each loss is one once, and one of those that others may not be told of unless it was written.
static void a_loss_is_noted_once(void **state)
{
	struct fixture *f = *state;
	const struct told_losses *told = &f->worker.worker.told;
	lose(f, false);
	assert_false(told_losses_have(told, OTHER, 100));
	look(f);
	assert_true(told_losses_have(told, OTHER, 100));
	assert_false(told_losses_have(told, OTHER, 101));
	assert_false(told_losses_have(told, OWN, 100));
	lose(f, true);
	look(f);
	assert_int_equal(told->count, 1);
}

static void a_loss_that_was_written_is_none_of_those(void **state)
{
	struct fixture *f = *state;
	lose(f, true);
	look(f);
	assert_true(told_losses_have(&f->worker.worker.told, OTHER, 100));
	assert_int_equal(f->worker.worker.told.count, 0);
}

// Nobody is admitted before all is done that the loss asked for.
static void an_admission_waits_for_that(void **state)
{
	struct fixture *f = *state;
	lose(f, false);
	engine_admit(f->engine, OTHER, 1);
	look(f);
	look(f);
	assert_int_equal(role(f), REPLICA_OWNER);
	assert_false(has_admitted(f));
	f->task.replica.role = REPLICA_ALONE;
	look(f);
	assert_true(has_admitted(f));
	assert_false(engine_has_repaired(f->engine, OTHER, 1));
}

static void its_boot_is_the_later_of_both_ends(void **state)
{
	struct fixture *f = *state;
	lose(f, true);
	f->boots[OTHER] = 9;
	f->peers[OTHER] = 5;
	engine_admit(f->engine, OTHER, 1);
	look(f);
	assert_int_equal(f->task.replica.incarnation, 9);
	f->boots[OWN] = 12;
	lose(f, true);
	engine_admit(f->engine, OTHER, 1);
	look(f);
	assert_int_equal(f->task.replica.incarnation, 12);
}

// A worker that had no time sees both at once: first it is lost, then held by another.
static void a_loss_and_an_admission_seen_together(void **state)
{
	struct fixture *f = *state;
	lose(f, true);
	engine_admit(f->engine, OTHER, 1);
	look(f);
	assert_int_equal(role(f), REPLICA_ALONE);
	assert_true(has_admitted(f));
}

static void an_admission_that_was_missed_is_passed_over(void **state)
{
	struct fixture *f = *state;
	lose(f, true);
	look(f);
	f->boots[OTHER] = 8;
	engine_admit(f->engine, OTHER, 1);
	lose(f, true);
	look(f);
	assert_false(has_admitted(f));
	assert_int_equal(f->task.replica.incarnation, 0);
	f->boots[OTHER] = 9;
	engine_admit(f->engine, OTHER, 1);
	look(f);
	assert_true(has_admitted(f));
	assert_int_equal(f->task.replica.incarnation, 9);
}

// Between two looks lost, admitted and lost again: what was admitted is let go.
static void lost_again_it_counts_as_lost(void **state)
{
	struct fixture *f = *state;
	lose(f, true);
	engine_admit(f->engine, OTHER, 1);
	look(f);
	engine_feed(f->engine, OTHER, 1);
	look(f);
	assert_int_equal(role(f), REPLICA_FEEDS);
	lose(f, true);
	assert_false(has_admitted(f));
	engine_admit(f->engine, OTHER, 1);
	look(f);
	assert_int_equal(role(f), REPLICA_ALONE); // and is not fed before that is told anew
	assert_true(has_admitted(f));
	look(f);
	assert_int_equal(role(f), REPLICA_ALONE);
	engine_feed(f->engine, OTHER, 1);
	look(f);
	assert_int_equal(role(f), REPLICA_FEEDS);
}

static void admitted_twice_is_no_error(void **state)
{
	struct fixture *f = *state;
	engine_admit(f->engine, OTHER, 1); // not lost
	look(f);
	assert_int_equal(role(f), REPLICA_OWNER);
	lose(f, true);
	engine_admit(f->engine, OTHER, 1);
	look(f);
	engine_feed(f->engine, OTHER, 1);
	look(f);
	engine_admit(f->engine, OTHER, 1);
	engine_feed(f->engine, OTHER, 1);
	look(f);
	assert_int_equal(role(f), REPLICA_FEEDS);
}

// What goes wrong with a task's state gives the repair up here, and is there to be read.
static void a_failure_gives_the_repair_up(void **state)
{
	struct fixture *f = *state;
	lose(f, true);
	engine_admit(f->engine, OTHER, 1);
	engine_feed(f->engine, OTHER, 1);
	look(f);
	assert_null(engine_repair_error(f->engine, OTHER, 1));
	f->task.replica.feed.failure = "no";
	look(f);
	assert_int_equal(role(f), REPLICA_ALONE);
	assert_string_equal(engine_repair_error(f->engine, OTHER, 1), "no");
	assert_false(engine_has_repaired(f->engine, OTHER, 1));
	lose(f, true);
	assert_null(engine_repair_error(f->engine, OTHER, 1));
	engine_admit(f->engine, OTHER, 1);
	engine_feed(f->engine, OTHER, 1);
	look(f);
	assert_int_equal(role(f), REPLICA_FEEDS);
	assert_null(engine_repair_error(f->engine, OTHER, 1));
}

static void it_is_repaired_once_all_is_accounted_for(void **state)
{
	struct fixture *f = *state;
	lose(f, true);
	engine_admit(f->engine, OTHER, 1);
	engine_feed(f->engine, OTHER, 1);
	look(f);
	f->task.replica.role = REPLICA_OWNER;
	f->task.replica.feed.stage = FEED_GATED;
	look(f);
	assert_false(engine_has_repaired(f->engine, OTHER, 1));
	f->task.replica.feed.stage = FEED_DONE;
	look(f);
	assert_true(engine_has_repaired(f->engine, OTHER, 1));
	lose(f, false);
	assert_false(engine_has_repaired(f->engine, OTHER, 1));
}

// A replica counts from when it takes over, a new one not before.
static void who_counts_follows_what_is_told(void **state)
{
	struct fixture *f = *state;
	assert_true(f->engine->counts[0]);
	f->tasks[0].standing = PLAN_REPLICA;
	engine_create_losses(f->engine);
	assert_false(f->engine->counts[0]);
	lose(f, false);
	assert_true(f->engine->counts[0]);
	f->tasks[0].standing = PLAN_PRIMARY;
	f->engine->config.repair = true;
	engine_create_losses(f->engine);
	assert_false(f->engine->counts[0]);
	lose(f, true);
	assert_true(f->engine->counts[0]);
}

static void memory_is_lent_and_taken_back(void **state)
{
	struct loan l = {0};
	assert_true(loan_is_settled(&l));
	loan_ask(&l, 1000);
	assert_false(loan_is_settled(&l));
	loan_serve(&l, SIZE_MAX);
	assert_true(loan_is_settled(&l));
	assert_non_null(l.data);
	memset(l.data, 1, 1000);
	loan_ask(&l, 100000); // larger, instead
	loan_serve(&l, SIZE_MAX);
	memset(l.data, 1, 100000);
	loan_serve(&l, SIZE_MAX); // nothing was asked
	assert_int_equal(l.data[99999], 1);
	loan_ask(&l, SIZE_MAX);
	loan_serve(&l, SIZE_MAX);
	assert_true(loan_is_settled(&l));
	assert_null(l.data);
	loan_ask(&l, 8);
	loan_serve(&l, SIZE_MAX);
	loan_ask(&l, 0);
	loan_serve(&l, SIZE_MAX);
	assert_null(l.data);
	loan_destroy(&l);
}

// The agent has other things to do than to get all of it at once.
static void memory_comes_and_goes_in_parts(void **state)
{
	enum { PART = 16384, BYTES = 10 * PART - 100 };
	struct loan l = {0};
	loan_ask(&l, BYTES);
	for (int part = 1; part <= 10; part++) {
		assert_false(loan_is_settled(&l));
		assert_in_range(loan_serve(&l, PART), 1, PART);
	}
	assert_true(loan_is_settled(&l));
	memset(l.data, 1, BYTES);
	loan_ask(&l, 3 * PART);
	for (int part = 1; part <= 13; part++) {
		assert_false(loan_is_settled(&l));
		assert_int_equal(loan_serve(&l, PART), PART);
	}
	assert_true(loan_is_settled(&l));
	for (uint32_t i = 0; i < 3 * PART; i++)
		assert_int_equal(l.data[i], 0);
	loan_destroy(&l);
}

#define LOSSES_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOSSES_TEST(an_owner_waits_until_it_may_do_without),
		LOSSES_TEST(a_loss_is_noted_once),
		LOSSES_TEST(a_loss_that_was_written_is_none_of_those),
		LOSSES_TEST(an_admission_waits_for_that),
		LOSSES_TEST(its_boot_is_the_later_of_both_ends),
		LOSSES_TEST(a_loss_and_an_admission_seen_together),
		LOSSES_TEST(an_admission_that_was_missed_is_passed_over),
		LOSSES_TEST(lost_again_it_counts_as_lost),
		LOSSES_TEST(admitted_twice_is_no_error),
		LOSSES_TEST(a_failure_gives_the_repair_up),
		LOSSES_TEST(it_is_repaired_once_all_is_accounted_for),
		LOSSES_TEST(who_counts_follows_what_is_told),
		cmocka_unit_test(memory_is_lent_and_taken_back),
		cmocka_unit_test(memory_comes_and_goes_in_parts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
