// Control messages from outside, given to everything that takes them: a leading controller with a
// joined node and a running job, an agent that has joined, a client; and records of metadata. What
// is accepted can be packed and read again.
#include <stdlib.h>
#include <string.h>

#include "control/agent.h"
#include "control/controller.h"
#include "control/message.h"
#include "dataplane/operator.h"
#include "numa/assert.h"
#include "tests/fuzz/fuzz.h"

// A bus that checks what is sent, and metadata that says yes at once.
struct end {
	struct bus bus;
	uint64_t connects;
};

struct yes {
	struct meta meta;
	uint64_t asked;
	bool listing;
	int64_t revision;
};

static uint64_t end_connect(struct bus *bus, const char *address)
{
	return ++((struct end *)bus)->connects;
}

static int end_send(struct bus *bus, uint64_t peer, const void *message, size_t bytes)
{
	Weir__Message *m = message_read(message, bytes);
	VERIFY(m); // its own messages are never malformed
	message_free(m);
	return 0;
}

static void end_close(struct bus *bus, uint64_t peer)
{
}

static const struct bus_ops bus_ops = {end_connect, end_send, end_close, NULL};

static int yes_txn(struct meta *meta, uint64_t request, const struct meta_txn *txn, int64_t now_ns)
{
	((struct yes *)meta)->asked = request;
	((struct yes *)meta)->listing = false;
	return 0;
}

static int yes_list(struct meta *meta, uint64_t request, const char *prefix, int64_t now_ns)
{
	((struct yes *)meta)->asked = request;
	((struct yes *)meta)->listing = true;
	return 0;
}

static int yes_watch(struct meta *meta, const char *prefix)
{
	return 0;
}

static int yes_keep_lease(struct meta *meta, int64_t ttl_ns)
{
	return 0;
}

static const struct meta_ops meta_ops = {yes_txn, yes_list, yes_watch, yes_keep_lease, NULL, NULL};

static void yes_answer(struct yes *y)
{
	uint64_t asked = y->asked;
	const struct meta_entry leader = {"weir/election/leader", "", 0, 1};
	y->asked = 0;
	if (asked && y->listing)
		y->meta.events.listed(y->meta.events.owner, asked, META_DONE, &leader,
			y->revision > 0, y->revision);
	else if (asked)
		y->meta.events.answered(y->meta.events.owner, asked, META_DONE, ++y->revision);
}

static int no_prepare(struct workload *workload, const struct workload_request *request,
	struct workload_part **ret_part)
{
	*ret_part = (struct workload_part *)workload;
	return request->sets == NULL && request->set_count > 0 ? -1 : 0;
}

static void no_command(struct workload *workload, struct workload_part *part)
{
}

static void no_lose(struct workload *workload, struct workload_part *part, uint32_t lost,
	uint64_t successor, bool alone)
{
}

static void no_admit(struct workload *workload, struct workload_part *part,
	const struct workload_admission *admission)
{
	ASSERT(admission->as->workers > 0);
}

static void no_status(const struct workload *workload, const struct workload_part *part,
	struct workload_status *ret_status)
{
	*ret_status = (struct workload_status){.state = WORKLOAD_RUNNING};
}

static int64_t no_step(struct workload *workload, int64_t now_ns)
{
	return INT64_MAX;
}

static const struct workload_ops workload_ops = {no_prepare, no_command, no_command, no_command,
	no_command, no_status, no_step, NULL, no_lose, no_admit};

