// A controller by itself: metadata and bus that keep what they are asked, nodes and a client whose
// part the test speaks.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/controller.h"
#include "control/message.h"
#include "numa/assert.h"

enum { NODES = 6, SENT_MAX = 4096, KEYS_MAX = 32, CLIENT = 50 };
#define MS 1000000LL

struct key {
	char name[META_KEY_MAX];
	void *value;
	size_t bytes;
	int64_t revision;
};

// Metadata that answers when it is told to.
static struct {
	struct meta meta;
	int64_t revision;
	struct key keys[KEYS_MAX];
	uint32_t count;
	enum { ASKED_NOTHING, ASKED_TXN, ASKED_LIST } asked;
	uint64_t request;
	char prefix[META_KEY_MAX];
	struct meta_put puts[META_OPS_MAX];
	uint32_t put_count;
} store;

// The bus keeps what was sent.
static struct {
	struct bus bus;
	struct {
		uint64_t peer;
		Weir__Message *message;
	} sent[SENT_MAX];
	uint32_t count;
} bus;

static struct controller *controller;
static int64_t now_ns;
static uint32_t nodes; // that there are
static uint64_t boots[NODES], incarnation;
static char job[MESSAGE_NAME_MAX + 1];
static const char *token = "token";
static uint32_t node_workers = 1;
static int64_t heartbeat_ms = 200, silence_ms = 1500;
static const char *hosts[NODES];             // NULL: the node's name
static uint32_t protocol = CLUSTER_PROTOCOL; // that nodes speak
static uint64_t numbers[CLIENT + 1];         // by peer: of the last command it was sent,
static bool deaf;                            // which nobody has carried out

static struct key *key_of(const char *name)
{
	for (uint32_t i = 0; i < store.count; i++)
		if (strcmp(store.keys[i].name, name) == 0)
			return &store.keys[i];
	assert_true(store.count < KEYS_MAX);
	struct key *key = &store.keys[store.count++];
	*key = (struct key){0};
	snprintf(key->name, sizeof(key->name), "%s", name);
	return key;
}

static int store_txn(struct meta *meta, uint64_t request, const struct meta_txn *txn, int64_t at_ns)
{
	assert_int_equal(store.asked, ASKED_NOTHING);
	store.asked = ASKED_TXN;
	store.request = request;
	store.put_count = txn->put_count;
	for (uint32_t i = 0; i < txn->put_count; i++) {
		const struct meta_put *put = &txn->puts[i];
		void *value = put->value ? malloc(put->bytes + 1) : NULL;
		if (value)
			memcpy(value, put->value, put->bytes);
		store.puts[i] = (struct meta_put){strdup(put->key), value, put->bytes, false};
	}
	return 0;
}

static int store_list(struct meta *meta, uint64_t request, const char *prefix, int64_t at_ns)
{
	assert_int_equal(store.asked, ASKED_NOTHING);
	store.asked = ASKED_LIST;
	store.request = request;
	snprintf(store.prefix, sizeof(store.prefix), "%s", prefix);
	return 0;
}

static int store_watch(struct meta *meta, const char *prefix)
{
	return 0;
}

static int store_keep_lease(struct meta *meta, int64_t ttl_ns)
{
	return 0;
}

static void apply(void)
{
	store.revision++;
	for (uint32_t i = 0; i < store.put_count; i++) {
		struct key *key = key_of(store.puts[i].key);
		free(key->value);
		key->value = (void *)store.puts[i].value;
		key->bytes = store.puts[i].bytes;
		key->revision = store.revision;
		if (!key->value)
			*key = store.keys[--store.count];
		free((char *)store.puts[i].key);
	}
	store.meta.events.answered(store.meta.events.owner, store.request, META_DONE,
		store.revision);
}

static inline void on_nothing(void *owner, uint64_t request, enum meta_outcome outcome,
	int64_t revision)
{
}

static void drop_puts(void)
{
	for (uint32_t i = 0; i < store.put_count && store.asked == ASKED_TXN; i++) {
		free((void *)store.puts[i].value);
		free((char *)store.puts[i].key);
	}
}

