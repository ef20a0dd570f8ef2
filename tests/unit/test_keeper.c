// The keeper: how long a killed process with much memory holds its connections.
#include "control/keeper.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MEMORY_BYTES = 512 << 20, ROUNDS = 3 };

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

// The process under test: says over `end` that it is there, and stays until it is killed.
static void live(int end, bool kept)
{
	char said = 'm';
	setpgid(0, 0);
	if (kept && keeper_start(&(int){0}, 1) != 0)
		said = 'x';
	signal(SIGTERM, SIG_IGN); // this process; the keeper is not told
	uint8_t *memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, MEMORY_BYTES, MADV_NOHUGEPAGE) != 0)
		_exit(1);
	memset(memory, 1, MEMORY_BYTES);
	if (write(end, &said, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static pid_t begin(bool kept, int *ret_end)
{
	int ends[2];
	char said = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid_t process = fork();
	assert_true(process >= 0);
	if (process == 0) {
		close(ends[0]);
		live(ends[1], kept);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &said, 1), 1);
	if (said != 'm') { // a kernel without what it needs
		kill(process, SIGKILL);
		exit(77);
	}
	*ret_end = ends[0];
	return process;
}

// From the kill until the other end's connection breaks.
static int64_t death_ns(bool kept)
{
	int end;
	char none;
	pid_t process = begin(kept, &end);
	int64_t before = now_ns();
	assert_int_equal(kill(process, SIGKILL), 0);
	assert_int_equal(read(end, &none, 1), 0);
	int64_t took = now_ns() - before;
	assert_int_equal(waitpid(process, NULL, 0), process);
	close(end);
	return took;
}

static void memory_is_given_back_after_connections(void **state)
{
	int64_t alone = INT64_MAX, kept = INT64_MAX;
	for (int i = 0; i < ROUNDS; i++) {
		int64_t took = death_ns(false);
		alone = took < alone ? took : alone;
		took = death_ns(true);
		kept = took < kept ? took : kept;
	}
	print_message("broken after %.2f ms, with a keeper after %.2f ms\n", (double)alone / 1e6,
		(double)kept / 1e6);
	assert_true(kept < alone / 3);
}

// It outlives signals to the whole group, and then ends by itself: whoever takes its process's
// orphans finds that it ended well.
static void it_ends_with_its_process(void **state)
{
	int end, status;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	pid_t process = begin(true, &end);
	assert_int_equal(kill(-process, SIGTERM), 0);
	usleep(10000);
	assert_int_equal(kill(process, SIGKILL), 0);
	assert_int_equal(waitpid(process, &status, 0), process);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	pid_t keeper = waitpid(-1, &status, __WALL);
	assert_true(keeper > 0 && keeper != process);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(waitpid(-1, &status, __WALL), -1);
	assert_int_equal(errno, ECHILD);
	close(end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_given_back_after_connections),
		cmocka_unit_test(it_ends_with_its_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
