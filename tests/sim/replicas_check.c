// What must hold of the nodes after every step of a worker, seen from outside: from all engines at
// once, whatever their tasks believe.
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "tests/sim/replicas.h"

enum { SLOW_CHECKS = 16 }; // steps between checks that look at every channel

static void expect(struct replica_world *w, const char *wrong)
{
	if (wrong != NULL)
		replica_violate(w, wrong);
}

static const struct plan_task *planned(const struct replica_world *w, uint32_t task)
{
	return &w->planned.plan.tasks[task];
}

static uint32_t twin_place(const struct replica_world *w, uint32_t task)
{
	return replica_place_of(w, planned(w, task)->twin);
}

// The two instances of a task have one log.
static uint32_t primary_of(const struct replica_world *w, uint32_t task)
{
	return planned(w, task)->standing == PLAN_REPLICA ? planned(w, task)->twin : task;
}

static bool is_misled(const struct replica_world *w, const struct task *t)
{
	return w->nodes[replica_node_of(w, t->id)].misled;
}

// ---- what was made

// What counts of a sender's: what its owner has let go; what a replica makes of a log that it has.
static void check_made(struct replica_world *w, const struct task *t, uint32_t index)
{
	const struct sender *s = &t->exchange.senders[index];
	const struct retention *kept = &s->retention;
	uint64_t *at = &w->ledger.tasks[t->id].positions[index];
	uint64_t limit = t->replica.role == REPLICA_FOLLOWS ? s->next_number : s->release;
	if (kept->next - *at > kept->capacity)
		*at = kept->first; // written over since
	while (*at != kept->next) {
		uint64_t behind = *at;
		const struct frame_header *frame = retention_walk(kept, &behind);
		if (frame->first_number + frame->item_count > limit)
			break;
		expect(w, replica_ledger_made(&w->ledger, s->channel->config.id, frame));
		*at = behind;
	}
}

// ---- what was consumed

static void check_hand(struct replica_world *w, const struct receiver *r)
{
	if (r->frame == NULL)
		return;
	const struct frame_header *h = rte_pktmbuf_mtod(r->frame, const struct frame_header *);
	if (h->incarnation != r->expect.incarnation)
		replica_violate(w, "a receiver has a frame of an incarnation that is fenced");
	if (r->items != 0 && h->type == FRAME_DATA)
		expect(w,
			replica_ledger_in_hand(&w->ledger, r->channel->config.id, r->next_number,
				r->first, r->items));
}

// What was opened after a new instance was made it obeys only if it was told of the loss.
static void check_first(struct replica_world *w, const struct task *t, const struct receiver *r)
{
	const struct engine *e = w->nodes[replica_node_of(w, t->id)].engine;
	const struct engine_worker *own = engine_worker_of(e, t->id);
	if (!e->config.repair || r->standby == NULL ||
		r->expect.incarnation <= e->config.network->boots[t->plan->worker])
		return;
	if (!told_losses_have(&own->worker.told, r->standby_from, r->expect.incarnation))
		replica_violate(w, "a new instance obeys an opening without having been told of "
				   "the loss");
}

static void check_receiver(struct replica_world *w, const struct task *t, uint32_t input)
{
	const struct receiver *r = &t->receivers[input];
	uint64_t *before = &w->ledger.tasks[t->id].incarnations[input];
	uint64_t answered = atomic_load(&r->channel->answered);
	if (r->waits || r->chooses)
		return;
	if (r->expect.incarnation < *before || answered != r->expect.incarnation)
		replica_violate(w, "a receiver expects an older incarnation than it answered");
	if (r->standby != NULL && atomic_load(&r->standby->answered) >= answered)
		replica_violate(w, "a receiver has answered two instances");
	if (*before == 0)
		check_first(w, t, r);
	if (*before != 0 && *before != answered && r->channel->config.id == t->plan->inputs[input])
		w->seen[REPLICA_BACK]++;
	*before = r->expect.incarnation;
	if (t->logged)
		expect(w, replica_ledger_consumed(&w->ledger, r->channel->config.id, r));
	if (t->logged || r->tells)
		check_hand(w, r);
}

