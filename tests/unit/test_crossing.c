// A job on two nodes of this process, joined by an in-process link: what comes out is what one node
// alone gives, also over a link that loses, doubles and reorders packets.
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "control/planner.h"
#include "control/spread.h"
#include "dataplane/engine.h"
#include "dataplane/fault_link.h"
#include "dataplane/link_port.h"
#include "numa/arena.h"

// DPDK's driver between the two is not built with ThreadSanitizer, which so sees no order in what
// passes from one node to the other; it sees the rest in the tests of sessions and engine.
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define WITHOUT_ORDER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(WITHOUT_ORDER)
enum { ORDER_SEEN = 0 };
#else
enum { ORDER_SEEN = 1 };
#endif

enum { NODES = 2, WINDOW = 64, PORT = 4000, SESSIONS = 8, CHANNELS = 64 };

static const int cpus[] = {0, 0};
static const uint16_t node_workers[NODES] = {0, 0};
static const uint64_t boots[NODES] = {7, 7};

struct end {
	struct arena arena;
	struct link *port, *link; // the port, with its faults over it
	struct transport transport;
	struct node *node;
	struct crossing_network network;
	uint32_t peers[NODES];
	struct engine *engine;
};

struct fixture {
	struct job job;
	struct planned_job planned;
	struct rte_mempool *pool;
	struct end ends[NODES];
};

struct results {
	struct weir_reporter reporter;
	uint64_t records, hash;
};

static void collect(struct weir_reporter *reporter, const char *name, uint64_t value)
{
	struct results *r = (struct results *)reporter;
	if (strcmp(name, "count") == 0)
		r->records += value;
	else if (strcmp(name, "hash") == 0)
		r->hash += value;
}

static const char job_text[] =
	"version: 1\njob: crossing\nworkers: {state_memory: 16MiB}\n"
	"exchange: {frame: 1400B, credit: 16}\noperators:\n"
	"  - {id: source, kind: nexmark, events: 200000, rate: 10000}\n"
	"  - {id: counts, kind: window_aggregate, input: source.bid, key: [auction],\n"
	"     window: {hopping: 10s, slide: 2s}, aggregates: [num: count()]}\n"
	"  - {id: hot, kind: top, input: counts, by: num}\n"
	"  - {id: sink, kind: null, input: hot}\n";

static void plan_job(struct fixture *f, uint32_t workers)
{
	const struct job_source source = {.file = "crossing.yaml",
		.text = job_text,
		.bytes = strlen(job_text),
		.kinds = weir_operators};
	job_load(&f->job, &source);
	errors_print(&f->job.errors, stderr);
	assert_int_equal(f->job.errors.count, 0);
	assert_int_equal(planner_plan(&f->job, workers, &f->planned), 0);
	spread_tasks(&f->planned, &f->job.heap, workers);
}

static void make_link(struct end *end, int index, const struct fault_rates *faults)
{
	struct link_problem problem;
	struct link_config config = {.device = index == 0 ? "net_ring_c_0" : "net_ring_c_1",
		.address = {{10, 0, 0, (uint8_t)(1 + index)}, false},
		.prefix = 24,
		.port = PORT,
		.mtu = 1500,
		.buffers = 1024};
	assert_int_equal(link_port_create(&config, 1, &problem, &end->port), 0);
	end->link = end->port;
	if (faults != NULL)
		assert_int_equal(fault_link_create(end->port, faults, 7, &end->link), 0);
}

static uint32_t peer_of(struct end *end, int other)
{
	struct packet_address address = {{10, 0, 0, (uint8_t)(1 + other)}, false};
	uint32_t peer;
	assert_int_equal(link_port_peer(end->port, &address, PORT, &peer), 0);
	return peer;
}

static void make_transport(struct fixture *f, int index)
{
	struct end *end = &f->ends[index];
	const struct transport_config config = {.worker = 0,
		.session_max = SESSIONS,
		.channel_max = CHANNELS,
		.window_max = WINDOW,
		.link = end->link};
	assert_int_equal(arena_create(&end->arena, transport_bytes(&config) + 4096, -1, false), 0);
	assert_int_equal(transport_create(&end->transport, &config, &end->arena), 0);
	end->peers[1 - index] = peer_of(end, 1 - index);
	end->network = (struct crossing_network){.boots = boots,
		.pool = f->pool,
		.window = WINDOW,
		.packet_max = end->link->packet_max,
		.workers = node_workers,
		.peers = end->peers};
}

