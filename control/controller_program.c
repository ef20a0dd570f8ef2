#include "control/programs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/controller.h"
#include "control/meta_etcd.h"
#include "control/meta_journal.h"
#include "control/process.h"
#include "numa/clock.h"

static const char doc[] =
	"Lead a Weir cluster, or stand by: know its nodes, deploy jobs on them, keep "
	"their records.\v"
	"  weir-controller examples/cluster/one-host/controller.yaml\n\n"
	"A file holds at least:\n\n"
	"  version: 1\n"
	"  name: c1\n"
	"  listen: [unix:/tmp/weir-controller.sock]\n"
	"  metadata: {journal: /tmp/weir-journal}\n\n"
	"docs/cluster-reference.md has every key, docs/cluster.md sets a cluster up in ten "
	"minutes. SIGTERM gives leadership up and ends; jobs run on meanwhile. Exit "
	"codes: 0 ended on "
	"request, 1 failed, 2 wrong use or a mistake in the file.";

enum { ROUNDS_MAX = 8, RESIGN_ROUNDS_NS = 1000000000 };

struct controller_process {
	struct controller_file file;
	const struct weir_operator *const *kinds;
	struct loop *loop;
	struct meta *meta;
	struct bus *bus;
	struct controller *controller;
	uint64_t term;
	bool trouble;            // of the metadata, as it was said last
	int64_t resign_until_ns; // 0: it goes on
	bool refused;            // to lead
};

static void say_term(struct controller_process *p)
{
	uint64_t term = controller_term(p->controller);
	if (term != p->term && term)
		process_say("weir-controller", p->file.name, "leads, term %llu",
			(unsigned long long)term);
	else if (term != p->term)
		process_say("weir-controller", p->file.name, "does not lead any more");
	p->term = term;
}

static void say_trouble(struct controller_process *p)
{
	const char *text = p->meta->ops->trouble ? p->meta->ops->trouble(p->meta) : NULL;
	if (text && !p->trouble)
		process_say("weir-controller", p->file.name, "metadata: %s", text);
	else if (!text && p->trouble)
		process_say("weir-controller", p->file.name, "metadata: answers again");
	p->trouble = text != NULL;
}

// It ends.
static void say_refusal(struct controller_process *p)
{
	const char *refusal = controller_refusal(p->controller);
	if (!refusal || p->refused)
		return;
	process_say("weir-controller", p->file.name, "%s", refusal);
	p->refused = true;
	loop_stop(p->loop);
}

// A controller and its metadata take turns until neither has more to say. What metadata does not
// answer at once comes as an event of the loop.
static int64_t step(void *owner, int64_t now_ns)
{
	struct controller_process *p = owner;
	int64_t meta_ns, next_ns = now_ns;
	int round = 0;
	do {
		meta_ns = p->meta->ops->step(p->meta, now_ns);
		if (round > 0 && controller_is_asking(p->controller))
			break;
		next_ns = controller_step(p->controller, now_ns, process_wall_ns());
	} while (controller_is_asking(p->controller) && ++round < ROUNDS_MAX);
	say_term(p);
	say_trouble(p);
	say_refusal(p);
	if (p->resign_until_ns != 0 &&
		(controller_has_resigned(p->controller) || now_ns > p->resign_until_ns))
		loop_stop(p->loop);
	if (round == ROUNDS_MAX)
		return now_ns;
	return meta_ns < next_ns ? meta_ns : next_ns;
}

static int fail(const struct controller_process *p, int code, const char *why)
{
	process_say("weir-controller", p->file.name, "%s", why);
	return code;
}

static int fail_at(const struct controller_process *p, const char *key, const char *why)
{
	process_say("weir-controller", p->file.name, "%s: %s", key, why);
	return PROCESS_FAILED;
}

static int open_meta(struct controller_process *p)
{
	char why[BUS_WHY_BYTES] = "";
	const struct meta_events no_events = {0};
	int rc = p->file.journal
		? meta_journal_open(p->file.journal, &no_events, &p->meta, why)
		: meta_etcd_create(loop_base(p->loop), &p->file.etcd, &no_events, &p->meta, why);
	if (rc < 0)
		return fail_at(p, "metadata", why);
	if (*why)
		process_say("weir-controller", p->file.name, "%s", why);
	return PROCESS_DONE;
}

static int open_all(struct controller_process *p)
{
	char why[BUS_WHY_BYTES] = "";
	const struct bus_events no_bus_events = {0};
	process_open_many();
	if (loop_create(&p->loop) < 0)
		return fail(p, PROCESS_FAILED, "the event loop did not start");
	int code = open_meta(p);
	if (code != PROCESS_DONE)
		return code;
	if (bus_socket_create(loop_base(p->loop), &p->file.file.bus, &no_bus_events, &p->bus, why) <
		0)
		return fail(p, PROCESS_USE, why);
	for (uint32_t i = 0; i < p->file.listen.count; i++)
		if (bus_socket_listen(p->bus, p->file.listen.text[i], NULL, why) < 0)
			return fail_at(p, "listen", why);
	return PROCESS_DONE;
}

static int run(struct controller_process *p)
{
	const struct controller_config config = {.name = p->file.name,
		.address = p->file.address,
		.boot = process_boot(),
		.meta = p->meta,
		.bus = p->bus,
		.kinds = p->kinds,
		.lease_ns = p->file.lease_ns,
		.heartbeat_ns = p->file.heartbeat_ns,
		.silence_ns = p->file.silence_ns,
		.prepare_ns = p->file.prepare_ns,
		.ended_max = p->file.keep_jobs};
	p->controller = controller_create(&config);
	if (loop_add(p->loop, step, p) < 0)
		return fail(p, PROCESS_FAILED, "the event loop is full");
	process_say("weir-controller", p->file.name, "serves %s", p->file.address);
	process_run_first();
	loop_run(p->loop);
	controller_resign(p->controller);
	p->resign_until_ns = clock_now_ns() + RESIGN_ROUNDS_NS;
	loop_run(p->loop); // a second signal ends it at once
	process_say("weir-controller", p->file.name, "ends");
	return p->refused ? PROCESS_FAILED : PROCESS_DONE;
}

int controller_program(int argc, char **argv, const struct weir_operator *const *kinds)
{
	struct controller_process p = {.kinds = kinds};
	controller_file_load(&p.file, process_file_argument(argc, argv, doc));
	int code = PROCESS_USE;
	if (p.file.file.errors.count > 0)
		errors_print(&p.file.file.errors, stderr);
	else
		code = open_all(&p);
	if (p.bus && code == PROCESS_DONE)
		code = run(&p);
	controller_destroy(p.controller);
	if (p.bus)
		p.bus->ops->destroy(p.bus);
	if (p.meta)
		p.meta->ops->destroy(p.meta);
	if (p.loop)
		loop_destroy(p.loop);
	cluster_file_destroy(&p.file.file);
	return code;
}
