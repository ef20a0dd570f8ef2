// A log from an owner to its replica: what the one was told of losses goes with it, and the other
// takes nothing behind before it was told the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "dataplane/engine.h"
#include "dataplane/exchange.h"
#include "dataplane/replica.h"
#include "numa/arena.h"

enum { FRAME_BYTES = 160, FRAMES = 8, WORKERS = 20 };
enum { LOSSES_A_FRAME = (FRAME_BYTES - FRAME_HEADER_BYTES) / FRAME_LOSS_BYTES };

struct side {
	struct replica replica;
	struct order_log log;
	struct told_losses told;
	struct told_loss of[WORKERS];
};

struct fixture {
	struct rte_mempool *pool;
	struct arena arena;
	struct channel log, back; // the log's, and the other way's
	struct exchange exchange; // that leads nowhere
	struct side owner, other;
	uint64_t logged;
};

static void create_side(struct fixture *f, struct side *side, enum replica_role role)
{
	const struct replica_config config = {.role = role,
		.out = role == REPLICA_OWNER ? &f->log : &f->back,
		.in = role == REPLICA_OWNER ? &f->back : &f->log,
		.told = &side->told,
		.pool = f->pool,
		.incarnation = 3,
		.arena = &f->arena};
	side->told = (struct told_losses){.workers = WORKERS, .of = side->of};
	assert_int_equal(order_log_create(&side->log, 1024, &f->arena), 0);
	assert_int_equal(replica_create(&side->replica, &config), 0);
}

static int set_up(void **state)
{
	static struct fixture f;
	struct channel_config config = {.id = 5, .frame_bytes = FRAME_BYTES, .frames = FRAMES};
	memset(&f, 0, sizeof(f));
	f.pool = rte_pktmbuf_pool_create("test", 2 * (FRAMES + CHANNEL_CONTROL_FRAMES), 0, 0,
		RTE_PKTMBUF_HEADROOM + FRAME_BYTES, SOCKET_ID_ANY);
	assert_non_null(f.pool);
	assert_int_equal(arena_create(&f.arena, 1 << 20, -1, false), 0);
	assert_int_equal(channel_create(&f.log, &config, &f.arena), 0);
	config.id = 6;
	assert_int_equal(channel_create(&f.back, &config, &f.arena), 0);
	create_side(&f, &f.owner, REPLICA_OWNER);
	create_side(&f, &f.other, REPLICA_FOLLOWS);
	*state = &f;
	return 0;
}

// Whatever happened, every mbuf is still somewhere.
static int tear_down(void **state)
{
	struct fixture *f = *state;
	credit_drain(&f->owner.replica.credit);
	credit_drain(&f->other.replica.credit);
	replica_drain(&f->other.replica);
	channel_drain(&f->log, NULL, NULL);
	channel_drain(&f->back, NULL, NULL);
	assert_true(rte_mempool_full(f->pool));
	rte_mempool_free(f->pool);
	arena_destroy(&f->arena);
	return 0;
}

static void tell(struct side *side, uint32_t worker, uint64_t incarnation, bool written)
{
	side->told.of[worker] = (struct told_loss){incarnation, written ? 0 : ++side->told.count};
}

// The owner makes an entry and streams what it may; the other takes what it may.  Returns the
// entries that it has taken so far.
static uint64_t go_on(struct fixture *f, bool makes)
{
	const struct order_entry entry = {.kind = ORDER_READ, .position = ++f->logged};
	if (makes) {
		order_log_append(&f->owner.log, &entry);
		order_log_seal(&f->owner.log);
	}
	replica_send(&f->owner.replica, &f->owner.log, &f->exchange);
	replica_take_log(&f->other.replica, &f->other.log);
	f->other.log.replay = f->other.log.next; // obeyed
	return f->other.log.next;
}

static void what_is_behind_a_loss_waits_for_the_same_news(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(go_on(f, true), 1);
	tell(&f->owner, 4, 100, false);
	assert_int_equal(go_on(f, true), 1);
	tell(&f->other, 5, 101, false); // of another
	tell(&f->other, 4, 99, false);  // of the same place, before it was repaired
	assert_int_equal(go_on(f, true), 1);
	tell(&f->other, 4, 100, true);
	assert_int_equal(go_on(f, false), 3);
	assert_int_equal(go_on(f, true), 4); // said once
	assert_int_equal(f->log.snapshot_number, 4);
}

static void what_is_written_need_not_be_said(void **state)
{
	struct fixture *f = *state;
	tell(&f->owner, 4, 100, true);
	assert_int_equal(go_on(f, true), 1);
}

static void one_that_was_told_before_does_not_wait(void **state)
{
	struct fixture *f = *state;
	tell(&f->other, 4, 100, false);
	tell(&f->owner, 4, 100, false);
	assert_int_equal(go_on(f, true), 1);
}

static void more_losses_than_a_frame_takes(void **state)
{
	struct fixture *f = *state;
	for (uint32_t i = 0; i <= LOSSES_A_FRAME; i++)
		tell(&f->owner, i, 100 + i, false);
	for (uint32_t i = 0; i < LOSSES_A_FRAME; i++)
		tell(&f->other, i, 100 + i, false);
	assert_int_equal(go_on(f, true), 0);
	tell(&f->other, LOSSES_A_FRAME, 100 + LOSSES_A_FRAME, false);
	assert_int_equal(go_on(f, true), 2);
}

static void of_a_place_lost_again_the_last_loss_is_said(void **state)
{
	struct fixture *f = *state;
	tell(&f->owner, 4, 100, false);
	for (uint32_t i = 0; i < LOSSES_A_FRAME; i++) // none of them is the last one's any more
		tell(&f->owner, 4, 101 + i, false);
	tell(&f->other, 4, 100, false);
	assert_int_equal(go_on(f, true), 0);
	tell(&f->other, 4, 100 + LOSSES_A_FRAME, false);
	assert_int_equal(go_on(f, false), 1);
}

static void who_takes_over_gives_back_what_it_had_in_hand(void **state)
{
	struct fixture *f = *state;
	tell(&f->owner, 4, 100, false);
	assert_int_equal(go_on(f, true), 0);
	assert_non_null(f->other.replica.untold);
	replica_let_go(&f->other.replica);
	assert_null(f->other.replica.untold);
	assert_int_equal(rte_ring_count(f->log.back), 1);
}

// Who has the place since knows from the record what was lost before.
static void nothing_of_before_is_said_to_one_admitted(void **state)
{
	struct fixture *f = *state;
	tell(&f->owner, 4, 100, false);
	f->owner.replica.role = REPLICA_ALONE;
	replica_admit(&f->owner.replica, 3);
	f->owner.replica.role = REPLICA_OWNER;
	assert_int_equal(go_on(f, true), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(what_is_behind_a_loss_waits_for_the_same_news),
		TEST(what_is_written_need_not_be_said),
		TEST(one_that_was_told_before_does_not_wait),
		TEST(more_losses_than_a_frame_takes),
		TEST(of_a_place_lost_again_the_last_loss_is_said),
		TEST(who_takes_over_gives_back_what_it_had_in_hand),
		TEST(nothing_of_before_is_said_to_one_admitted),
	};
	bool huge;
	if (engine_eal_start(64 << 20, &huge) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
