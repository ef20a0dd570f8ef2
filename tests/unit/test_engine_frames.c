// A pool of frames outlives its job until whoever still holds one has given it back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "dataplane/engine.h"
#include "dataplane/engine_frames.h"

enum { FRAMES = 7, ROOM = 1024 };

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

static int setup(void **state)
{
	bool huge;
	return engine_eal_start(64 << 20, &huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_is_whole_goes_at_once),
		cmocka_unit_test(test_one_that_a_link_holds_a_frame_of_stays),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
