// Which nodes there are, under which incarnation, and which of them live. A connection that breaks
// is certain and acted on at once; silence is suspected by a threshold that follows the jitter of
// a node's reports; a part that stops moving in a node that goes on reporting counts as silent, by
// a threshold of its own. Time in which this controller did not run, or in which the node says that
// its workers had no core, counts for nothing.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

// However uneven: a threshold grows to THRESHOLDS_MAX times what is configured or to THRESHOLD_NS,
// and workers without a core are waited for so long, or STARVED_NS.
enum { THRESHOLDS_MAX = 10, MOVE_SILENCES = 2 };
#define SEAT_HASH 0x9E3779B97F4A7C15ULL
#define THRESHOLD_NS 5000000000LL
#define STARVED_NS 15000000000LL

// Incarnations carry the term in their upper half, so that they only grow, whoever leads.
uint64_t controller_incarnation(struct controller *c)
{
	ASSERT(c->term < UINT32_MAX && c->counter < UINT32_MAX);
	return c->term << 32 | ++c->counter;
}

// Most who speak are nodes, and as a rule the one that spoke from there before.
static struct node *node_of(struct controller *c, uint64_t peer)
{
	struct node **seat = &c->seats[(peer * SEAT_HASH) >> (64 - SEAT_BITS)];
	for (uint32_t i = 0; (!*seat || (*seat)->peer != peer) && i < c->node_count; i++)
		if (c->nodes[i]->peer == peer)
			*seat = c->nodes[i];
	return *seat && (*seat)->peer == peer ? *seat : NULL;
}

static int64_t most_ns(const struct controller *c, int64_t floor_ns)
{
	int64_t most = THRESHOLDS_MAX * c->config.silence_ns;
	return most > floor_ns ? most : floor_ns;
}

int64_t membership_silence_ns(const struct controller *c, const struct node *node)
{
	return jitter_limit(&node->reports, c->now_ns, c->config.silence_ns,
		most_ns(c, THRESHOLD_NS));
}

static int64_t stillness_ns(const struct controller *c, const struct node *node)
{
	return jitter_limit(&node->moves, c->now_ns, MOVE_SILENCES * c->config.silence_ns,
		MOVE_SILENCES * most_ns(c, THRESHOLD_NS));
}

// What is said at once, because something changed, says nothing about jitter.
static bool is_regular(const struct controller *c, int64_t interval_ns)
{
	return interval_ns >= c->config.heartbeat_ns / 2;
}

static void heard(struct controller *c, struct node *node, int64_t late_ns)
{
	int64_t interval_ns = c->now_ns - node->heard_ns;
	node->heard_ns = c->now_ns;
	if (is_regular(c, interval_ns))
		jitter_note(&node->reports, c->now_ns, interval_ns);
	jitter_delayed(&node->reports, c->now_ns, late_ns);
}

void membership_moved(struct controller *c, struct node *node, int64_t after_ns)
{
	if (node->state == NODE_ALIVE && is_regular(c, after_ns))
		jitter_note(&node->moves, c->now_ns, after_ns);
}

static void die(struct controller *c, struct node *node, const char *why)
{
	events_add(c, "node %s is dead: %s", node->record->name, why);
	snprintf(node->reason, sizeof(node->reason), "%s", why);
	if (node->peer)
		c->config.bus->ops->close(c->config.bus, node->peer);
	node->peer = 0;
	node->silent = false;
	node->state = NODE_DEAD;
	jobs_look_at(c, node);
}

static void welcome(struct controller *c, struct node *node)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Welcome body = WEIR__WELCOME__INIT;
	body.incarnation = node->record->incarnation;
	body.heartbeat_ns = (uint64_t)c->config.heartbeat_ns;
	body.silence_ns = (uint64_t)c->config.silence_ns;
	body.lease_ns = (uint64_t)c->config.lease_ns;
	body.protocol = CLUSTER_PROTOCOL;
	message.term = c->term;
	message.body_case = WEIR__MESSAGE__BODY_WELCOME;
	message.welcome = &body;
	message_send(c->config.bus, node->peer, &message);
	node->state = NODE_ALIVE;
	node->heard_ns = c->now_ns;
	if (node->reports.interval_ns == 0) { // else its host is as crowded as it was
		jitter_begin(&node->reports, c->config.heartbeat_ns);
		jitter_begin(&node->moves, c->config.heartbeat_ns);
	}
	node->look = true;
	events_add(c, "node %s joined, incarnation %" PRIx64 ", %u worker%s", node->record->name,
		node->record->incarnation, node->record->workers,
		node->record->workers == 1 ? "" : "s");
}

void membership_settled(struct controller *c, struct node *node)
{
	if (node->state == NODE_JOINING && entry_is_settled(&node->entry))
		welcome(c, node);
}

