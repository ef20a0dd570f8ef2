#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/agent_parts.h"
#include "numa/assert.h"

enum { RETRY_NS_MIN = 20000000, RETRY_NS_MAX = 1000000000 };
#define CONNECT_NS 2000000000LL
#define LEAVE_ALONE_NS 3000000000LL

static void inbox_add(struct agent *a, struct agent_item item)
{
	if (a->inbox_count < INBOX_MAX)
		a->inbox[a->inbox_count++] = item;
	else
		message_free(item.message); // then a command is missing, and silence will tell
}

static void on_opened(void *owner, uint64_t peer, const char *name)
{
	inbox_add(owner, (struct agent_item){peer, NULL, true});
}

static void on_closed(void *owner, uint64_t peer, const char *why)
{
	struct agent *a = owner;
	if (peer == a->peer)
		snprintf(a->state, sizeof(a->state), "looking for a controller: %.200s", why);
	inbox_add(a, (struct agent_item){peer, NULL, false});
}

static void on_received(void *owner, uint64_t peer, const void *data, size_t bytes)
{
	Weir__Message *message = message_read(data, bytes);
	if (message)
		inbox_add(owner, (struct agent_item){peer, message, false});
}

struct agent *agent_create(const struct agent_config *config)
{
	struct agent *a = calloc(1, sizeof(*a));
	VERIFY(a && config->controller_count > 0);
	a->config = *config;
	a->retry_ns = RETRY_NS_MIN;
	a->heartbeat_ns = 200000000;
	a->patience_ns = CONNECT_NS;
	snprintf(a->state, sizeof(a->state), "looking for a controller at %.200s%s",
		config->controllers[0], config->controller_count > 1 ? " and elsewhere" : "");
	config->bus->events = (struct bus_events){on_opened, on_closed, on_received, a};
	return a;
}

static void part_drop(struct agent *a, uint32_t index)
{
	struct workload *workload = a->config.workload;
	if (a->parts[index].work)
		workload->ops->discard(workload, a->parts[index].work);
	a->parts[index] = a->parts[--a->part_count];
}

void agent_destroy(struct agent *a)
{
	if (!a)
		return;
	while (a->part_count > 0)
		part_drop(a, 0);
	for (uint32_t i = 0; i < a->inbox_count; i++)
		message_free(a->inbox[i].message);
	free(a);
}

const char *agent_state(const struct agent *a)
{
	return a->state;
}

void agent_leave(struct agent *a)
{
	a->leaving = true;
	a->leaving_since_ns = a->now_ns;
	a->due = true;
}

bool agent_has_left(const struct agent *a)
{
	bool alone = a->phase != AGENT_JOINED && a->now_ns - a->leaving_since_ns > LEAVE_ALONE_NS;
	return a->leaving && (a->part_count == 0 || alone);
}
// Try again later, each time after a longer pause.
static void go_apart(struct agent *a)
{
	if (a->peer)
		a->config.bus->ops->close(a->config.bus, a->peer);
	a->peer = 0;
	a->phase = AGENT_APART;
	a->retry_at_ns = a->now_ns + (*a->redirect ? RETRY_NS_MIN / 4 : a->retry_ns);
	a->retry_ns = a->retry_ns < RETRY_NS_MAX / 2 ? 2 * a->retry_ns : RETRY_NS_MAX;
}

static void connect_next(struct agent *a)
{
	const char *address = a->redirect;
	if (!*address)
		address = a->config.controllers[a->next_controller++ % a->config.controller_count];
	snprintf(a->address, sizeof(a->address), "%s", address);
	a->peer = a->config.bus->ops->connect(a->config.bus, a->address);
	*a->redirect = 0;
	a->heard_ns = a->now_ns;
	a->phase = AGENT_CONNECTING;
	if (!a->peer)
		go_apart(a);
}

// A controller of before there were protocols takes any node.
static bool is_foreign(struct agent *a, const Weir__Welcome *welcome)
{
	uint32_t protocol = message_protocol(welcome->protocol);
	if (protocol != CLUSTER_PROTOCOL)
		snprintf(a->state, sizeof(a->state),
			"looking for a controller: %.80s speaks protocol %u, this node protocol "
			"%u; run one version of weir on all",
			a->address, protocol, CLUSTER_PROTOCOL);
	return protocol != CLUSTER_PROTOCOL;
}

static void welcomed(struct agent *a, const Weir__Message *m)
{
	if (is_foreign(a, m->welcome)) {
		go_apart(a);
		return;
	}
	if (m->term < a->term) {
		snprintf(a->state, sizeof(a->state),
			"looking for a controller: one of term %" PRIu64 " is out of date",
			m->term);
		go_apart(a);
		return;
	}
	a->term = m->term;
	a->phase = AGENT_JOINED;
	a->incarnation = m->welcome->incarnation;
	a->heartbeat_ns = (int64_t)m->welcome->heartbeat_ns;
	// Nobody else leads before the lease has run out, and a leader takes who leaves for dead.
	a->patience_ns =
		(int64_t)(m->welcome->silence_ns > m->welcome->lease_ns ? m->welcome->silence_ns
									: m->welcome->lease_ns);
	a->late_ns = 0;
	a->seen = 0;
	a->due = true;
	a->retry_ns = RETRY_NS_MIN;
	snprintf(a->state, sizeof(a->state), "joined, term %" PRIu64 ", incarnation %" PRIx64,
		a->term, a->incarnation);
}

