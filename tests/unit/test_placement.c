#include "topology_fixture.h"

#include "numa/placement.h"
#include "numa/seating.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

enum { TASKS_MAX = 512, EDGES_MAX = 8192 };

// A graph under construction.
struct sketch {
	struct placement_task tasks[TASKS_MAX];
	struct placement_edge edges[EDGES_MAX];
	char names[TASKS_MAX][24];
	struct placement_graph graph;
};

static struct sketch sketch;

static void begin(void)
{
	memset(&sketch, 0, sizeof(sketch));
	sketch.graph.tasks = sketch.tasks;
	sketch.graph.edges = sketch.edges;
}

static unsigned task(const char *name, unsigned index, uint32_t weight)
{
	unsigned at = sketch.graph.task_count++;
	assert_true(at < TASKS_MAX);
	snprintf(sketch.names[at], sizeof(sketch.names[at]), "%s[%u]", name, index);
	sketch.tasks[at] = (struct placement_task){sketch.names[at], weight, TOPOLOGY_NONE, 0};
	return at;
}

static void edge(unsigned from, unsigned to, uint32_t weight)
{
	assert_true(sketch.graph.edge_count < EDGES_MAX);
	sketch.edges[sketch.graph.edge_count++] = (struct placement_edge){from, to, weight};
}

// What a keyed job looks like: n sources, each sending to each of n windows.
static void keyed_job(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		task("source", i, 40);
	for (unsigned i = 0; i < n; i++)
		task("window", i, 60);
	for (unsigned from = 0; from < n; from++)
		for (unsigned to = 0; to < n; to++)
			edge(from, n + to, 10);
}

static struct placement place(const struct topology *topology, unsigned workers)
{
	struct placement_request request = {.graph = &sketch.graph, .workers = workers};
	struct placement placement;
	char error[256] = "";
	int rc = placement_compute(topology, &request, &placement, error, sizeof(error));
	if (rc)
		fail_msg("%d: %s", rc, error);
	return placement;
}

// What holds of every placement.
static void check_all(const struct topology *topology, const struct placement *placement,
	bool given)
{
	uint64_t loads[TASKS_MAX] = {0}, total = 0, heaviest = 0;
	assert_int_equal(placement->task_count, sketch.graph.task_count);
	for (size_t i = 0; i < placement->task_count; i++) {
		assert_true(placement->tasks[i].worker < placement->worker_count);
		assert_true(placement->tasks[i].reason[0]);
		loads[placement->tasks[i].worker] += sketch.tasks[i].weight;
		total += sketch.tasks[i].weight;
		heaviest = sketch.tasks[i].weight > heaviest ? sketch.tasks[i].weight : heaviest;
	}
	for (size_t i = 0, next = 0; i < placement->task_count && !given; i++) {
		assert_true(placement->tasks[i].worker <= next); // numbered by their first task
		next += placement->tasks[i].worker == next;
	}
	uint64_t average = (total + placement->worker_count - 1) / placement->worker_count;
	uint64_t bound = average + (heaviest > average / 16 ? heaviest : average / 16);
	assert_true(placement->load_limit <= bound);
	for (size_t i = 0; i < placement->worker_count; i++) {
		const struct placement_worker *worker = &placement->workers[i];
		assert_int_equal(worker->load, loads[i]);
		assert_true(worker->load <= bound);
		assert_int_equal(topology->pus[worker->pu_index].os_index, worker->pu);
		assert_int_equal(topology->pus[worker->pu_index].core, worker->core);
		assert_true(worker->reason[0]);
	}
	assert_true(placement->traffic_local <= placement->traffic_node);
	assert_true(placement->traffic_node <= placement->traffic);
}

static void check(const struct topology *topology, const struct placement *placement)
{
	check_all(topology, placement, false);
}

static size_t seats(const struct placement *placement, enum placement_seat seat)
{
	size_t count = 0;
	for (size_t i = 0; i < placement->worker_count; i++)
		count += placement->workers[i].seat == seat;
	return count;
}

