#include "control/programs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/agent.h"
#include "control/keeper.h"
#include "control/process.h"
#include "control/workload_engine.h"
#include "dataplane/engine.h"
#include "numa/assert.h"
#include "numa/clock.h"
#include "numa/placement.h"

static const char doc[] =
	"Run parts of jobs on this host's cores, as a cluster's controller says.\v"
	"  weir-node examples/cluster/one-host/a.yaml\n\n"
	"A file holds at least:\n\n"
	"  version: 1\n"
	"  name: a\n"
	"  controllers: [unix:/tmp/weir-controller.sock]\n\n"
	"docs/cluster-reference.md has every key, docs/cluster.md sets a cluster up in ten "
	"minutes. Paths in jobs are relative to where the node was started. SIGTERM leaves "
	"the cluster: jobs "
	"with a part here end early and publish what is done; a second one ends it at once. Exit "
	"codes: 0 ended on request, 1 failed, 2 wrong use or a mistake in the file.";

struct node_process {
	struct node_file file;
	const struct weir_operator *const *kinds;
	struct loop *loop;
	struct bus *bus;
	struct network *network; // NULL: no links
	struct node *node;
	struct workload *workload;
	struct agent *agent;
	int *cpus, *numa;
	uint32_t worker_count;
	bool shared; // workers share a CPU
	char said[256];
};

static int fail(const struct node_process *p, int code, const char *why)
{
	process_say("weir-node", p->file.name, "%s", why);
	return code;
}

static int fail_at(const struct node_process *p, int code, const char *key, const char *why)
{
	process_say("weir-node", p->file.name, "%s: %s", key, why);
	return code;
}

static int64_t step(void *owner, int64_t now_ns)
{
	struct node_process *p = owner;
	int64_t next_ns = agent_step(p->agent, now_ns);
	const char *state = agent_state(p->agent);
	if (strcmp(state, p->said) != 0) {
		process_say("weir-node", p->file.name, "%s", state);
		snprintf(p->said, sizeof(p->said), "%s", state);
	}
	if (agent_has_left(p->agent))
		loop_stop(p->loop);
	return next_ns;
}

static void take_placement(struct node_process *p, const struct placement *placement)
{
	p->worker_count = (uint32_t)placement->worker_count;
	p->cpus = calloc(p->worker_count, sizeof(*p->cpus));
	p->numa = calloc(p->worker_count, sizeof(*p->numa));
	VERIFY(p->cpus && p->numa);
	for (uint32_t i = 0; i < p->worker_count; i++) {
		p->cpus[i] = (int)placement->workers[i].pu;
		p->numa[i] = placement->workers[i].node;
		p->shared |= placement->workers[i].seat == PLACEMENT_SHARED ||
			placement->workers[i].seat == PLACEMENT_HOUSEKEEPING;
	}
}

static int place(struct node_process *p)
{
	char error[512] = "workers cannot be placed";
	struct topology topology;
	struct placement placement;
	if (topology_load(TOPOLOGY_HOST, NULL, NULL, 0, &topology) < 0)
		return fail(p, PROCESS_FAILED, "the host's topology cannot be read");
	const struct placement_request request = {
		.workers = p->file.workers, .cpus = p->file.cpus, .cpu_count = p->file.cpu_count};
	int rc = placement_compute(&topology, &request, &placement, error, sizeof(error));
	topology_destroy(&topology);
	if (rc < 0)
		return p->file.cpus ? fail_at(p, PROCESS_USE, "workers.cpus", error)
				    : fail(p, PROCESS_USE, error);
	take_placement(p, &placement);
	placement_destroy(&placement);
	return PROCESS_DONE;
}

// Others may have taken the huge pages since DPDK found that there are enough.
static int start_network(struct node_process *p, bool huge)
{
	struct link_problem problem;
	uint32_t index;
	if (p->file.link_count == 0)
		return PROCESS_DONE;
	int rc = network_create(p->file.links, p->file.link_count, p->worker_count, &index,
		&problem, &p->network);
	if (rc == 0)
		return PROCESS_DONE;
	if (rc == -ENOMEM && huge)
		engine_eal_start_over();
	if (index == UINT32_MAX)
		return fail(p, PROCESS_FAILED, problem.text);
	node_file_link_problem(&p->file, index, &problem);
	errors_print(&p->file.file.errors, stderr);
	return PROCESS_USE;
}