static void try_controller(const uint8_t *data, size_t bytes)
{
	struct end end = {.bus = {.ops = &bus_ops}};
	struct yes yes = {.meta = {.ops = &meta_ops}};
	const struct controller_config config = {.name = "c",
		.address = "c",
		.boot = 1,
		.meta = &yes.meta,
		.bus = &end.bus,
		.kinds = weir_operators,
		.lease_ns = 1000000000,
		.heartbeat_ns = 1000000,
		.silence_ns = 3000000,
		.prepare_ns = 1000000000,
		.ended_max = 4};
	struct controller *c = controller_create(&config);
	yes.meta.events.lease(yes.meta.events.owner, INT64_MAX);
	for (int64_t now = 1; now < 5; now++) { // looks up, claims, loads, leads
		controller_step(c, now, now);
		yes_answer(&yes);
	}
	VERIFY(controller_term(c) == 1);
	for (int64_t now = 5; now < 9; now++) {
		end.bus.events.received(end.bus.events.owner, 7, data, bytes);
		controller_step(c, now, now);
		yes_answer(&yes);
	}
	end.bus.events.closed(end.bus.events.owner, 7, "reset");
	controller_step(c, 9, 9);
	controller_destroy(c);
}

static void try_agent(const uint8_t *data, size_t bytes)
{
	static const char *const controllers[] = {"c"};
	struct end end = {.bus = {.ops = &bus_ops}};
	struct workload workload = {&workload_ops};
	const struct agent_config config = {.name = "n",
		.host = "h",
		.rack = "r",
		.boot = 1,
		.workers = 1,
		.controller_count = 1,
		.controllers = controllers,
		.bus = &end.bus,
		.workload = &workload};
	struct agent *a = agent_create(&config);
	agent_step(a, 1);
	end.bus.events.opened(end.bus.events.owner, 1, "c");
	agent_step(a, 2);
	for (int i = 0; i < 2; i++) { // the second finds it welcomed, if the first was a welcome
		end.bus.events.received(end.bus.events.owner, 1, data, bytes);
		agent_step(a, 3 + i);
	}
	agent_destroy(a);
}

