// `weir nexmark`, in a process of its own.
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/commands.h"

static char directory[64]; // of the test
static char out[80];       // not there at first
static char said[1024];    // on stderr

static int directory_make(void **state)
{
	strcpy(directory, "/tmp/weir-nexmark-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(out, sizeof(out), "%s/out", directory);
	return 0;
}

static int directory_remove(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

// Start `weir nexmark` with the options in `line`, separated by spaces, and --out `out`.
static pid_t command_start(const char *line)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	char *argv[16] = {(char *)"weir nexmark", (char *)"--out", out}, copy[256];
	int argc = 3;
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	char errors[96];
	snprintf(errors, sizeof(errors), "%s/stderr", directory);
	dup2(open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
	dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
	exit(nexmark_command(argc, argv));
}

// Returns the exit code; what it said on stderr is in `said`.
static int command_end(pid_t pid)
{
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	char errors[96];
	snprintf(errors, sizeof(errors), "%s/stderr", directory);
	FILE *file = fopen(errors, "r");
	assert_non_null(file);
	said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
	fclose(file);
	return WEXITSTATUS(status);
}

static int command_run(const char *line)
{
	return command_end(command_start(line));
}

static int files_count(const char *where)
{
	DIR *d = opendir(where);
	int count = 0;
	if (!d)
		return -1;
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return count;
}

static const char *const names[] = {"person.csv", "auction.csv", "bid.csv"};

static void same_as_beam(const char *sample)
{
	for (int i = 0; i < 3; i++) {
		char command[512];
		snprintf(command, sizeof(command), "cmp '%s/%s' '%s/nexmark/%s/%s'", out, names[i],
			WEIR_TEST_DATA, sample, names[i]);
		assert_int_equal(system(command), 0);
	}
	assert_int_equal(files_count(out), 3);
}

static void writes_what_beam_does(void **state)
{
	assert_int_equal(command_run("--events 1000"), 0);
	same_as_beam("group1");
	assert_int_equal(command_run("--events 2000 --rate 1000/s --group 50"), 0);
	same_as_beam("group50"); // and has replaced the former ones
	assert_int_equal(command_run("-e 2000 -r 1M/s -g 1000"), 0);
	same_as_beam("group1000");
	assert_string_equal(said, "");
}

static void wrong_use_exits_with_2(void **state)
{
	static const char *const lines[][2] = {
		{"", "give --events and --out"},
		{"--events ten", "ten is not a whole number"},
		{"--events -1", "-1 is out of bounds"},
		{"--events 1 --rate 0", "0 is out of bounds"},
		{"--events 1 --rate 3G/s", "3G/s is out of bounds"},
		{"--events 1 --group 0", "0 is out of bounds"},
		{"--events 1000000000000 --rate 1", "2262"},
		{"--events 1 extra", "extra is one too many"},
		{"--event_count 1", "unrecognized"},
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(command_run(lines[i][0]), 2);
		assert_non_null(strstr(said, lines[i][1]));
		assert_int_equal(files_count(out), -1);
	}
}

static void failures_leave_nothing(void **state)
{
	char where[128];
	strcat(out, "/deeper");
	assert_int_equal(command_run("--events 10"), 1);
	assert_non_null(strstr(said, "/out/deeper: No such file or directory; nothing was"));
	*strrchr(out, '/') = '\0';
	assert_int_equal(mkdir(out, 0700), 0);
	snprintf(where, sizeof(where), "%s/bid.csv", out);
	assert_int_equal(mkdir(where, 0700), 0);
	assert_int_equal(command_run("--events 10"), 1);
	assert_non_null(strstr(said, "/out/bid.csv: Is a directory; nothing was"));
	assert_int_equal(files_count(out), 1);
}

static void full_disk_leaves_nothing(void **state)
{
	assert_int_equal(mkdir(out, 0700), 0);
	if (geteuid() != 0 || mount("none", out, "tmpfs", 0, "size=1m") < 0)
		skip();
	int first = command_run("--events 1000");
	struct stat before, after;
	char where[128];
	snprintf(where, sizeof(where), "%s/person.csv", out);
	int seen = stat(where, &before);
	int second = command_run("--events 7500"); // the last file fails when it is synced
	seen += stat(where, &after);
	int left = files_count(out);
	// In a directory of its own: that goes as well.
	strcat(out, "/own");
	int third = command_run("--events 100000");
	int own = files_count(out);
	*strrchr(out, '/') = '\0';
	umount(out);
	assert_int_equal(first, 0);
	assert_int_equal(second, 1);
	assert_int_equal(third, 1);
	assert_non_null(strstr(said, "No space left on device; nothing was written"));
	assert_int_equal(seen, 0);
	assert_int_equal(after.st_ino, before.st_ino); // the former ones stay
	assert_int_equal(left, 3);
	assert_int_equal(own, -1);
}

// Whether a file of the process holds something; it may have no name yet.
static bool has_written(pid_t pid)
{
	char where[64], target[256];
	for (int fd = 3; fd < 32; fd++) {
		struct stat s;
		snprintf(where, sizeof(where), "/proc/%d/fd/%d", (int)pid, fd);
		ssize_t length = readlink(where, target, sizeof(target) - 1);
		target[length < 0 ? 0 : length] = '\0';
		if (strncmp(target, out, strlen(out)) == 0 && stat(where, &s) == 0 &&
			S_ISREG(s.st_mode) && s.st_size > 0)
			return true;
	}
	return false;
}

static void interrupted(int signal)
{
	pid_t pid = command_start("--events 1000000000000");
	bool writes = false;
	for (int i = 0; i < 5000 && !writes; i++) {
		usleep(2000);
		writes = has_written(pid);
	}
	assert_int_equal(kill(pid, signal), 0);
	assert_int_equal(command_end(pid), 1);
	assert_true(writes);
	assert_non_null(strstr(said, "interrupted; nothing was written"));
	assert_int_equal(files_count(out), -1);
}

static void interrupt_leaves_nothing(void **state)
{
	interrupted(SIGINT);
	interrupted(SIGTERM);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, directory_make, directory_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(writes_what_beam_does),
		CASE(wrong_use_exits_with_2),
		CASE(failures_leave_nothing),
		CASE(full_disk_leaves_nothing),
		CASE(interrupt_leaves_nothing),
	};
	return cmocka_run_group_tests_name("nexmark_command", tests, NULL, NULL);
}