// ---- logs

static const struct order_entry *entry_of(const struct order_log *log, uint64_t index)
{
	return &log->entries[index & (log->capacity - 1)];
}

// What was streamed changes no more.
static void check_streamed(struct replica_world *w, const struct task *t)
{
	const struct order_log *log = &t->log;
	const struct ledger_entries *known = &w->ledger.logs[primary_of(w, t->id)];
	uint64_t from = known->count > known->first + 2 ? known->count - 2 : known->first;
	for (uint64_t i = from < log->first ? log->first : from; i < t->replica.streamed; i++)
		expect(w,
			replica_ledger_entry(&w->ledger, primary_of(w, t->id), i,
				entry_of(log, i)));
}

static void check_taken(struct replica_world *w, const struct task *t)
{
	uint64_t *taken = &w->ledger.tasks[t->id].taken;
	for (; *taken < t->log.next; (*taken)++)
		expect(w,
			replica_ledger_entry(&w->ledger, primary_of(w, t->id), *taken,
				entry_of(&t->log, *taken)));
}

// How much of its log was streamed before its worker was told what is not so.
static void note_streamed(struct replica_world *w, const struct task *t)
{
	const struct replica_node *node = &w->nodes[replica_node_of(w, t->id)];
	if (!node->misled ||
		!told_losses_have(t->replica.told, node->misled_of * w->node_workers,
			node->successors[node->misled_of]))
		w->ledger.tasks[t->id].streamed = t->replica.streamed;
}

// What is behind may rest on what was made in place of one that lives.
static void check_told(struct replica_world *w, const struct task *t)
{
	const struct replica_node *node = &w->nodes[replica_node_of(w, t->id)];
	uint32_t twin = planned(w, t->id)->twin;
	const struct replica_node *owner = &w->nodes[replica_node_of(w, twin)];
	if (owner->misled && !node->begun[owner->misled_of] &&
		w->ledger.tasks[t->id].taken > w->ledger.tasks[twin].streamed)
		replica_violate(w, "a replica has log of one that was told of more losses than it");
}

// With log enough to obey and room for what it makes, a source's replica obeys more than one entry
// a step, as its owner's steps may be shorter than its own.
static void check_keeps_up(struct replica_world *w, const struct task *t)
{
	struct ledger_task *l = &w->ledger.tasks[t->id];
	bool could = l->backlog > 1 && t->items_max == UINT64_MAX && !t->blocked && !t->end_due &&
		t->outcome == TASK_RUNNING && order_log_replaying(&t->log);
	if (could && t->log.replay - l->obeyed < 2 &&
		t->produced - l->produced < TASK_SOURCE_RECORDS)
		replica_violate(w, "a source's replica falls behind though it could go on");
	l->backlog = t->log.next - t->log.replay;
	l->obeyed = t->log.replay;
	l->produced = t->produced;
}

// ---- what may leave

static bool is_news(const struct ledger_note *last, const struct exchange *x)
{
	for (uint32_t i = 0; i < x->sender_count; i++)
		if (last->numbers[i] != x->senders[i].next_number)
			return true;
	return false;
}

static void note(struct ledger_task *l, const struct task *t)
{
	const struct exchange *x = &t->exchange;
	if (l->note_count != 0 && !is_news(&l->notes[l->note_count - 1], x))
		return;
	if (l->note_count == l->note_room) {
		l->note_room = 2 * l->note_room + 16;
		l->notes = realloc(l->notes, l->note_room * sizeof(*l->notes));
		VERIFY(l->notes != NULL);
	}
	struct ledger_note *last = &l->notes[l->note_count++];
	last->index = t->log.next;
	last->numbers = calloc(x->sender_count + 1, sizeof(uint64_t));
	VERIFY(last->numbers != NULL);
	for (uint32_t i = 0; i < x->sender_count; i++)
		last->numbers[i] = x->senders[i].next_number;
}

static bool has_left(const struct ledger_note *first, const struct exchange *x)
{
	for (uint32_t i = 0; i < x->sender_count; i++)
		if (x->senders[i].release < first->numbers[i])
			return false;
	return true;
}