// `*ret_huge`: in huge pages, and it can do without.
static int start_dpdk(const struct node_file *file, bool *ret_huge)
{
	const char *cards[ENGINE_PCI_MAX];
	struct engine_eal_config config = {.bytes = file->memory, .pci = cards};
	for (uint32_t i = 0; i < file->link_count; i++)
		if (engine_eal_is_pci(file->links[i].device))
			cards[config.pci_count++] = file->links[i].device;
	int rc = engine_eal_start_with(&config, ret_huge);
	*ret_huge &= config.pci_count == 0; // a card's memory is pinned
	return rc;
}

static int start_workload(struct node_process *p)
{
	struct workload_engine_config work = {.node = p->node,
		.peers = p->network ? network_peers(p->network) : NULL,
		.worker_count = p->worker_count,
		.worker_cpus = p->cpus,
		.worker_nodes = p->numa,
		.kinds = p->kinds};
	if (background_create_thread("weir-builder", &work.background) < 0)
		return fail(p, PROCESS_FAILED, "the thread that builds jobs did not start");
	if (workload_engine_create(&work, &p->workload) == 0)
		return PROCESS_DONE;
	work.background->ops->destroy(work.background);
	return fail(p, PROCESS_FAILED, "no memory for jobs");
}

static int start_workers(struct node_process *p)
{
	bool huge = false;
	if (start_dpdk(&p->file, &huge) < 0)
		return fail(p, PROCESS_FAILED, "DPDK did not start");
	int code = start_network(p, huge);
	if (code != PROCESS_DONE)
		return code;
	int64_t wait = p->file.wait;
	if (wait < 0)
		wait = p->shared ? NODE_WAIT_YIELD : NODE_WAIT_SPIN;
	const struct node_config config = {.worker_count = p->worker_count,
		.worker_cpus = p->cpus,
		.wait = (enum node_wait)wait,
		.transports = p->network ? network_transports(p->network) : NULL};
	if (node_create(&config, &p->node) < 0 || node_start(p->node) < 0)
		return fail(p, PROCESS_FAILED, "workers did not start");
	return start_workload(p);
}

static int open_all(struct node_process *p)
{
	char why[BUS_WHY_BYTES] = "";
	const struct bus_events no_events = {0};
	if (p->file.storage && process_hold_folder(p->file.storage, why) < 0)
		return fail_at(p, PROCESS_FAILED, "storage", why);
	int code = place(p);
	if (code == PROCESS_DONE)
		(void)keeper_start(p->cpus, p->worker_count); // an old kernel has none
	if (code == PROCESS_DONE && loop_create(&p->loop) < 0)
		return fail(p, PROCESS_FAILED, "the event loop did not start");
	if (code == PROCESS_DONE &&
		bus_socket_create(loop_base(p->loop), &p->file.file.bus, &no_events, &p->bus, why) <
			0)
		return fail(p, PROCESS_USE, why);
	return code == PROCESS_DONE ? start_workers(p) : code;
}

static int run(struct node_process *p)
{
	const char *links[LINKS_MAX];
	for (uint32_t i = 0; i < p->file.link_count; i++)
		links[i] = network_address(p->network, i);
	const struct agent_config config = {.name = p->file.name,
		.host = p->file.host,
		.rack = p->file.rack,
		.boot = process_boot(),
		.workers = p->worker_count,
		.link_count = p->file.link_count,
		.links = links,
		.controller_count = p->file.controllers.count,
		.controllers = p->file.controllers.text,
		.bus = p->bus,
		.workload = p->workload};
	p->agent = agent_create(&config);
	if (loop_add(p->loop, step, p) < 0)
		return fail(p, PROCESS_FAILED, "the event loop is full");
	process_run_first();
	loop_run(p->loop);
	process_say("weir-node", p->file.name, "leaves; once more ends it at once");
	agent_leave(p->agent);
	loop_run(p->loop);
	return PROCESS_DONE;
}

static void close_all(struct node_process *p)
{
	agent_destroy(p->agent);
	if (p->workload)
		p->workload->ops->destroy(p->workload);
	node_destroy(p->node);
	network_destroy(p->network);
	if (p->bus)
		p->bus->ops->destroy(p->bus);
	if (p->loop)
		loop_destroy(p->loop);
	free(p->cpus);
	free(p->numa);
	cluster_file_destroy(&p->file.file);
}

int node_program(int argc, char **argv, const struct weir_operator *const *kinds)
{
	struct node_process p = {.kinds = kinds};
	node_file_load(&p.file, process_file_argument(argc, argv, doc));
	int code = PROCESS_USE;
	if (p.file.file.errors.count > 0)
		errors_print(&p.file.file.errors, stderr);
	else
		code = open_all(&p);
	if (code == PROCESS_DONE)
		code = run(&p);
	close_all(&p);
	return code;
}