static void make_end(struct fixture *f, int index)
{
	struct end *end = &f->ends[index];
	const struct node_config node = {.worker_count = 1,
		.worker_cpus = cpus,
		.wait = NODE_WAIT_YIELD,
		.transports = &end->transport};
	struct engine_config engine = {.plan = &f->planned.plan,
		.first_worker = (uint32_t)index,
		.worker_count = 1,
		.network = &end->network,
		.worker_cpus = cpus,
		.incarnation = 7};
	char error[256] = "";
	make_transport(f, index);
	assert_int_equal(node_create(&node, &end->node), 0);
	engine.node = end->node;
	if (engine_create(&engine, error, sizeof(error), &end->engine) != 0)
		fail_msg("%s", error);
}

static void wait_for(struct engine *const *engines, uint32_t count, struct results *results)
{
	for (uint32_t running = count; running != 0;) {
		running = 0;
		for (uint32_t i = 0; i < count; i++) {
			enum engine_state state = engine_poll(engines[i]);
			if (state == ENGINE_FAILED)
				fail_msg("%s", engine_error(engines[i]));
			running += state == ENGINE_RUNNING;
		}
		usleep(500);
	}
	for (uint32_t i = 0; i < count; i++)
		engine_report(engines[i], 3, &results->reporter);
}

static struct results run_alone(void)
{
	static struct fixture f;
	struct results results = {{collect}, 0, 0};
	struct node *node;
	struct engine *engine;
	char error[256] = "";
	memset(&f, 0, sizeof(f));
	plan_job(&f, 1);
	const struct node_config config = {
		.worker_count = 1, .worker_cpus = cpus, .wait = NODE_WAIT_YIELD};
	assert_int_equal(node_create(&config, &node), 0);
	const struct engine_config with = {
		.plan = &f.planned.plan, .node = node, .worker_cpus = cpus};
	if (engine_create(&with, error, sizeof(error), &engine) != 0)
		fail_msg("%s", error);
	assert_int_equal(engine_start(engine), 0);
	assert_int_equal(node_start(node), 0);
	wait_for(&engine, 1, &results);
	engine_destroy(engine);
	node_destroy(node);
	job_destroy(&f.job);
	return results;
}

static void destroy_end(struct end *end)
{
	engine_destroy(end->engine);
	node_destroy(end->node);
	transport_destroy(&end->transport);
	end->link->ops->destroy(end->link);
	arena_destroy(&end->arena);
}

static struct results run_apart(const struct fault_rates *faults)
{
	static struct fixture f;
	struct results results = {{collect}, 0, 0};
	memset(&f, 0, sizeof(f));
	plan_job(&f, NODES);
	f.pool = rte_pktmbuf_pool_create("own", 1023, 0, 0, 2048 + 128, SOCKET_ID_ANY);
	assert_non_null(f.pool);
	assert_int_equal(link_pair_create("c"), 0);
	for (int i = 0; i < NODES; i++)
		make_link(&f.ends[i], i, faults);
	for (int i = 0; i < NODES; i++)
		make_end(&f, i);
	for (int i = 0; i < NODES; i++) {
		assert_int_equal(engine_start(f.ends[i].engine), 0);
		assert_int_equal(node_start(f.ends[i].node), 0);
	}
	struct engine *engines[] = {f.ends[0].engine, f.ends[1].engine};
	wait_for(engines, NODES, &results);
	for (int i = 0; i < NODES; i++)
		destroy_end(&f.ends[i]);
	link_pair_destroy("c");
	assert_int_equal(rte_mempool_avail_count(f.pool), 1023);
	rte_mempool_free(f.pool);
	job_destroy(&f.job);
	return results;
}

static void test_two_nodes_give_what_one_gives(void **state)
{
	struct results alone = run_alone(), apart = run_apart(NULL);
	assert_in_range(alone.records, 11, 1000);
	assert_true(alone.hash != 0);
	assert_int_equal(apart.records, alone.records);
	assert_true(apart.hash == alone.hash);
}

static void test_so_they_do_over_a_link_with_faults(void **state)
{
	const struct fault_rates faults = {.loss = FAULT_ONE / 20,
		.duplicate = FAULT_ONE / 10,
		.reorder = FAULT_ONE / 10,
		.reorder_ns = 200000,
		.corrupt = FAULT_ONE / 100};
	struct results alone = run_alone(), apart = run_apart(&faults);
	assert_true(alone.hash != 0);
	assert_int_equal(apart.records, alone.records);
	assert_true(apart.hash == alone.hash);
}

static int setup(void **state)
{
	bool huge;
	return engine_eal_start(256 << 20, &huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_nodes_give_what_one_gives),
		cmocka_unit_test(test_so_they_do_over_a_link_with_faults),
	};
	return ORDER_SEEN ? cmocka_run_group_tests(tests, setup, NULL) : 77;
}
