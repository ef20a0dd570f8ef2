// Leadership: the key `leader` hangs on its holder's lease, and every write compares its revision.
// Taking it raises the term, which outlives leaders.
#include <stdlib.h>
#include <string.h>

#include "control/controller_parts.h"
#include "numa/assert.h"

#define LEADER_KEY "weir/election/leader"
#define TERM_KEY "weir/election/term"

static bool lease_holds(const struct controller *c)
{
	return c->lease_until_ns > c->now_ns;
}

void election_redirect(struct controller *c, uint64_t peer, uint64_t number)
{
	Weir__Message message = WEIR__MESSAGE__INIT;
	Weir__Redirect redirect = WEIR__REDIRECT__INIT;
	bool own = strcmp(c->leader_address, c->config.address) == 0;
	redirect.address = own ? (char *)"" : c->leader_address;
	redirect.reason = (char *)(c->silent_since_ns ? "metadata does not answer"
						      : "another controller leads, or none yet");
	message.number = number;
	message.body_case = WEIR__MESSAGE__BODY_REDIRECT;
	message.redirect = &redirect;
	message_send(c->config.bus, peer, &message);
}

void election_step_down(struct controller *c, const char *why)
{
	if (c->phase == PHASE_LEADING)
		events_add(c, "controller %s leads no more: %s", c->config.name, why);
	c->phase = PHASE_STANDBY;
	c->hint = true;
	text_set(&c->leader_address, "");
	for (uint32_t i = 0; i < c->node_count; i++) {
		struct node *node = c->nodes[i];
		if (node->peer)
			election_redirect(c, node->peer, 0);
		node->peer = 0;
		node->state = NODE_UNKNOWN;
	}
	for (uint32_t i = 0; i < c->job_count; i++)
		requests_redirect(c, c->jobs[i]); // asked again, a request is the same one
}

static void look_up(struct controller *c)
{
	struct meta *meta = c->config.meta;
	if (!c->hint && c->now_ns < c->look_at_ns)
		return;
	c->hint = false;
	c->look_at_ns = c->now_ns + c->config.lease_ns / 4;
	registry_ask(c, ASK_LEADER,
		meta->ops->list(meta, ++c->request, "weir/election/", c->now_ns));
}

static void load(struct controller *c)
{
	struct meta *meta = c->config.meta;
	registry_ask(c, ASK_LOAD, meta->ops->list(meta, ++c->request, "weir/", c->now_ns));
}

// With the revision of the key: 0 when nobody leads; its own, when this one finds that it leads and
// does not know which of its writes are still under way. None of an older term can land after this.
static void claim(struct controller *c, int64_t key_revision)
{
	struct meta *meta = c->config.meta;
	Weir__LeaderRecord leader = WEIR__LEADER_RECORD__INIT;
	leader.format = MESSAGE_VERSION;
	leader.term = c->seen_term + 1;
	leader.name = (char *)c->config.name;
	leader.address = (char *)c->config.address;
	leader.boot = c->config.boot;
	size_t bytes;
	void *value = record_pack(&leader, &bytes);
	const struct meta_compare compares[] = {
		{LEADER_KEY, key_revision}, {TERM_KEY, c->term_revision}};
	const struct meta_put puts[] = {
		{LEADER_KEY, value, bytes, true}, {TERM_KEY, value, bytes, false}};
	const struct meta_txn txn = {compares, 2, puts, 2};
	registry_ask(c, ASK_CLAIM, meta->ops->txn(meta, ++c->request, &txn, c->now_ns));
	free(value);
}

static void resign(struct controller *c)
{
	struct meta *meta = c->config.meta;
	bool has_key = c->phase == PHASE_LEADING || c->phase == PHASE_LOADING;
	if (c->phase == PHASE_LEADING)
		election_step_down(c, "it was told to end");
	c->phase = PHASE_RESIGNED;
	if (!has_key || !lease_holds(c))
		return;
	const struct meta_compare compare = {LEADER_KEY, c->leader_revision};
	const struct meta_put put = {LEADER_KEY, NULL, 0, false};
	const struct meta_txn txn = {&compare, 1, &put, 1};
	registry_ask(c, ASK_RESIGN, meta->ops->txn(meta, ++c->request, &txn, c->now_ns));
}

// Everything that is known is read anew: another leader may have written since.
static void begin(struct controller *c, uint64_t term, int64_t revision)
{
	c->counter = 0;
	c->term = term;
	c->seen_term = term;
	c->leader_revision = revision;
	c->phase = PHASE_LOADING;
	text_set(&c->leader_address, c->config.address);
}

void election_answered(struct controller *c, enum ask ask, enum meta_outcome outcome,
	int64_t revision)
{
	if (ask == ASK_CLAIM && outcome == META_DONE && c->phase == PHASE_STANDBY && !c->lease_lost)
		begin(c, c->seen_term + 1, revision);
	else
		c->hint = true; // who leads is found out by looking
}

void election_listed(struct controller *c, enum meta_outcome outcome,
	const struct meta_entry *entries, uint32_t count)
{
	bool led = false;
	int64_t own_revision = 0;
	c->term_revision = 0;
	for (uint32_t i = 0; i < count; i++) {
		Weir__LeaderRecord *leader = leader_record_read(entries[i].value, entries[i].bytes);
		if (!leader)
			continue;
		c->seen_term = leader->term > c->seen_term ? leader->term : c->seen_term;
		if (strcmp(entries[i].key, TERM_KEY) == 0) {
			c->term_revision = entries[i].revision;
		} else if (c->phase == PHASE_STANDBY) {
			led = true;
			text_set(&c->leader_address, leader->address);
			if (leader->boot == c->config.boot)
				own_revision = entries[i].revision;
		}
		record_free(leader);
	}
	if ((led && own_revision == 0) || c->phase != PHASE_STANDBY)
		return;
	text_set(&c->leader_address, "");
	if (lease_holds(c) && !c->lease_lost && c->ask == ASK_NOTHING)
		claim(c, own_revision);
}

void election_step(struct controller *c)
{
	if ((c->lease_lost || !lease_holds(c)) &&
		(c->phase == PHASE_LEADING || c->phase == PHASE_LOADING))
		election_step_down(c, "its lease ran out");
	c->lease_lost = false;
	if (c->ask != ASK_NOTHING || c->now_ns < c->retry_ns)
		return;
	if (c->resigning && c->phase != PHASE_RESIGNED)
		resign(c);
	else if (c->phase == PHASE_STANDBY)
		look_up(c);
	else if (c->phase == PHASE_LOADING)
		load(c);
}
