// A job whose second participant is lost, and a node that may have its place.
#pragma once

#include "controller_fixture.h"

enum { SPARE = 4, LOST = 1 }; // of a job on n0 to n3, whose partners have each other's replicas

// What a node would report now. SPARE and above have no part in the job at first.
static struct {
	bool up;
	Weir__PartState state; // NONE: no part
	uint32_t lost[NODES], admitted[NODES], repaired[NODES];
	uint32_t lost_count, admitted_count, repaired_count;
	uint64_t plan_hash;
} models[NODES];

static inline int set_up(void **state)
{
	now_ns = 1000 * MS;
	node_workers = 1;
	deaf = false;
	memset(hosts, 0, sizeof(hosts));
	memset(models, 0, sizeof(models));
	lead();
	return 0;
}

static inline int tear_down(void **state)
{
	stop_leading();
	return 0;
}

static inline Weir__Part model_part(uint32_t node)
{
	Weir__Part part = part_of(models[node].state, models[node].lost, models[node].lost_count);
	part.admitted = models[node].admitted;
	part.n_admitted = models[node].admitted_count;
	part.repaired = models[node].repaired;
	part.n_repaired = models[node].repaired_count;
	part.plan_hash = models[node].plan_hash ? models[node].plan_hash : 5;
	part.progress = (uint64_t)now_ns;
	return part;
}

static inline void say(uint32_t node)
{
	Weir__Part part = model_part(node);
	if (models[node].state != WEIR__PART_STATE__PART_NONE) {
		report(node, &part);
		return;
	}
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Report body = WEIR__REPORT__INIT;
	body.seen = deaf ? 0 : numbers[peer_of(node)];
	message.body_case = WEIR__MESSAGE__BODY_REPORT;
	message.report = &body;
	receive(peer_of(node), &message);
}

static inline void say_state(uint32_t node, Weir__PartState state)
{
	models[node].state = state;
	say(node);
	settle();
}

static inline void say_lost(uint32_t node, uint32_t lost)
{
	models[node].lost[models[node].lost_count++] = lost;
	say(node);
	settle();
}

static inline void say_admitted(uint32_t node)
{
	models[node].lost_count = 0;
	models[node].admitted[0] = LOST;
	models[node].admitted_count = 1;
	say(node);
	settle();
}

static inline void say_repaired(uint32_t node)
{
	models[node].repaired[0] = LOST;
	models[node].repaired_count = 1;
	say(node);
	settle();
}

// Everyone reports while time passes.
static inline void pass(int64_t ms)
{
	for (int64_t until_ns = now_ns + ms * MS; now_ns < until_ns;) {
		now_ns += 100 * MS;
		for (uint32_t i = 0; i < NODES; i++)
			if (models[i].up)
				say(i);
		settle();
		if (bus.count > SENT_MAX / 2)
			forget_sent();
	}
}

static inline void join_spare(uint32_t node)
{
	boots[node] = 10 + node;
	models[node].up = true;
	join(node, NULL);
}

static inline void die(uint32_t node)
{
	models[node].up = false;
	models[node].state = WEIR__PART_STATE__PART_NONE;
	close_peer(peer_of(node));
	settle();
}

// n1 is lost, and all who live know it.
static inline void lose_one(void)
{
	run_job(4, false);
	for (uint32_t i = 0; i < 4; i++) {
		models[i].up = true;
		models[i].state = WEIR__PART_STATE__PART_RUNNING;
	}
	die(LOST);
	say_lost(0, LOST);
	say_lost(2, LOST);
	say_lost(3, LOST);
}

static inline uint64_t repair_boot(void)
{
	Weir__JobRecord *found = record();
	uint64_t boot = found->repair_incarnation;
	bool named = found->participants[LOST]->repair != NULL;
	record_free(found);
	assert_true(named == (boot != 0));
	return boot;
}

// The others are then told to admit it.
static inline void be_prepared(void)
{
	say_state(SPARE, WEIR__PART_STATE__PART_PREPARED);
	for (uint32_t i = 0; i < 4; i++)
		models[i].lost_count = 0;
}

enum phase { CHOSEN, ADMITTED, FED };

// How far it has come; then what was sent before is forgotten.
static inline void repair_until(enum phase phase)
{
	lose_one();
	join_spare(SPARE);
	assert_true(repair_boot() != 0);
	if (phase >= ADMITTED)
		be_prepared();
	if (phase >= FED) {
		say_state(SPARE, WEIR__PART_STATE__PART_RUNNING);
		say_admitted(0);
		say_admitted(2);
		say_admitted(3);
	}
	forget_sent();
}

static inline const Weir__Message *last_of(uint32_t node, Weir__Message__BodyCase body)
{
	const Weir__Message *found = NULL;
	for (uint32_t i = 0; i < bus.count; i++)
		if (bus.sent[i].peer == peer_of(node) && bus.sent[i].message->body_case == body)
			found = bus.sent[i].message;
	return found;
}

static inline uint32_t admits(uint32_t node, bool feed)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < bus.count; i++) {
		const Weir__Message *m = bus.sent[i].message;
		count += bus.sent[i].peer == peer_of(node) &&
			m->body_case == WEIR__MESSAGE__BODY_ADMIT && m->admit->feed == feed;
	}
	return count;
}

// The others are told that the place is lost, as it was, and the record names nobody for it.
static inline void assert_forgotten(void)
{
	assert_int_equal(repair_boot(), 0);
	assert_true(is_lost(LOST));
	Weir__JobRecord *found = record();
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(found->participants[i]->next_successor, 0);
	record_free(found);
}

static inline void assert_given_up(void)
{
	assert_forgotten();
	assert_int_equal(told(0, LOST, true), 1);
	assert_int_equal(told(2, LOST, true), 1);
}

// The last one has done it: that is being written.
static inline void begin_whole(uint32_t node)
{
	models[node].repaired[0] = LOST;
	models[node].repaired_count = 1;
	say(node);
	step();
	assert_int_equal(store.asked, ASKED_TXN);
}

static inline void be_whole(void)
{
	repair_until(FED);
	say_repaired(0);
	say_repaired(2);
	say_repaired(3);
	assert_false(is_lost(LOST));
	forget_sent();
}