static bool on_housekeeping(const struct topology *topology, const struct placement *placement)
{
	for (size_t i = 0; i < placement->worker_count; i++)
		if (placement->workers[i].core == topology->housekeeping)
			return true;
	return false;
}

static void talkers_share_an_l3(void **state)
{
	struct topology t = big_host();
	for (unsigned workers = 2; workers <= 8; workers++) {
		begin();
		keyed_job(workers);
		struct placement p = place(&t, workers);
		check(&t, &p);
		assert_int_equal(seats(&p, PLACEMENT_CORE), workers);
		assert_false(on_housekeeping(&t, &p));
		for (unsigned i = 0; i < workers; i++) {
			assert_int_equal(t.cores[p.workers[i].core].l3,
				t.cores[p.workers[0].core].l3);
			assert_int_equal(p.workers[i].load, 100);
			assert_int_equal(p.tasks[i].worker, i);
			assert_int_equal(p.tasks[workers + i].worker, i);
			assert_true(p.workers[i].pu < 128);
		}
		placement_destroy(&p);
	}
	topology_destroy(&t);
}

static void who_uses_the_nic_sits_at_it(void **state)
{
	struct topology t = big_host();
	begin();
	keyed_job(12);
	sketch.tasks[5].nic = 0;
	sketch.tasks[5].nic_weight = 1000;
	struct placement p = place(&t, 12);
	check(&t, &p);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(t.cores[p.workers[i].core].node, 1);
		assert_int_equal(p.workers[i].node, 1);
	}
	assert_non_null(strstr(p.workers[5].reason, "on node 1 with the NIC it uses"));
	assert_non_null(strstr(p.workers[5].reason, "memory from node 1"));
	assert_non_null(strstr(p.tasks[5].reason, "uses NIC ens1"));
	assert_int_equal(p.traffic_node, p.traffic);
	placement_destroy(&p);
	topology_destroy(&t);
}

static void a_nic_whose_node_has_no_core_left_is_far(void **state)
{
	unsigned left[64];
	for (unsigned i = 0; i < 64; i++)
		left[i] = i;
	struct topology t;
	assert_int_equal(topology_load(TOPOLOGY_XML, WEIR_TEST_DATA "/host-2x64-smt-nic.xml", left,
				 64, &t),
		0);
	begin();
	keyed_job(2);
	sketch.tasks[0].nic = 1;
	sketch.tasks[0].nic_weight = 1;
	struct placement p = place(&t, 2);
	check(&t, &p);
	assert_non_null(strstr(p.workers[0].reason, "node 1: no usable core there"));
	assert_non_null(strstr(p.tasks[0].reason, "uses NIC 0000:41:00.1"));
	placement_destroy(&p);
	topology_destroy(&t);
}

static void two_jobs_that_fit_a_cache_each_get_one(void **state)
{
	struct topology t = synthetic("numa:1 l3:3 core:8 pu:2");
	begin();
	for (unsigned i = 0; i < 10; i++)
		task("t", i, 100);
	for (unsigned i = 0; i < 10; i++)
		for (unsigned j = i + 1; j < 10; j++)
			if (i % 2 == j % 2)
				edge(i, j, 10);
	struct placement p = place(&t, 10);
	check(&t, &p);
	for (unsigned i = 2; i < 10; i++)
		assert_int_equal(t.cores[p.workers[p.tasks[i].worker].core].l3,
			t.cores[p.workers[p.tasks[i % 2].worker].core].l3);
	placement_destroy(&p);
	topology_destroy(&t);
}