static void forget_notes(struct ledger_task *l, const struct exchange *x)
{
	uint32_t gone = 0;
	while (gone < l->note_count && has_left(&l->notes[gone], x))
		free(l->notes[gone++].numbers);
	l->note_count -= gone;
	memmove(l->notes, l->notes + gone, l->note_count * sizeof(*l->notes));
}

// Items below a sender's release were all there after some step; the log as it was then must be
// with the replica. What that has is asked of itself.
static void check_release(struct replica_world *w, const struct task *t)
{
	struct ledger_task *l = &w->ledger.tasks[t->id];
	uint64_t held = w->ledger.tasks[planned(w, t->id)->twin].taken;
	const struct exchange *x = &t->exchange;
	note(l, t);
	for (uint32_t i = 0; i < x->sender_count; i++) {
		uint64_t release = x->senders[i].release;
		uint32_t n = 0;
		if (release == l->released[i])
			continue;
		l->released[i] = release;
		while (n < l->note_count && l->notes[n].numbers[i] < release)
			n++;
		if (n == l->note_count)
			replica_violate(w, "items may leave that are not made yet");
		else if (l->notes[n].index > held)
			replica_violate(w, "items may leave whose log their replica does not have");
	}
	forget_notes(l, x);
}

// While it is not an owner with a replica, nothing of it is held up.
static void forget_release(struct ledger_task *l, const struct exchange *x)
{
	for (uint32_t i = 0; i < x->sender_count; i++)
		l->released[i] = x->senders[i].release;
	for (uint32_t i = 0; i < l->note_count; i++)
		free(l->notes[i].numbers);
	l->note_count = 0;
}

// Nobody stands alone, or takes over, who was not told; nor lets anything leave again ungated.
static void check_role(struct replica_world *w, const struct task *t)
{
	const struct replica_node *node = &w->nodes[replica_node_of(w, t->id)];
	const struct ledger_task *l = &w->ledger.tasks[t->id];
	uint32_t twin = twin_place(w, t->id), role = t->replica.role;
	bool begun = node->begun[twin] || node->admits[twin];
	const struct engine_worker *own = engine_worker_of(node->engine, t->id);
	bool alone = node->alone[twin] || node->admits[twin] ||
		own->worker.heeded[t->replica.twin_worker].given_up;
	if (!l->stepped || role == l->role)
		return;
	if (l->role == REPLICA_OWNER && !alone)
		replica_violate(w, "an owner goes on alone without being told");
	if (l->role == REPLICA_FOLLOWS && !begun)
		replica_violate(w, "a replica takes over without being told");
	if (l->role == REPLICA_ALONE && role != REPLICA_FEEDS && role != REPLICA_OWNER)
		replica_violate(w, "an owner has become a replica");
	if (l->role == REPLICA_WAITS && role != REPLICA_FOLLOWS)
		replica_violate(w, "an instance without state has become something else");
}

// ---- what is kept

// Where the receiver of a channel stands; UINT64_MAX: its instance is gone.
static uint64_t consumed_of(const struct replica_world *w, uint32_t channel)
{
	const struct replica_node *node =
		&w->nodes[replica_node_of(w, w->planned.plan.channels[channel].to)];
	const struct receiver *r = node->lost ? NULL : node->engine->receiver_of[channel];
	return r == NULL || r->waits ? UINT64_MAX : r->next_number;
}

// Whoever makes anew what is lost may not have begun when it is given up, here or elsewhere.
static bool is_given_up(const struct replica_world *w, uint32_t worker)
{
	for (uint32_t n = 0; n < w->node_count; n++)
		for (uint32_t i = 0; i < w->node_workers && replica_lives(w, n); i++)
			if (w->nodes[n].engine->workers[i].worker.heeded[worker].given_up ||
				w->nodes[n].begun[worker / w->node_workers])
				return true;
	return false;
}