static bool same_links(const Weir__NodeRecord *a, const Weir__NodeRecord *b)
{
	bool same = a->n_links == b->n_links;
	for (size_t i = 0; i < a->n_links && same; i++)
		same = strcmp(a->links[i], b->links[i]) == 0;
	return same;
}

static bool same_record(const Weir__NodeRecord *a, const Weir__NodeRecord *b)
{
	return a->boot == b->boot && strcmp(a->host, b->host) == 0 &&
		strcmp(a->rack, b->rack) == 0 && a->workers == b->workers && same_links(a, b);
}

// A process not seen before is another incarnation, and its record is written before it is
// welcomed.
static void change_record(struct controller *c, struct node *node, const Weir__NodeRecord *told)
{
	Weir__NodeRecord *record = record_copy(told);
	record->format = MESSAGE_VERSION;
	record->incarnation = node->record->incarnation;
	if (record->incarnation == 0 || node->record->boot != told->boot)
		record->incarnation = controller_incarnation(c);
	ASSERT(record->incarnation >= node->record->incarnation);
	record_free(node->record);
	node->record = record;
	node->entry.dirty = true;
}

static void refuse(struct controller *c, uint64_t peer, const char *why)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Redirect redirect = WEIR__REDIRECT__INIT;
	redirect.reason = (char *)why;
	message.body_case = WEIR__MESSAGE__BODY_REDIRECT;
	message.redirect = &redirect;
	message_send(c->config.bus, peer, &message);
}

static struct node *node_for(struct controller *c, const Weir__NodeRecord *told)
{
	struct node *node = registry_node(c, told->name);
	if (node)
		return node;
	Weir__NodeRecord record = WEIR__NODE_RECORD__INIT;
	record.format = MESSAGE_VERSION;
	record.name = told->name;
	record.workers = told->workers;
	return registry_add_node(c, record_copy(&record));
}

static void take_connection(struct controller *c, struct node *node, uint64_t peer)
{
	if (node->peer && node->peer != peer)
		c->config.bus->ops->close(c->config.bus, node->peer);
	node->peer = peer;
	node->number = node->seen = 0;
	node->leaving = false;
	node->state = NODE_JOINING;
	for (uint32_t i = 0; i < node->part_count; i++) {
		node->parts[i].commands = 0;
		node->parts[i].number = 0;
		node->parts[i].losses_room = 0;
		node->parts[i].moved_ns = c->now_ns;
		node->parts[i].admit_boot = node->parts[i].feed_boot = 0;
	}
}

void membership_join(struct controller *c, uint64_t peer, const Weir__Join *join)
{
	char why[REASON_BYTES];
	if (protocol_refuses_node(c, join, why)) {
		refuse(c, peer, why);
		return;
	}
	struct node *node = node_for(c, join->node);
	if (!node) {
		refuse(c, peer, "the cluster has as many nodes as it can have");
		return;
	}
	bool other = node->record->boot != join->node->boot;
	if (!entry_is_settled(&node->entry) || (other && node->peer)) {
		refuse(c, peer, "a node of this name is connected; give each a name of its own");
		return;
	}
	take_connection(c, node, peer);
	if (other)
		node_free_parts(node);
	node_take_parts(c, node, join->parts, join->n_parts, UINT64_MAX);
	if (same_record(node->record, join->node) && node->entry.revision != 0)
		welcome(c, node);
	else
		change_record(c, node, join->node);
}

static void acknowledge(struct controller *c, struct node *node)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Acknowledge body = WEIR__ACKNOWLEDGE__INIT;
	message.term = c->term;
	message.body_case = WEIR__MESSAGE__BODY_ACKNOWLEDGE;
	message.acknowledge = &body;
	message_send(c->config.bus, node->peer, &message);
}

void membership_report(struct controller *c, uint64_t peer, const Weir__Report *report)
{
	struct node *node = node_of(c, peer);
	if (!node || node->state != NODE_ALIVE)
		return;
	heard(c, node, report->late_ns < INT64_MAX / 8 ? (int64_t)report->late_ns : 0);
	if (report->leaving && !node->leaving) {
		events_add(c, "node %s leaves", node->record->name);
		node->leaving = true;
		node->look = true;
	}
	node->look |= node->seen != report->seen; // somebody may wait for that
	node->seen = report->seen;
	node_take_parts(c, node, report->parts, report->n_parts, report->seen);
	acknowledge(c, node);
}

