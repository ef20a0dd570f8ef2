#include <inttypes.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>

#include "numa/assert.h"
#include "state/record.h"
#include "tests/sim/transport.h"

enum { RETENTION_BYTES = 1 << 18, STALL_NS_MAX = 20000000, FLOW_BURST = 64 };

void transport_violate(struct transport_world *w, const char *what)
{
	if (!w->violated)
		fprintf(stderr, "seed %" PRIu64 ", round %" PRIu64 ", %.3f ms: %s\n",
			w->scenario.seed, w->rounds, (double)w->now_ns / 1e6, what);
	w->violated = true;
}

static uint32_t room_of(const struct transport_scenario *s)
{
	return RTE_PKTMBUF_HEADROOM + SESSION_HEADROOM + s->frame_bytes +
		SESSION_MESSAGES_MAX * (uint32_t)sizeof(struct session_message);
}

// ---- endpoints

// More impatient than session_site_timing: trials take tens of milliseconds over fast wires.
static const struct session_timing timing = {
	.keepalive_ns = 1000000,
	.ack_delay_ns = 20000,
	.hello_ns = 1000000,
	.queue_target_ns = 100000,
	.rto_min_ns = 500000,
	.rto_max_ns = 20000000,
};

static struct session_config session_config(struct transport_world *w, uint32_t end, uint32_t peer)
{
	struct endpoint *e = &w->endpoints[end];
	return (struct session_config){
		.boot = e->boot,
		.leads = end < peer,
		.peer_worker = (uint16_t)peer,
		.index = peer,
		.peer_index = end,
		.window = w->scenario.window,
		.frame_crc = true,
		.pool = e->packets,
		.timing = timing,
		.peer = peer,
	};
}

static bool are_joined(const struct transport_world *w, uint32_t a, uint32_t b)
{
	for (uint32_t i = 0; i < w->scenario.flows; i++)
		if ((w->flows[i].from == a && w->flows[i].to == b) ||
			(w->flows[i].from == b && w->flows[i].to == a))
			return true;
	return false;
}

static void start_flow_end(struct transport_world *w, struct flow *f, uint32_t index, uint32_t end)
{
	const struct transport_scenario *s = &w->scenario;
	struct endpoint *e = &w->endpoints[end];
	struct channel_config config = {.id = index,
		.job = 1,
		.plan_version = 1,
		.frame_bytes = s->frame_bytes,
		.frames = s->frames,
		.retention_bytes = f->from == end && s->recovery ? RETENTION_BYTES : 0};
	if (f->from == end) {
		VERIFY(channel_create(&f->sending, &config, &e->arena) == 0);
		VERIFY(sender_create(&f->sender, &f->sending, e->frames, &e->arena) == 0);
		sender_succeed(&f->sender, f->committed, f->incarnation);
		outlet_create(&f->outlet, &f->sending, e->sessions[f->to]);
		VERIFY(transport_add_outlet(&e->transport, &f->outlet));
	} else {
		VERIFY(channel_create(&f->receiving, &config, &e->arena) == 0);
		receiver_create(&f->receiver, &f->receiving);
		f->receiver.next_number = f->committed;
		f->receiver.expect.incarnation = f->incarnation;
		atomic_store(&f->receiving.snapshot_number, f->committed);
		inlet_create(&f->inlet, &f->receiving, &f->receiver, e->sessions[f->from]);
		VERIFY(transport_add_inlet(&e->transport, &f->inlet));
	}
}

static void start_endpoint(struct transport_world *w, uint32_t end)
{
	struct endpoint *e = &w->endpoints[end];
	struct transport_config config = {.worker = (uint16_t)end,
		.session_max = ENDPOINTS_MAX,
		.channel_max = FLOWS_MAX,
		.window_max = w->scenario.window,
		.link = &w->wire.ports[end].link};
	uint64_t bytes = transport_bytes(&config) + (1 << 18) +
		(w->scenario.recovery ? FLOWS_MAX * (RETENTION_BYTES + 4096) : 0);
	e->boot++;
	VERIFY(arena_create(&e->arena, bytes, -1, true) == 0);
	VERIFY(transport_create(&e->transport, &config, &e->arena) == 0);
	for (uint32_t peer = 0; peer < w->scenario.endpoints; peer++) {
		struct session_config session = session_config(w, end, peer);
		if (are_joined(w, end, peer))
			e->sessions[peer] = transport_connect(&e->transport, &session);
	}
	for (uint32_t i = 0; i < w->scenario.flows; i++)
		if (w->flows[i].from == end || w->flows[i].to == end)
			start_flow_end(w, &w->flows[i], i, end);
}

