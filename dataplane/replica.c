#include "dataplane/replica.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <string.h>

#include "dataplane/exchange.h"
#include "numa/arena.h"
#include "numa/assert.h"

static_assert(sizeof(struct order_entry) == FRAME_LOG_ENTRY_BYTES, "as it lies in a frame");

int replica_create(struct replica *r, const struct replica_config *config)
{
	const struct channel_config *channel = &config->channel->config;
	*r = (struct replica){.role = config->role,
		.replicated = true,
		.twin_worker = config->twin_worker,
		.channel = config->channel,
		.expect = {.job = channel->job,
			.channel = channel->id,
			.plan_version = channel->plan_version,
			.incarnation = config->incarnation,
			.checksum = channel->checksum,
			.log = true}};
	uint64_t *numbers = arena_alloc(config->arena,
		REPLICA_RELEASES * (config->sender_count + 1) * sizeof(*numbers), 64);
	if (numbers == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < REPLICA_RELEASES; i++)
		r->releases[i].numbers = numbers + (size_t)i * (config->sender_count + 1);
	if (config->role == REPLICA_OWNER) {
		atomic_store_explicit(&r->channel->opened, config->incarnation,
			memory_order_release);
		return credit_create(&r->credit, r->channel, config->pool);
	}
	atomic_store_explicit(&r->channel->answered, config->incarnation, memory_order_release);
	return 0;
}

// ---- the replica's side

static uint32_t take_entries(struct replica *r, struct order_log *log, const struct rte_mbuf *mbuf)
{
	const struct frame_header *h = rte_pktmbuf_mtod(mbuf, const struct frame_header *);
	uint32_t most = r->channel->config.frame_bytes;
	if (frame_check(h, h->length < most ? h->length : most, &r->expect) != WEIR_DROP_COUNT ||
		h->first_number != log->next)
		return 0;
	const uint8_t *at = (const uint8_t *)(h + 1);
	for (uint32_t i = 0; i < h->item_count; i++, at += FRAME_LOG_ENTRY_BYTES) {
		struct order_entry entry;
		memcpy(&entry, at, sizeof(entry));
		order_log_follow(log, &entry);
	}
	return h->item_count;
}

uint32_t replica_take_log(struct replica *r, struct order_log *log)
{
	uint32_t entries_max = r->channel->config.frame_bytes / FRAME_LOG_ENTRY_BYTES;
	uint32_t taken = 0;
	struct rte_mbuf *mbuf;
	order_log_trim(log, log->replay); // what is obeyed is part of the state
	while (order_log_room(log) > entries_max &&
		rte_ring_sc_dequeue(r->channel->forward, (void **)&mbuf) == 0) {
		taken += take_entries(r, log, mbuf);
		VERIFY(rte_ring_sp_enqueue(r->channel->back, mbuf) == 0);
	}
	if (taken != 0)
		atomic_store_explicit(&r->channel->snapshot_number, log->next,
			memory_order_release); // pairs held_of
	return taken;
}

// ---- the owner's side

static void fill_frame(const struct replica *r, const struct order_log *log, uint32_t entries,
	struct rte_mbuf *mbuf)
{
	const struct channel_config *config = &r->channel->config;
	struct frame_header *h = rte_pktmbuf_mtod(mbuf, struct frame_header *);
	uint8_t *at = (uint8_t *)(h + 1);
	*h = (struct frame_header){.version = FRAME_VERSION,
		.type = FRAME_LOG,
		.length = FRAME_HEADER_BYTES + entries * FRAME_LOG_ENTRY_BYTES,
		.item_count = entries,
		.job = config->job,
		.channel = config->id,
		.plan_version = config->plan_version,
		.incarnation = r->expect.incarnation,
		.first_number = r->streamed};
	for (uint32_t i = 0; i < entries; i++, at += FRAME_LOG_ENTRY_BYTES)
		memcpy(at, order_log_at(log, r->streamed + i), FRAME_LOG_ENTRY_BYTES);
	if (config->checksum)
		h->crc32c = frame_crc(h, h->length);
}

