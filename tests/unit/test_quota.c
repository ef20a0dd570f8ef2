#include "numa/quota.h"

#include "numa/placement.h"
#include "topology_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];

static void put(const char *path, const char *text)
{
	char full[256];
	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); *at++ = '/') {
		*at = '\0';
		mkdir(full, 0755);
	}
	FILE *out = fopen(full, "w");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static unsigned quota(const char *self)
{
	char path[128];
	put("self", self);
	snprintf(path, sizeof(path), "%s/self", root);
	return quota_read(path, root);
}

static void version_2_tells_quota_and_period(void **state)
{
	put("a/cpu.max", "150000 100000\n");
	put("free/cpu.max", "max 100000\n");
	assert_int_equal(quota("0::/a\n"), 1500);
	assert_int_equal(quota("0::/free\n"), 0);
	assert_int_equal(quota("0::/not/seen/in/here\n"), 0);
}

static void version_1_has_a_file_for_each(void **state)
{
	put("cpu/b/cpu.cfs_quota_us", "400000\n");
	put("cpu/b/cpu.cfs_period_us", "200000\n");
	put("cpu/free/cpu.cfs_quota_us", "-1\n");
	put("cpu/free/cpu.cfs_period_us", "100000\n");
	assert_int_equal(quota("5:devices:/\n4:cpu,cpuacct:/b\n0::/\n"), 2000);
	assert_int_equal(quota("4:cpuacct,cpu:/b\n"), 2000);
	assert_int_equal(quota("4:cpu:/free\n"), 0);
	assert_int_equal(quota("4:cpuset:/b\n3:cpuacct:/b\n"), 0);
}

static void the_tightest_of_all_above_counts(void **state)
{
	put("up/cpu.max", "300000 100000\n");
	put("up/mid/cpu.max", "100000 100000\n");
	put("up/mid/low/cpu.max", "200000 100000\n");
	assert_int_equal(quota("0::/up/mid/low\n"), 1000);
	assert_int_equal(quota("0::/up/none\n"), 3000);
	assert_int_equal(quota("4:cpu:/b\n0::/up\n"), 2000);
}

static void nonsense_is_no_quota(void **state)
{
	put("odd/cpu.max", "100000 0\n");
	put("neg/cpu.max", "-5 100000\n");
	put("big/cpu.max", "9223372036854775807 1\n");
	put("tiny/cpu.max", "1 1000000\n");
	assert_int_equal(quota("0::/odd\n"), 0);
	assert_int_equal(quota("0::/neg\n"), 0);
	assert_int_equal(quota("0::/big\n"), 0);
	assert_int_equal(quota("0::/tiny\n"), 1);
	assert_int_equal(quota("no line of a cgroup\n1:\n::\n"), 0);
	assert_int_equal(quota_read("/nonexistent", root), 0);
}

// All cores but one, or all of the quota but one.
static void fewer_workers_by_default(void **state)
{
	static const struct {
		unsigned quota_millis, workers;
	} table[] = {{0, 7}, {16000, 7}, {8000, 7}, {7900, 6}, {2000, 1}, {1500, 1}, {300, 1}};
	struct topology t = synthetic("core:8 pu:2");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		t.quota_millis = table[i].quota_millis;
		assert_int_equal(placement_workers_default(&t), table[i].workers);
	}
	topology_destroy(&t);
}

// A real group, where one can be made: version 1 at its usual place, else version 2.
static int enter_group(const char *folder, bool unified)
{
	char file[128];
	if (mkdir(folder, 0755))
		return -errno;
	snprintf(file, sizeof(file), "%s/%s", folder, unified ? "cpu.max" : "cpu.cfs_quota_us");
	FILE *out = fopen(file, "w");
	if (!out)
		return -errno;
	fputs(unified ? "150000 100000" : "150000", out);
	if (fclose(out))
		return -errno;
	snprintf(file, sizeof(file), "%s/cgroup.procs", folder);
	out = fopen(file, "w");
	if (!out)
		return -errno;
	fputs("0", out);
	return fclose(out) ? -errno : 0;
}

static void the_host_s_own_quota_is_read(void **state)
{
	char one[64], two[64];
	int status;
	snprintf(one, sizeof(one), "/sys/fs/cgroup/cpu/weir-test-quota-%d", getpid());
	snprintf(two, sizeof(two), "/sys/fs/cgroup/weir-test-quota-%d", getpid());
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct topology t;
		if (enter_group(one, false) && enter_group(two, true))
			_exit(77);
		if (topology_load(TOPOLOGY_HOST, NULL, NULL, 0, &t))
			_exit(1);
		_exit(t.quota_millis == 1500 ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	rmdir(one);
	rmdir(two);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int make_root(void **state)
{
	snprintf(root, sizeof(root), "/tmp/weir-test-quota-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_2_tells_quota_and_period),
		cmocka_unit_test(version_1_has_a_file_for_each),
		cmocka_unit_test(the_tightest_of_all_above_counts),
		cmocka_unit_test(nonsense_is_no_quota),
		cmocka_unit_test(fewer_workers_by_default),
		cmocka_unit_test(the_host_s_own_quota_is_read),
	};
	return cmocka_run_group_tests(tests, make_root, remove_root);
}
