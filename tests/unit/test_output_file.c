#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "dataplane/output_file.h"

static char directory[64];
static char path[80];
static uint8_t buffer[16];
static struct output_file file;

static int directory_make(void **state)
{
	strcpy(directory, "/tmp/weir-output-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/out.csv", directory);
	return 0;
}

// Returns how many files there are.
static int directory_count(void)
{
	DIR *d = opendir(directory);
	int count = 0;
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return count;
}

static int directory_remove(void **state)
{
	unlink(path);
	return rmdir(directory);
}

static void path_holds(const char *expected)
{
	char text[256];
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t length = fread(text, 1, sizeof(text), f);
	fclose(f);
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(text, expected, length);
}

static void appears_when_published(void **state)
{
	assert_int_equal(output_file_open(&file, path, buffer, sizeof(buffer)), 0);
	static const char text[] = "more than the buffer of sixteen bytes holds";
	assert_int_equal(output_file_write(&file, text, 3), 0);
	assert_int_equal(output_file_write(&file, text + 3, strlen(text) - 3), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(output_file_publish(&file), 0);
	path_holds(text);
	assert_int_equal(directory_count(), 1);
	struct stat s;
	assert_int_equal(stat(path, &s), 0);
	mode_t mask = umask(0);
	umask(mask);
	assert_int_equal(s.st_mode & 0777, 0666 & ~mask);
}

static void reserves_in_place(void **state)
{
	assert_int_equal(output_file_open(&file, path, buffer, sizeof(buffer)), 0);
	for (int i = 0; i < 10; i++) {
		int error = 0;
		uint8_t *at = output_file_reserve(&file, 8, &error);
		assert_non_null(at);
		assert_true(at >= buffer && at + 8 <= buffer + sizeof(buffer));
		memcpy(at, "01234567", 8);
		output_file_use(&file, 5);
	}
	assert_int_equal(output_file_publish(&file), 0);
	path_holds("01234012340123401234012340123401234012340123401234");
}

static void discarded_leaves_the_old(void **state)
{
	assert_int_equal(output_file_open(&file, path, buffer, sizeof(buffer)), 0);
	assert_int_equal(output_file_write(&file, "old", 3), 0);
	assert_int_equal(output_file_publish(&file), 0);
	assert_int_equal(output_file_open(&file, path, buffer, sizeof(buffer)), 0);
	assert_int_equal(output_file_write(&file, "a newer and longer text", 23), 0);
	path_holds("old");
	output_file_discard(&file);
	output_file_discard(&file);
	path_holds("old");
	assert_int_equal(directory_count(), 1);
}

// With as long a name as there can be; one byte more is said at once, not when all is done.
static void names_of_any_length(void **state)
{
	char name[NAME_MAX + 2], longest[sizeof(directory) + sizeof(name)];
	memset(name, 'n', sizeof(name) - 1);
	name[NAME_MAX] = '\0';
	snprintf(longest, sizeof(longest), "%s/%s", directory, name);
	for (int i = 0; i < 2; i++) { // the second takes the first's place
		assert_int_equal(output_file_open(&file, longest, buffer, sizeof(buffer)), 0);
		assert_int_equal(output_file_publish(&file), 0);
		assert_int_equal(directory_count(), 1);
	}
	assert_int_equal(unlink(longest), 0);
	name[NAME_MAX] = 'n';
	name[NAME_MAX + 1] = '\0';
	snprintf(longest, sizeof(longest), "%s/%s", directory, name);
	assert_int_equal(output_file_open(&file, longest, buffer, sizeof(buffer)), -ENAMETOOLONG);
}

// Killed where nothing can be cleaned up.
static void a_killed_process_leaves_nothing(void **state)
{
	int probe = open(directory, O_TMPFILE | O_WRONLY, 0666);
	if (probe < 0)
		skip(); // this file system knows only names
	close(probe);
	pid_t child = fork();
	if (child == 0) {
		static const char text[] = "more than the buffer of sixteen bytes holds";
		bool good = output_file_open(&file, path, buffer, sizeof(buffer)) == 0 &&
			output_file_write(&file, text, sizeof(text)) == 0 &&
			output_file_sync(&file) == 0;
		raise(good ? SIGKILL : SIGTERM);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(directory_count(), 0);
}

// Without /proc nothing unnamed can be given a name.
static bool publish_without_proc(void)
{
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		return false;
	for (int i = 0; i < 2; i++) {
		if (output_file_open(&file, path, buffer, sizeof(buffer)) != 0 ||
			file.temporary[0] == '\0' || access(file.temporary, F_OK) < 0 ||
			output_file_write(&file, "whole", 5) != 0 ||
			output_file_publish(&file) != 0 || directory_count() != 1)
			return false;
	}
	return true;
}

static void a_temporary_name_serves_where_there_must_be_one(void **state)
{
	pid_t child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWNS) < 0)
			_exit(77);
		_exit(publish_without_proc() ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
	path_holds("whole");
}

static void two_at_once(void **state)
{
	static uint8_t other_buffer[16];
	struct output_file other;
	assert_int_equal(output_file_open(&file, path, buffer, sizeof(buffer)), 0);
	assert_int_equal(output_file_open(&other, path, other_buffer, sizeof(other_buffer)), 0);
	assert_int_equal(output_file_write(&file, "first", 5), 0);
	assert_int_equal(output_file_write(&other, "second", 6), 0);
	assert_int_equal(output_file_publish(&file), 0);
	path_holds("first");
	assert_int_equal(output_file_publish(&other), 0);
	path_holds("second");
	assert_int_equal(directory_count(), 1);
}

static void says_what_is_wrong(void **state)
{
	char bad[5000];
	snprintf(bad, sizeof(bad), "%s/absent/out.csv", directory);
	assert_int_equal(output_file_open(&file, bad, buffer, sizeof(buffer)), -ENOENT);
	output_file_discard(&file);
	assert_int_equal(output_file_open(&file, directory, buffer, sizeof(buffer)), -EISDIR);
	snprintf(bad, sizeof(bad), "%s/", directory);
	assert_int_equal(output_file_open(&file, bad, buffer, sizeof(buffer)), -EISDIR);
	assert_int_equal(output_file_open(&file, "", buffer, sizeof(buffer)), -ENOENT);
	memset(bad, 'x', sizeof(bad) - 1);
	bad[sizeof(bad) - 1] = '\0';
	assert_int_equal(output_file_open(&file, bad, buffer, sizeof(buffer)), -ENAMETOOLONG);
	assert_int_equal(directory_count(), 0);
}

static void full_disk_leaves_nothing(void **state)
{
	if (geteuid() != 0 || mount("none", directory, "tmpfs", 0, "size=64k") < 0)
		skip();
	static uint8_t large[4096];
	static const uint8_t zeros[4096];
	assert_int_equal(output_file_open(&file, path, large, sizeof(large)), 0);
	int error = 0;
	for (int i = 0; i < 32 && !error; i++)
		error = output_file_write(&file, zeros, sizeof(zeros));
	int published = output_file_publish(&file);
	int left = directory_count();
	umount(directory);
	assert_int_equal(error, -ENOSPC);
	assert_int_equal(published, -ENOSPC);
	assert_int_equal(left, 0);
}

// Else the file would be there, and the job be told that it is not.
static void publishes_with_no_descriptor_left(void **state)
{
	assert_int_equal(output_file_open(&file, path, buffer, sizeof(buffer)), 0);
	assert_int_equal(output_file_write(&file, "whole", 5), 0);
	struct rlimit before;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit none = {0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int error = output_file_publish(&file);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(error, 0);
	path_holds("whole");
}

static void knows_a_place_by_several_names(void **state)
{
	char detour[128], other[128];
	snprintf(detour, sizeof(detour), "%s/.//out.csv", directory);
	snprintf(other, sizeof(other), "%s/other.csv", directory);
	assert_true(output_path_equal(path, path));
	assert_true(output_path_equal(path, detour));
	assert_true(output_path_equal("a.csv", "./a.csv"));
	assert_false(output_path_equal(path, other));
	assert_false(output_path_equal(path, "out.csv"));
	assert_true(output_path_equal("none/a.csv", "none/a.csv"));
	assert_false(output_path_equal("none/a.csv", "none/b.csv"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, directory_make, directory_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(appears_when_published),
		CASE(reserves_in_place),
		CASE(discarded_leaves_the_old),
		CASE(names_of_any_length),
		CASE(a_killed_process_leaves_nothing),
		CASE(a_temporary_name_serves_where_there_must_be_one),
		CASE(two_at_once),
		CASE(says_what_is_wrong),
		CASE(publishes_with_no_descriptor_left),
		CASE(knows_a_place_by_several_names),
		CASE(full_disk_leaves_nothing),
	};
	return cmocka_run_group_tests_name("output_file", tests, NULL, NULL);
}
