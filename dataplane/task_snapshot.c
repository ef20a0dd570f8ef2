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

// A part of a link's state.  Returns whether all of it is written.
static bool write_link(struct task *t)
{
	struct task_writing *g = &t->writing;
	struct chain_link *link = &t->links[g->link];
	bool first = g->begins;
	char name[16];
	if (link->kind->snapshot == NULL)
		return true;
	if (first) {
		section_name(g->link, name, sizeof(name));
		snapshot_section(&g->to, name, link->kind->state_version);
	}
	g->begins = false;
	if (WEIR_OPERATOR_HAS(link->kind, snapshot_part))
		return link->kind->snapshot_part(link->self, &g->to, first);
	link->kind->snapshot(link->self, &g->to);
	return true;
}

// Returns whether the last part is written.
static bool write_part(struct task *t)
{
	struct task_writing *g = &t->writing;
	if (write_link(t)) {
		g->begins = true;
		g->link++;
	}
	g->under_way = g->link != t->link_count;
	return !g->under_way;
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

static void write_begin(struct task *t, void *out, size_t room)
{
	struct task_writing *g = &t->writing;
	*g = (struct task_writing){.begins = true};
	snapshot_begin(&g->to, out, room);
	g->to.part_keys = t->part_keys;
	snapshot_section(&g->to, "task", TASK_STATE_VERSION);
	write_task(t, &g->to);
}

int task_snapshot(struct task *t)
{
	struct task_snapshots *all = &t->snapshots;
	struct task_snapshot *slot = &all->kept[1 - all->committed];
	if (!t->writing.under_way) {
		if (settle(t) != 0)
			return -EAGAIN;
		write_begin(t, slot->data, all->room);
	}
	if (!write_part(t))
		return -EAGAIN;
	int error = snapshot_end(&t->writing.to, &slot->bytes);
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

// Go to a link's section.
static int find_link(const struct task *t, uint32_t i, struct snapshot_reader *r)
{
	char name[16];
	uint32_t version;
	section_name(i, name, sizeof(name));
	int error = snapshot_find(r, name, &version);
	return error == 0 && version > t->links[i].kind->state_version ? -ENOTSUP : error;
}

static int read_operators(struct task *t, struct snapshot_reader *r)
{
	for (uint32_t i = 0; i < t->link_count; i++) {
		if (t->links[i].kind->snapshot == NULL)
			continue;
		int error = find_link(t, i, r);
		if (error == 0)
			error = chain_groups_restore(&t->links[i], r);
		if (error != 0)
			return error;
	}
	return 0;
}

static int find_and_read_task(struct task *t, struct snapshot_reader *r)
{
	uint32_t version;
	int error = snapshot_find(r, "task", &version);
	if (error == 0)
		error = version > TASK_STATE_VERSION ? -ENOTSUP : read_task(t, r);
	return error;
}

static int restore(struct task *t, const struct task_snapshot *snapshot)
{
	struct snapshot_reader r;
	int error = snapshot_open(&r, snapshot->data, snapshot->bytes);
	if (error == 0)
		error = find_and_read_task(t, &r);
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
	struct snapshot_writer *w = &t->writing.to;
	if (!t->writing.under_way) {
		if (settle(t) != 0)
			return -EAGAIN;
		write_begin(t, out, room);
		w->whole = true;
		write_replica(t, w);
	}
	if (!write_part(t))
		return -EAGAIN;
	int error = snapshot_end(w, ret_bytes);
	if (error == -ENOSPC)
		*ret_bytes = snapshot_needed(w);
	if (error == -EFBIG)
		*ret_refused = w->refused;
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

static int find_and_read_replica(struct task *t, struct snapshot_reader *r, uint64_t *ret_log)
{
	uint32_t version;
	int error = snapshot_find(r, "replica", &version);
	if (error == 0)
		error = version > REPLICA_STATE_VERSION ? -ENOTSUP : read_replica(t, r, ret_log);
	return error;
}

// A part of a link's state.  Returns 0 once all of it is read, 1, or -errno.
static int read_link(struct task *t)
{
	struct task_reading *g = &t->reading;
	struct chain_link *link = &t->links[g->link];
	bool first = g->begins;
	if (link->kind->snapshot == NULL)
		return 0;
	int error = first ? find_link(t, g->link, &g->from) : 0;
	g->begins = false;
	if (error != 0)
		return error;
	if (WEIR_OPERATOR_HAS(link->kind, restore_part))
		return link->kind->restore_part(link->self, &link->ctx, &g->from, first);
	return link->kind->restore(link->self, &link->ctx, &g->from);
}

// Returns 0 once all of it is read, 1, or -errno.
static int read_part(struct task *t)
{
	struct task_reading *g = &t->reading;
	int result = 0;
	if (g->stage == READS_BLOCKS) {
		result = snapshot_open_part(&g->opening, &g->from);
		g->from.part_keys = t->part_keys;
	} else if (g->stage == READS_TASK) {
		result = find_and_read_task(t, &g->from);
	} else {
		result = read_link(t);
		g->link += result == 0;
		g->begins |= result == 0;
		return result == 0 ? g->link != t->link_count : result;
	}
	g->stage += result == 0;
	return result == 0 ? 1 : result;
}

int task_restore_whole(struct task *t, const void *data, size_t bytes, uint64_t *ret_log)
{
	struct task_reading *g = &t->reading;
	if (g->opening.data == NULL)
		*g = (struct task_reading){
			.begins = true, .opening = {.data = data, .bytes = bytes}};
	ASSERT(g->opening.data == data && g->opening.bytes == bytes);
	int result = read_part(t);
	if (result != 0)
		return result == 1 ? -EAGAIN : result;
	return find_and_read_replica(t, &g->from, ret_log);
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