static void stop_endpoint(struct transport_world *w, uint32_t end)
{
	struct endpoint *e = &w->endpoints[end];
	struct sender no_sender = {0};
	struct receiver no_receiver = {0};
	transport_destroy(&e->transport);
	for (uint32_t i = 0; i < w->scenario.flows; i++) {
		struct flow *f = &w->flows[i];
		if (f->from == end) {
			VERIFY(transport_remove_outlet(&e->transport, &f->outlet));
			channel_drain(&f->sending, &f->sender, &no_receiver);
		} else if (f->to == end) {
			transport_remove_inlet(&e->transport, &f->inlet);
			channel_drain(&f->receiving, &no_sender, &f->receiver);
		}
	}
	wire_let_go(&w->wire.ports[end]);
	arena_destroy(&e->arena);
	if (!rte_mempool_full(e->packets) || !rte_mempool_full(e->frames))
		transport_violate(w, "an endpoint's mbufs are not all back in their pools");
}

// Both ends go back to what is committed; senders' successors have a new incarnation, which the
// controller makes known at once.
void transport_world_restart(struct transport_world *w, uint32_t end)
{
	w->restarted = true;
	stop_endpoint(w, end);
	for (uint32_t i = 0; i < w->scenario.flows; i++) {
		struct flow *f = &w->flows[i];
		if (f->from != end)
			continue;
		f->incarnation++;
		f->receiver.expect.incarnation = f->incarnation;
	}
	start_endpoint(w, end);
}

// Enough for all credit, what may be held out of order, own packets in flight, and a burst.
static uint32_t packets_needed(const struct transport_world *w, uint32_t end)
{
	uint32_t count = 2 * LINK_BURST + WIRE_HELD_MAX;
	for (uint32_t peer = 0; peer < w->scenario.endpoints; peer++)
		count += are_joined(w, end, peer) ? 2 * w->scenario.window + 8 : 0;
	for (uint32_t i = 0; i < w->scenario.flows; i++)
		count += w->flows[i].to == end ? w->scenario.frames + CHANNEL_CONTROL_FRAMES : 0;
	return count;
}

static void create_pools(struct transport_world *w, uint32_t end)
{
	struct endpoint *e = &w->endpoints[end];
	char name[32];
	uint32_t needed = packets_needed(w, end), frames = 1;
	uint16_t room = (uint16_t)room_of(&w->scenario);
	for (uint32_t i = 0; i < w->scenario.flows; i++)
		frames += w->flows[i].from == end ? w->scenario.frames + CHANNEL_CONTROL_FRAMES : 0;
	e->packets_bound = needed;
	snprintf(name, sizeof(name), "packets%u", end);
	e->packets = rte_pktmbuf_pool_create(name, w->scenario.small_pools ? needed : 2 * needed, 0,
		0, room, SOCKET_ID_ANY);
	snprintf(name, sizeof(name), "frames%u", end);
	e->frames = rte_pktmbuf_pool_create(name, frames, 0, 0, room, SOCKET_ID_ANY);
	VERIFY(e->packets != NULL && e->frames != NULL);
	wire_add(&w->wire, e->packets, room - RTE_PKTMBUF_HEADROOM - LINK_HEADROOM);
	w->wire.ports[end].holds = w->scenario.holds;
}

void transport_world_create(struct transport_world *w, const struct transport_scenario *s,
	const struct flow *flows)
{
	memset(w, 0, sizeof(*w));
	w->scenario = *s;
	w->random = (struct random){s->seed ^ 0xA5A5};
	w->now_ns = 1;
	memcpy(w->flows, flows, s->flows * sizeof(*flows));
	wire_create(&w->wire, s->seed);
	w->wire.faults = s->faults;
	w->wire.byte_ps = s->byte_ps;
	w->wire.queue_ns = s->queue_ns;
	for (uint32_t i = 0; i < s->flows; i++)
		w->flows[i].incarnation = 1;
	for (uint32_t end = 0; end < s->endpoints; end++) {
		create_pools(w, end);
		start_endpoint(w, end);
	}
}

