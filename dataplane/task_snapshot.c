#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "dataplane/task.h"
#include "numa/assert.h"
#include "state/snapshot.h"

// Layout: section "task" (positions sent and consumed per channel), then a section "op<i>" for
// each stateful operator of the chain.

enum { TASK_STATE_VERSION = 1 };

static void write_task(const struct task *t, struct snapshot_writer *w)
{
	snapshot_u32(w, t->epoch);
	snapshot_u32(w, t->barrier_due);
	snapshot_i64(w, t->watermark_ns);
	snapshot_u64(w, t->produced);
	snapshot_u64(w, t->links[0].marks);
	snapshot_i64(w, t->exchange.end_watermark);
	snapshot_u32(w, t->input_count);
	for (uint32_t i = 0; i < t->input_count; i++) {
		const struct receiver *r = &t->receivers[i];
		snapshot_u64(w, r->next_number);
		snapshot_u64(w, r->checksum);
		snapshot_i64(w, r->watermark);
		snapshot_u32(w, r->held);
		snapshot_u32(w, r->ended);
	}
	snapshot_u32(w, t->exchange.sender_count);
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		const struct sender *s = &t->exchange.senders[i];
		snapshot_u64(w, s->next_number);
		snapshot_i64(w, s->watermark);
		snapshot_u32(w, s->epoch);
	}
}

static void section_name(uint32_t link, char *out, size_t bytes)
{
	snprintf(out, bytes, "op%" PRIu32, link);
}

static void write_operators(const struct task *t, struct snapshot_writer *w)
{
	char name[16];
	for (uint32_t i = 0; i < t->link_count; i++) {
		const struct weir_operator *kind = t->links[i].kind;
		if (kind->snapshot == NULL)
			continue;
		section_name(i, name, sizeof(name));
		snapshot_section(w, name, kind->state_version);
		kind->snapshot(t->links[i].self, w);
	}
}

static int settle(struct task *t)
{
	ASSERT(chain_is_drained(t->links, t->link_count));
	if (t->load.absent != 0) // they are in the old one only, and follow step by step
		return -EAGAIN;
	for (uint32_t i = 0; i < t->exchange.sender_count; i++)
		if (!sender_flush(&t->exchange.senders[i]))
			return -EAGAIN;
	return 0;
}

int task_snapshot(struct task *t)
{
	struct task_snapshots *all = &t->snapshots;
	struct task_snapshot *slot = &all->kept[1 - all->committed];
	struct snapshot_writer w;
	if (settle(t) != 0)
		return -EAGAIN;
	snapshot_begin(&w, slot->data, all->room);
	snapshot_section(&w, "task", TASK_STATE_VERSION);
	write_task(t, &w);
	write_operators(t, &w);
	int error = snapshot_end(&w, &slot->bytes);
	if (error != 0)
		return error;
	slot->epoch = t->epoch;
	slot->log_next = t->log.replay; // live: next
	for (uint32_t i = 0; i < t->input_count; i++)
		slot->consumed[i] = t->receivers[i].next_number;
	order_log_seal(&t->log);
	all->latest = 1 - all->committed;
	t->snapshot_taken = true;
	return 0;
}

void task_commit(struct task *t)
{
	struct task_snapshots *all = &t->snapshots;
	const struct task_snapshot *latest = &all->kept[all->latest];
	if (all->latest == all->committed ||
		atomic_load_explicit(&t->control->committed, memory_order_acquire) < latest->epoch)
		return;
	all->committed = all->latest;
	order_log_trim(&t->log, latest->log_next);
	for (uint32_t i = 0; i < t->input_count; i++)
		atomic_store_explicit(&t->receivers[i].channel->snapshot_number,
			latest->consumed[i], memory_order_release); // pairs sender_trim
}

static int read_task(struct task *t, struct snapshot_reader *r)
{
	t->epoch = snapshot_read_u32(r);
	t->barrier_due = snapshot_read_u32(r);
	t->watermark_ns = snapshot_read_i64(r);
	t->produced = snapshot_read_u64(r);
	t->links[0].marks = snapshot_read_u64(r);
	t->exchange.end_watermark = snapshot_read_i64(r);
	if (snapshot_read_u32(r) != t->input_count)
		return -EBADMSG;
	for (uint32_t i = 0; i < t->input_count; i++) {
		struct receiver *in = &t->receivers[i];
		in->next_number = snapshot_read_u64(r);
		in->checksum = snapshot_read_u64(r);
		in->watermark = snapshot_read_i64(r);
		in->held = snapshot_read_u32(r);
		in->ended = snapshot_read_u32(r);
		t->held_count += in->held;
		t->ended_count += in->ended;
	}
	if (snapshot_read_u32(r) != t->exchange.sender_count)
		return -EBADMSG;
	for (uint32_t i = 0; i < t->exchange.sender_count; i++) {
		struct sender *s = &t->exchange.senders[i];
		sender_succeed(s, snapshot_read_u64(r), s->incarnation);
		s->watermark = snapshot_read_i64(r);
		s->epoch = snapshot_read_u32(r);
	}
	return r->error;
}

static int read_operators(struct task *t, struct snapshot_reader *r)
{
	char name[16];
	for (uint32_t i = 0; i < t->link_count; i++) {
		struct chain_link *link = &t->links[i];
		uint32_t version;
		if (link->kind->snapshot == NULL)
			continue;
		section_name(i, name, sizeof(name));
		int error = snapshot_find(r, name, &version);
		if (error == 0 && version > link->kind->state_version)
			error = -ENOTSUP;
		if (error == 0)
			error = chain_groups_restore(link, r);
		if (error != 0)
			return error;
	}
	return 0;
}

