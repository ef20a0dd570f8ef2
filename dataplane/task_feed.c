// The state of a task for a new replica of it: taken by the owner while its chain is drained, and
// restored by the new one, both in parts: the task stands still meanwhile, its worker does not.
#include <errno.h>

#include "dataplane/task_parts.h"
#include "numa/assert.h"

// ---- the owner's side

// How much it takes shows when there is no memory to write it to.
static void take(struct task *t)
{
	struct replica *r = &t->replica;
	size_t bytes = 0;
	int error = task_snapshot_whole(t, r->loan.data, r->loan.bytes, &bytes, &r->feed.failure);
	if (error == 0)
		replica_feed(r, &t->log, bytes, &t->exchange);
	else if (error == -ENOSPC)
		loan_ask(&r->loan, bytes + bytes / 4); // it grows on
	else if (error != -EAGAIN && r->feed.failure == NULL)
		r->feed.failure = "a task's state could not be written";
}

void task_take_state(struct task *t)
{
	struct replica *r = &t->replica;
	if (r->feed.stage != FEED_ASKED || r->feed.failure != NULL || !loan_is_settled(&r->loan) ||
		order_log_replaying(&t->log))
		return;
	if (r->loan.bytes != 0 && r->loan.data == NULL)
		r->feed.failure = "there is no memory for a task's state";
	else
		take(t);
}

// ---- the new replica's side

static void fail(struct task *t, const char *why)
{
	struct weir_context *ctx = &t->links[t->link_count - 1].ctx;
	t->outcome = TASK_FAILED;
	if (task_error(t)[0] == '\0')
		weir_fail(ctx, "the state of a new replica, %llu bytes: %s",
			(unsigned long long)t->replica.feed.bytes, why);
}

static void restore(struct task *t, int64_t now_ns)
{
	struct replica *r = &t->replica;
	uint64_t log = 0;
	for (uint32_t i = 0; i < t->link_count; i++)
		t->links[i].ctx.now_ns = now_ns;
	int error = task_restore_whole(t, r->loan.data, r->feed.bytes, &log);
	if (error == -EAGAIN)
		return;
	if (error != 0) {
		fail(t, error == -ENOMEM ? "state memory is exhausted" : "it cannot be read");
		return;
	}
	replica_restored(r, &t->log, log);
	for (uint32_t i = 0; i < t->input_count; i++)
		receiver_restored(&t->receivers[i]);
}

uint32_t task_wait(struct task *t, int64_t now_ns)
{
	struct replica *r = &t->replica;
	if (t->outcome == TASK_FAILED)
		return 0;
	uint32_t work = feed_take(r);
	if (loan_is_settled(&r->loan) && r->loan.bytes != 0 && r->loan.data == NULL) {
		fail(t, "there is no memory for it");
	} else if (feed_is_whole(&r->feed)) {
		restore(t, now_ns);
		work++;
	}
	return work;
}
