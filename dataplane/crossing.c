#include "dataplane/crossing.h"

#include <errno.h>
#include <rte_ring.h>

#include "numa/arena.h"
#include "numa/assert.h"

int crossing_create(struct crossing *c, const struct crossing_network *network, uint32_t own,
	uint32_t channel_max, uint32_t session_max, struct arena *arena)
{
	*c = (struct crossing){.network = network, .own = own};
	c->session_to = arena_alloc(arena, (session_max + 1) * sizeof(*c->session_to), 64);
	c->ways = arena_alloc(arena, (session_max + 1) * sizeof(*c->ways), 64);
	c->joins = arena_alloc(arena, (session_max + 1) * sizeof(*c->joins), 64);
	c->sessions = arena_alloc(arena, (session_max + 1) * sizeof(*c->sessions), 64);
	c->outlets = arena_alloc(arena, (channel_max + 1) * sizeof(*c->outlets), 64);
	c->inlets = arena_alloc(arena, (channel_max + 1) * sizeof(*c->inlets), 64);
	c->outlet_to = arena_alloc(arena, (channel_max + 1) * sizeof(*c->outlet_to), 64);
	c->inlet_from = arena_alloc(arena, (channel_max + 1) * sizeof(*c->inlet_from), 64);
	c->outlet_channel = arena_alloc(arena, (channel_max + 1) * sizeof(*c->outlet_channel), 64);
	c->inlet_channel = arena_alloc(arena, (channel_max + 1) * sizeof(*c->inlet_channel), 64);
	c->inlet_receiver = arena_alloc(arena, (channel_max + 1) * sizeof(*c->inlet_receiver), 64);
	return c->inlet_receiver == NULL ? -ENOMEM : 0;
}

static void need_session(struct crossing *c, uint32_t worker)
{
	for (uint32_t i = 0; i < c->session_count; i++)
		if (c->session_to[i] == worker)
			return;
	c->ways[c->session_count] =
		(struct crossing_way){.boot = crossing_boot(c->network, c->own, worker),
			.peer = c->network->peers[worker],
			.number = c->network->workers[worker]};
	c->joins[c->session_count] = false;
	c->session_to[c->session_count++] = worker;
}

void crossing_add_outlet(struct crossing *c, struct channel *channel, uint32_t worker)
{
	need_session(c, worker);
	c->outlet_channel[c->outlet_count] = channel;
	c->outlet_to[c->outlet_count++] = worker;
}

void crossing_add_inlet(struct crossing *c, struct channel *channel,
	const struct receiver *receiver, uint32_t worker)
{
	need_session(c, worker);
	c->inlet_channel[c->inlet_count] = channel;
	c->inlet_receiver[c->inlet_count] = receiver;
	c->inlet_from[c->inlet_count++] = worker;
}

// A worker serves one job, so that a session is known by the other end's place in its plan.
static struct session *connect(const struct crossing *c, uint32_t at)
{
	const struct crossing_network *n = c->network;
	const struct crossing_way *way = &c->ways[at];
	uint32_t worker = c->session_to[at];
	const struct session_config config = {
		.boot = way->boot,
		.peer_boot = way->boot,
		.leads = c->own < worker,
		.peer_worker = way->number,
		.index = worker,
		.peer_index = c->own,
		.window = n->window,
		.frame_crc = true,
		.pool = n->pool,
		.timing = session_site_timing,
		.peer = way->peer,
	};
	return transport_connect(c->transport, &config);
}

// The place of the session with that worker; session_count: there is none.
static uint32_t place_of(const struct crossing *c, uint32_t worker)
{
	uint32_t i = 0;
	while (i < c->session_count && c->session_to[i] != worker)
		i++;
	return i;
}

static void begin(struct crossing *c, uint32_t session)
{
	uint32_t worker = c->session_to[session];
	c->sessions[session] = NULL;
	if (c->ways[session].peer == CROSSING_NO_PEER)
		return;
	c->sessions[session] = connect(c, session);
	for (uint32_t i = 0; i < c->outlet_count; i++) {
		if (c->outlet_to[i] != worker)
			continue;
		outlet_create(&c->outlets[i], c->outlet_channel[i], c->sessions[session]);
		VERIFY(transport_add_outlet(c->transport, &c->outlets[i]));
	}
	for (uint32_t i = 0; i < c->inlet_count; i++) {
		if (c->inlet_from[i] != worker)
			continue;
		inlet_create(&c->inlets[i], c->inlet_channel[i], c->inlet_receiver[i],
			c->sessions[session]);
		VERIFY(transport_add_inlet(c->transport, &c->inlets[i]));
	}
}

void crossing_enter(struct crossing *c, struct transport *transport)
{
	c->transport = transport;
	for (uint32_t i = 0; i < c->session_count; i++)
		begin(c, i);
}

// Frames in flight come back to their outlets first.
static void let_go(struct crossing *c, uint32_t session)
{
	uint32_t worker = c->session_to[session];
	if (c->sessions[session] == NULL)
		return;
	transport_disconnect(c->transport, c->sessions[session]);
	c->sessions[session] = NULL;
	for (uint32_t i = 0; i < c->outlet_count; i++)
		if (c->outlet_to[i] == worker)
			VERIFY(transport_remove_outlet(c->transport, &c->outlets[i]));
	for (uint32_t i = 0; i < c->inlet_count; i++)
		if (c->inlet_from[i] == worker)
			transport_remove_inlet(c->transport, &c->inlets[i]);
}

void crossing_leave(struct crossing *c, struct transport *transport)
{
	ASSERT(c->transport == transport);
	for (uint32_t i = 0; i < c->session_count; i++)
		let_go(c, i);
	c->transport = NULL;
}

void crossing_lose(struct crossing *c, uint32_t worker)
{
	uint32_t at = c == NULL ? 0 : place_of(c, worker);
	if (c != NULL && at != c->session_count)
		let_go(c, at);
}

void crossing_admit(struct crossing *c, uint32_t worker, const struct crossing_way *way)
{
	uint32_t at = c == NULL ? 0 : place_of(c, worker);
	if (c == NULL || at == c->session_count)
		return;
	VERIFY(c->sessions[at] == NULL);
	for (uint32_t i = 0; i < c->outlet_count; i++)
		if (c->outlet_to[i] == worker)
			channel_renew_sending(c->outlet_channel[i]);
	for (uint32_t i = 0; i < c->inlet_count; i++)
		if (c->inlet_from[i] == worker)
			channel_renew_receiving(c->inlet_channel[i]);
	c->ways[at] = *way;
	c->joins[at] = true;
	begin(c, at);
}

void crossing_joined(struct crossing *c, uint32_t worker)
{
	uint32_t at = c == NULL ? 0 : place_of(c, worker);
	if (c != NULL && at != c->session_count)
		c->joins[at] = false;
}

bool crossing_is_idle(const struct crossing *c)
{
	for (uint32_t i = 0; i < c->outlet_count; i++) {
		const struct outlet *o = &c->outlets[i];
		uint32_t at = place_of(c, c->outlet_to[i]);
		if (c->sessions[at] == NULL || c->joins[at])
			continue; // to one that is lost, or has nothing yet
		if (o->in_flight != 0 || o->staged_at != o->staged_count ||
			!rte_ring_empty(o->channel->forward))
			return false;
	}
	return true;
}