static void check_kept(struct replica_world *w, const struct sender *s)
{
	for (uint32_t i = 0; i < s->follower_count; i++) {
		const struct follower *f = &s->followers[i];
		uint32_t place = f->worker / w->node_workers;
		bool counts = w->whole[place] || !is_given_up(w, f->worker);
		if (counts && consumed_of(w, f->channel->config.id) < s->retention.first_number)
			replica_violate(w, "items are forgotten that one has not consumed");
	}
}

static uint32_t in_outlet(const struct replica_world *w, const struct channel *channel)
{
	const struct plan_channel *p = &w->planned.plan.channels[channel->config.id];
	const struct engine *e = w->nodes[replica_node_of(w, p->from)].engine;
	const struct crossing *c = engine_worker_of(e, p->from)->worker.crossing;
	for (uint32_t i = 0; c != NULL && i < c->outlet_count; i++)
		if (c->outlet_channel[i] == channel)
			return c->outlets[i].in_flight + c->outlets[i].staged_count -
				c->outlets[i].staged_at;
	return 0;
}

static uint32_t in_receiver(const struct replica_world *w, const struct channel *channel)
{
	const struct plan_channel *p = &w->planned.plan.channels[channel->config.id];
	const struct engine *e = w->nodes[replica_node_of(w, p->from)].engine;
	const struct receiver *r = e->receiver_of[channel->config.id]; // NULL: on another node
	if (r == NULL || r->channel != channel)
		return 0;
	return r->burst_count - r->burst_at + r->return_count + (r->frame != NULL);
}

// Of the log that an instance on the same node obeys.
static uint32_t in_replica(const struct replica_world *w, const struct channel *channel)
{
	const struct plan_channel *p = &w->planned.plan.channels[channel->config.id];
	const struct replica *r =
		&w->nodes[replica_node_of(w, p->from)].engine->tasks[p->to].replica;
	return p->schema == NULL && r->in == channel && r->untold != NULL;
}

static void check_credit(struct replica_world *w, const struct channel *c,
	const struct credit *credit)
{
	uint32_t there = credit->count + credit->control_count + rte_ring_count(c->forward) +
		rte_ring_count(c->back) + in_outlet(w, c) + in_receiver(w, c) + in_replica(w, c);
	if (there != c->config.frames + CHANNEL_CONTROL_FRAMES)
		replica_violate(w, "credit was lost or made: a channel's mbufs are not all there");
}

// One made anew lacks what was made before its state was taken, until all have consumed it.
static void check_slowly(struct replica_world *w, const struct task *t)
{
	bool has_whole_place = w->whole[replica_place_of(w, t->id)];
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		const struct sender *s = &t->exchange.senders[i];
		for (uint32_t f = 0; f < s->follower_count; f++)
			check_credit(w, s->followers[f].channel, &s->followers[f].credit);
		if (s->follower_count != 0 && has_whole_place && !is_misled(w, t))
			check_kept(w, s);
	}
	if (planned(w, t->id)->standing != PLAN_SINGLE)
		check_credit(w, t->replica.out, &t->replica.credit);
}

// ---- all of it

static void see(struct replica_world *w, const struct task *t)
{
	const struct replica_node *node = &w->nodes[replica_node_of(w, t->id)];
	bool twin_lost = node->begun[twin_place(w, t->id)];
	w->seen[REPLICA_NOT_ALONE] +=
		t->replica.role == REPLICA_OWNER && twin_lost && t->replica.release_count != 0;
	w->seen[REPLICA_UNTOLD] += t->replica.untold != NULL;
	for (uint32_t i = 0; i < t->input_count; i++)
		w->seen[REPLICA_CHOICE_UNTOLD] += t->receivers[i].chooses &&
			atomic_load(&t->receivers[i].channel->opened) == 0 &&
			atomic_load(&t->receivers[i].standby->opened) > t->receivers[i].known;
	w->seen[REPLICA_LOG_FULL] += t->replica.role == REPLICA_OWNER && t->blocked &&
		order_log_room(&t->log) <= TASK_STEP_FRAMES;
}

