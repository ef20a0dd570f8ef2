#include <stdio.h>

#include "numa/assert.h"
#include "tests/sim/world.h"

// Memory for a successor's operators, log room and state.
enum { AFTERLIFE_ARENA_BYTES = 192 << 20, AFTERLIFE_STATE_BYTES = 64 << 20 };

static struct task_config successor_config(struct world *w, uint32_t task)
{
	struct afterlife *next = &w->afterlives[w->deaths++];
	struct task_config config = engine_task_config(w->engine, task);
	VERIFY(arena_create(&next->arena, AFTERLIFE_ARENA_BYTES, -1, true) == 0);
	VERIFY(pool_create(&next->pool, &next->arena, AFTERLIFE_STATE_BYTES) == 0);
	config.arena = config.snapshot_arena = &next->arena;
	config.pool = &next->pool;
	return config;
}

// Its receivers hand back what they held; those it sends to accept only the successor from now on.
static void fence(struct world *w, const struct task *dead)
{
	for (uint32_t i = 0; i < dead->input_count; i++)
		receiver_succeed(&dead->receivers[i]);
	for (uint32_t i = 0; i < dead->exchange.sender_count; i++) {
		struct sender *s = &dead->exchange.senders[i];
		s->incarnation++;
		w->engine->receiver_of[s->channel->config.id]->expect.incarnation = s->incarnation;
	}
}

// Upstream sends again from where the successor stands.
static void rewind_upstream(struct world *w, const struct task *t)
{
	for (uint32_t i = 0; i < t->input_count; i++) {
		uint32_t channel = t->receivers[i].channel->config.id;
		sender_rewind(w->engine->sender_of[channel], t->receivers[i].next_number);
	}
}

static void rewalk(struct world *w, const struct task *t)
{
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		const struct sender *s = &t->exchange.senders[i];
		w->ledger.channels[s->channel->config.id].walked = s->retention.next;
	}
}

// How many key groups its operators get back in a step must not matter. Drawn apart, so that all
// else of a seed stays as it is.
static void restore_at_a_pace(struct world *w, struct task *t)
{
	static const uint32_t most[] = {1, 1, 2, 5, 20, 100, UINT32_MAX};
	w->groups += t->load.absent;
	t->load.groups_max = t->load.groups_left = most[random_in(&w->paces, 0, 6)];
}

void world_note_load(struct world *w, const struct chain_load *load)
{
	w->groups_needed += load->needed;
	w->group_waits += load->waits;
}

void world_kill(struct world *w, uint32_t task)
{
	struct task *t = &w->engine->tasks[task];
	struct task dead = *t;
	char error[256];
	world_note_load(w, &t->load);
	task_destroy(t);
	fence(w, &dead);
	struct task_config config = successor_config(w, task);
	int result = task_create(t, &config, error, sizeof(error));
	if (result == 0)
		result = task_succeed(t, &dead);
	if (result != 0) {
		fprintf(stderr, "task %u: its successor could not be made: %d\n", task, result);
		w->violated = true;
		return;
	}
	restore_at_a_pace(w, t);
	rewalk(w, t);
	rewind_upstream(w, t);
}