// Cliques of 2, 6 and 7 on caches with 7 and 8 free cores: only the largest first fit.
static void large_groups_are_seated_first(void **state)
{
	static const unsigned sizes[] = {2, 6, 7};
	struct topology t = synthetic("numa:1 l3:2 core:8 pu:1");
	begin();
	for (unsigned g = 0; g < 3; g++)
		for (unsigned i = 0; i < sizes[g]; i++) {
			unsigned at = task("t", g, 100);
			for (unsigned j = at - i; j < at; j++)
				edge(j, at, g == 0 ? 1000 : 10);
		}
	struct placement p = place(&t, 15);
	check(&t, &p);
	for (size_t i = 0; i < sketch.graph.edge_count; i++)
		assert_int_equal(t.cores[p.workers[p.tasks[sketch.edges[i].from].worker].core].l3,
			t.cores[p.workers[p.tasks[sketch.edges[i].to].worker].core].l3);
	placement_destroy(&p);
	topology_destroy(&t);
}

static void eight_nodes_keep_what_talks_together(void **state)
{
	struct topology t = synthetic("numa:8 l3:1 core:8 pu:2");
	begin();
	for (unsigned i = 0; i < 42; i++)
		task("t", i, 100);
	for (unsigned i = 0; i < 42; i++)
		for (unsigned j = i + 1; j < 42; j++)
			edge(i, j, i % 6 == j % 6 ? 50 : 1);
	struct placement p = place(&t, 42);
	check(&t, &p);
	for (unsigned i = 6; i < 42; i++)
		assert_int_equal(p.workers[p.tasks[i].worker].node,
			p.workers[p.tasks[i % 6].worker].node);
	assert_int_equal(seats(&p, PLACEMENT_CORE), 42);
	placement_destroy(&p);
	topology_destroy(&t);
}

static void seats_are_taken_from_good_to_bad(void **state)
{
	struct topology t = big_host();
	static const struct {
		unsigned workers, own, housekeeping, sibling, shared;
	} table[] = {
		{1, 1, 0, 0, 0},
		{127, 127, 0, 0, 0},
		{128, 127, 1, 0, 0},
		{129, 127, 1, 1, 0},
		{256, 127, 1, 128, 0},
		{258, 127, 1, 128, 2},
	};
	begin();
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct placement p = place(&t, table[i].workers);
		check(&t, &p);
		assert_int_equal(seats(&p, PLACEMENT_CORE), table[i].own);
		assert_int_equal(seats(&p, PLACEMENT_HOUSEKEEPING), table[i].housekeeping);
		assert_int_equal(seats(&p, PLACEMENT_SIBLING), table[i].sibling);
		assert_int_equal(seats(&p, PLACEMENT_SHARED), table[i].shared);
		placement_destroy(&p);
	}
	struct placement p = place(&t, 0);
	assert_int_equal(p.worker_count, 127);
	assert_int_equal(placement_workers_default(&t), 127);
	placement_destroy(&p);
	topology_destroy(&t);
}

// On the housekeeping core a worker leaves the first PU to kernel and agent as long as it can.
static void few_cores_do_all(void **state)
{
	struct topology one = synthetic("core:1 pu:1"), smt = synthetic("core:1 pu:2");
	struct topology two = synthetic("core:2 pu:1");
	begin();
	keyed_job(2);
	struct placement p = place(&one, 0);
	check(&one, &p);
	assert_int_equal(p.worker_count, 1);
	assert_int_equal(p.workers[0].seat, PLACEMENT_HOUSEKEEPING);
	assert_non_null(strstr(p.workers[0].reason, "no other is left"));
	placement_destroy(&p);
	p = place(&one, 3);
	check(&one, &p);
	assert_int_equal(seats(&p, PLACEMENT_SHARED), 2);
	assert_non_null(strstr(p.workers[1].reason, "shares its PU with worker 0"));
	placement_destroy(&p);
	p = place(&two, 6);
	unsigned on_first = 0;
	for (unsigned i = 0; i < 6; i++)
		on_first += p.workers[i].pu == 0;
	assert_int_equal(on_first, 3);
	placement_destroy(&p);
	p = place(&smt, 1);
	assert_int_equal(p.workers[0].pu, 1);
	placement_destroy(&p);
	p = place(&smt, 2);
	assert_int_equal(seats(&p, PLACEMENT_SIBLING), 1);
	assert_int_not_equal(p.workers[0].pu, p.workers[1].pu);
	placement_destroy(&p);
	topology_destroy(&one);
	topology_destroy(&two);
	topology_destroy(&smt);
}