// What a takeover met, as it is right after it.
static void see_takeover(struct replica_world *w, const struct task *t)
{
	uint64_t again = 0, ahead = 0;
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		const struct sender *s = &t->exchange.senders[i];
		for (uint32_t f = 0; f < s->follower_count; f++) {
			uint64_t consumed = consumed_of(w, s->followers[f].channel->config.id);
			again += consumed < s->next_number;
			ahead += consumed != UINT64_MAX && consumed > s->next_number;
		}
	}
	w->seen[REPLICA_TAKEN_OVER]++;
	w->seen[REPLICA_NEW_TOOK_OVER] += w->nodes[replica_node_of(w, t->id)].anew;
	w->seen[REPLICA_REPLAYED] += order_log_replaying(&t->log);
	w->seen[REPLICA_AGAIN] += again != 0;
	w->seen[REPLICA_AHEAD] += ahead != 0;
}

// Its state was taken: its log begins anew for whoever gets it.
static void see_state(struct replica_world *w, const struct task *t)
{
	struct ledger_task *l = &w->ledger.tasks[t->id];
	if (l->stage >= FEED_STATE || t->replica.feed.stage < FEED_STATE)
		return;
	replica_ledger_restart(&w->ledger, primary_of(w, t->id), t->log.first);
	w->seen[REPLICA_FED_FINISHED] += t->outcome == TASK_FINISHED;
}

// All that it consumed, made and wrote down.
static uint64_t where_it_stands(const struct task *t)
{
	uint64_t stands = t->produced + t->log.next;
	for (uint32_t i = 0; i < t->input_count; i++)
		stands += t->receivers[i].next_number;
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		stands += t->exchange.senders[i].next_number;
	return stands;
}

// What is written of a state is of one moment.
static void check_stands_still(struct replica_world *w, const struct task *t)
{
	struct ledger_task *l = &w->ledger.tasks[t->id];
	uint64_t stands = where_it_stands(t);
	bool goes_on = l->stepped && l->writing && t->writing.under_way;
	if (goes_on && stands != l->stands)
		replica_violate(w, "a task goes on while its state is written");
	if (t->writing.under_way && t->replica.role != REPLICA_FEEDS)
		replica_violate(w, "a state is written for nobody");
	w->seen[REPLICA_WRITTEN_IN_PARTS] += t->writing.under_way;
	w->seen[REPLICA_WRITTEN_IN_VAIN] += l->stepped && l->writing && !t->writing.under_way &&
		t->replica.role != REPLICA_FEEDS;
	w->seen[REPLICA_READ_IN_PARTS] += t->replica.role == REPLICA_WAITS && t->reading.link != 0;
	l->writing = t->writing.under_way;
	l->stands = stands;
}

// Of one that was misled only what others may have counts: what it lets go as an owner whose log is
// held.
static bool may_differ(const struct replica_world *w, const struct task *t)
{
	return is_misled(w, t) && t->replica.role != REPLICA_OWNER;
}

static void check_task(struct replica_world *w, const struct task *t, bool slowly)
{
	struct ledger_task *l = &w->ledger.tasks[t->id];
	enum plan_standing standing = planned(w, t->id)->standing;
	enum replica_role role = t->replica.role;
	if (l->stepped && role == REPLICA_ALONE && l->role == REPLICA_FOLLOWS)
		see_takeover(w, t);
	if (l->stepped && role == REPLICA_FOLLOWS && l->role == REPLICA_WAITS)
		l->taken = t->log.first; // as its state says
	if (role == REPLICA_FOLLOWS) {
		check_taken(w, t);
		check_told(w, t);
	}
	see_state(w, t);
	check_stands_still(w, t);
	if (t->source && t->replica.role == REPLICA_FOLLOWS)
		check_keeps_up(w, t);
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		if (t->exchange.senders[i].follower_count != 0 && role != REPLICA_WAITS &&
			!may_differ(w, t))
			check_made(w, t, i);
	if (role == REPLICA_OWNER || (role == REPLICA_FEEDS && t->replica.feed.stage >= FEED_STATE))
		check_streamed(w, t);
	if (role != REPLICA_OWNER || (l->stepped && l->role != REPLICA_OWNER))
		forget_release(l, &t->exchange);
	if (role == REPLICA_OWNER) {
		note_streamed(w, t);
		check_release(w, t);
	}
	if (standing != PLAN_SINGLE) {
		check_role(w, t);
		see(w, t);
	}
	if (slowly)
		check_slowly(w, t);
	l->role = role;
	l->stage = t->replica.feed.stage;
	w->seen[REPLICA_GROWN] += l->lent != 0 && t->replica.loan.bytes > l->lent;
	l->lent = t->replica.loan.bytes;
	l->stepped = true;
}

