// What must hold of the transport, whatever the wire does.
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "tests/sim/transport.h"

static void expect(struct transport_world *w, bool holds, const char *what)
{
	if (!holds)
		transport_violate(w, what);
}

// Wherever they are between two steps, a channel's mbufs are all there, at both ends.
static void check_credit(struct transport_world *w, const struct flow *f)
{
	const struct sender *s = &f->sender;
	const struct receiver *r = &f->receiver;
	const struct outlet *o = &f->outlet;
	const struct inlet *i = &f->inlet;
	uint32_t sending = rte_ring_count(f->sending.forward) + rte_ring_count(f->sending.back) +
		s->credit.count + s->credit.control_count + s->out_count + (s->open != NULL) +
		o->staged_count - o->staged_at + o->in_flight;
	uint32_t receiving = rte_ring_count(f->receiving.forward) +
		rte_ring_count(f->receiving.back) + r->burst_count - r->burst_at + r->return_count +
		(r->frame != NULL);
	expect(w, sending == w->scenario.frames + CHANNEL_CONTROL_FRAMES,
		"a sender's mbufs are not all there");
	expect(w, receiving == i->data_held + i->control_held,
		"an inlet has lost count of the frames in its channel");
	expect(w, i->data_held <= w->scenario.frames && i->control_held <= CHANNEL_CONTROL_FRAMES,
		"an inlet holds more frames than it has credit for");
	expect(w, o->data_sent <= o->data_limit && o->control_sent <= o->control_limit,
		"an outlet has sent without credit");
}

// With the same session at both ends, what was sent and granted must fit together.
static void check_grants(struct transport_world *w, const struct flow *f)
{
	const struct session *a = w->endpoints[f->from].sessions[f->to];
	const struct session *b = w->endpoints[f->to].sessions[f->from];
	const struct outlet *o = &f->outlet;
	const struct inlet *i = &f->inlet;
	if (a->incarnation != b->incarnation || a->peer_boot == 0 || b->peer_boot == 0)
		return;
	expect(w, o->data_limit <= i->data_granted && o->control_limit <= i->control_granted,
		"an outlet has more credit than was granted");
	expect(w, i->data_received <= o->data_sent && i->control_received <= o->control_sent,
		"an inlet took more frames than were sent");
}

static void check_session(struct transport_world *w, const struct session *s)
{
	expect(w, s->held_count <= w->scenario.window && s->next - s->first <= w->scenario.window,
		"a session holds more than its window");
	expect(w, s->acked_count + s->lost_count <= s->next - s->first,
		"a session has lost count of what is in flight");
	expect(w,
		s->stats.dropped[SESSION_DROP_ACK] == 0 &&
			s->stats.dropped[SESSION_DROP_WINDOW] == 0 &&
			s->stats.dropped[SESSION_DROP_MESSAGE] == 0,
		"a session was sent what no session sends");
}

// Once nothing disturbs any more: a mark that has credit leaves, whatever data waits for.
static void check_mark(struct transport_world *w, struct flow *f)
{
	enum { WAIT_NS_MAX = 50000000 };
	const struct outlet *o = &f->outlet;
	bool waits = w->scenario.faults_end_ns == 0 && o->granted &&
		o->staged_at < o->staged_count && o->control_sent < o->control_limit &&
		rte_pktmbuf_mtod(o->staged[o->staged_at], struct frame_header *)->type !=
			FRAME_DATA;
	if (!waits)
		f->mark_waits_ns = 0;
	else if (f->mark_waits_ns == 0)
		f->mark_waits_ns = w->now_ns;
	else
		expect(w, w->now_ns - f->mark_waits_ns < WAIT_NS_MAX, "a mark is held up");
}

void transport_check(struct transport_world *w)
{
	for (uint32_t i = 0; i < w->scenario.flows; i++) {
		check_credit(w, &w->flows[i]);
		check_grants(w, &w->flows[i]);
		check_mark(w, &w->flows[i]);
	}
	for (uint32_t end = 0; end < w->scenario.endpoints; end++) {
		const struct endpoint *e = &w->endpoints[end];
		for (uint32_t peer = 0; peer < w->scenario.endpoints; peer++)
			if (e->sessions[peer] != NULL)
				check_session(w, e->sessions[peer]);
		expect(w, rte_mempool_in_use_count(e->packets) <= e->packets_bound,
			"an endpoint uses more mbufs than it ever should need");
		const uint64_t *dropped = e->transport.stats.dropped;
		expect(w, dropped[SESSION_DROP_CREDIT] == 0, "a frame came without credit");
		expect(w, dropped[SESSION_DROP_CHANNEL] == 0, "a frame came for no channel");
	}
}

void transport_check_end(struct transport_world *w)
{
	for (uint32_t i = 0; i < w->scenario.flows; i++) {
		const struct flow *f = &w->flows[i];
		for (int d = 0; d < WEIR_DROP_COUNT; d++) {
			bool of_restart = d == WEIR_DROP_FRAME_FENCED || d == WEIR_DROP_FRAME_GAP ||
				d == WEIR_DROP_FRAME_REPEATED;
			expect(w, f->receiver.dropped[d] == 0 || (of_restart && w->restarted),
				"a frame was dropped for no good reason");
		}
		expect(w, f->sender.next_number == f->items, "more or fewer items were sent");
	}
}