static void list(void)
{
	struct meta_entry entries[KEYS_MAX];
	uint32_t count = 0;
	for (uint32_t i = 0; i < store.count; i++) {
		struct key *key = &store.keys[i];
		if (strncmp(key->name, store.prefix, strlen(store.prefix)) == 0)
			entries[count++] = (struct meta_entry){
				key->name, key->value, key->bytes, key->revision};
	}
	store.meta.events.listed(store.meta.events.owner, store.request, META_DONE, entries, count,
		store.revision);
}

static bool answer(void)
{
	bool txn = store.asked == ASKED_TXN, any = store.asked != ASKED_NOTHING;
	store.asked = ASKED_NOTHING;
	if (txn)
		apply();
	else if (any)
		list();
	return any;
}

// What is asked of metadata now is not answered for, whether it takes place or not.
static inline void answer_unknown(bool done)
{
	struct meta_events events = store.meta.events;
	assert_int_equal(store.asked, ASKED_TXN);
	store.meta.events = (struct meta_events){.answered = on_nothing};
	if (done) {
		answer();
	} else {
		drop_puts();
		store.asked = ASKED_NOTHING;
	}
	store.meta.events = events;
	events.answered(events.owner, store.request, META_UNKNOWN, 0);
}

static int bus_send(struct bus *self, uint64_t peer, const void *data, size_t bytes)
{
	assert_true(bus.count < SENT_MAX);
	bus.sent[bus.count].peer = peer;
	bus.sent[bus.count++].message = message_read(data, bytes);
	assert_non_null(bus.sent[bus.count - 1].message);
	if (bus.sent[bus.count - 1].message->number != 0)
		numbers[peer] = bus.sent[bus.count - 1].message->number;
	return 0;
}

static void bus_close(struct bus *self, uint64_t peer)
{
}

static void step(void)
{
	controller_step(controller, now_ns, now_ns);
}

// Until nothing more is asked of metadata.
static void settle(void)
{
	do
		step();
	while (answer());
}

static void receive(uint64_t peer, Weir__Message *message)
{
	size_t bytes;
	message->version = MESSAGE_VERSION;
	void *data = record_pack(message, &bytes);
	bus.bus.events.received(bus.bus.events.owner, peer, data, bytes);
	free(data);
}

static inline void close_peer(uint64_t peer)
{
	bus.bus.events.closed(bus.bus.events.owner, peer, "connection reset");
}

// What a part tells, as node `index`.
static Weir__Part part_of(Weir__PartState state, uint32_t *lost, uint32_t lost_count)
{
	Weir__Part part = WEIR__PART__INIT;
	part.job = job;
	part.incarnation = incarnation;
	part.state = state;
	part.plan_hash = 5;
	part.lost = lost;
	part.n_lost = lost_count;
	return part;
}

static uint64_t peer_of(uint32_t node)
{
	return node + 1;
}

static void join(uint32_t node, Weir__Part *part)
{
	char name[8];
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Join body = WEIR__JOIN__INIT;
	Weir__NodeRecord record = WEIR__NODE_RECORD__INIT;
	snprintf(name, sizeof(name), "n%u", node);
	record.format = MESSAGE_VERSION;
	record.name = name;
	record.host = hosts[node] == NULL ? name : (char *)hosts[node];
	record.rack = (char *)"rack";
	record.boot = boots[node];
	record.workers = node_workers;
	body.node = &record;
	body.protocol = protocol;
	body.n_parts = part != NULL;
	body.parts = &part;
	message.body_case = WEIR__MESSAGE__BODY_JOIN;
	message.join = &body;
	numbers[peer_of(node)] = 0;
	receive(peer_of(node), &message);
	settle();
}

static void report(uint32_t node, Weir__Part *part)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Report body = WEIR__REPORT__INIT;
	body.seen = deaf ? 0 : numbers[peer_of(node)];
	body.n_parts = 1;
	body.parts = &part;
	message.body_case = WEIR__MESSAGE__BODY_REPORT;
	message.report = &body;
	receive(peer_of(node), &message);
}

// As an agent does that is welcomed.
static inline void join_and_report(uint32_t node, Weir__Part *part)
{
	join(node, part);
	report(node, part);
	settle();
}

