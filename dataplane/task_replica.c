// A task and its other instance: what losses mean, when it takes over, what it lets leave.
#include "dataplane/task_parts.h"
#include "numa/assert.h"

// From here on nothing more of the log is taken: what the owner of before still chooses, nobody
// obeys.
static void take_over(struct task *t, uint64_t incarnation)
{
	t->replica.role = REPLICA_ALONE;
	replica_let_go(&t->replica);
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		if (t->exchange.senders[i].follower_count != 0)
			sender_open(&t->exchange.senders[i], incarnation);
}

static bool is_twin(const struct task *t, uint32_t worker)
{
	return t->replica.replicated && t->replica.twin_worker == worker;
}

// One that is still being given its state is nobody's successor yet.
static void twin_is_lost(struct task *t, uint64_t incarnation, bool alone)
{
	struct replica *r = &t->replica;
	if (r->role == REPLICA_FOLLOWS)
		take_over(t, incarnation);
	else if (r->role == REPLICA_FEEDS || (r->role == REPLICA_OWNER && alone))
		r->role = REPLICA_ALONE;
	if (r->role != REPLICA_ALONE)
		return;
	r->feed.stage = FEED_NONE;
	t->writing.under_way = false; // there is nobody it is for
}

void task_lose(struct task *t, uint32_t worker, uint64_t incarnation, bool alone)
{
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		sender_lose(&t->exchange.senders[i], worker);
	for (uint32_t i = 0; i < t->input_count; i++)
		receiver_lose(&t->receivers[i], worker, incarnation);
	if (is_twin(t, worker))
		twin_is_lost(t, incarnation, alone);
}

bool task_may_admit(const struct task *t, uint32_t worker)
{
	for (uint32_t i = 0; i < t->input_count; i++) {
		const struct receiver *r = &t->receivers[i];
		if (r->standby != NULL && r->from == worker && !r->waits && !r->chooses)
			return false; // until it follows the one that took over
	}
	return !is_twin(t, worker) || t->replica.role == REPLICA_ALONE;
}

void task_admit(struct task *t, uint32_t worker, uint64_t boot)
{
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		sender_admit(&t->exchange.senders[i], worker);
	for (uint32_t i = 0; i < t->input_count; i++)
		receiver_admit(&t->receivers[i], worker);
	if (is_twin(t, worker))
		replica_admit(&t->replica, boot);
}

void task_feed(struct task *t, uint32_t worker)
{
	if (!is_twin(t, worker))
		return;
	ASSERT(t->replica.role == REPLICA_ALONE);
	t->replica.role = REPLICA_FEEDS;
	t->replica.feed.stage = FEED_ASKED;
}

bool task_is_repaired(const struct task *t, uint32_t worker)
{
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		if (!sender_is_joined(&t->exchange.senders[i], worker))
			return false;
	return !is_twin(t, worker) ||
		(t->replica.role == REPLICA_OWNER && t->replica.feed.stage == FEED_DONE);
}

const char *task_repair_failure(const struct task *t, uint32_t worker)
{
	const struct replica *r = &t->replica;
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		if (sender_is_held_up(&t->exchange.senders[i], worker))
			return "recovery.retention filled up before the new replicas had their "
			       "state; raise it";
	if (!is_twin(t, worker) || r->role != REPLICA_FEEDS)
		return NULL;
	if (r->feed.failure != NULL)
		return r->feed.failure;
	return r->feed.stage != FEED_ASKED && !replica_is_fed(r) &&
			order_log_room(&t->log) <= TASK_STEP_FRAMES
		? "a task's order log filled up before its new replica had its state"
		: NULL;
}

// Memory that a state lay in, once that has gone or will not go any more.
static void give_back(struct replica *r)
{
	bool needed = r->role == REPLICA_WAITS ||
		(r->role == REPLICA_FEEDS && r->feed.stage <= FEED_STATE);
	if (!needed && r->loan.bytes != 0 && loan_is_settled(&r->loan))
		loan_ask(&r->loan, 0);
}

uint32_t task_tend(struct task *t)
{
	if (!t->replica.replicated)
		return 0;
	give_back(&t->replica);
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