static void redirected(struct agent *a, const Weir__Redirect *redirect)
{
	snprintf(a->state, sizeof(a->state), "looking for a controller: %.200s", redirect->reason);
	snprintf(a->redirect, sizeof(a->redirect), "%.*s", STATE_BYTES - 1, redirect->address);
	go_apart(a);
}

static struct agent_part *find(struct agent *a, const char *job)
{
	for (uint32_t i = 0; i < a->part_count; i++)
		if (strcmp(a->parts[i].job, job) == 0)
			return &a->parts[i];
	return NULL;
}

// The part a command is for; another incarnation's is not touched.
static struct agent_part *meant(struct agent *a, const char *job, uint64_t incarnation)
{
	struct agent_part *part = find(a, job);
	return part && part->incarnation == incarnation ? part : NULL;
}

static struct workload_participant participant_of(const Weir__Participant *p)
{
	return (struct workload_participant){.node = p->node,
		.incarnation = p->incarnation,
		.first_worker = p->first_worker,
		.workers = p->workers,
		.node_worker = p->node_worker,
		.link_count = (uint32_t)p->n_links,
		.links = (const char *const *)p->links,
		.host = *p->planned_host ? p->planned_host : p->host,
		.rack = *p->planned_rack ? p->planned_rack : p->rack,
		.boot = p->boot,
		.lost = p->lost};
}

static void begin(struct agent *a, struct agent_part *part, const Weir__Prepare *prepare)
{
	struct workload *workload = a->config.workload;
	struct workload_participant *participants =
		calloc(prepare->n_participants, sizeof(*participants));
	VERIFY(participants);
	for (size_t i = 0; i < prepare->n_participants; i++)
		participants[i] = participant_of(prepare->participants[i]);
	const struct workload_request request = {.job = part->job,
		.text = (const char *)prepare->spec->text.data,
		.text_bytes = prepare->spec->text.len,
		.sets = (const char *const *)prepare->spec->sets,
		.set_count = (uint32_t)prepare->spec->n_sets,
		.plan_version = prepare->plan_version,
		.incarnation = prepare->incarnation,
		.participant_count = (uint32_t)prepare->n_participants,
		.participants = participants,
		.self = prepare->self,
		.repair = prepare->repair};
	int rc = workload->ops->prepare(workload, &request, &part->work);
	if (rc < 0)
		snprintf(part->error, sizeof(part->error), "cannot begin: %s", strerror(-rc));
	free(participants);
}

// Known already: it was told twice. Of an older incarnation: that one is over.
static void prepare(struct agent *a, const Weir__Prepare *prepare)
{
	struct agent_part *part = find(a, prepare->job);
	if (part && part->incarnation >= prepare->incarnation)
		return;
	if (part)
		part_drop(a, (uint32_t)(part - a->parts));
	if (a->part_count == MESSAGE_PARTS_MAX)
		return; // the controller gives up on it in time
	part = &a->parts[a->part_count++];
	*part = (struct agent_part){.incarnation = prepare->incarnation,
		.participants = (uint32_t)prepare->n_participants,
		.self = prepare->self};
	snprintf(part->job, sizeof(part->job), "%s", prepare->job);
	const Weir__Participant *self = prepare->participants[prepare->self];
	if (self->node_worker + self->workers > a->config.workers)
		snprintf(part->error, sizeof(part->error), "the node has only %u workers",
			a->config.workers);
	else
		begin(a, part, prepare);
}

static void lose(struct agent *a, const Weir__Lose *lose)
{
	struct workload *workload = a->config.workload;
	struct agent_part *part = meant(a, lose->job, lose->incarnation);
	struct workload_status status;
	if (!part || lose->participant >= part->participants || lose->participant == part->self)
		return;
	agent_part_status(a, part, &status);
	if (status.state >= WORKLOAD_PREPARED && status.state <= WORKLOAD_PUBLISHED)
		workload->ops->lose(workload, part->work, lose->participant, lose->successor,
			lose->alone);
}

static void admit(struct agent *a, const Weir__Admit *admit)
{
	struct workload *workload = a->config.workload;
	struct agent_part *part = meant(a, admit->job, admit->incarnation);
	struct workload_status status;
	if (!part || admit->place >= part->participants || admit->place == part->self)
		return;
	const struct workload_participant as = participant_of(admit->as);
	const struct workload_admission admission = {
		.place = admit->place, .feed = admit->feed, .boot = admit->boot, .as = &as};
	agent_part_status(a, part, &status);
	if (status.state == WORKLOAD_RUNNING)
		workload->ops->admit(workload, part->work, &admission);
}