static void the_first_pu_left_is_housekeeping(void **state)
{
	static const unsigned left[] = {70, 71, 72, 198, 199, 200};
	struct topology t;
	assert_int_equal(topology_load(TOPOLOGY_XML, WEIR_TEST_DATA "/host-2x64-smt-nic.xml", left,
				 6, &t),
		0);
	begin();
	keyed_job(2);
	struct placement p = place(&t, 0);
	check(&t, &p);
	assert_int_equal(p.worker_count, 2);
	assert_int_equal(p.workers[0].pu + p.workers[1].pu, 71 + 72);
	placement_destroy(&p);
	p = place(&t, 4);
	assert_int_equal(seats(&p, PLACEMENT_HOUSEKEEPING), 1);
	assert_int_equal(seats(&p, PLACEMENT_SIBLING), 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(p.workers[i].pu, 70);
	placement_destroy(&p);
	topology_destroy(&t);
}

static void given_cpus_are_used_in_their_order(void **state)
{
	static const unsigned cpus[] = {9, 0, 64, 8, 65};
	struct topology t = big_host();
	begin();
	for (unsigned i = 0; i < 5; i++)
		task("t", i, 10);
	edge(0, 1, 5);
	edge(2, 4, 5);
	sketch.tasks[3].nic = 0;
	sketch.tasks[3].nic_weight = 0;
	struct placement_request request = {&sketch.graph, 0, cpus, 5};
	struct placement p;
	assert_int_equal(placement_compute(&t, &request, &p, NULL, 0), 0);
	check_all(&t, &p, true);
	assert_int_equal(p.worker_count, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(p.workers[i].pu, cpus[i]);
	assert_int_equal(p.workers[1].seat, PLACEMENT_HOUSEKEEPING);
	assert_int_equal(p.traffic_node, p.traffic);
	assert_non_null(strstr(p.workers[1].reason, "PU given; the housekeeping core"));
	placement_destroy(&p);
	topology_destroy(&t);
}

static void refused(const struct topology *t, struct placement_request request, const char *why)
{
	struct placement p = {.worker_count = 99};
	char error[256] = "";
	assert_int_equal(placement_compute(t, &request, &p, error, sizeof(error)), -EINVAL);
	assert_string_equal(error, why);
	assert_int_equal(p.worker_count, 99);
	assert_int_equal(placement_compute(t, &request, &p, NULL, 0), -EINVAL);
}

static void wrong_requests_are_refused_with_the_reason(void **state)
{
	static const unsigned missing[] = {1, 6}, twice[] = {1, 3, 1};
	struct topology t = synthetic("core:4 pu:1");
	struct placement_request request = {.cpus = missing, .cpu_count = 2};
	begin();
	refused(&t, request, "CPU 6 cannot be used; those that can are 0-3");
	request.cpus = twice;
	request.cpu_count = 3;
	refused(&t, request, "CPU 1 is given twice; give one for each worker");
	request.workers = 2;
	refused(&t, request, "2 workers and a list of CPUs of 3; leave one of them out");
	request = (struct placement_request){.workers = 5000};
	refused(&t, request, "5000 workers; give 1 to 4096");
	request = (struct placement_request){.graph = &sketch.graph};
	task("a", 0, 1);
	edge(0, 1, 1);
	refused(&t, request, "edge 0 joins tasks 0 and 1, but there are 1");
	sketch.graph.edge_count = 0;
	sketch.tasks[0].nic = 0;
	refused(&t, request, "task a[0] uses NIC 0, but there are 0");
	placement_destroy(NULL);
	topology_destroy(&t);
}

static void tasks_of_two_nics_are_kept_apart(void **state)
{
	struct topology t = big_host();
	t.nics[0].node = 0;
	begin();
	for (unsigned i = 0; i < 8; i++) {
		sketch.tasks[task("t", i, 10)].nic = i % 2;
		sketch.tasks[i].nic_weight = 100;
	}
	for (unsigned i = 0; i < 8; i += 2)
		edge(i, i + 1, 1000);
	struct placement p = place(&t, 4);
	check(&t, &p);
	for (unsigned i = 0; i < 8; i++)
		for (unsigned j = 0; j < 8; j++)
			if (i % 2 != j % 2)
				assert_int_not_equal(p.tasks[i].worker, p.tasks[j].worker);
	placement_destroy(&p);
	topology_destroy(&t);
}

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 20) % bound;
}