// Entries that were sent grow no more.
static uint32_t stream(struct replica *r, struct order_log *log)
{
	uint32_t most =
		(r->channel->config.frame_bytes - FRAME_HEADER_BYTES) / FRAME_LOG_ENTRY_BYTES;
	uint32_t frames = 0;
	credit_poll(&r->credit, r->channel);
	while (r->streamed != log->next) {
		struct rte_mbuf *mbuf = credit_take(&r->credit);
		if (mbuf == NULL)
			break;
		uint64_t left = log->next - r->streamed;
		uint32_t entries = left < most ? (uint32_t)left : most;
		order_log_seal(log);
		fill_frame(r, log, entries, mbuf);
		r->streamed += entries;
		VERIFY(rte_ring_sp_enqueue(r->channel->forward, mbuf) == 0);
		frames++;
	}
	return frames;
}

static struct release *release_at(struct replica *r, uint32_t i)
{
	return &r->releases[(r->release_first + i) % REPLICA_RELEASES];
}

// What is sealed now depends on the log as it is now. When there is no place for a note of it the
// last one is made anew: some items then wait longer than they must.
static void note_release(struct replica *r, const struct order_log *log, const struct exchange *x)
{
	bool news = r->release_count == 0;
	for (uint32_t i = 0; i < x->sender_count && !news; i++)
		news = release_at(r, r->release_count - 1)->numbers[i] != x->senders[i].next_number;
	if (!news)
		return;
	if (r->release_count < REPLICA_RELEASES)
		r->release_count++;
	struct release *last = release_at(r, r->release_count - 1);
	last->index = log->next;
	for (uint32_t i = 0; i < x->sender_count; i++)
		last->numbers[i] = x->senders[i].next_number;
}

static void let_leave(struct replica *r, uint64_t held, const struct exchange *x)
{
	while (r->release_count != 0 && release_at(r, 0)->index <= held) {
		for (uint32_t i = 0; i < x->sender_count; i++)
			x->senders[i].release = release_at(r, 0)->numbers[i];
		r->release_first = (r->release_first + 1) % REPLICA_RELEASES;
		r->release_count--;
	}
}

static void let_all_leave(const struct exchange *x)
{
	for (uint32_t i = 0; i < x->sender_count; i++)
		x->senders[i].release = x->senders[i].next_number;
}

static uint64_t held_of(const struct replica *r)
{
	return atomic_load_explicit(&r->channel->snapshot_number,
		memory_order_acquire); // pairs replica_take_log
}

static uint32_t send_as_owner(struct replica *r, struct order_log *log, const struct exchange *x)
{
	uint64_t held = held_of(r);
	if (held > log->first && held <= log->next)
		order_log_trim(log, held);
	note_release(r, log, x);
	let_leave(r, held, x);
	return stream(r, log);
}

uint32_t replica_send(struct replica *r, struct order_log *log, struct exchange *x)
{
	uint32_t frames = 0;
	if (r->role == REPLICA_OWNER) {
		frames = send_as_owner(r, log, x);
	} else if (r->role == REPLICA_FOLLOWS) {
		for (uint32_t i = 0; i < x->sender_count; i++)
			sender_forget(&x->senders[i]);
		return 0;
	} else {
		if (r->role == REPLICA_ALONE)
			order_log_trim(log, log->replay); // nobody will ever ask for it
		let_all_leave(x);
	}
	for (uint32_t i = 0; i < x->sender_count; i++)
		if (x->senders[i].follower_count != 0)
			frames += sender_follow(&x->senders[i]);
	return frames;
}

bool replica_is_settled(const struct replica *r, const struct order_log *log)
{
	return r->role != REPLICA_OWNER || held_of(r) == log->next;
}
