// Where workers go while other jobs poll some of the cores.
#include "topology_fixture.h"

#include "numa/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

enum { TASKS_MAX = 20, EDGES_MAX = 40 };

static struct placement_task tasks[TASKS_MAX];
static struct placement_edge edges[EDGES_MAX];
static struct placement_graph graph = {.tasks = tasks, .edges = edges};
static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 20) % bound;
}

static void sketch(unsigned task_count, unsigned edge_count)
{
	graph.task_count = task_count;
	graph.edge_count = task_count ? edge_count : 0;
	for (unsigned i = 0; i < task_count; i++)
		tasks[i] = (struct placement_task){"t", 1 + i % 7, TOPOLOGY_NONE, 0};
	for (unsigned i = 0; i < graph.edge_count; i++)
		edges[i] = (struct placement_edge){random_below(task_count),
			random_below(task_count), random_below(1000)};
}

static struct placement place_beside(const struct topology *topology, unsigned workers,
	const unsigned *taken, size_t taken_count)
{
	const struct placement_request request = {.graph = &graph,
		.workers = workers,
		.taken = taken,
		.taken_count = taken_count};
	struct placement placement;
	assert_int_equal(placement_compute(topology, &request, &placement, NULL, 0), 0);
	return placement;
}

static void expect_beside(const struct topology *topology, unsigned taken, unsigned pu,
	const char *reason)
{
	struct placement p = place_beside(topology, 1, &taken, 1);
	if (p.workers[0].pu != pu || !strstr(p.workers[0].reason, reason))
		fail_msg("beside PU %u: on PU %u, %s", taken, p.workers[0].pu, p.workers[0].reason);
	placement_destroy(&p);
}

static void cores_of_other_jobs_are_avoided(void **state)
{
	static const unsigned all[] = {0, 1, 2, 3, 9000};
	struct topology t = synthetic("core:2 pu:2");
	sketch(1, 0);
	expect_beside(&t, 0, 2, "a core of its own, clear of PU 0, which another job polls");
	expect_beside(&t, 2, 1, "the housekeeping core: no other is left, clear of PU 2");
	expect_beside(&t, 9000, 2, "a core of its own; ");
	struct placement p = place_beside(&t, 1, all, 3);
	assert_int_equal(p.workers[0].pu, 3);
	assert_non_null(strstr(p.workers[0].reason,
		"a core, beside a PU that another job polls: no core is free"));
	placement_destroy(&p);
	p = place_beside(&t, 1, all, 5);
	assert_int_equal(p.workers[0].pu, 2);
	assert_non_null(strstr(p.workers[0].reason, "on a PU that another job polls: none is"));
	placement_destroy(&p);
	struct placement_request request = {&graph, 1, &all[2], 1, &all[2], 1};
	assert_int_equal(placement_compute(&t, &request, &p, NULL, 0), 0);
	assert_int_equal(p.workers[0].pu, 2); // who asks for it gets it
	assert_non_null(strstr(p.workers[0].reason, "PU given; a core, on a PU that another job"));
	placement_destroy(&p);
	topology_destroy(&t);
}

// Nobody is on a core of another job while there are others.
static void random_cores_of_other_jobs_are_avoided(void **state)
{
	static const char *const hosts[] = {"core:6 pu:2", "pack:2 [numa] l3:2 core:3 pu:2"};
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct topology t = synthetic(hosts[seed % 2]);
		bool polled[64] = {false};
		unsigned taken[8];
		size_t count = 0, free_cores = t.core_count - 1;
		random_state = seed * 0x9e3779b97f4a7c15;
		sketch(random_below(21), random_below(40));
		for (unsigned i = random_below(6); i > 0; i--) {
			size_t pu = random_below(t.pu_count), core = t.pus[pu].core;
			free_cores -= !polled[core] && core != t.housekeeping;
			polled[core] = true;
			taken[count++] = t.pus[pu].os_index;
		}
		unsigned workers = 1 + random_below(free_cores);
		struct placement p = place_beside(&t, workers, taken, count);
		for (unsigned i = 0; i < workers && workers <= free_cores; i++) {
			assert_false(polled[p.workers[i].core]);
			assert_int_equal(p.workers[i].seat, PLACEMENT_CORE);
		}
		placement_destroy(&p);
		topology_destroy(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cores_of_other_jobs_are_avoided),
		cmocka_unit_test(random_cores_of_other_jobs_are_avoided),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
