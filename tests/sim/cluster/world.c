// The world: processes that start, crash, sleep and wake, and what else the seed has go wrong.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/cluster/cluster.h"

enum { TICK_MS = 20, LEASE_MS = 2000 }; // there is none shorter

static const char *const controller_names[] = {"c0", "c1", "c2"};

void cluster_violate(struct cluster *c, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "seed %" PRIu64 ", %.3f s: ", c->seed, (double)c->time.now_ns / 1e9);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	c->violated = true;
}

void cluster_say(const struct cluster *c, const char *format, ...)
{
	va_list arguments;
	if (!c->verbose)
		return;
	va_start(arguments, format);
	fprintf(stderr, "%9.3f s: ", (double)c->time.now_ns / 1e9);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

bool process_runs(const struct process *p)
{
	return p->up && !p->paused;
}

static void step(void *owner, void *argument);

static void step_at(struct process *p, int64_t at_ns)
{
	if (p->step_asked && p->wake_ns <= at_ns)
		return;
	p->step_asked = true;
	p->wake_ns = at_ns;
	vtime_at(&p->cluster->time, at_ns, step, p, NULL);
}

void process_wake(struct process *p)
{
	if (p->cluster->wake)
		p->cluster->wake(p);
	else
		step_at(p, p->cluster->time.now_ns);
}

static void step(void *owner, void *argument)
{
	struct process *p = owner;
	int64_t now_ns = p->cluster->time.now_ns, next_ns = INT64_MAX;
	if (!process_runs(p) || !p->step_asked || now_ns < p->wake_ns)
		return;
	p->step_asked = false;
	if (p->controller) {
		next_ns = controller_step(p->controller, now_ns, now_ns);
		ledger_term(p->cluster, p);
		cluster_trace_step(p);
	} else if (p->agent) {
		next_ns = agent_step(p->agent, now_ns);
	}
	if (next_ns < INT64_MAX)
		step_at(p, next_ns > now_ns ? next_ns : now_ns + 1000);
}

static void start(struct process *p)
{
	struct cluster *c = p->cluster;
	if (p->up)
		return;
	p->up = true;
	p->paused = p->meta_cut = p->tainted = p->step_asked = p->leaving = false;
	p->starved_ns = p->starved_before_ns = 0;
	p->boot = ++c->boot_next;
	cluster_say(c, "%s starts", p->name);
	if (p->role == ROLE_CONTROLLER) {
		const struct controller_config config = {.name = p->name,
			.address = p->name,
			.boot = p->boot,
			.bus = sim_bus_create(p),
			.meta = sim_meta_create(p),
			.kinds = c->work->kinds,
			.lease_ns = LEASE_MS * MS,
			.heartbeat_ns = c->silence_ns * 2 / 15,
			.silence_ns = c->silence_ns,
			.prepare_ns = 10000 * c->ms,
			.ended_max = 8};
		p->controller = controller_create(&config);
	} else {
		struct agent_config config = {.name = p->name,
			.host = p->name,
			.boot = p->boot,
			.controllers = controller_names,
			.controller_count = c->controllers,
			.bus = sim_bus_create(p)};
		config.workload = c->work->create(p, &config);
		p->agent = agent_create(&config);
	}
	process_wake(p);
}

static void crash(struct process *p, bool silent)
{
	if (!p->up)
		return;
	cluster_say(p->cluster, "%s crashes%s", p->name, silent ? " with its host" : "");
	p->disturbed_ns = p->cluster->time.now_ns;
	p->up = p->paused = false;
	sim_bus_crash(p, silent);
	controller_destroy(p->controller);
	p->controller = NULL;
	agent_destroy(p->agent);
	p->agent = NULL;
	if (p->role == ROLE_NODE)
		p->cluster->work->destroy(p);
	sim_bus_destroy(p);
	sim_meta_destroy(p);
}

static void start_again(void *owner, void *argument)
{
	if (!((struct process *)owner)->cluster->ending)
		start(owner);
}

static void wake_up(void *owner, void *argument)
{
	struct process *p = owner;
	if (!p->paused)
		return;
	cluster_say(p->cluster, "%s wakes up", p->name);
	p->disturbed_ns = p->cluster->time.now_ns;
	p->paused = false;
	p->step_asked = false;
	process_wake(p);
}

static void heal(void *owner, void *argument)
{
	struct cluster *c = owner;
	cluster_say(c, "the network heals");
	for (uint32_t i = 0; i < c->count; i++)
		for (uint32_t k = 0; k < c->count; k++)
			if (c->cut[i][k])
				c->processes[i].disturbed_ns = c->processes[k].disturbed_ns =
					c->time.now_ns;
	memset(c->cut, 0, sizeof(c->cut));
	if (c->work->cut)
		c->work->cut(c);
}

static void server_back(void *owner, void *argument)
{
	struct cluster *c = owner;
	c->server.gone = false;
	c->server.delay_ns = 2 * c->ms;
}

static void meta_back(void *owner, void *argument)
{
	((struct process *)owner)->meta_cut = false;
}

static void resume(void *owner, void *argument)
{
	struct process *p = owner;
	p->tainted = false;
	p->disturbed_ns = p->cluster->time.now_ns;
}

// No reason to take it for dead.
static void feed(void *owner, void *argument)
{
	struct process *p = owner;
	if (p->starved_ns != 0)
		p->starved_before_ns += p->cluster->time.now_ns - p->starved_ns;
	p->starved_ns = 0;
}

static int64_t later(struct cluster *c, uint64_t least_ms, uint64_t most_ms)
{
	return c->time.now_ns + (int64_t)random_in(&c->random, least_ms, most_ms) * c->ms;
}

static struct process *some(struct cluster *c, uint32_t first, uint32_t count)
{
	return &c->processes[first + random_in(&c->random, 0, count - 1)];
}

// Full, one-way, or of some pairs only.
static void partition(struct cluster *c)
{
	uint32_t kind = (uint32_t)random_in(&c->random, 0, 2);
	struct process *p = some(c, 0, c->count - 1);
	cluster_say(c, "partition %u around %s", kind, p->name);
	for (uint32_t i = 0; i < c->count; i++) {
		bool pair = kind != 2 || random_chance(&c->random, 500);
		c->cut[p->index][i] |= pair;
		c->cut[i][p->index] |= pair && kind != 1;
	}
	if (c->work->cut)
		c->work->cut(c);
	vtime_at(&c->time, later(c, 100, 8000), heal, c, NULL);
}

static void fault_process(struct cluster *c, struct process *p)
{
	bool silent = random_chance(&c->random, 300);
	switch (random_in(&c->random, 0, 4)) {
	case 0:
	case 1:
		crash(p, silent);
		vtime_at(&c->time, later(c, 50, 6000), start_again, p, NULL);
		break;
	case 2:
		if (!p->up)
			return;
		cluster_say(c, "%s sleeps", p->name);
		p->paused = true;
		vtime_at(&c->time, later(c, 10, 8000), wake_up, p, NULL);
		break;
	case 3:
		cluster_say(c, "%s gets no core for its workers", p->name);
		if (p->starved_ns == 0)
			p->starved_ns = c->time.now_ns;
		vtime_at(&c->time, later(c, 10, 9000), feed, p, NULL);
		break;
	default:
		cluster_say(c, "%s hangs, or is cut from metadata", p->name);
		p->tainted = true;
		p->meta_cut = true;
		vtime_at(&c->time, later(c, 10, 6000), meta_back, p, NULL);
		vtime_at(&c->time, later(c, 10, 6000), resume, p, NULL);
	}
}

static void strike(void *owner, void *argument)
{
	struct process *p = owner;
	if (p->cluster->faults)
		fault_process(p->cluster, p);
}

void world_strike(struct cluster *c, uint32_t process)
{
	vtime_at(&c->time, later(c, 1, 800), strike, &c->processes[process], NULL);
}

static void fault_server(struct cluster *c)
{
	c->server.gone = random_chance(&c->random, 500);
	c->server.delay_ns = (int64_t)random_in(&c->random, 1, 600) * c->ms;
	cluster_say(c, "metadata is %s", c->server.gone ? "gone" : "slow");
	vtime_at(&c->time, later(c, 100, 9000), server_back, c, NULL);
}

void world_strike_all(struct cluster *c, uint32_t process)
{
	fault_server(c);
	vtime_at(&c->time, later(c, 1, 60), strike, &c->processes[process], NULL);
	vtime_at(&c->time, later(c, 1, 400), strike, some(c, 0, c->controllers), NULL);
}

// Often another fault comes right behind, while the first is being dealt with.
static void fault(void *owner, void *argument)
{
	struct cluster *c = owner;
	if (!c->faults)
		return;
	c->fault_count++;
	switch (random_in(&c->random, 0, 7)) {
	case 0:
	case 1:
		fault_process(c, some(c, 0, c->controllers));
		break;
	case 2:
	case 3:
		fault_process(c, some(c, c->controllers, c->nodes));
		break;
	case 4:
		partition(c);
		break;
	case 5:
		fault_server(c);
		break;
	case 6:
		sim_bus_break(c, (uint32_t)random_in(&c->random, 0, c->nodes));
		break;
	default:
		c->delay_ns = (int64_t)random_in(&c->random, 0, 300) * c->ms;
	}
	if (c->work->fault)
		c->work->fault(c);
	vtime_at(&c->time, random_chance(&c->random, 300) ? later(c, 1, 150) : later(c, 100, 6000),
		fault, c, NULL);
}

static void tick(void *owner, void *argument)
{
	struct cluster *c = owner;
	if (c->ending)
		return;
	sim_client_step(&c->processes[c->count - 1], !c->faults);
	vtime_at(&c->time, c->time.now_ns + TICK_MS * c->ms, tick, c, NULL);
}

static void calm(struct cluster *c)
{
	cluster_say(c, "all faults end");
	c->faults = false;
	heal(c, NULL);
	server_back(c, NULL);
	c->delay_ns = c->ms;
	if (c->work->calm)
		c->work->calm(c);
	for (uint32_t i = 0; i < c->count - 1; i++) {
		struct process *p = &c->processes[i];
		start(p);
		wake_up(p, NULL);
		p->meta_cut = p->tainted = false;
		feed(p, NULL);
		p->disturbed_ns = c->time.now_ns;
	}
}

static void create(struct cluster *c, uint64_t seed)
{
	c->seed = seed;
	c->random.state = seed;
	c->controllers = (uint32_t)random_in(&c->random, 1, CONTROLLERS_MAX);
	c->nodes = (uint32_t)random_in(&c->random, c->nodes_min, c->nodes_max);
	c->count = c->controllers + c->nodes + 1;
	c->delay_ns = (int64_t)random_in(&c->random, 0, 5) * c->ms;
	c->server.delay_ns = 2 * c->ms;
	c->server.journal = c->controllers == 1 && seed % 2 == 1;
	c->faults = true;
	for (uint32_t i = 0; i < c->count; i++) {
		struct process *p = &c->processes[i];
		*p = (struct process){.cluster = c, .index = i};
		p->role = i < c->controllers ? ROLE_CONTROLLER
			: i + 1 < c->count   ? ROLE_NODE
					     : ROLE_CLIENT;
		snprintf(p->name, sizeof(p->name), "%c%u", "cnu"[p->role],
			p -> role == ROLE_NODE ? i - c -> controllers : i);
		if (p->role == ROLE_CLIENT)
			sim_client_start(p);
	}
	c->processes[c->count - 1].up = true;
	sim_meta_server_start(c);
	for (uint32_t i = 0; i < c->count - 1; i++)
		vtime_at(&c->time, later(c, 0, 300), start_again, &c->processes[i], NULL);
	tick(c, NULL);
	vtime_at(&c->time, later(c, 500, 5000), fault, c, NULL);
}

// Everything is taken down, and what is still under way is let run out.
static void destroy(struct cluster *c)
{
	c->ending = true;
	c->verbose = false;
	for (uint32_t i = 0; i < c->count; i++)
		crash(&c->processes[i], false);
	while (vtime_next(&c->time, INT64_MAX)) {
	}
	vtime_destroy(&c->time);
	sim_bus_end(c);
	sim_meta_end(c);
	shadow_end(c);
	free(c->published);
}

static void run_until(struct cluster *c, int64_t until_ns)
{
	while (!c->violated && vtime_next(&c->time, until_ns)) {
	}
}

bool cluster_run(struct cluster *c, uint64_t seed, bool verbose)
{
	const char *why = NULL;
	c->verbose = verbose;
	create(c, seed);
	cluster_trace_begin(c);
	run_until(c, c->faults_ms * c->ms);
	calm(c);
	int64_t until_ns = c->time.now_ns + c->calm_ms * c->ms;
	while (!c->violated && !ledger_is_quiet(c, &why) && c->time.now_ns < until_ns)
		run_until(c, c->time.now_ns + 100 * c->ms);
	if (!c->violated && why)
		cluster_violate(c, "%.1f s after the last fault %s",
			(double)(c->calm_ms * c->ms) / 1e9, why);
	cluster_say(c,
		"%u faults, %u jobs ended, %u of them well, %u without a node; %u new replicas, "
		"%u given up",
		c->fault_count, c->ended_count, c->finished_count, c->taken_over, c->repaired,
		c->given_up);
	cluster_trace_end();
	destroy(c);
	return !c->violated;
}

bool cluster_run_seed(uint64_t seed, bool verbose)
{
	struct cluster *c = calloc(1, sizeof(*c));
	VERIFY(c);
	c->work = &sim_work;
	c->ms = MS;
	c->silence_ns = 1500 * MS;
	c->jobs_max = CLIENT_JOBS_MAX;
	c->cancels = 8;
	c->faults_ms = 30000;
	c->calm_ms = 400000;
	c->nodes_min = 1;
	c->nodes_max = NODES_MAX;
	bool good = cluster_run(c, seed, verbose);
	free(c);
	return good;
}
