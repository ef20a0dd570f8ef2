// Where every task of every node stands, on stderr.
#include <inttypes.h>
#include <rte_ring.h>
#include <stdio.h>

#include "tests/sim/replicas.h"

static void dump_sender(const struct sender *s)
{
	fprintf(stderr,
		"    sends %u: next %" PRIu64 ", release %" PRIu64 ", kept from %" PRIu64
		" (%" PRIu64 " of %" PRIu64 " bytes), open %u\n",
		s->channel->config.id, s->next_number, s->release, s->retention.first_number,
		s->retention.next - s->retention.first, s->retention.capacity, s->items);
	for (uint32_t i = 0; i < s->follower_count; i++) {
		const struct follower *f = &s->followers[i];
		fprintf(stderr,
			"      %u to worker %u%s%s: next %" PRIu64 ", told %" PRIu64
			", credit %u+%u, forward %u, back %u\n",
			f->channel->config.id, f->worker, f->lost ? ", lost" : "",
			f->answered ? "" : ", not answered", f->next,
			(uint64_t)atomic_load(&f->channel->snapshot_number), f->credit.count,
			f->credit.control_count, rte_ring_count(f->channel->forward),
			rte_ring_count(f->channel->back));
	}
}

static void dump_receiver(const struct receiver *r)
{
	fprintf(stderr,
		"    takes %u: next %" PRIu64 ", incarnation %" PRIx64
		", forward %u, in hand %u%s\n",
		r->channel->config.id, r->next_number, r->expect.incarnation,
		rte_ring_count(r->channel->forward), r->burst_count - r->burst_at,
		r->ended ? ", ended" : "");
}

static void dump_log(const struct task *t)
{
	const struct order_log *log = &t->log;
	fprintf(stderr,
		"    log %" PRIu64 "..%" PRIu64 " of %" PRIu64 ", obeys %" PRIu64
		", streamed %" PRIu64 ", notes %u\n",
		log->first, log->next, log->capacity, log->replay, t->replica.streamed,
		t->replica.release_count);
	if (!order_log_replaying(log))
		return;
	const struct order_entry *e = order_log_current(log);
	fprintf(stderr, "      kind %u, input %u, position %" PRIu64 "\n", e->kind, e->input,
		e->position);
}

static void dump_task(const struct replica_world *w, uint32_t id)
{
	static const char *const roles[] = {
		"single", "owner", "alone", "feeds", "follows", "waits"};
	const struct task *t = replica_task(w, id);
	fprintf(stderr, "  task %u (twin %d), %s, outcome %d%s%s%s\n", id,
		(int)w->planned.plan.tasks[id].twin, roles[t->replica.role], t->outcome,
		t->blocked ? ", blocked" : "", t->end_due ? ", end due" : "",
		t->finishing ? ", finishing" : "");
	if (t->logged)
		dump_log(t);
	for (uint32_t i = 0; i < t->input_count; i++)
		dump_receiver(&t->receivers[i]);
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		dump_sender(&t->exchange.senders[i]);
}

void replica_world_dump(const struct replica_world *w)
{
	for (uint32_t n = 0; n < w->node_count; n++) {
		const struct replica_node *node = &w->nodes[n];
		fprintf(stderr, "node %u%s%s\n", n, node->lost ? ", lost" : "",
			node->dead ? ", dead" : "");
		for (uint32_t t = 0; t < w->planned.plan.task_count; t++)
			if (replica_node_of(w, t) == n)
				dump_task(w, t);
	}
}
