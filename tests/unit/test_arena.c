#include "numa/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALL = 64 << 10, HUGE = 2 << 20 };

static size_t huge_pages_free(void)
{
	size_t count = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "HugePages_Free: %zu", &count);
	fclose(file);
	return count;
}

static size_t resident_pages(struct arena *arena)
{
	size_t page = sysconf(_SC_PAGESIZE), count = arena->bytes / page, resident = 0;
	unsigned char *map = malloc(count);
	assert_non_null(map);
	assert_int_equal(mincore(arena->base, arena->bytes, map), 0);
	for (size_t i = 0; i < count; i++)
		resident += map[i] & 1;
	free(map);
	return resident;
}

static void huge_pages_serve_where_there_are_any(void **state)
{
	if (huge_pages_free() < 2)
		skip();
	struct arena arena;
	assert_int_equal(arena_create(&arena, HUGE + 1, 0, false), 0);
	assert_int_equal(arena.pages, ARENA_PAGES_HUGE);
	assert_int_equal(arena.bytes, 2 * HUGE);
	assert_int_equal(arena.node, 0);
	memset(arena.base, 1, arena.bytes);
	arena_destroy(&arena);
}

// More than the pool of huge pages holds is mapped, lazily, in what else there is.
static void without_huge_pages_others_serve(void **state)
{
	struct arena arena;
	size_t bytes = (huge_pages_free() + 1) * HUGE;
	assert_int_equal(arena_create(&arena, bytes, -1, true), 0);
	assert_int_not_equal(arena.pages, ARENA_PAGES_HUGE);
	assert_true(arena.bytes >= bytes);
	assert_int_equal(arena.node, -1);
	arena.base[0] = arena.base[arena.bytes - 1] = 1;
	assert_true(resident_pages(&arena) < arena.bytes / sysconf(_SC_PAGESIZE));
	arena_destroy(&arena);
}

static void prefault_touches_every_page(void **state)
{
	struct arena arena;
	assert_int_equal(arena_create(&arena, SMALL, 0, false), 0);
	assert_int_equal(arena.pages, ARENA_PAGES_SMALL);
	assert_int_equal(resident_pages(&arena), arena.bytes / sysconf(_SC_PAGESIZE));
	arena_destroy(&arena);
	assert_int_equal(arena_create(&arena, SMALL, 0, true), 0);
	assert_int_equal(resident_pages(&arena), 0);
	arena_destroy(&arena);
}

static void allocations_are_aligned_zeroed_and_apart(void **state)
{
	struct arena arena;
	uint8_t *last = NULL;
	size_t last_bytes = 0;
	assert_int_equal(arena_create(&arena, 4 * SMALL, -1, false), 0);
	for (size_t align = 1; align <= 4096; align *= 2) {
		size_t bytes = align + 3;
		uint8_t *got = arena_alloc(&arena, bytes, align);
		assert_non_null(got);
		assert_int_equal((uintptr_t)got % align, 0);
		assert_true(!last || got >= last + last_bytes);
		for (size_t i = 0; i < bytes; i++)
			assert_int_equal(got[i], 0);
		memset(got, 0xff, bytes);
		last = got;
		last_bytes = bytes;
	}
	arena_destroy(&arena);
}

static void a_full_arena_returns_null(void **state)
{
	struct arena arena;
	assert_int_equal(arena_create(&arena, SMALL, -1, true), 0);
	assert_null(arena_alloc(&arena, SMALL + 1, 1));
	assert_null(arena_alloc(&arena, SIZE_MAX, 64));
	assert_non_null(arena_alloc(&arena, SMALL - 1, 1));
	assert_null(arena_alloc(&arena, 1, 2));
	assert_null(arena_alloc(&arena, SIZE_MAX, 2));
	assert_non_null(arena_alloc(&arena, 1, 1));
	assert_null(arena_alloc(&arena, 1, 1));
	assert_int_equal(arena.used, arena.bytes);
	arena_destroy(&arena);
}

static int signal_of_alloc(bool seal, size_t align)
{
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct arena arena;
		signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr) || arena_create(&arena, SMALL, -1, true))
			_exit(1);
		if (seal)
			arena_seal(&arena);
		_exit(arena_alloc(&arena, 8, align) == NULL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return WTERMSIG(status);
	return WEXITSTATUS(status);
}

static void an_allocation_after_the_seal_is_fatal(void **state)
{
	assert_int_equal(signal_of_alloc(false, 8), 0);
	assert_int_equal(signal_of_alloc(true, 8), SIGABRT);
}

static void an_odd_alignment_is_fatal(void **state)
{
	assert_int_equal(signal_of_alloc(false, 24), SIGABRT);
	assert_int_equal(signal_of_alloc(false, 0), SIGABRT);
}

static void wrong_sizes_and_nodes_are_refused(void **state)
{
	struct arena arena = {.used = 7};
	assert_int_equal(arena_create(&arena, 0, -1, true), -EINVAL);
	assert_int_equal(arena_create(&arena, SIZE_MAX, -1, true), -EINVAL);
	assert_int_equal(arena_create(&arena, SIZE_MAX / 4, -1, true), -ENOMEM);
	assert_int_equal(arena_create(&arena, SMALL, 1000, true), -EINVAL);
	assert_int_equal(arena_create(&arena, SMALL, 1 << 20, true), -EINVAL);
	assert_int_equal(arena.used, 7);
}

static void destroy_takes_null_and_twice(void **state)
{
	struct arena arena;
	arena_destroy(NULL);
	assert_int_equal(arena_create(&arena, 1, -1, true), 0);
	arena_destroy(&arena);
	arena_destroy(&arena);
	assert_null(arena.base);
	assert_null(arena_alloc(&arena, 0, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(huge_pages_serve_where_there_are_any),
		cmocka_unit_test(without_huge_pages_others_serve),
		cmocka_unit_test(prefault_touches_every_page),
		cmocka_unit_test(allocations_are_aligned_zeroed_and_apart),
		cmocka_unit_test(a_full_arena_returns_null),
		cmocka_unit_test(an_allocation_after_the_seal_is_fatal),
		cmocka_unit_test(an_odd_alignment_is_fatal),
		cmocka_unit_test(wrong_sizes_and_nodes_are_refused),
		cmocka_unit_test(destroy_takes_null_and_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
