#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/world.h"

static void dump_receiver(const struct receiver *r)
{
	fprintf(stderr, "    in %u: next %" PRIu64 "%s%s, items in hand %u, watermark %.3f s",
		r->channel->config.id, r->next_number, r->held ? ", held" : "",
		r->ended ? ", ended" : "", r->items, (double)r->watermark / 1e9);
	for (int d = 0; d < WEIR_DROP_COUNT; d++)
		if (r->dropped[d] != 0)
			fprintf(stderr, ", %s %" PRIu64, weir_drop_names[d], r->dropped[d]);
	fputc('\n', stderr);
}

static void dump_sender(const struct sender *s)
{
	fprintf(stderr,
		"    out %u: next %" PRIu64 ", resend %" PRIu64 ", open %u, credit %u, control %u, "
		"retained from %" PRIu64 ", %u eighths\n",
		s->channel->config.id, s->next_number, s->resend, s->items, s->credit.count,
		s->credit.control_count, s->retention.first_number,
		retention_eighths(&s->retention, s->retention.first));
}

static void dump_task(const struct task *t)
{
	fprintf(stderr,
		"  task %u on worker %u: outcome %d, epoch %u%s%s%s%s, log %" PRIu64 " of "
		"%" PRIu64 ", produced %" PRIu64 "\n",
		t->id, t->plan->worker, t->outcome, t->epoch, t->blocked ? ", blocked" : "",
		t->barrier_due ? ", barrier due" : "", t->end_due ? ", end due" : "",
		chain_is_drained(t->links, t->link_count) ? "" : ", pending", t->log.replay,
		t->log.next, t->produced);
	for (uint32_t i = 0; i < t->input_count; i++)
		dump_receiver(&t->receivers[i]);
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		dump_sender(&t->exchange.senders[i]);
}

void world_dump(const struct world *w)
{
	for (uint32_t t = 0; t < w->engine->task_count; t++)
		dump_task(&w->engine->tasks[t]);
}
