#include "topology_fixture.h"

#include "numa/pin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

enum { CANNOT = 77 };

static void every_index_is_in_range(const struct topology *t)
{
	size_t pus = 0;
	for (size_t i = 0; i < t->core_count; i++) {
		const struct topology_core *core = &t->cores[i];
		assert_in_range(core->node + 1, 0, t->node_count);
		assert_in_range(core->l2 + 1, 0, t->cache_count);
		assert_in_range(core->l3 + 1, 0, t->cache_count);
		assert_int_equal(core->pu_first, pus);
		assert_true(core->pu_count > 0);
		for (; pus < core->pu_first + core->pu_count; pus++)
			assert_int_equal(t->pus[pus].core, i);
	}
	assert_int_equal(pus, t->pu_count);
}

static void two_sockets_with_smt_and_a_nic(void **state)
{
	struct topology t = big_host();
	every_index_is_in_range(&t);
	assert_int_equal(t.node_count, 2);
	assert_int_equal(t.core_count, 128);
	assert_int_equal(t.pu_count, 256);
	assert_int_equal(t.cache_count, 16);
	assert_int_equal(t.nodes[1].cores, 64);
	assert_int_equal(t.nodes[1].package, 1);
	assert_int_equal(t.nodes[0].bytes, 256ull << 30);
	assert_int_equal(t.cores[64].node, 1);
	assert_int_equal(t.cores[64].l3, 8);
	assert_int_equal(t.cores[64].l2, TOPOLOGY_NONE);
	assert_int_equal(t.caches[8].cores, 8);
	assert_int_equal(t.caches[8].node, 1);
	assert_int_equal(t.pus[t.cores[3].pu_first + 1].os_index, 131);
	assert_int_equal(t.housekeeping, 0);
	assert_int_equal(topology_distance(&t, 0, 1), 32);
	assert_int_equal(topology_distance(&t, 1, 1), 10);
	assert_int_equal(topology_distance(&t, 1, TOPOLOGY_NONE), 10);
	topology_destroy(&t);
}

static void network_devices_are_nics_and_others_are_not(void **state)
{
	struct topology t = big_host();
	assert_int_equal(t.nic_count, 2);
	assert_string_equal(t.nics[0].name, "ens1");
	assert_string_equal(t.nics[0].pci, "0000:41:00.0");
	assert_int_equal(t.nics[0].node, 1);
	assert_string_equal(t.nics[1].name, "");
	assert_string_equal(t.nics[1].pci, "0000:41:00.1");
	topology_destroy(&t);
}

static void eight_nodes(void **state)
{
	struct topology t = synthetic("numa:8 l3:1 l2:4 core:2 pu:1");
	every_index_is_in_range(&t);
	assert_int_equal(t.node_count, 8);
	assert_int_equal(t.core_count, 64);
	assert_int_equal(t.cache_count, 8 + 32);
	for (size_t i = 0; i < t.core_count; i++) {
		assert_int_equal(t.cores[i].node, i / 8);
		assert_int_equal(t.caches[t.cores[i].l3].level, 3);
		assert_int_equal(t.caches[t.cores[i].l2].level, 2);
		assert_int_equal(t.cores[i].l2, 8 + i / 2);
	}
	assert_int_equal(topology_distance(&t, 2, 2), 10);
	assert_int_equal(topology_distance(&t, 2, 7), 20);
	topology_destroy(&t);
}

// Memory on the package beside memory on each half of it, as with HBM or sub-NUMA clusters.
static void a_core_belongs_to_the_tightest_node(void **state)
{
	struct topology t = synthetic("pack:2 [numa] group:2 [numa] core:2 pu:1");
	every_index_is_in_range(&t);
	assert_int_equal(t.node_count, 6);
	for (size_t i = 0; i < t.core_count; i++) {
		size_t node = t.cores[i].node;
		assert_int_equal(t.nodes[node].cores, 2);
	}
	topology_destroy(&t);
}

static void one_core(void **state)
{
	struct topology t = synthetic("core:1 pu:1");
	every_index_is_in_range(&t);
	assert_int_equal(t.node_count, 1);
	assert_int_equal(t.core_count, 1);
	assert_int_equal(t.pu_count, 1);
	assert_int_equal(t.cores[0].l3, TOPOLOGY_NONE);
	topology_destroy(&t);
}

static void without_core_objects_each_pu_is_one(void **state)
{
	struct topology t = synthetic("numa:2 pu:3");
	every_index_is_in_range(&t);
	assert_int_equal(t.core_count, 6);
	assert_int_equal(t.cores[5].node, 1);
	topology_destroy(&t);
}