// A process that ends is certain. Whoever has given this leader up, since it was away for so long,
// is about to join again; may even have joined, and given that up, before this leader came to it.
void membership_closed(struct controller *c, uint64_t peer, const char *why)
{
	struct node *node = node_of(c, peer);
	if (!node)
		return;
	node->peer = 0;
	bool certain = node->leaving || c->now_ns >= c->unsure_until_ns;
	if (c->phase == PHASE_LEADING && certain)
		die(c, node, node->leaving ? "it has left" : why);
	else
		node->state = NODE_UNKNOWN;
}

// One that has to give up the leader before and find this one gets the time for that.
static int64_t unknown_ns(const struct controller *c)
{
	int64_t silence_ns = c->config.silence_ns;
	return c->config.lease_ns > 2 * silence_ns ? c->config.lease_ns + silence_ns
						   : 3 * silence_ns;
}

static void check_silence(struct controller *c, struct node *node)
{
	char why[REASON_BYTES];
	bool unknown = node->state == NODE_UNKNOWN;
	if (!unknown && c->now_ns - node->heard_ns <= c->config.silence_ns)
		return; // of all nodes, at every step
	int64_t since_ns = unknown && node->heard_ns < c->leading_since_ns ? c->leading_since_ns
									   : node->heard_ns;
	int64_t silent_ns = c->now_ns - since_ns;
	int64_t limit_ns = unknown ? unknown_ns(c) : membership_silence_ns(c, node);
	if (silent_ns <= limit_ns)
		return;
	snprintf(why, sizeof(why), "nothing heard for %" PRId64 " ms", silent_ns / 1000000);
	die(c, node, why);
	node->silent = true;
}

// For how long a part has not gone on though it could have.
static int64_t still_ns(const struct controller *c, const struct part *part)
{
	int64_t starved_ns = most_ns(c, STARVED_NS);
	if (part->told->starved_ns < (uint64_t)starved_ns)
		starved_ns = (int64_t)part->told->starved_ns;
	return c->now_ns - part->moved_ns - starved_ns;
}

// A part that is running moves, even without input.
static void check_progress(struct controller *c, struct node *node)
{
	if (c->now_ns - node->swept_ns < c->config.silence_ns / 4)
		return;
	node->swept_ns = c->now_ns;
	for (uint32_t i = 0; i < node->part_count; i++) {
		struct part *part = &node->parts[i];
		bool hung = part->told->state == WEIR__PART_STATE__PART_RUNNING &&
			still_ns(c, part) > stillness_ns(c, node);
		if (hung && !part->hung)
			node->look = true;
		part->hung = hung;
	}
}

// Its job has ended or goes on without it, and that is written, or it is of an incarnation that has
// been replaced. What else is being written of the job changes none of that.
static bool is_to_go(const struct part *part, const struct job_entry *job, const struct node *node)
{
	return !job || job_end_is_written(job) || takeover_is_over(job, node) ||
		job->record->incarnation != part->told->incarnation;
}

static void sweep(struct controller *c, struct node *node)
{
	for (uint32_t i = 0; i < node->part_count; i++) {
		struct part *part = &node->parts[i];
		if (is_to_go(part, registry_job(c, part->told->job), node))
			deploy_abort(c, node, part);
	}
}

void membership_step(struct controller *c)
{
	for (uint32_t i = 0; i < c->node_count; i++) {
		struct node *node = c->nodes[i];
		if (node->state == NODE_ALIVE || node->state == NODE_UNKNOWN)
			check_silence(c, node);
		if (node->state != NODE_ALIVE)
			continue;
		check_progress(c, node);
		if (!node->look)
			continue;
		node->look = false;
		sweep(c, node);
		jobs_look_at(c, node);
	}
}

// Whether nodes may have given it up meanwhile: they were answered a heartbeat before, at most.
static bool was_away(const struct controller *c, int64_t late_ns)
{
	int64_t lease_ns = c->config.lease_ns, silence_ns = c->config.silence_ns;
	return late_ns + 2 * c->config.heartbeat_ns >=
		(lease_ns > silence_ns ? lease_ns : silence_ns);
}

// Nodes may share this host, or one like it; but of a long pause only so much is likely theirs.
void membership_late(struct controller *c, int64_t late_ns)
{
	int64_t theirs_ns = late_ns < c->config.silence_ns ? late_ns : c->config.silence_ns;
	c->leading_since_ns += late_ns;
	if (was_away(c, late_ns))
		c->unsure_until_ns = c->now_ns + c->config.silence_ns;
	for (uint32_t i = 0; i < c->node_count; i++) {
		struct node *node = c->nodes[i];
		node->heard_ns += late_ns;
		jitter_delayed(&node->reports, c->now_ns, theirs_ns);
		jitter_delayed(&node->moves, c->now_ns, theirs_ns);
		for (uint32_t k = 0; k < node->part_count; k++)
			node->parts[k].moved_ns += late_ns;
	}
}