static void report_state(uint32_t node, Weir__PartState state, uint32_t *lost, uint32_t count)
{
	Weir__Part part = part_of(state, lost, count);
	report(node, &part);
	settle();
}

// Cycle: the next one has the replica. Else partners have each other's.
static void report_prepared(uint32_t node, bool cycle)
{
	Weir__Part part = part_of(WEIR__PART_STATE__PART_PREPARED, NULL, 0);
	Weir__Cover covers[NODES], *list[NODES];
	uint32_t by[NODES][2];
	for (uint32_t i = 0; i < nodes; i++) {
		list[i] = &covers[i];
		weir__cover__init(list[i]);
		by[i][0] = cycle ? (i + 1) % nodes : i ^ 1;
		by[i][1] = (i + nodes - 1) % nodes;
		covers[i].whole = true;
		covers[i].by = by[i];
		covers[i].n_by = cycle ? 2 : 1;
	}
	part.covers = list;
	part.n_covers = nodes;
	report(node, &part);
	settle();
}

static void stand(void)
{
	static const struct meta_ops meta_ops = {.txn = store_txn,
		.list = store_list,
		.watch = store_watch,
		.keep_lease = store_keep_lease};
	static const struct bus_ops bus_ops = {.send = bus_send, .close = bus_close};
	static uint64_t boot = 1000;
	store.meta.ops = &meta_ops;
	bus.bus.ops = &bus_ops;
	const struct controller_config config = {.name = "c",
		.address = "c",
		.boot = ++boot,
		.bus = &bus.bus,
		.meta = &store.meta,
		.kinds = weir_operators,
		.lease_ns = 2000 * MS,
		.heartbeat_ns = heartbeat_ms * MS,
		.silence_ns = silence_ms * MS,
		.prepare_ns = 10000 * MS,
		.ended_max = 8};
	controller = controller_create(&config);
	store.meta.events.lease(store.meta.events.owner, INT64_MAX);
	settle();
}

static void lead(void)
{
	stand();
	assert_true(controller_term(controller) > 0);
}

// The leader is gone, and what it asked of metadata did not take place. Another one stands.
static inline void lose_leader_to(void (*another)(void))
{
	drop_puts();
	store.asked = ASKED_NOTHING;
	controller_destroy(controller);
	struct key *leader = key_of("weir/election/leader");
	free(leader->value);
	*leader = store.keys[--store.count];
	another();
}

static inline void lose_leader(void)
{
	lose_leader_to(lead);
}

static void forget_sent(void)
{
	for (uint32_t i = 0; i < bus.count; i++)
		message_free(bus.sent[i].message);
	bus.count = 0;
}

static Weir__JobRecord *record(void)
{
	char name[META_KEY_MAX];
	snprintf(name, sizeof(name), "weir/jobs/%s", job);
	const struct key *key = key_of(name);
	Weir__JobRecord *found = job_record_read(key->value, key->bytes);
	assert_non_null(found);
	return found;
}

static Weir__JobState job_state(void)
{
	Weir__JobRecord *found = record();
	Weir__JobState state = found->state;
	record_free(found);
	return state;
}

static inline bool is_lost(uint32_t participant)
{
	Weir__JobRecord *found = record();
	bool lost = found->participants[participant]->lost;
	record_free(found);
	return lost;
}

static inline void assert_error_names(const char *first, const char *second)
{
	Weir__JobRecord *found = record();
	assert_int_equal(found->state, WEIR__JOB_STATE__JOB_FAILED);
	assert_non_null(strstr(found->error, first));
	assert_non_null(strstr(found->error, second));
	record_free(found);
}

// How often a node was told; without `alone`: that at least.
static inline uint32_t told(uint32_t node, uint32_t lost, bool alone)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < bus.count; i++) {
		const Weir__Message *m = bus.sent[i].message;
		count += bus.sent[i].peer == peer_of(node) &&
			m->body_case == WEIR__MESSAGE__BODY_LOSE && m->lose->participant == lost &&
			m->lose->alone == alone && m->lose->incarnation == incarnation;
	}
	return count;
}