static void random_graph(unsigned tasks_max, size_t nics)
{
	unsigned tasks = random_below(tasks_max + 1);
	unsigned spread = 1 + random_below(3) * 500;
	begin();
	for (unsigned i = 0; i < tasks; i++) {
		task("t", i, random_below(spread));
		if (nics && random_below(4) == 0) {
			sketch.tasks[i].nic = random_below(nics);
			sketch.tasks[i].nic_weight = random_below(1000);
		}
	}
	for (unsigned i = tasks ? random_below(4 * tasks + 1) : 0; i > 0; i--)
		edge(random_below(tasks), random_below(tasks), random_below(1000));
}

static void same(const struct placement *a, const struct placement *b)
{
	assert_int_equal(a->worker_count, b->worker_count);
	assert_memory_equal(a->workers, b->workers, a->worker_count * sizeof(*a->workers));
	assert_memory_equal(a->tasks, b->tasks, a->task_count * sizeof(*a->tasks));
}

static void random_graphs_keep_the_rules(void **state)
{
	struct topology hosts[] = {
		big_host(),
		synthetic("numa:8 l3:1 core:8 pu:2"),
		synthetic("pack:2 [numa] group:2 [numa] l3:2 l2:2 core:2 pu:1"),
		synthetic("core:1 pu:1"),
		synthetic("pu:3"),
	};
	enum { HOSTS = sizeof(hosts) / sizeof(hosts[0]) };
	for (uint64_t seed = 1; seed <= 300; seed++) {
		random_state = seed * 0x9e3779b97f4a7c15;
		const struct topology *t = &hosts[seed % HOSTS];
		random_graph(1 + random_below(60), t->nic_count);
		unsigned workers = 1 + random_below(40);
		struct placement p = place(t, workers), again = place(t, workers);
		check(t, &p);
		same(&p, &again);
		if (workers < t->core_count) {
			assert_int_equal(seats(&p, PLACEMENT_CORE), workers);
			assert_false(on_housekeeping(t, &p));
		}
		placement_destroy(&p);
		placement_destroy(&again);
	}
	for (size_t i = 0; i < HOSTS; i++)
		topology_destroy(&hosts[i]);
}

// The least traffic between workers that any assignment within the limit has.
static uint64_t least_traffic(unsigned workers, uint64_t limit)
{
	unsigned worker_of[16] = {0}, tasks = sketch.graph.task_count;
	uint64_t best = UINT64_MAX;
	for (;;) {
		uint64_t loads[16] = {0}, traffic = 0, load_max = 0;
		for (unsigned i = 0; i < tasks; i++) {
			uint64_t load = loads[worker_of[i]] += sketch.tasks[i].weight;
			load_max = load > load_max ? load : load_max;
		}
		for (size_t i = 0; i < sketch.graph.edge_count; i++)
			if (worker_of[sketch.edges[i].from] != worker_of[sketch.edges[i].to])
				traffic += sketch.edges[i].weight;
		if (load_max <= limit && traffic < best)
			best = traffic;
		unsigned at = 0;
		while (at < tasks && ++worker_of[at] == workers)
			worker_of[at++] = 0;
		if (at == tasks)
			return best;
	}
}

