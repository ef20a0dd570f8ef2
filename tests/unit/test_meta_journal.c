// The journal on a real disk; on one that crashes: test_journal_crash.c.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
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

#include "control/meta_journal.h"
#include "tests/unit/journal_fixture.h"

static char directory[] = "/tmp/weir-journal-XXXXXX";
static char folder[64], file[80];

static void open_journal(void)
{
	lease = 0;
	if (meta_journal_open(folder, &events, &meta, why) != 0)
		fail_msg("%s", why);
}

static void reopen(void)
{
	close_journal();
	open_journal();
}

static int folder_make(void **unused)
{
	strcpy(directory, "/tmp/weir-journal-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(folder, sizeof(folder), "%s/meta", directory);
	snprintf(file, sizeof(file), "%s/journal", folder);
	return 0;
}

static int folder_remove(void **unused)
{
	char command[128];
	if (meta)
		close_journal();
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

static void compares_and_swaps(void **unused)
{
	open_journal();
	assert_int_equal(put("a", "one", 0), META_DONE);
	assert_int_equal(revision, 1);
	assert_int_equal(put("a", "two", 0), META_CONFLICT);
	assert_int_equal(put("a", "two", 1), META_DONE);
	assert_int_equal(revision, 2);
	assert_int_equal(put("a", "late", 1), META_CONFLICT);
	assert_int_equal(put("b", "", 0), META_DONE);
	assert_int_equal(put("a", NULL, 2), META_DONE);
	assert_int_equal(revision, 4);
	assert_int_equal(put("a", NULL, 2), META_CONFLICT);
	assert_string_equal(list(""), "b=3:0:1 ");
	assert_int_equal(put("a", "anew", 0), META_DONE);
	reopen();
	assert_string_equal(why, "");
	char expected[64];
	snprintf(expected, sizeof(expected), "a=5:4:%x b=3:0:1 ", sum("anew", 4));
	assert_string_equal(list(""), expected);
	assert_int_equal(revision, 5);
}

static void all_of_it_or_nothing(void **unused)
{
	open_journal();
	assert_int_equal(put("x", "1", 0), META_DONE);
	struct meta_compare c[] = {{"x", 1}, {"y", 7}};
	struct meta_put p[] = {{"x", NULL, 0, false}, {"y", "2", 1, false}, {"z", "3", 1, false}};
	assert_int_equal(txn(&(struct meta_txn){c, 2, p, 3}), META_CONFLICT);
	c[1].revision = 0;
	assert_int_equal(txn(&(struct meta_txn){c, 2, p, 3}), META_DONE);
	reopen();
	assert_string_equal(list("y"), "y=2:1:51 ");
	assert_string_equal(list("z"), "z=2:1:52 ");
	assert_string_equal(list("x"), "");
	assert_int_equal(txn(&(struct meta_txn){NULL, 0, NULL, 0}), META_DONE);
	assert_int_equal(revision, 2);
}

static void lists_by_prefix_in_order(void **unused)
{
	open_journal();
	static const char *const keys[] = {"job/b", "job", "job/a", "jobs/", "job/a/1", "i", "k"};
	for (int i = 0; i < 7; i++)
		assert_int_equal(put(keys[i], "", 0), META_DONE);
	assert_string_equal(list("job/"), "job/a=3:0:1 job/a/1=5:0:1 job/b=1:0:1 ");
	assert_string_equal(list("x"), "");
	assert_int_equal(strncmp(list(""), "i=6:", 4), 0);
}

static void what_is_malformed_is_refused(void **unused)
{
	static char large[META_VALUE_MAX + 1], key[META_KEY_MAX + 2];
	struct meta_put puts[META_OPS_MAX + 1];
	char names[META_OPS_MAX + 1][4];
	memset(key, 'k', META_KEY_MAX + 1);
	open_journal();
	for (int i = 0; i <= META_OPS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "%d", i);
		puts[i] = (struct meta_put){.key = names[i], .value = "", .bytes = 0};
	}
	assert_int_equal(txn(&(struct meta_txn){NULL, 0, puts, META_OPS_MAX + 1}), META_REFUSED);
	assert_int_equal(txn(&(struct meta_txn){NULL, 0, puts, META_OPS_MAX}), META_DONE);
	puts[1].key = puts[0].key;
	assert_int_equal(txn(&(struct meta_txn){NULL, 0, puts, 2}), META_REFUSED);
	puts[0] = (struct meta_put){"v", large, META_VALUE_MAX + 1, false};
	assert_int_equal(txn(&(struct meta_txn){NULL, 0, puts, 1}), META_REFUSED);
	puts[0].bytes = META_VALUE_MAX;
	assert_int_equal(txn(&(struct meta_txn){NULL, 0, puts, 1}), META_DONE);
	assert_int_equal(put(key, "", 0), META_REFUSED);
	assert_int_equal(put("", "", 0), META_REFUSED);
	assert_int_equal(put("n", "", -1), META_REFUSED);
	key[META_KEY_MAX] = 0;
	assert_int_equal(put(key, "", 0), META_DONE);
	reopen();
	assert_string_equal(why, "");
	assert_int_equal(put(key, NULL, 3), META_DONE);
}

static void leased_keys_go_with_the_process(void **unused)
{
	struct meta_put puts[] = {{"leader", "me", 2, true}, {"stays", "", 0, false}};
	struct meta_txn t = {NULL, 0, puts, 2};
	open_journal();
	assert_int_equal(txn(&t), META_REFUSED);
	assert_int_equal(meta->ops->keep_lease(meta, 1000), 0);
	step_all();
	assert_true(lease == INT64_MAX);
	assert_int_equal(txn(&t), META_DONE);
	assert_int_equal(txn(&t), META_DONE);
	assert_int_equal(strncmp(list(""), "leader=2:", 9), 0);
	reopen();
	assert_string_equal(list(""), "stays=2:0:1 ");
	assert_int_equal(revision, 3); // that it went is a change
	reopen();
	assert_string_equal(list(""), "stays=2:0:1 ");
	assert_int_equal(revision, 3);
}

static void hints_come_for_what_is_watched(void **unused)
{
	open_journal();
	assert_int_equal(meta->ops->watch(meta, "job/"), 0);
	hints = 0;
	put("node/1", "", 0);
	assert_int_equal(hints, 0);
	put("job/1", "", 0);
	assert_int_equal(hints, 1);
	put("job/1", "", 0);
	assert_int_equal(hints, 1);
	for (int i = 1; i < JOURNAL_WATCHES_MAX; i++)
		assert_int_equal(meta->ops->watch(meta, "x"), 0);
	assert_int_equal(meta->ops->watch(meta, "x"), -ENOSPC);
}

static void its_queue_is_bounded(void **unused)
{
	struct meta_put p = {"k", "", 0, false};
	struct meta_txn t = {NULL, 0, &p, 1};
	open_journal();
	answers = 0;
	for (int i = 0; i < JOURNAL_QUEUE_MAX; i++)
		assert_int_equal(meta->ops->txn(meta, (uint64_t)i, &t, 0), 0);
	assert_int_equal(meta->ops->txn(meta, 1000, &t, 0), -ENOBUFS);
	assert_int_equal(meta->ops->list(meta, 1000, "", 0), -ENOBUFS);
	assert_int_equal(meta->ops->step(meta, 5), 5);
	assert_int_equal(answers, JOURNAL_STEP_TXNS);
	step_all();
	assert_int_equal(answers, JOURNAL_QUEUE_MAX);
	assert_int_equal(request, JOURNAL_QUEUE_MAX - 1);
	assert_int_equal(meta->ops->txn(meta, 1000, &t, 0), 0); // never answered, given back
}

static void one_process_at_a_time(void **unused)
{
	struct meta *other = NULL;
	open_journal();
	assert_int_equal(meta_journal_open(folder, &events, &other, why), -EBUSY);
	assert_non_null(strstr(why, "another controller"));
	assert_null(other);
	reopen();
}

static size_t file_read(uint8_t *data, size_t room)
{
	int fd = open(file, O_RDONLY);
	ssize_t bytes = read(fd, data, room);
	close(fd);
	assert_true(bytes >= 0);
	return (size_t)bytes;
}

static void file_write(const uint8_t *data, size_t bytes)
{
	int fd = open(file, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, data, bytes), bytes);
	close(fd);
}

