// State memory: size classes, reuse, splitting, exhaustion.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state/pool.h"

enum { POOL_BYTES = 1 << 20 };

static int setup(void **state)
{
	static struct arena arena;
	static struct pool pool;
	if (arena_create(&arena, 2 * POOL_BYTES, -1, true) ||
		pool_create(&pool, &arena, POOL_BYTES))
		return -1;
	*state = &pool;
	return 0;
}

static int setup_too_small(void **state)
{
	static struct arena arena;
	*state = &arena;
	return arena_create(&arena, 4096, -1, true);
}

static void test_blocks_are_aligned_and_apart(void **state)
{
	struct pool *pool = *state;
	uint8_t *a = pool_alloc(pool, 1), *b = pool_alloc(pool, 65), *c = pool_alloc(pool, 128);
	assert_int_equal((uintptr_t)a % 64 + (uintptr_t)b % 64 + (uintptr_t)c % 64, 0);
	assert_true(b >= a + 64 && c >= b + 128);
	assert_int_equal(pool->used, 64 + 128 + 128);
	pool_free(pool, b, 65);
	assert_int_equal(pool->used, 64 + 128);
	assert_ptr_equal(pool_alloc(pool, 100), b);
	pool_free(pool, NULL, 10);
}

static void test_exhausted_pool_splits_then_fails(void **state)
{
	struct pool *pool = *state;
	void *whole = pool_alloc(pool, POOL_BYTES);
	assert_non_null(whole);
	assert_null(pool_alloc(pool, 1));
	pool_free(pool, whole, POOL_BYTES);
	uint32_t small = 0;
	while (pool_alloc(pool, 4096) != NULL)
		small++;
	assert_int_equal(small, POOL_BYTES / 4096);
	assert_int_equal(pool->used, POOL_BYTES);
	assert_null(pool_alloc(pool, SIZE_MAX / 2));
}

static void test_create_needs_room(void **state)
{
	struct pool pool;
	assert_true(pool_create(&pool, *state, (size_t)64 << 20) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_blocks_are_aligned_and_apart, setup),
		cmocka_unit_test_setup(test_exhausted_pool_splits_then_fails, setup),
		cmocka_unit_test_setup(test_create_needs_room, setup_too_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