static void traffic_is_near_the_least_possible(void **state)
{
	struct topology t = synthetic("core:8 pu:1");
	uint64_t ours = 0, least = 0;
	for (uint64_t seed = 1; seed <= 120; seed++) {
		random_state = seed * 0x9e3779b97f4a7c15;
		unsigned workers = 2 + random_below(2);
		random_graph(9, 0);
		if (!sketch.graph.task_count)
			continue;
		struct placement p = place(&t, workers);
		uint64_t best = least_traffic(workers, p.load_limit);
		assert_true(p.traffic - p.traffic_local >= best);
		ours += p.traffic - p.traffic_local;
		least += best;
		placement_destroy(&p);
	}
	print_message("traffic: %.3f of the least\n", (double)ours / least);
	assert_true(ours * 100 <= least * 104);
	topology_destroy(&t);
}

static uint64_t cost(const struct topology *t, const unsigned *pus, unsigned workers)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < sketch.graph.edge_count; i++)
		sum += sketch.edges[i].weight *
			seating_distance(t, pus[sketch.edges[i].from], pus[sketch.edges[i].to]);
	return sum;
}

// The least cost over all ways to seat the workers on cores other than the housekeeping one.
static uint64_t least_cost(const struct topology *t, unsigned *pus, unsigned seated,
	unsigned workers)
{
	uint64_t best = UINT64_MAX;
	if (seated == workers)
		return cost(t, pus, workers);
	for (unsigned pu = 1; pu < t->pu_count; pu++) {
		bool used = false;
		for (unsigned i = 0; i < seated; i++)
			used |= pus[i] == pu;
		if (used)
			continue;
		pus[seated] = pu;
		uint64_t found = least_cost(t, pus, seated + 1, workers);
		best = found < best ? found : best;
	}
	return best;
}

static void seats_are_near_the_closest_possible(void **state)
{
	struct topology t = synthetic("numa:2 l3:2 core:2 pu:1");
	uint64_t ours = 0, least = 0;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		unsigned pus[8], workers = 2 + seed % 5;
		random_state = seed * 0x9e3779b97f4a7c15;
		begin();
		for (unsigned i = 0; i < workers; i++)
			task("t", i, 1000);
		for (unsigned i = workers + random_below(2 * workers); i > 0; i--)
			edge(random_below(workers), random_below(workers), random_below(100));
		struct placement p = place(&t, workers);
		for (unsigned i = 0; i < workers; i++)
			pus[i] = p.workers[p.tasks[i].worker].pu_index;
		ours += cost(&t, pus, workers);
		least += least_cost(&t, pus, 0, workers);
		placement_destroy(&p);
	}
	print_message("cost: %.3f of the least\n", (double)ours / least);
	assert_true(ours >= least && ours * 100 <= least * 103);
	topology_destroy(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(talkers_share_an_l3),
		cmocka_unit_test(who_uses_the_nic_sits_at_it),
		cmocka_unit_test(a_nic_whose_node_has_no_core_left_is_far),
		cmocka_unit_test(two_jobs_that_fit_a_cache_each_get_one),
		cmocka_unit_test(large_groups_are_seated_first),
		cmocka_unit_test(eight_nodes_keep_what_talks_together),
		cmocka_unit_test(seats_are_taken_from_good_to_bad),
		cmocka_unit_test(few_cores_do_all),
		cmocka_unit_test(the_first_pu_left_is_housekeeping),
		cmocka_unit_test(given_cpus_are_used_in_their_order),
		cmocka_unit_test(wrong_requests_are_refused_with_the_reason),
		cmocka_unit_test(tasks_of_two_nics_are_kept_apart),
		cmocka_unit_test(random_graphs_keep_the_rules),
		cmocka_unit_test(traffic_is_near_the_least_possible),
		cmocka_unit_test(seats_are_near_the_closest_possible),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