static void try_records(const uint8_t *data, size_t bytes)
{
	record_free(leader_record_read(data, bytes));
	record_free(node_record_read(data, bytes));
	record_free(job_record_read(data, bytes));
	record_free(job_spec_read(data, bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	Weir__Message *m = message_read(data, bytes);
	try_records(data, bytes);
	if (m) {
		size_t packed;
		void *again = record_pack(m, &packed);
		Weir__Message *copy = message_read(again, packed);
		VERIFY(copy);
		message_free(copy);
		free(again);
	}
	message_free(m);
	try_agent(data, bytes);
	try_controller(data, bytes);
	return 0;
}

static size_t pack_seed(Weir__Message *m, uint8_t *data, size_t bytes_max)
{
	size_t bytes;
	m->version = MESSAGE_VERSION;
	m->term = 1;
	void *packed = record_pack(m, &bytes);
	VERIFY(bytes <= bytes_max);
	memcpy(data, packed, bytes);
	free(packed);
	return bytes;
}

static size_t seed_request(unsigned index, uint8_t *data, size_t bytes_max)
{
	static const char text[] = "version: 1\njob: j\noperators:\n"
				   "  - {id: s, kind: nexmark, events: 10}\n"
				   "  - {id: n, kind: 'null', input: s.bid}\n";
	Weir__Message m = WEIR__MESSAGE__INIT;
	Weir__Request request = WEIR__REQUEST__INIT;
	Weir__Submit submit = WEIR__SUBMIT__INIT;
	Weir__Cancel cancel = WEIR__CANCEL__INIT;
	Weir__JobSpec spec = WEIR__JOB_SPEC__INIT;
	spec.file = (char *)"j.yaml";
	spec.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
	submit.token = (char *)"t";
	submit.spec = &spec;
	cancel.job = (char *)"j-1";
	request.what_case = (Weir__Request__WhatCase)(1 + index % 6);
	if (request.what_case == WEIR__REQUEST__WHAT_SUBMIT)
		request.submit = &submit;
	else if (request.what_case == WEIR__REQUEST__WHAT_CANCEL)
		request.cancel = &cancel;
	else if (request.what_case == WEIR__REQUEST__WHAT_STATUS)
		request.status = (char *)"j-1";
	m.body_case = WEIR__MESSAGE__BODY_REQUEST;
	m.request = &request;
	return pack_seed(&m, data, bytes_max);
}

static size_t seed_node(unsigned index, uint8_t *data, size_t bytes_max)
{
	Weir__Message m = WEIR__MESSAGE__INIT;
	Weir__Join join = WEIR__JOIN__INIT;
	Weir__Report report = WEIR__REPORT__INIT;
	Weir__NodeRecord node = WEIR__NODE_RECORD__INIT;
	Weir__Part part = WEIR__PART__INIT, *parts[] = {&part};
	Weir__Cover cover = WEIR__COVER__INIT, *covers[] = {&cover};
	uint32_t zero = 0;
	node.name = (char *)"n";
	node.boot = 3;
	node.workers = 2;
	part.job = (char *)"j-1";
	part.incarnation = 1;
	part.state = WEIR__PART_STATE__PART_RUNNING;
	part.n_covers = part.n_lost = part.n_admitted = part.n_repaired = cover.n_by = 1;
	part.covers = covers;
	part.lost = part.admitted = part.repaired = cover.by = &zero;
	join.node = &node;
	join.n_parts = report.n_parts = 1;
	join.parts = report.parts = parts;
	m.body_case = index ? WEIR__MESSAGE__BODY_REPORT : WEIR__MESSAGE__BODY_JOIN;
	if (index)
		m.report = &report;
	else
		m.join = &join;
	return pack_seed(&m, data, bytes_max);
}

static size_t seed_controller(unsigned index, uint8_t *data, size_t bytes_max)
{
	Weir__Message m = WEIR__MESSAGE__INIT;
	Weir__Welcome welcome = WEIR__WELCOME__INIT;
	Weir__Redirect redirect = WEIR__REDIRECT__INIT;
	Weir__Prepare prepare = WEIR__PREPARE__INIT;
	Weir__Command command = WEIR__COMMAND__INIT;
	Weir__Lose lose = WEIR__LOSE__INIT;
	Weir__Admit admit = WEIR__ADMIT__INIT;
	Weir__Replacement replacement = WEIR__REPLACEMENT__INIT;
	Weir__JobSpec spec = WEIR__JOB_SPEC__INIT;
	Weir__Participant participant = WEIR__PARTICIPANT__INIT, *participants[] = {&participant};
	welcome.heartbeat_ns = welcome.silence_ns = 1000000000;
	redirect.address = (char *)"d";
	participant.node = (char *)"n";
	participant.workers = 1;
	replacement.node = (char *)"m";
	participant.repair = &replacement;
	prepare.job = command.job = lose.job = admit.job = (char *)"j-1";
	admit.as = &participant;
	prepare.spec = &spec;
	prepare.n_participants = 1;
	prepare.participants = participants;
	if (index == 0) {
		m.body_case = WEIR__MESSAGE__BODY_WELCOME;
		m.welcome = &welcome;
	} else if (index == 1) {
		m.body_case = WEIR__MESSAGE__BODY_REDIRECT;
		m.redirect = &redirect;
	} else if (index == 2) {
		m.body_case = WEIR__MESSAGE__BODY_PREPARE;
		m.prepare = &prepare;
	} else if (index == 3) {
		m.body_case = WEIR__MESSAGE__BODY_LOSE;
		m.lose = &lose;
	} else if (index == 4) {
		m.body_case = WEIR__MESSAGE__BODY_ADMIT;
		m.admit = &admit;
	} else {
		m.body_case = WEIR__MESSAGE__BODY_START;
		m.start = &command;
	}
	return pack_seed(&m, data, bytes_max);
}

size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	if (index < 6)
		return seed_request(index, data, bytes_max);
	if (index < 8)
		return seed_node(index - 6, data, bytes_max);
	return index < 14 ? seed_controller(index - 8, data, bytes_max) : 0;
}
