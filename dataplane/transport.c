#include "dataplane/transport.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <string.h>

#include "numa/arena.h"
#include "numa/assert.h"

static const struct session_events transport_events;

uint64_t transport_bytes(const struct transport_config *config)
{
	uint64_t entries = 4 * (uint64_t)config->channel_max + 8; // rounded up to a power of two
	return config->session_max * (session_bytes(config->window_max) + sizeof(struct session)) +
		2 * entries * sizeof(struct channel_entry) +
		(config->channel_max + 2 * config->session_max) * sizeof(void *) + 9 * 64;
}

int transport_create(struct transport *t, const struct transport_config *config,
	struct arena *arena)
{
	*t = (struct transport){.config = *config};
	t->sessions = arena_alloc(arena, config->session_max * sizeof(*t->sessions), 64);
	t->active = arena_alloc(arena, config->session_max * sizeof(*t->active), 64);
	t->turns = arena_alloc(arena, config->session_max * sizeof(*t->turns), 64);
	t->inlets = arena_alloc(arena, config->channel_max * sizeof(*t->inlets), 64);
	int error =
		t->sessions == NULL || t->active == NULL || t->turns == NULL || t->inlets == NULL
		? -ENOMEM
		: 0;
	if (error == 0)
		error = channel_table_create(&t->outlet_table, config->channel_max, arena);
	if (error == 0)
		error = channel_table_create(&t->inlet_table, config->channel_max, arena);
	for (uint32_t i = 0; i < config->session_max && error == 0; i++)
		error = session_create(&t->sessions[i], config->window_max, arena);
	return error;
}

void transport_destroy(struct transport *t)
{
	for (uint32_t i = 0; i < t->config.session_max && t->sessions != NULL; i++)
		session_stop(&t->sessions[i]);
}

// ---- sessions and channels that come and go

struct session *transport_connect(struct transport *t, const struct session_config *config)
{
	struct session_config with = *config;
	VERIFY(config->index < t->config.session_max);
	with.events = &transport_events;
	with.context = t;
	with.link = t->config.link;
	with.queue = t->config.queue;
	session_start(&t->sessions[config->index], &with);
	t->active[t->active_count++] = &t->sessions[config->index];
	return &t->sessions[config->index];
}

void transport_disconnect(struct transport *t, struct session *s)
{
	ASSERT(s >= t->sessions && s < t->sessions + t->config.session_max);
	session_stop(s);
	for (uint32_t i = 0; i < t->active_count; i++)
		if (t->active[i] == s)
			t->active[i] = t->active[--t->active_count];
}

static struct outlet **turn_of(struct transport *t, const struct session *s)
{
	ASSERT(s >= t->sessions && s < t->sessions + t->config.session_max);
	return &t->turns[s - t->sessions];
}

static void ring_add(struct outlet **turn, struct outlet *o)
{
	if (*turn == NULL)
		*turn = o;
	o->next = *turn == o ? o : (*turn)->next;
	(*turn)->next = o;
}

static void ring_remove(struct outlet **turn, struct outlet *o)
{
	struct outlet *before = o;
	while (before->next != o)
		before = before->next;
	before->next = o->next;
	if (*turn == o)
		*turn = o->next == o ? NULL : o->next;
}

bool transport_add_outlet(struct transport *t, struct outlet *o)
{
	struct channel_name name = channel_name_of(o->channel);
	if (t->outlet_table.count == t->config.channel_max ||
		!channel_table_add(&t->outlet_table, &name, o))
		return false;
	ring_add(turn_of(t, o->session), o);
	return true;
}

bool transport_add_inlet(struct transport *t, struct inlet *i)
{
	struct channel_name name = channel_name_of(i->channel);
	if (t->inlet_count == t->config.channel_max ||
		!channel_table_add(&t->inlet_table, &name, i))
		return false;
	t->inlets[t->inlet_count++] = i;
	return true;
}

bool transport_remove_outlet(struct transport *t, struct outlet *o)
{
	struct channel_name name = channel_name_of(o->channel);
	if (o->in_flight != 0)
		return false;
	outlet_destroy(o);
	channel_table_remove(&t->outlet_table, &name);
	ring_remove(turn_of(t, o->session), o);
	return true;
}

void transport_remove_inlet(struct transport *t, struct inlet *i)
{
	struct channel_name name = channel_name_of(i->channel);
	channel_table_remove(&t->inlet_table, &name);
	for (uint32_t at = 0; at < t->inlet_count; at++)
		if (t->inlets[at] == i)
			t->inlets[at] = t->inlets[--t->inlet_count];
}

// ---- what sessions tell

static struct inlet *inlet_of(struct transport *t, struct session *s, struct rte_mbuf *frame)
{
	const struct frame_header *h = rte_pktmbuf_mtod(frame, const struct frame_header *);
	struct channel_name name = {h->job, h->channel, h->plan_version};
	struct inlet *i = channel_table_find(&t->inlet_table, &name);
	return i == NULL || i->session != s ? NULL : i;
}

// Frames that follow each other are mostly of one channel.
static bool is_same_channel(struct rte_mbuf *a, struct rte_mbuf *b)
{
	const struct frame_header *x = rte_pktmbuf_mtod(a, const struct frame_header *);
	const struct frame_header *y = rte_pktmbuf_mtod(b, const struct frame_header *);
	return x->channel == y->channel && x->job == y->job && x->plan_version == y->plan_version;
}

