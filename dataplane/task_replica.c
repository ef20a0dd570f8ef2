// A task and its other instance: what losses mean, when it takes over, what it lets leave.
#include "dataplane/task_parts.h"
#include "numa/assert.h"

static bool worker_is_lost(const struct losses *losses, uint32_t worker, uint64_t *ret_incarnation)
{
	*ret_incarnation = worker >= losses->workers
		? 0
		: atomic_load_explicit(&losses->of[worker].incarnation, memory_order_acquire);
	return *ret_incarnation != 0;
}

// From here on nothing more of the log is taken: what the owner of before still chooses, nobody
// obeys.
static void take_over(struct task *t, uint64_t incarnation)
{
	t->replica.role = REPLICA_ALONE;
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		if (t->exchange.senders[i].follower_count != 0)
			sender_open(&t->exchange.senders[i], incarnation);
}

static void twin_is_lost(struct task *t, const struct loss *loss, uint64_t incarnation)
{
	struct replica *r = &t->replica;
	if (r->role == REPLICA_FOLLOWS)
		take_over(t, incarnation);
	else if (r->role == REPLICA_OWNER &&
		atomic_load_explicit(&loss->alone, memory_order_acquire))
		r->role = REPLICA_ALONE;
}

static void look_at_losses(struct task *t)
{
	const struct losses *losses = &t->control->losses;
	uint32_t count = atomic_load_explicit(&losses->count, memory_order_acquire);
	uint64_t incarnation;
	if (count == t->replica.losses_seen)
		return;
	t->replica.losses_seen = count;
	for (uint32_t w = 0; w < losses->workers; w++) {
		if (!worker_is_lost(losses, w, &incarnation))
			continue;
		for (uint32_t i = 0; i < t->exchange.sender_count; i++)
			sender_lose(&t->exchange.senders[i], w);
		if (t->replica.replicated && t->replica.twin_worker == w)
			twin_is_lost(t, &losses->of[w], incarnation);
	}
}

uint32_t task_tend(struct task *t)
{
	look_at_losses(t);
	return t->replica.role == REPLICA_FOLLOWS ? replica_take_log(&t->replica, &t->log) : 0;
}

uint32_t task_settle_up(struct task *t)
{
	for (uint32_t i = 0; i < t->input_count; i++)
		receiver_tell(&t->receivers[i]);
	return t->exchange.sender_count == 0 && !t->replica.replicated
		? 0
		: replica_send(&t->replica, &t->log, &t->exchange);
}

bool task_has_sent(const struct task *t)
{
	if (!task_is_owner(t))
		return true;
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		const struct sender *s = &t->exchange.senders[i];
		if (s->follower_count != 0 && !sender_has_sent(s))
			return false;
	}
	return replica_is_settled(&t->replica, &t->log);
}