void transport_world_destroy(struct transport_world *w)
{
	for (uint32_t end = 0; end < w->scenario.endpoints; end++)
		stop_endpoint(w, end);
	wire_destroy(&w->wire);
	for (uint32_t end = 0; end < w->scenario.endpoints; end++) {
		rte_mempool_free(w->endpoints[end].packets);
		rte_mempool_free(w->endpoints[end].frames);
	}
}

// ---- what stands in for tasks

static uint64_t mixed(const struct flow *f, uint64_t number)
{
	struct random r = {number * 64 + f->sending.config.id};
	return random_next(&r);
}

static bool is_mark(const struct flow *f, uint64_t number)
{
	return !f->no_marks && mixed(f, number) % 11 == 0;
}

static uint32_t item_bytes(const struct flow *f, uint64_t number)
{
	return 16 + 8 * ((uint32_t)(mixed(f, number) >> 32) % ((FLOW_RECORD_MAX - 16) / 8 + 1));
}

static bool send_item(struct transport_world *w, struct flow *f, uint64_t number)
{
	if (is_mark(f, number))
		return sender_mark(&f->sender, number % 2 ? FRAME_WATERMARK : FRAME_BARRIER,
			(int64_t)number, (uint32_t)number);
	uint32_t bytes = item_bytes(f, number);
	uint8_t *out = sender_reserve(&f->sender, bytes, w->now_ns);
	if (out == NULL)
		return false;
	memset(out, (int)(number & 0xFF), bytes);
	memcpy(out, &bytes, sizeof(bytes));
	memcpy(out + 8, &number, sizeof(number));
	sender_commit(&f->sender, bytes);
	return true;
}

static void step_sender(struct transport_world *w, struct flow *f)
{
	struct sender *s = &f->sender;
	uint64_t number;
	if (outlet_rewind(&f->outlet, &number) && w->scenario.recovery)
		sender_rewind(s, number);
	if (w->scenario.recovery) {
		sender_trim(s);
		sender_resend(s);
	}
	for (uint32_t i = 0; i < FLOW_BURST && s->next_number + s->items < f->items; i++)
		if (!send_item(w, f, s->next_number + s->items))
			break;
	sender_flush(s);
	sender_push(s);
}

static void consume(struct transport_world *w, struct flow *f, const struct frame_header *h)
{
	struct receiver *r = &f->receiver;
	uint64_t number = r->next_number,
		 found = h->type == FRAME_BARRIER ? h->epoch : (uint64_t)h->watermark;
	if ((h->type == FRAME_DATA) == is_mark(f, number) || number >= f->items) {
		transport_violate(w, "an item came that was never sent");
		return;
	}
	if (h->type == FRAME_DATA) {
		memcpy(&found, r->first + 8, sizeof(found));
		if (record_length(r->first) != item_bytes(f, number))
			transport_violate(w, "an item's bytes are not as they were sent");
		f->bytes += record_length(r->first);
		r->first += record_length(r->first);
	}
	if (found != number)
		transport_violate(w, "items came out of order, twice or not at all");
	r->next_number++;
	r->items--;
}

static void step_receiver(struct transport_world *w, struct flow *f)
{
	struct receiver *r = &f->receiver;
	const struct frame_header *h;
	if (f->stalled_until_ns > w->now_ns)
		return;
	for (uint32_t i = 0; i < FLOW_BURST && !w->violated && (h = receiver_peek(r)) != NULL;) {
		for (; r->items != 0 && !w->violated && i < FLOW_BURST; i++)
			consume(w, f, h);
		if (r->items == 0)
			receiver_release(r);
	}
	receiver_return(r);
	if (w->scenario.recovery && random_chance(&w->random, 50)) {
		f->committed = r->next_number;
		atomic_store_explicit(&f->receiving.snapshot_number, f->committed,
			memory_order_release);
	}
}

