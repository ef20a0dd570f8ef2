// What must hold of the engine itself, whatever the job.
#include <rte_ring.h>

#include "dataplane/channel.h"
#include "tests/sim/world.h"

// Wherever they are between two steps, a channel's mbufs are all there.
static bool credit_is_whole(const struct engine *e, uint32_t channel)
{
	const struct channel *c = &e->channels[channel];
	const struct sender *s = e->sender_of[channel];
	const struct receiver *r = e->receiver_of[channel];
	uint32_t sender =
		s->credit.count + s->credit.control_count + s->out_count + (s->open != NULL);
	uint32_t receiver = r->burst_count - r->burst_at + r->return_count + (r->frame != NULL);
	return rte_ring_count(c->forward) + rte_ring_count(c->back) + sender + receiver ==
		c->config.frames + CHANNEL_CONTROL_FRAMES;
}

const char *check_credit(const struct world *w)
{
	for (uint32_t c = 0; c < w->engine->channel_count; c++)
		if (!credit_is_whole(w->engine, c))
			return "credit was lost or made: a channel's mbufs are not all there";
	return NULL;
}

const char *check_watermark(const struct task *t)
{
	for (uint32_t i = 0; i < t->input_count; i++)
		if (t->receivers[i].watermark < t->watermark_ns)
			return "a task's watermark is ahead of one of its inputs'";
	return NULL;
}

// Each item consumed exactly once, in order: then number and running checksum are the ledger's.
static const char *check_consumed(const struct world *w)
{
	for (uint32_t c = 0; c < w->engine->channel_count; c++) {
		const struct receiver *r = w->engine->receiver_of[c];
		const struct ledger_channel *l = &w->ledger.channels[c];
		if (r->next_number != l->count || r->checksum != l->checksum)
			return "what was consumed is not what was sent";
	}
	return NULL;
}

// Nothing is dropped but what deaths leave behind in rings.
static const char *check_drops(const struct world *w)
{
	const struct engine *e = w->engine;
	for (uint32_t c = 0; c < e->channel_count; c++)
		for (int d = 0; d < WEIR_DROP_COUNT; d++) {
			bool of_death = d == WEIR_DROP_FRAME_FENCED || d == WEIR_DROP_FRAME_GAP ||
				d == WEIR_DROP_FRAME_REPEATED;
			if (e->receiver_of[c]->dropped[d] != 0 && (!of_death || w->deaths == 0))
				return "a frame was dropped for no good reason";
		}
	for (uint32_t t = 0; t < e->task_count; t++)
		for (uint32_t i = 0; i < e->tasks[t].link_count; i++)
			for (int d = 0; d < WEIR_DROP_COUNT; d++)
				if (e->tasks[t].links[i].counters.dropped[d] != 0)
					return "a record was dropped";
	return NULL;
}

// With its tasks gone a pool must have everything back.
static const char *check_memory(struct world *w)
{
	struct engine *e = w->engine;
	for (uint32_t t = 0; t < e->task_count; t++) {
		world_note_load(w, &e->tasks[t].load);
		task_destroy(&e->tasks[t]);
	}
	for (uint32_t i = 0; i < e->worker_count; i++)
		if (e->workers[i].state.used != 0)
			return "a task left state memory behind";
	for (uint32_t i = 0; i < w->deaths; i++)
		if (w->afterlives[i].pool.used != 0)
			return "a successor left state memory behind";
	return NULL;
}

const char *check_end(struct world *w)
{
	const char *broken = check_credit(w);
	if (broken == NULL)
		broken = check_consumed(w);
	if (broken == NULL)
		broken = check_drops(w);
	return broken == NULL ? check_memory(w) : broken;
}