static void deliver(void *context, struct session *s, struct rte_mbuf **frames, uint32_t count)
{
	struct transport *t = context;
	for (uint32_t at = 0, run; at < count; at += run) {
		for (run = 1; at + run < count && is_same_channel(frames[at], frames[at + run]);)
			run++;
		struct inlet *i = inlet_of(t, s, frames[at]);
		if (i != NULL) {
			t->stats.dropped[SESSION_DROP_CREDIT] += inlet_take(i, frames + at, run);
			continue;
		}
		t->stats.dropped[SESSION_DROP_CHANNEL] += run;
		rte_pktmbuf_free_bulk(frames + at, run);
	}
}

static void message(void *context, struct session *s, const struct session_message *m)
{
	struct transport *t = context;
	struct channel_name name = {m->job, m->channel, m->plan_version};
	if (m->kind == MESSAGE_OPEN) {
		struct inlet *i = channel_table_find(&t->inlet_table, &name);
		if (i != NULL && i->session == s)
			inlet_message(i, m);
		return; // one that comes later grants unasked
	}
	struct outlet *o = channel_table_find(&t->outlet_table, &name);
	if (o != NULL && o->session == s)
		outlet_message(o, m);
}

static void release(void *context, void *owner, struct rte_mbuf **frames, uint32_t count)
{
	outlet_release(owner, frames, count);
}

static void begin(void *context, struct session *s)
{
	struct transport *t = context;
	struct outlet *first = *turn_of(t, s), *o = first;
	if (first != NULL)
		do {
			outlet_begin(o);
			o = o->next;
		} while (o != first);
	for (uint32_t i = 0; i < t->inlet_count; i++)
		if (t->inlets[i]->session == s)
			inlet_begin(t->inlets[i]);
}

static const struct session_events transport_events = {
	.deliver = deliver, .message = message, .release = release, .begin = begin};

// ---- a round

static struct session *session_of(struct transport *t, const struct rte_mbuf *packet,
	enum session_drop *ret_reason)
{
	const struct session_header *h = rte_pktmbuf_mtod(packet, const struct session_header *);
	*ret_reason = SESSION_DROP_SHORT;
	if (packet->data_len < SESSION_HEADER_BYTES)
		return NULL;
	*ret_reason = SESSION_DROP_MISDIRECTED;
	if (h->worker != t->config.worker || h->session >= t->config.session_max)
		return NULL;
	struct session *s = &t->sessions[h->session];
	return s->config.boot == 0 ? NULL : s;
}

// Packets that follow each other are mostly of one session.
static void dispatch(struct transport *t, struct rte_mbuf **packets, uint32_t count, int64_t now_ns)
{
	enum session_drop reason, other;
	for (uint32_t at = 0, run; at < count; at += run) {
		struct session *s = session_of(t, packets[at], &reason);
		for (run = 1; at + run < count && s != NULL &&
			session_of(t, packets[at + run], &other) == s;)
			run++;
		if (s != NULL) {
			session_receive(s, packets + at, run, now_ns);
			continue;
		}
		t->stats.dropped[reason]++;
		rte_pktmbuf_free(packets[at]);
	}
	t->stats.packets_received += count;
}

static void tick_link(struct transport *t, int64_t now_ns)
{
	struct link *link = t->config.link;
	enum link_event event; // the link's own affair, or its sessions' time-outs'
	if (t->config.queue == 0 && now_ns >= t->tick_at_ns)
		t->tick_at_ns = link->ops->tick(link, now_ns, &event);
}

static uint32_t receive(struct transport *t, int64_t now_ns)
{
	struct link *link = t->config.link;
	struct rte_mbuf *packets[LINK_BURST];
	uint32_t count = link->ops->receive(link, t->config.queue, packets, LINK_BURST);
	if (count != 0)
		dispatch(t, packets, count, now_ns);
	return count;
}

static void tick_sessions(struct transport *t, int64_t now_ns)
{
	for (uint32_t i = 0; i < t->active_count; i++) {
		struct session *s = t->active[i];
		if (s->touched || now_ns >= s->deadline_ns) {
			s->touched = true;
			session_tick(s, now_ns);
		}
		s->progress = t->progress;
	}
}

// A session's outlets take turns: next time the one behind the last that could send is first, so
// that none is passed over for ever where there is room for few.
static uint32_t step_outlets(struct outlet **turn, int64_t now_ns)
{
	struct outlet *first = *turn, *o = first;
	uint32_t total = 0;
	if (first == NULL)
		return 0;
	do {
		uint32_t sent = outlet_step(o, TRANSPORT_OUTLET_FRAMES, now_ns);
		total += sent;
		o = o->next;
		if (sent != 0)
			*turn = o;
	} while (o != first);
	return total;
}

uint32_t transport_step(struct transport *t, int64_t now_ns)
{
	t->progress++;
	tick_link(t, now_ns);
	uint32_t work = receive(t, now_ns);
	for (uint32_t i = 0; i < t->inlet_count; i++)
		work += inlet_step(t->inlets[i], now_ns);
	tick_sessions(t, now_ns);
	for (uint32_t i = 0; i < t->active_count; i++) {
		work += step_outlets(turn_of(t, t->active[i]), now_ns);
		if (t->active[i]->touched)
			session_flush(t->active[i], now_ns);
	}
	return work;
}

int64_t transport_deadline(const struct transport *t)
{
	int64_t earliest = INT64_MAX;
	for (uint32_t i = 0; i < t->active_count; i++)
		if (t->active[i]->deadline_ns < earliest)
			earliest = t->active[i]->deadline_ns;
	return t->config.queue == 0 && t->tick_at_ns < earliest ? t->tick_at_ns : earliest;
}
