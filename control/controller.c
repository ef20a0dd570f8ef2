#include "control/controller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

enum { INBOX_MAX = 1 << 16 };

static struct inbox_item *inbox_add(struct controller *c, uint64_t peer)
{
	if (c->inbox_count == c->inbox_room) {
		c->inbox_room = c->inbox_room ? 2 * c->inbox_room : 64;
		c->inbox = realloc(c->inbox, c->inbox_room * sizeof(*c->inbox));
		VERIFY(c->inbox);
	}
	struct inbox_item *item = &c->inbox[c->inbox_count++];
	*item = (struct inbox_item){.peer = peer};
	return item;
}

static void on_opened(void *owner, uint64_t peer, const char *name)
{
}

static void on_closed(void *owner, uint64_t peer, const char *why)
{
	struct inbox_item *item = inbox_add(owner, peer);
	snprintf(item->why, sizeof(item->why), "%s", why);
}

// What is malformed ends its connection: whoever sent it is no part of this cluster.
static void on_received(void *owner, uint64_t peer, const void *data, size_t bytes)
{
	struct controller *c = owner;
	Weir__Message *message = c->inbox_count < INBOX_MAX ? message_read(data, bytes) : NULL;
	if (message) {
		inbox_add(c, peer)->message = message;
		return;
	}
	snprintf(inbox_add(c, peer)->why, REASON_BYTES, "it sent a malformed message");
	c->config.bus->ops->close(c->config.bus, peer);
}

static void on_answered(void *owner, uint64_t request, enum meta_outcome outcome, int64_t revision)
{
	struct controller *c = owner;
	enum ask ask = c->ask;
	if (request != c->request || ask == ASK_NOTHING)
		return;
	c->ask = ASK_NOTHING;
	if (outcome == META_UNKNOWN && c->silent_since_ns == 0)
		c->silent_since_ns = c->asked_ns;
	if (outcome != META_UNKNOWN)
		c->silent_since_ns = 0;
	if (ask == ASK_WRITE)
		registry_answered(c, outcome, revision);
	else
		election_answered(c, ask, outcome, revision);
}

static void on_listed(void *owner, uint64_t request, enum meta_outcome outcome,
	const struct meta_entry *entries, uint32_t count, int64_t revision)
{
	struct controller *c = owner;
	enum ask ask = c->ask;
	if (request != c->request || ask == ASK_NOTHING)
		return;
	c->ask = ASK_NOTHING;
	if (outcome == META_DONE)
		c->silent_since_ns = 0;
	else if (c->silent_since_ns == 0)
		c->silent_since_ns = c->asked_ns;
	if (outcome != META_DONE)
		c->retry_ns = c->now_ns + c->config.heartbeat_ns;
	else if (ask == ASK_LEADER)
		election_listed(c, outcome, entries, count);
	else if (ask == ASK_LOAD && (c->phase == PHASE_LOADING || c->phase == PHASE_LEADING))
		registry_load(c, entries, count);
}

static void on_changed(void *owner)
{
	((struct controller *)owner)->hint = true;
}

static void on_lease(void *owner, int64_t until_ns)
{
	struct controller *c = owner;
	c->lease_until_ns = until_ns;
	c->lease_lost |= until_ns == 0;
}

struct controller *controller_create(const struct controller_config *config)
{
	struct controller *c = calloc(1, sizeof(*c));
	VERIFY(c);
	c->config = *config;
	c->nodes = calloc(CONTROLLER_NODES_MAX, sizeof(*c->nodes));
	c->jobs = calloc(CONTROLLER_JOBS_MAX, sizeof(*c->jobs));
	c->leader_address = strdup("");
	VERIFY(c->nodes && c->jobs && c->leader_address);
	config->bus->events = (struct bus_events){on_opened, on_closed, on_received, c};
	config->meta->events =
		(struct meta_events){on_answered, on_listed, on_changed, on_lease, c};
	config->meta->ops->watch(config->meta, "weir/election/");
	config->meta->ops->keep_lease(config->meta, config->lease_ns);
	return c;
}

void controller_destroy(struct controller *c)
{
	if (!c)
		return;
	registry_forget(c);
	for (uint32_t i = 0; i < c->inbox_count; i++)
		message_free(c->inbox[i].message);
	free(c->inbox);
	free(c->nodes);
	free(c->jobs);
	text_set(&c->leader_address, "");
	free(c);
}

const char *controller_refusal(const struct controller *c)
{
	return *c->refusal ? c->refusal : NULL;
}

uint64_t controller_term(const struct controller *c)
{
	return c->phase == PHASE_LEADING ? c->term : 0;
}

void controller_resign(struct controller *c)
{
	c->resigning = true;
}

bool controller_has_resigned(const struct controller *c)
{
	return c->phase == PHASE_RESIGNED && c->ask == ASK_NOTHING;
}

bool controller_is_asking(const struct controller *c)
{
	return c->ask != ASK_NOTHING;
}

static void take(struct controller *c, struct inbox_item *item)
{
	Weir__Message *m = item->message;
	if (!m)
		membership_closed(c, item->peer, item->why);
	else if (m->body_case == WEIR__MESSAGE__BODY_REQUEST)
		requests_take(c, item->peer, m->number, m->request);
	else if (c->phase != PHASE_LEADING && m->body_case == WEIR__MESSAGE__BODY_JOIN)
		election_redirect(c, item->peer, 0);
	else if (m->body_case == WEIR__MESSAGE__BODY_JOIN)
		membership_join(c, item->peer, m->join);
	else if (m->body_case == WEIR__MESSAGE__BODY_REPORT)
		membership_report(c, item->peer, m->report);
}

static void take_inbox(struct controller *c)
{
	for (uint32_t i = 0; i < c->inbox_count; i++) {
		struct inbox_item item = c->inbox[i]; // answers may let the inbox grow
		c->inbox[i].message = NULL;
		take(c, &item);
		message_free(item.message);
	}
	c->inbox_count = 0;
}

// A controller that was stopped for a while has heard of nobody in it, and may not blame them.
static void note_time(struct controller *c, int64_t now_ns, int64_t wall_ns)
{
	int64_t late_ns = now_ns - c->now_ns - c->config.heartbeat_ns;
	bool first = c->now_ns == 0;
	c->now_ns = now_ns;
	if (!first && late_ns > 0)
		membership_late(c, late_ns);
	c->wall_ns = wall_ns;
}

int64_t controller_step(struct controller *c, int64_t now_ns, int64_t wall_ns)
{
	ASSERT(now_ns >= c->now_ns);
	note_time(c, now_ns, wall_ns);
	election_step(c);
	take_inbox(c);
	if (c->phase == PHASE_LEADING) {
		membership_step(c);
		jobs_step(c);
		registry_step(c);
	}
	int64_t next_ns = now_ns + c->config.heartbeat_ns / 2;
	if (c->inbox_count > 0)
		return now_ns;
	if (c->lease_until_ns > now_ns && c->lease_until_ns < next_ns)
		next_ns = c->lease_until_ns;
	return c->retry_ns > now_ns && c->retry_ns < next_ns ? c->retry_ns : next_ns;
}
