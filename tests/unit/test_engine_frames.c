// A pool of frames outlives its job until whoever still holds one has given it back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <rte_mbuf.h>
#include <rte_memory.h>

#include "dataplane/engine.h"
#include "dataplane/engine_frames.h"

enum { FRAMES = 7, ROOM = 1024, MANY = 9000, LARGE = 60 << 10 };

static bool huge;

static struct rte_mempool *create(char *ret_name)
{
	struct rte_mempool *pool = engine_frames_create(FRAMES, ROOM, SOCKET_ID_ANY);
	assert_non_null(pool);
	snprintf(ret_name, RTE_MEMPOOL_NAMESIZE, "%s", pool->name);
	return pool;
}

static void test_one_that_is_whole_goes_at_once(void **state)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	engine_frames_free(create(name));
	assert_null(rte_mempool_lookup(name));
}

static void test_one_that_a_link_holds_a_frame_of_stays(void **state)
{
	char name[RTE_MEMPOOL_NAMESIZE], other[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool = create(name);
	struct rte_mbuf *held = rte_pktmbuf_alloc(pool);
	engine_frames_free(pool);
	assert_ptr_equal(rte_mempool_lookup(name), pool);
	engine_frames_free(create(other));
	assert_ptr_equal(rte_mempool_lookup(name), pool);
	rte_pktmbuf_free(held);
	engine_frames_free(create(other));
	assert_null(rte_mempool_lookup(name));
}

static int refuse(int socket, size_t limit, size_t asked)
{
	return -1;
}

static void use_all(struct rte_mempool *pool, uint32_t count)
{
	struct rte_mbuf *held[MANY];
	uint32_t taken = 0;
	assert_int_equal(pool->size, count);
	for (; taken < count; taken++) {
		held[taken] = rte_pktmbuf_alloc(pool);
		assert_non_null(held[taken]);
		uint16_t room = rte_pktmbuf_tailroom(held[taken]);
		memset(rte_pktmbuf_append(held[taken], room), (int)taken, room);
	}
	assert_null(rte_pktmbuf_alloc(pool));
	while (taken-- > 0) {
		const uint8_t *data = rte_pktmbuf_mtod(held[taken], uint8_t *);
		assert_int_equal(data[0], (uint8_t)taken);
		assert_int_equal(data[rte_pktmbuf_data_len(held[taken]) - 1], (uint8_t)taken);
		rte_pktmbuf_free(held[taken]);
	}
	assert_true(rte_mempool_full(pool));
}

// More than EAL has, and it gets no more.
static void test_huge_pages_that_are_gone_are_done_without(void **state)
{
	const struct {
		uint32_t frames;
		uint16_t room;
	} pools[] = {{MANY, 2048}, {400, LARGE}};
	if (!huge)
		skip();
	assert_int_equal(rte_mem_alloc_validator_register("refuse", refuse, 0, 1), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct rte_mempool *pool = engine_frames_create(pools[i].frames, pools[i].room, 0);
		assert_non_null(pool);
		use_all(pool, pools[i].frames);
		engine_frames_free(pool);
	}
	assert_int_equal(rte_mem_alloc_validator_unregister("refuse", 0), 0);
}

static int setup(void **state)
{
	return engine_eal_start(64 << 20, &huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_is_whole_goes_at_once),
		cmocka_unit_test(test_one_that_a_link_holds_a_frame_of_stays),
		cmocka_unit_test(test_huge_pages_that_are_gone_are_done_without),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
