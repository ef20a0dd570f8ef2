#include "dataplane/checkpoint.h"

static bool runs(const struct task *t)
{
	return atomic_load_explicit(&t->outcome_seen, memory_order_acquire) == TASK_RUNNING;
}

static bool all_hold(const struct checkpoint *c, uint32_t epoch)
{
	for (uint32_t t = 0; t < c->task_count; t++)
		if (runs(c->tasks[t]) &&
			atomic_load_explicit(&c->tasks[t]->snapshot_epoch, memory_order_acquire) <
				epoch)
			return false;
	return true;
}

static bool any_wants(const struct checkpoint *c)
{
	for (uint32_t t = 0; t < c->task_count; t++)
		if (runs(c->tasks[t]) &&
			atomic_load_explicit(&c->tasks[t]->wants_checkpoint, memory_order_relaxed))
			return true;
	return false;
}

static void drive(struct checkpoint *c, int64_t now_ns)
{
	uint32_t epoch = atomic_load_explicit(&c->control->epoch, memory_order_relaxed);
	if (!all_hold(c, epoch))
		return;
	atomic_store_explicit(&c->control->committed, epoch, memory_order_release);
	bool early = now_ns < c->next_ns;
	if (early && !any_wants(c))
		return;
	if (early)
		atomic_fetch_add_explicit(&c->early, 1, memory_order_relaxed);
	c->next_ns = now_ns + c->interval_ns;
	atomic_store_explicit(&c->control->epoch, epoch + 1, memory_order_release);
}

void checkpoint_drive(struct checkpoint *c, int64_t now_ns)
{
	if (c->interval_ns == 0 || atomic_load_explicit(&c->driven, memory_order_relaxed) ||
		atomic_exchange_explicit(&c->driven, true, memory_order_acquire))
		return;
	drive(c, now_ns);
	atomic_store_explicit(&c->driven, false, memory_order_release);
}