// Whoever still reads a frame that was given back reads nonsense.
static void spoil_returned(const struct channel *c)
{
	struct rte_mbuf *back[CHANNEL_FRAMES_MAX + CHANNEL_CONTROL_FRAMES];
	uint32_t count = rte_ring_sc_dequeue_burst(c->back, (void **)back,
		CHANNEL_FRAMES_MAX + CHANNEL_CONTROL_FRAMES, NULL);
	for (uint32_t i = 0; i < count; i++)
		memset(rte_pktmbuf_mtod(back[i], uint8_t *), 0x5A, c->config.frame_bytes);
	uint32_t put = rte_ring_sp_enqueue_bulk(c->back, (void **)back, count, NULL);
	VERIFY(put == count);
}

// What a worker was told to admit and could not yet.
static void see_admissions(struct replica_world *w, const struct worker *stepped)
{
	for (uint32_t of = 0; of < stepped->losses->workers; of++) {
		const struct heeded *h = &stepped->heeded[of];
		w->seen[REPLICA_ADMITTED_LATE] += h->losses != h->admitted &&
			atomic_load(&stepped->losses->of[of].admissions) == h->losses;
	}
}

// Senders first: what one of them lets go another task of the worker may have consumed since.
void replica_check_step(struct replica_world *w, uint32_t node, uint32_t worker)
{
	const struct worker *stepped = &w->nodes[node].engine->workers[worker].worker;
	bool slowly = w->rounds % SLOW_CHECKS == 0;
	see_admissions(w, stepped);
	for (uint32_t i = 0; i < stepped->task_count; i++)
		check_task(w, stepped->tasks[i], slowly);
	for (uint32_t i = 0; i < stepped->task_count && !w->nodes[node].misled; i++)
		for (uint32_t r = 0; r < stepped->tasks[i]->input_count; r++)
			check_receiver(w, stepped->tasks[i], r);
	for (uint32_t i = 0; i < stepped->task_count; i++)
		for (uint32_t r = 0; r < stepped->tasks[i]->input_count; r++) {
			const struct receiver *receiver = &stepped->tasks[i]->receivers[r];
			spoil_returned(receiver->channel);
			if (receiver->standby != NULL)
				spoil_returned(receiver->standby);
		}
}

static void check_drops(struct replica_world *w, const struct task *t)
{
	for (uint32_t i = 0; i < t->input_count; i++)
		for (int d = 0; d < WEIR_DROP_COUNT; d++) {
			uint64_t dropped = t->receivers[i].dropped[d];
			bool of_loss = d == WEIR_DROP_FRAME_FENCED || d == WEIR_DROP_FRAME_REPEATED;
			w->seen[REPLICA_FENCED] += d == WEIR_DROP_FRAME_FENCED ? dropped : 0;
			if (dropped != 0 && (!of_loss || w->losses == 0))
				replica_violate(w, "a frame was dropped for no good reason");
		}
}

// Both instances of a task have consumed all, where both live; it was all there ever was.
void replica_check_end(struct replica_world *w)
{
	for (uint32_t t = 0; t < w->planned.plan.task_count; t++) {
		const struct task *task = replica_task(w, t);
		if (!w->whole[replica_place_of(w, t)])
			continue;
		check_drops(w, task);
		for (uint32_t i = 0; i < task->input_count; i++) {
			const struct receiver *r = &task->receivers[i];
			uint32_t logical = w->ledger.logical[r->channel->config.id];
			if (task->logged && r->next_number != w->ledger.items[logical].count)
				replica_violate(w, "the job ended before all was consumed");
		}
	}
	if (w->wire.no_mbuf != 0)
		replica_violate(w, "a node ran out of packets");
}