// Three transactions; returns the file's bytes and where each ends.
static size_t three_make(uint8_t *data, size_t room, size_t ends[4])
{
	struct stat s;
	open_journal();
	for (int i = 0; i < 4; i++) {
		char key[4] = {'k', (char)('0' + i)};
		assert_int_equal(stat(file, &s), 0);
		ends[i] = (size_t)s.st_size;
		if (i < 3)
			assert_int_equal(put(key, "value", 0), META_DONE);
	}
	close_journal();
	return file_read(data, room);
}

static void a_torn_end_is_cut_off(void **unused)
{
	uint8_t data[1024];
	size_t ends[4], bytes = three_make(data, sizeof(data), ends);
	assert_int_equal(bytes, ends[3]);
	for (size_t cut = ends[0]; cut <= bytes; cut++) {
		int64_t whole = cut >= ends[3] ? 3 : cut >= ends[2] ? 2 : cut >= ends[1] ? 1 : 0;
		file_write(data, cut);
		open_journal();
		assert_int_equal(why[0] == 0, cut == ends[whole]);
		list("");
		assert_int_equal(revision, whole);
		assert_int_equal(put("new", "v", 0), META_DONE);
		reopen();
		assert_string_equal(why, "");
		list("");
		assert_int_equal(revision, whole + 1);
		close_journal();
	}
	for (size_t cut = 0; cut < ends[0]; cut++) {
		file_write(data, cut);
		assert_int_equal(meta_journal_open(folder, &events, &meta, why), -EBADMSG);
	}
}