static bool has_ended(const struct flow *f)
{
	return f->receiver.next_number == f->items;
}

bool transport_world_ended(const struct transport_world *w)
{
	for (uint32_t i = 0; i < w->scenario.flows; i++)
		if (!has_ended(&w->flows[i]))
			return false;
	return true;
}

static void step_endpoint(struct transport_world *w, uint32_t end)
{
	struct endpoint *e = &w->endpoints[end];
	if (e->paused_until_ns > w->now_ns)
		return;
	for (uint32_t i = 0; i < w->scenario.flows; i++) {
		if (w->flows[i].from == end)
			step_sender(w, &w->flows[i]);
		if (w->flows[i].to == end)
			step_receiver(w, &w->flows[i]);
	}
	transport_step(&e->transport, w->now_ns);
}

// ---- faults and time

static void hold_up_first(struct transport_world *w)
{
	bool others = true;
	for (uint32_t i = 1; i < w->scenario.flows; i++)
		others &= has_ended(&w->flows[i]);
	w->flows[0].stalled_until_ns = others ? 0 : w->now_ns + 1;
}

static void make_trouble(struct transport_world *w)
{
	struct random *r = &w->random;
	struct transport_scenario *s = &w->scenario;
	uint32_t end = (uint32_t)random_in(r, 0, s->endpoints - 1);
	uint32_t other = (uint32_t)random_in(r, 0, s->endpoints - 1);
	if (w->restarts < s->restarts && random_chance(r, 2)) {
		w->restarts++;
		transport_world_restart(w, end);
	}
	if (w->cuts < s->cuts && random_chance(r, 3)) {
		w->cuts++;
		w->wire.cut_until_ns[end][other] = w->now_ns + (int64_t)random_in(r, 0, 50000000);
		if (random_chance(r, 500))
			w->wire.cut_until_ns[other][end] = w->wire.cut_until_ns[end][other];
	}
	if (random_chance(r, 2))
		w->endpoints[end].paused_until_ns =
			w->now_ns + (int64_t)random_in(r, 0, STALL_NS_MAX);
	if (random_chance(r, 3))
		w->flows[random_in(r, 0, s->flows - 1)].stalled_until_ns =
			w->now_ns + (int64_t)random_in(r, 0, STALL_NS_MAX);
}

static void end_trouble(struct transport_world *w)
{
	memset(w->wire.cut_until_ns, 0, sizeof(w->wire.cut_until_ns));
	w->wire.faults = (struct wire_faults){.delay_ns = w->scenario.faults.delay_ns};
	for (uint32_t i = 0; i < w->scenario.endpoints; i++)
		w->endpoints[i].paused_until_ns = 0;
	for (uint32_t i = 0; i < w->scenario.flows; i++)
		w->flows[i].stalled_until_ns = 0;
}

// The earliest that anything can happen; but steps also come at no particular time.
static void pass_time(struct transport_world *w)
{
	int64_t next = w->now_ns + 1000000;
	for (uint32_t i = 0; i < w->scenario.endpoints; i++) {
		int64_t at = transport_deadline(&w->endpoints[i].transport);
		int64_t packet = wire_next(&w->wire.ports[i]);
		at = packet < at ? packet : at;
		next = at < next ? at : next;
	}
	if (next < w->now_ns)
		next = w->now_ns;
	if (random_chance(&w->random, 700))
		w->now_ns = next;
	w->now_ns += (int64_t)random_in(&w->random, 100, 8000);
	w->wire.now_ns = w->now_ns;
}

void transport_world_round(struct transport_world *w)
{
	uint32_t first = (uint32_t)random_in(&w->random, 0, w->scenario.endpoints - 1);
	for (uint32_t i = 0; i < w->scenario.endpoints; i++)
		step_endpoint(w, (first + i) % w->scenario.endpoints);
	w->rounds++;
	pass_time(w);
	if (w->now_ns < w->scenario.faults_end_ns)
		make_trouble(w);
	else if (w->scenario.faults_end_ns != 0) {
		end_trouble(w);
		w->scenario.faults_end_ns = 0;
	}
	if (w->scenario.blocked)
		hold_up_first(w);
}