static uint32_t sent(uint32_t node, Weir__Message__BodyCase body)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < bus.count; i++)
		count +=
			bus.sent[i].peer == peer_of(node) && bus.sent[i].message->body_case == body;
	return count;
}

static inline const Weir__Reply *ask(Weir__Request *request)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	message.body_case = WEIR__MESSAGE__BODY_REQUEST;
	message.request = request;
	receive(CLIENT, &message);
	step();
	const Weir__Message *reply = bus.sent[bus.count - 1].message;
	assert_int_equal(reply->body_case, WEIR__MESSAGE__BODY_REPLY);
	return reply->reply;
}

static inline Weir__JobStatus *status(void)
{
	Weir__Request request = WEIR__REQUEST__INIT;
	request.what_case = WEIR__REQUEST__WHAT_STATUS;
	request.status = job;
	return ask(&request)->jobs[0];
}

static inline uint32_t free_workers(uint32_t node)
{
	Weir__Request request = WEIR__REQUEST__INIT;
	request.what_case = WEIR__REQUEST__WHAT_NODES;
	request.nodes = true;
	return ask(&request)->nodes[node]->free_workers;
}

static void send_submit(const char *text)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Request request = WEIR__REQUEST__INIT;
	Weir__Submit body = WEIR__SUBMIT__INIT;
	Weir__JobSpec spec = WEIR__JOB_SPEC__INIT;
	spec.file = (char *)"test.yaml";
	spec.text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
	body.token = (char *)token;
	body.spec = &spec;
	request.what_case = WEIR__REQUEST__WHAT_SUBMIT;
	request.submit = &body;
	message.body_case = WEIR__MESSAGE__BODY_REQUEST;
	message.request = &request;
	receive(CLIENT, &message);
}

// Returns its record as it is written then, for record_free.
static Weir__JobRecord *submit_text(const char *text)
{
	send_submit(text);
	settle();
	for (uint32_t i = 0; i < store.count; i++)
		if (strncmp(store.keys[i].name, "weir/jobs/", 10) == 0)
			snprintf(job, sizeof(job), "%s", store.keys[i].name + 10);
	return record();
}

static void submit(void)
{
	char text[256];
	snprintf(text, sizeof(text),
		"version: 1\njob: j\nworkers: {count: %u}\noperators:\n"
		"  - {id: s, kind: nexmark, events: 10}\n"
		"  - {id: n, kind: 'null', input: s.bid}\n",
		nodes);
	Weir__JobRecord *found = submit_text(text);
	assert_int_equal(found->state, WEIR__JOB_STATE__JOB_PREPARING);
	incarnation = found->incarnation;
	for (uint32_t i = 0; i < nodes; i++)
		assert_true(found->participants[i]->successor > incarnation);
	record_free(found);
}

// A client wishes it; to be stepped.
static inline void ask_to_end(bool publish)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Request request = WEIR__REQUEST__INIT;
	Weir__Cancel cancel = WEIR__CANCEL__INIT;
	cancel.job = job;
	cancel.publish = publish;
	request.what_case = WEIR__REQUEST__WHAT_CANCEL;
	request.cancel = &cancel;
	message.body_case = WEIR__MESSAGE__BODY_REQUEST;
	message.request = &request;
	receive(CLIENT, &message);
}

static inline void run_job(uint32_t count, bool cycle)
{
	nodes = count;
	for (uint32_t i = 0; i < nodes; i++) {
		boots[i] = 10 + i;
		join(i, NULL);
	}
	submit();
	for (uint32_t i = 0; i < nodes; i++)
		report_prepared(i, cycle);
	assert_int_equal(job_state(), WEIR__JOB_STATE__JOB_RUNNING);
	for (uint32_t i = 0; i < nodes; i++) {
		assert_int_equal(sent(i, WEIR__MESSAGE__BODY_START), 1);
		report_state(i, WEIR__PART_STATE__PART_RUNNING, NULL, 0);
	}
	forget_sent();
}

// The controller, what it sent and what metadata had are gone.
static void stop_leading(void)
{
	controller_destroy(controller);
	forget_sent();
	for (uint32_t i = 0; i < store.count; i++)
		free(store.keys[i].value);
	memset(&store, 0, sizeof(store));
}