// PUs 1 and 129 (core 1), 130 (the hyper-thread of core 2) and 70 of node 1 are left.
static void what_is_taken_away_is_not_there(void **state)
{
	static const unsigned left[] = {130, 1, 129, 70, 5000};
	struct topology t;
	assert_int_equal(topology_load(TOPOLOGY_XML, WEIR_TEST_DATA "/host-2x64-smt-nic.xml", left,
				 5, &t),
		0);
	every_index_is_in_range(&t);
	assert_int_equal(t.core_count, 3);
	assert_int_equal(t.pu_count, 4);
	assert_int_equal(t.cores[0].pu_count, 2);
	assert_int_equal(t.cores[1].pu_count, 1);
	assert_int_equal(t.pus[2].os_index, 130);
	assert_int_equal(t.nodes[0].cores, 2);
	assert_int_equal(t.caches[0].cores, 2);
	assert_int_equal(t.caches[1].cores, 0);
	assert_int_equal(t.housekeeping, 0);
	assert_int_equal(topology_find_pu(&t, 70), 3);
	assert_int_equal(topology_find_pu(&t, 0), TOPOLOGY_NONE);
	assert_int_equal(t.nics[0].node, 1);
	topology_destroy(&t);
}

static void a_bad_description_leaves_the_result_alone(void **state)
{
	static const unsigned nothing[] = {9999};
	struct topology t = {.pu_count = 42};
	assert_int_equal(topology_load(TOPOLOGY_SYNTHETIC, "pu:two", NULL, 0, &t), -EINVAL);
	assert_int_equal(topology_load(TOPOLOGY_XML, "/nonexistent.xml", NULL, 0, &t), -ENOENT);
	assert_int_equal(topology_load(TOPOLOGY_XML, "/dev/null", NULL, 0, &t), -EINVAL);
	assert_int_equal(topology_load(TOPOLOGY_SYNTHETIC, "pu:2", nothing, 1, &t), -ENOENT);
	assert_int_equal(topology_load(TOPOLOGY_SYNTHETIC, "pu:2", nothing, 0, &t), -ENOENT);
	assert_int_equal(t.pu_count, 42);
	topology_destroy(NULL);
}

static void this_host_is_what_the_affinity_leaves(void **state)
{
	struct topology t;
	unsigned *pus;
	size_t count;
	assert_int_equal(pin_allowed(&pus, &count), 0);
	assert_int_equal(topology_load(TOPOLOGY_HOST, NULL, NULL, 0, &t), 0);
	every_index_is_in_range(&t);
	assert_int_equal(t.pu_count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_not_equal(topology_find_pu(&t, pus[i]), TOPOLOGY_NONE);
	assert_true(t.nodes[0].bytes > 0);
	free(pus);
	topology_destroy(&t);
}

// In a child that `restrict_to` has confined to one PU, the host has that one PU.
static void confined(int (*restrict_to)(unsigned pu))
{
	unsigned *pus;
	size_t count;
	int status;
	assert_int_equal(pin_allowed(&pus, &count), 0);
	unsigned last = pus[count - 1];
	free(pus);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct topology t;
		if (restrict_to(last))
			_exit(CANNOT);
		if (topology_load(TOPOLOGY_HOST, NULL, NULL, 0, &t))
			_exit(1);
		_exit(t.pu_count == 1 && t.pus[0].os_index == last && t.core_count == 1 ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void cores_taken_away_by_taskset(void **state)
{
	confined(pin_thread);
}

static int put(const char *folder, const char *file, const char *text)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	FILE *out = fopen(path, "w");
	if (!out)
		return -errno;
	int rc = fputs(text, out) < 0 ? -EIO : 0;
	return fclose(out) ? -errno : rc;
}

static void cpuset_folder(char *path, size_t bytes, size_t root, pid_t owner)
{
	static const char *const roots[] = {"/sys/fs/cgroup/cpuset", "/sys/fs/cgroup"};
	snprintf(path, bytes, "%s/weir-test-topology-%d", roots[root], owner);
}

// The cpuset controller of version 1 where it is usually mounted, else that of version 2, if the
// root has it switched on for its children.
static int enter_cpuset(unsigned pu)
{
	char folder[256], number[16];
	snprintf(number, sizeof(number), "%u", pu);
	for (size_t i = 0; i < 2; i++) {
		cpuset_folder(folder, sizeof(folder), i, getppid());
		if (mkdir(folder, 0755) && errno != EEXIST)
			continue;
		if (!put(folder, "cpuset.cpus", number) && !put(folder, "cpuset.mems", "0") &&
			!put(folder, "cgroup.procs", "0"))
			return 0;
		rmdir(folder);
	}
	return -ENOENT;
}

static void cores_taken_away_by_a_cgroup(void **state)
{
	confined(enter_cpuset);
}

static int remove_cpuset(void **state)
{
	char folder[256];
	for (size_t i = 0; i < 2; i++) {
		cpuset_folder(folder, sizeof(folder), i, getpid());
		rmdir(folder);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_sockets_with_smt_and_a_nic),
		cmocka_unit_test(network_devices_are_nics_and_others_are_not),
		cmocka_unit_test(eight_nodes),
		cmocka_unit_test(a_core_belongs_to_the_tightest_node),
		cmocka_unit_test(one_core),
		cmocka_unit_test(without_core_objects_each_pu_is_one),
		cmocka_unit_test(what_is_taken_away_is_not_there),
		cmocka_unit_test(a_bad_description_leaves_the_result_alone),
		cmocka_unit_test(this_host_is_what_the_affinity_leaves),
		cmocka_unit_test(cores_taken_away_by_taskset),
		cmocka_unit_test_teardown(cores_taken_away_by_a_cgroup, remove_cpuset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
