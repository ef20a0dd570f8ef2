#include "topology_fixture.h"

#include "numa/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

static const struct placement_task tasks[] = {
	{"source/0", 30, TOPOLOGY_NONE, 0},
	{"source/1", 30, TOPOLOGY_NONE, 0},
	{"window/0", 20, TOPOLOGY_NONE, 0},
	{"window/1", 20, TOPOLOGY_NONE, 0},
};
static const struct placement_edge edges[] = {{0, 2, 5}, {0, 3, 5}, {1, 2, 5}, {1, 3, 5}};
static const struct placement_graph graph = {tasks, edges, 4, 4};

static char *draw(const struct topology *topology, struct placement_request request)
{
	struct placement placement;
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	assert_non_null(out);
	assert_int_equal(placement_compute(topology, &request, &placement, NULL, 0), 0);
	draw_host(out, topology, request.graph, &placement);
	assert_int_equal(fclose(out), 0);
	placement_destroy(&placement);
	return text;
}

static void drawn(const char *host, struct placement_request request, const char *expected)
{
	struct topology topology = synthetic(host);
	char *text = draw(&topology, request);
	assert_string_equal(text, expected);
	free(text);
	topology_destroy(&topology);
}

#define DASHES "───────────"
#define RULE "└" DASHES DASHES DASHES DASHES DASHES DASHES DASHES "\n"

static void a_job_on_a_small_host(void **state)
{
	drawn("pack:2 [numa(memory=8GiB)] l3:2(size=32MiB) core:4 pu:2(indexes=2*16:1*2)",
		(struct placement_request){&graph, 2, NULL, 0},
		"2 nodes, 16 cores, 32 PUs, 0 NICs; 2 workers, 4 tasks\n"
		"┌ node 0, package 0, 8.0 GiB, distances 10 20\n"
		"│ L3 cache 0: 32 MiB\n"
		"│   core 0         PU 0,16             housekeeping: kernel, agent\n"
		"│   core 1         PU 1,17             worker 0 on PU 1, 50 % of the load: "
		"source/0, window/0\n"
		"│   core 2         PU 2,18             worker 1 on PU 2, 50 % of the load: "
		"source/1, window/1\n"
		"│   core 3         PU 3,19             free\n"
		"│ L3 cache 1: 32 MiB\n"
		"│   cores 4-7      PU 4-7,20-23        free\n" RULE
		"┌ node 1, package 1, 8.0 GiB, distances 20 10\n"
		"│ L3 caches 2-3: 32 MiB each\n"
		"│   cores 8-15     PU 8-15,24-31       free\n" RULE "why\n"
		"  worker 0 on PU 1: a core of its own; one L3 cache with worker 1, to which it "
		"talks most; memory from node 0\n"
		"  worker 1 on PU 2: a core of its own; one L3 cache with worker 0, to which it "
		"talks most; memory from node 0\n"
		"  source/0 on worker 0: with window/0, its heaviest peer\n"
		"  source/1 on worker 1: with window/1, its heaviest peer\n"
		"  window/0 on worker 0: with source/0, its heaviest peer\n"
		"  window/1 on worker 1: with source/1, its heaviest peer\n"
		"  traffic: 50 % within a worker, 100 % within a node\n");
}

static void cores_without_an_l3(void **state)
{
	drawn("numa:2 core:3 pu:1", (struct placement_request){.workers = 1},
		"2 nodes, 6 cores, 6 PUs, 0 NICs; 1 worker, 0 tasks\n"
		"┌ node 0, 1.0 GiB, distances 10 20\n"
		"│   core 0         PU 0                housekeeping: kernel, agent\n"
		"│   core 1         PU 1                worker 0 on PU 1\n"
		"│   core 2         PU 2                free\n" RULE
		"┌ node 1, 1.0 GiB, distances 20 10\n"
		"│   cores 3-5      PU 3-5              free\n" RULE "why\n"
		"  worker 0 on PU 1: a core of its own; memory from node 0\n");
}