static void carry_out(struct agent *a, const Weir__Message *m)
{
	struct workload *workload = a->config.workload;
	struct workload_status status = {.state = WORKLOAD_NONE};
	struct agent_part *part = NULL;
	if (m->body_case == WEIR__MESSAGE__BODY_PREPARE)
		prepare(a, m->prepare);
	else if (m->body_case == WEIR__MESSAGE__BODY_LOSE)
		lose(a, m->lose);
	else if (m->body_case == WEIR__MESSAGE__BODY_ADMIT)
		admit(a, m->admit);
	else // start, interrupt, publish and abort are one member
		part = meant(a, m->start->job, m->start->incarnation);
	if (part)
		agent_part_status(a, part, &status);
	if (m->body_case == WEIR__MESSAGE__BODY_ABORT && part)
		part_drop(a, (uint32_t)(part - a->parts));
	else if (m->body_case == WEIR__MESSAGE__BODY_START && status.state == WORKLOAD_PREPARED)
		workload->ops->start(workload, part->work);
	else if (m->body_case == WEIR__MESSAGE__BODY_INTERRUPT && status.state == WORKLOAD_RUNNING)
		workload->ops->interrupt(workload, part->work);
	else if (m->body_case == WEIR__MESSAGE__BODY_PUBLISH &&
		(status.state == WORKLOAD_FINISHED || status.state == WORKLOAD_INTERRUPTED))
		workload->ops->publish(workload, part->work);
	a->seen = m->number;
	a->due = true;
}

static bool is_command(const Weir__Message *m)
{
	return (m->body_case >= WEIR__MESSAGE__BODY_PREPARE &&
		       m->body_case <= WEIR__MESSAGE__BODY_ABORT) ||
		m->body_case == WEIR__MESSAGE__BODY_LOSE ||
		m->body_case == WEIR__MESSAGE__BODY_ADMIT;
}

static void take(struct agent *a, const struct agent_item *item)
{
	const Weir__Message *m = item->message;
	if (item->peer != a->peer || a->peer == 0)
		return;
	a->heard_ns = a->now_ns;
	if (item->opened && a->phase == AGENT_CONNECTING) {
		a->phase = AGENT_JOINING;
		agent_send_join(a);
	} else if (!m && !item->opened) {
		a->peer = 0;
		go_apart(a);
	} else if (m && m->body_case == WEIR__MESSAGE__BODY_REDIRECT) {
		redirected(a, m->redirect);
	} else if (m && m->body_case == WEIR__MESSAGE__BODY_WELCOME && a->phase == AGENT_JOINING) {
		welcomed(a, m);
	} else if (m && is_command(m) && a->phase == AGENT_JOINED && m->term == a->term) {
		carry_out(a, m);
	}
}

static void take_inbox(struct agent *a)
{
	for (uint32_t i = 0; i < a->inbox_count; i++) {
		struct agent_item item = a->inbox[i];
		a->inbox[i].message = NULL;
		take(a, &item);
		message_free(item.message);
	}
	a->inbox_count = 0;
}

static bool parts_changed(struct agent *a)
{
	struct workload_status status;
	for (uint32_t i = 0; i < a->part_count; i++) {
		agent_part_status(a, &a->parts[i], &status);
		if (status.state != a->parts[i].told ||
			status.admitted_count != a->parts[i].told_admitted ||
			status.repaired_count != a->parts[i].told_repaired)
			return true;
	}
	return false;
}

static int64_t keep_in_touch(struct agent *a)
{
	int64_t silent_ns = a->phase == AGENT_JOINED ? a->patience_ns : CONNECT_NS;
	if (a->phase != AGENT_APART && a->now_ns - a->heard_ns > silent_ns) {
		snprintf(a->state, sizeof(a->state),
			"looking for a controller: the last one says nothing");
		go_apart(a);
	}
	if (a->phase == AGENT_APART && a->now_ns >= a->retry_at_ns)
		connect_next(a);
	if (a->phase == AGENT_APART)
		return a->retry_at_ns;
	if (a->phase != AGENT_JOINED)
		return a->heard_ns + silent_ns + 1;
	if (a->due || a->now_ns - a->reported_ns >= a->heartbeat_ns || parts_changed(a))
		agent_send_report(a);
	return a->reported_ns + a->heartbeat_ns;
}

// Time in which it did not run is no silence of the controller's.
static void note_time(struct agent *a, int64_t now_ns)
{
	int64_t late_ns = now_ns - a->promised_ns;
	a->now_ns = now_ns;
	if (a->promised_ns == 0 || late_ns <= 0)
		return;
	a->late_ns = late_ns > a->late_ns ? late_ns : a->late_ns;
	a->heard_ns += late_ns;
}

static int64_t step(struct agent *a)
{
	struct workload *workload = a->config.workload;
	take_inbox(a);
	int64_t work_ns = workload->ops->step(workload, a->now_ns);
	int64_t next_ns = keep_in_touch(a);
	if (a->inbox_count > 0)
		return a->now_ns;
	return work_ns < next_ns ? work_ns : next_ns;
}

int64_t agent_step(struct agent *a, int64_t now_ns)
{
	note_time(a, now_ns);
	a->promised_ns = step(a);
	return a->promised_ns;
}