static int restore(struct task *t, const struct task_snapshot *snapshot)
{
	struct snapshot_reader r;
	uint32_t version;
	int error = snapshot_open(&r, snapshot->data, snapshot->bytes);
	if (error == 0)
		error = snapshot_find(&r, "task", &version);
	if (error == 0)
		error = version > TASK_STATE_VERSION ? -ENOTSUP : read_task(t, &r);
	return error == 0 ? read_operators(t, &r) : error;
}

// ---- for another process

enum { REPLICA_STATE_VERSION = 1 };

// What follows from its being an instance of a task that goes on elsewhere: where its log ends, how
// long it has run, and its figures.
static void write_replica(const struct task *t, struct snapshot_writer *w)
{
	const struct weir_context *ctx = &t->links[0].ctx;
	snapshot_section(w, "replica", REPLICA_STATE_VERSION);
	snapshot_u64(w, t->log.next);
	snapshot_i64(w, ctx->now_ns - ctx->start_ns);
	snapshot_u32(w, t->outcome == TASK_FINISHED);
	snapshot_u32(w, t->link_count);
	for (uint32_t i = 0; i < t->link_count; i++) {
		const struct weir_counters *c = &t->links[i].counters;
		snapshot_u64(w, c->records_in);
		snapshot_u64(w, c->records_out);
		snapshot_u64(w, c->routed);
		snapshot_u32(w, t->links[i].emits_packed);
		snapshot_u32(w, WEIR_DROP_COUNT);
		for (uint32_t d = 0; d < WEIR_DROP_COUNT; d++)
			snapshot_u64(w, c->dropped[d]);
	}
}

int task_snapshot_whole(struct task *t, void *out, size_t room, size_t *ret_bytes,
	const char **ret_refused)
{
	struct snapshot_writer w;
	if (settle(t) != 0)
		return -EAGAIN;
	snapshot_begin(&w, out, room);
	w.whole = true;
	snapshot_section(&w, "task", TASK_STATE_VERSION);
	write_task(t, &w);
	write_replica(t, &w);
	write_operators(t, &w);
	int error = snapshot_end(&w, ret_bytes);
	if (error == -ENOSPC)
		*ret_bytes = snapshot_needed(&w);
	if (error == -EFBIG)
		*ret_refused = w.refused;
	return error;
}

// An operator of a later version may drop for reasons unknown here, which then are not counted.
static void read_counters(struct chain_link *link, struct snapshot_reader *r)
{
	struct weir_counters *c = &link->counters;
	c->records_in = snapshot_read_u64(r);
	c->records_out = snapshot_read_u64(r);
	c->routed = snapshot_read_u64(r);
	link->emits_packed = snapshot_read_u32(r);
	uint32_t reasons = snapshot_read_u32(r);
	for (uint32_t d = 0; d < reasons && r->error == 0; d++) {
		uint64_t dropped = snapshot_read_u64(r);
		if (d < WEIR_DROP_COUNT)
			c->dropped[d] = dropped;
	}
}

static int read_replica(struct task *t, struct snapshot_reader *r, uint64_t *ret_log)
{
	*ret_log = snapshot_read_u64(r);
	int64_t elapsed_ns = snapshot_read_i64(r);
	bool finished = snapshot_read_u32(r);
	if (snapshot_read_u32(r) != t->link_count)
		return -EBADMSG;
	for (uint32_t i = 0; i < t->link_count; i++) {
		struct weir_context *ctx = &t->links[i].ctx;
		ctx->start_ns = ctx->now_ns - elapsed_ns; // here, where clocks are others
		read_counters(&t->links[i], r);
	}
	if (finished && r->error == 0) {
		t->end_due = t->finishing = true;
		t->outcome = TASK_FINISHED;
	}
	return r->error;
}

int task_restore_whole(struct task *t, const void *data, size_t bytes, uint64_t *ret_log)
{
	const struct task_snapshot whole = {.data = (uint8_t *)(uintptr_t)data, .bytes = bytes};
	struct snapshot_reader r;
	uint32_t version;
	int error = restore(t, &whole);
	if (error == 0)
		error = snapshot_open(&r, data, bytes);
	if (error == 0)
		error = snapshot_find(&r, "replica", &version);
	if (error != 0)
		return error;
	return version > REPLICA_STATE_VERSION ? -ENOTSUP : read_replica(t, &r, ret_log);
}

// ---- in the place of one that died here

int task_succeed(struct task *t, struct task *dead)
{
	struct task_snapshots *all = &t->snapshots;
	t->log = dead->log;
	*all = dead->snapshots;
	if (atomic_load_explicit(&t->control->committed, memory_order_acquire) >=
		all->kept[all->latest].epoch)
		all->committed = all->latest; // other tasks may be unable to go back behind it
	all->latest = all->committed; // one that was never committed may be needed by nobody
	const struct task_snapshot *snapshot = &all->kept[all->committed];
	t->log.replay = snapshot->bytes == 0 ? t->log.first : snapshot->log_next;
	int error = 0;
	if (snapshot->bytes != 0)
		error = restore(t, snapshot);
	else
		for (uint32_t i = 0; i < t->exchange.sender_count; i++)
			sender_succeed(&t->exchange.senders[i], 0,
				t->exchange.senders[i].incarnation);
	t->catching_up = true;
	exchange_run_on(&t->exchange, true);
	return error;
}