static void workers_that_share_a_core(void **state)
{
	static const unsigned cpus[] = {1, 0, 2};
	drawn("core:2 pu:2", (struct placement_request){.cpus = cpus, .cpu_count = 3},
		"1 node, 2 cores, 4 PUs, 0 NICs; 3 workers, 0 tasks\n"
		"┌ node 0, 1.0 GiB\n"
		"│   core 0         PU 0-1              housekeeping: kernel, agent\n"
		"│                                      worker 0 on PU 1\n"
		"│                                      worker 1 on PU 0\n"
		"│   core 1         PU 2-3              worker 2 on PU 2\n" RULE "why\n"
		"  worker 0 on PU 1: PU given; the housekeeping core; memory from node 0\n"
		"  worker 1 on PU 0: PU given; a hyper-thread beside worker 0 on the housekeeping "
		"core; memory from node 0\n"
		"  worker 2 on PU 2: PU given; a core of its own; memory from node 0\n");
}

static void cores_and_nics_are_drawn_once(void **state)
{
	struct topology topology = big_host();
	for (unsigned workers = 1; workers < 128; workers += 7) {
		char *text = draw(&topology, (struct placement_request){.workers = workers}), *at;
		unsigned cores = 0, first, last;
		for (at = text; (at = strstr(at, "│   core")); at += 5) {
			int ends = sscanf(at, "│   cores %u-%u", &first, &last);
			if (ends < 2)
				assert_int_equal(sscanf(at, "│   core %u", &last), 1);
			first = ends < 2 ? last : first;
			assert_int_equal(first, cores);
			cores = last + 1;
		}
		assert_int_equal(cores, 128);
		at = strstr(text, "│ NIC ens1 0000:41:00.0\n│ NIC 0000:41:00.1\n");
		assert_non_null(at);
		assert_true(at > strstr(text, "┌ node 1"));
		free(text);
	}
	topology_destroy(&topology);
}

static void long_lists_are_cut_with_their_count(void **state)
{
	struct placement_task many[9];
	struct placement_graph one = {many, NULL, 9, 0};
	for (size_t i = 0; i < 9; i++)
		many[i] = tasks[0];
	struct topology topology = synthetic("core:2 pu:1");
	char *text = draw(&topology, (struct placement_request){&one, 1, NULL, 0});
	assert_non_null(strstr(text, "source/0, source/0 and 3 more\n"));
	free(text);
	topology_destroy(&topology);
}

static void a_node_without_cores_says_so(void **state)
{
	static const unsigned left[] = {0, 1};
	struct topology topology;
	assert_int_equal(topology_load(TOPOLOGY_SYNTHETIC, "numa:2 core:2 pu:1", left, 2,
				 &topology),
		0);
	char *text = draw(&topology, (struct placement_request){.workers = 1});
	assert_non_null(strstr(text, "│   core 0         PU 0  "));
	assert_non_null(strstr(text, "┌ node 1, 1.0 GiB, distances 20 10\n│ no core to use\n└"));
	free(text);
	topology_destroy(&topology);
}

static void a_quota_is_told_with_what_it_does(void **state)
{
	struct topology topology = synthetic("core:4 pu:1");
	topology.quota_millis = 1500;
	char *text = draw(&topology, (struct placement_request){.workers = 2});
	assert_non_null(strstr(text,
		"  CPU quota of the cgroup: 1.50 CPUs, fewer than workers: they "
		"will be stopped at times\n"));
	free(text);
	topology.quota_millis = 2000;
	text = draw(&topology, (struct placement_request){.workers = 2});
	assert_non_null(strstr(text, "  CPU quota of the cgroup: 2.00 CPUs\n"));
	free(text);
	topology_destroy(&topology);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(a_job_on_a_small_host),
		cmocka_unit_test(cores_without_an_l3),
		cmocka_unit_test(workers_that_share_a_core),
		cmocka_unit_test(cores_and_nics_are_drawn_once),
		cmocka_unit_test(long_lists_are_cut_with_their_count),
		cmocka_unit_test(a_node_without_cores_says_so),
		cmocka_unit_test(a_quota_is_told_with_what_it_does),
	};
	return cmocka_run_group_tests(all, NULL, NULL);
}