// Any bit but those of the last entry; that one alone may have been torn.
static void damage_is_not_taken_for_a_torn_end(void **unused)
{
	uint8_t data[1024];
	size_t ends[4], bytes = three_make(data, sizeof(data), ends);
	for (size_t bit = 0; bit < ends[2] * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		file_write(data, bytes);
		int error = meta_journal_open(folder, &events, &meta, why);
		if (error != -EBADMSG && error != -ENOTSUP)
			fail_msg("bit %zu: %d", bit, error);
		assert_true(why[0] != 0);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	memmove(data + ends[1], data + ends[2], bytes - ends[2]); // one is missing
	file_write(data, bytes - (ends[2] - ends[1]));
	assert_int_equal(meta_journal_open(folder, &events, &meta, why), -EBADMSG);
	meta = NULL;
}

static void compacts(void **unused)
{
	static char value[100000];
	struct meta_put p = {"big", value, sizeof(value), false};
	struct stat s;
	open_journal();
	put("first", "1", 0);
	put("gone", "1", 0);
	put("gone", NULL, 2);
	for (int i = 0; i < 200; i++) {
		value[0] = (char)i;
		assert_int_equal(txn(&(struct meta_txn){NULL, 0, &p, 1}), META_DONE);
	}
	assert_int_equal(stat(file, &s), 0);
	assert_true(s.st_size < 3 << 20);
	char before[256];
	strcpy(before, list(""));
	reopen();
	assert_string_equal(list(""), before);
	assert_int_equal(revision, 203);
	put("big", NULL, 203);
	reopen();
	list("");
	assert_int_equal(revision, 204);
	assert_int_equal(put("first", "2", 1), META_DONE);
	assert_int_equal(revision, 205);
}

// Files that an earlier version wrote are read for ever, and this one writes the same.
static void the_format_is_pinned(void **unused)
{
	char golden[512], command[1200];
	static uint8_t expected[4096], made[4096];
	struct meta_put puts[] = {{"jobs/1", "spec", 4, false}, {"leader", "c1", 2, true}};
	open_journal();
	meta->ops->keep_lease(meta, 1);
	step_all();
	txn(&(struct meta_txn){NULL, 0, puts, 2});
	put("jobs/1", "spec 2", 1);
	put("jobs/2", "", 0);
	put("jobs/2", NULL, 3);
	close_journal();
	size_t bytes = file_read(made, sizeof(made));
	snprintf(golden, sizeof(golden), "%s/meta_journal/v1", WEIR_TEST_DATA);
	FILE *f = fopen(golden, "rb");
	assert_non_null(f);
	assert_int_equal(fread(expected, 1, sizeof(expected), f), bytes);
	fclose(f);
	assert_memory_equal(made, expected, bytes);
	snprintf(command, sizeof(command), "cp %s %s", golden, file);
	assert_int_equal(system(command), 0);
	open_journal();
	assert_int_equal(strncmp(list(""), "jobs/1=2:6:", 11), 0);
	assert_int_equal(revision, 5);
}

static void a_later_format_is_said_to_be_one(void **unused)
{
	uint8_t data[1024];
	size_t ends[4], bytes = three_make(data, sizeof(data), ends);
	data[12] = 2;
	file_write(data, bytes);
	assert_int_equal(meta_journal_open(folder, &events, &meta, why), -ENOTSUP);
	assert_non_null(strstr(why, "later version"));
}

static void a_full_disk_refuses_and_reads_go_on(void **unused)
{
	if (mkdir(folder, 0700) != 0 || mount("none", folder, "tmpfs", 0, "size=256k") != 0)
		skip();
	static char value[20000];
	char key[16];
	struct meta_put p = {key, value, sizeof(value), false};
	open_journal();
	enum meta_outcome is = META_DONE;
	int count = 0;
	while (is == META_DONE && count < 100) {
		snprintf(key, sizeof(key), "k%03d", count++);
		is = txn(&(struct meta_txn){NULL, 0, &p, 1});
	}
	assert_int_equal(is, META_REFUSED);
	assert_non_null(strstr(meta->ops->trouble(meta), "make room"));
	assert_int_equal(strncmp(list("k000"), "k000=1:20000:", 13), 0);
	assert_int_equal(txn(&(struct meta_txn){NULL, 0, &p, 1}), META_REFUSED);
	assert_int_equal(mount("none", folder, "tmpfs", MS_REMOUNT, "size=1M"), 0);
	assert_int_equal(txn(&(struct meta_txn){NULL, 0, &p, 1}), META_DONE);
	assert_null(meta->ops->trouble(meta));
	reopen();
	list("");
	assert_int_equal(revision, count);
	close_journal();
	assert_int_equal(umount2(folder, MNT_DETACH), 0);
}

// Write one key after the other, and each one's number to the pipe once it is answered.
static void child_run(int answered)
{
	char key[16];
	open_journal();
	list("");
	for (int64_t i = revision + 1;; i++) {
		snprintf(key, sizeof(key), "k%ld", (long)(i % 50));
		struct meta_put p = {key, &i, sizeof(i), false};
		if (txn(&(struct meta_txn){NULL, 0, &p, 1}) != META_DONE || revision != i ||
			write(answered, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

static void survives_kill_9(void **unused)
{
	int64_t last = 0;
	for (int kills = 0; kills < 20; kills++) {
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		pid_t child = fork();
		if (child == 0) {
			close(ends[0]);
			child_run(ends[1]);
		}
		close(ends[1]);
		for (int i = 0; i < 5 + kills * 3; i++)
			assert_int_equal(read(ends[0], &last, sizeof(last)), sizeof(last));
		kill(child, SIGKILL);
		while (read(ends[0], &last, sizeof(last)) == sizeof(last))
			;
		int status;
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status));
		close(ends[0]);
		open_journal();
		list("");
		assert_true(revision == last || revision == last + 1);
		close_journal();
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)
	const struct CMUnitTest tests[] = {
		TEST(compares_and_swaps),
		TEST(all_of_it_or_nothing),
		TEST(lists_by_prefix_in_order),
		TEST(what_is_malformed_is_refused),
		TEST(leased_keys_go_with_the_process),
		TEST(hints_come_for_what_is_watched),
		TEST(its_queue_is_bounded),
		TEST(one_process_at_a_time),
		TEST(a_torn_end_is_cut_off),
		TEST(damage_is_not_taken_for_a_torn_end),
		TEST(compacts),
		TEST(the_format_is_pinned),
		TEST(a_later_format_is_said_to_be_one),
		TEST(a_full_disk_refuses_and_reads_go_on),
		TEST(survives_kill_9),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
