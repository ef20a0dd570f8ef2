#include "dataplane/replica.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <string.h>

#include "dataplane/exchange.h"
#include "numa/arena.h"
#include "numa/assert.h"

static_assert(sizeof(struct order_entry) == FRAME_LOG_ENTRY_BYTES, "as it lies in a frame");

// As it lies in a frame of losses.
struct said_loss {
	uint32_t worker; // of the plan
	uint32_t reserved;
	uint64_t incarnation;
};
static_assert(sizeof(struct said_loss) == FRAME_LOSS_BYTES, "pinned");

int replica_create(struct replica *r, const struct replica_config *config)
{
	const struct channel_config *channel = &config->in->config;
	*r = (struct replica){.role = config->role,
		.replicated = true,
		.twin_worker = config->twin_worker,
		.out = config->out,
		.in = config->in,
		.told = config->told,
		.incarnation = config->incarnation,
		.expect = {.job = channel->job,
			.channel = channel->id,
			.plan_version = channel->plan_version,
			.incarnation = config->incarnation,
			.checksum = channel->checksum,
			.log = true}};
	uint64_t *numbers = arena_alloc(config->arena,
		(REPLICA_RELEASES + 1) * (config->sender_count + 1) * sizeof(*numbers), 64);
	if (numbers == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < REPLICA_RELEASES; i++)
		r->releases[i].numbers = numbers + (size_t)i * (config->sender_count + 1);
	r->feed.numbers = numbers + (size_t)REPLICA_RELEASES * (config->sender_count + 1);
	if (config->role == REPLICA_FOLLOWS)
		atomic_store_explicit(&r->in->answered, config->incarnation, memory_order_release);
	return credit_create(&r->credit, r->out, config->pool);
}

// ---- the replica's side

static uint32_t take_entries(struct replica *r, struct order_log *log, const struct rte_mbuf *mbuf)
{
	const struct frame_header *h = rte_pktmbuf_mtod(mbuf, const struct frame_header *);
	uint32_t most = r->in->config.frame_bytes;
	if (frame_check(h, h->length < most ? h->length : most, &r->expect) != WEIR_DROP_COUNT ||
		h->type != FRAME_LOG || h->first_number != log->next)
		return 0;
	const uint8_t *at = (const uint8_t *)(h + 1);
	for (uint32_t i = 0; i < h->item_count; i++, at += FRAME_LOG_ENTRY_BYTES) {
		struct order_entry entry;
		memcpy(&entry, at, sizeof(entry));
		order_log_follow(log, &entry);
	}
	return h->item_count;
}

static bool were_told(const struct replica *r, const struct rte_mbuf *mbuf)
{
	const struct frame_header *h = rte_pktmbuf_mtod(mbuf, const struct frame_header *);
	uint32_t most = r->in->config.frame_bytes;
	bool told = true;
	if (h->type != FRAME_LOSSES ||
		frame_check(h, h->length < most ? h->length : most, &r->expect) != WEIR_DROP_COUNT)
		return true; // nothing to be told of
	const uint8_t *at = (const uint8_t *)(h + 1);
	for (uint32_t i = 0; i < h->item_count && told; i++, at += FRAME_LOSS_BYTES) {
		struct said_loss said;
		memcpy(&said, at, sizeof(said));
		told = told_losses_have(r->told, said.worker, said.incarnation);
	}
	return told;
}

// What is behind losses that this node was not told of may rest on what took over from them. If the
// owner is lost before anybody else is told, it goes with it (docs/protocol.md, rule G5).
static struct rte_mbuf *next_of_log(struct replica *r)
{
	struct rte_mbuf *mbuf = r->untold;
	if (mbuf == NULL && rte_ring_sc_dequeue(r->in->forward, (void **)&mbuf) != 0)
		return NULL;
	r->untold = were_told(r, mbuf) ? NULL : mbuf;
	return r->untold == NULL ? mbuf : NULL;
}

void replica_let_go(struct replica *r)
{
	if (r->untold != NULL)
		VERIFY(rte_ring_sp_enqueue(r->in->back, r->untold) == 0);
	r->untold = NULL;
}

void replica_drain(struct replica *r)
{
	rte_pktmbuf_free(r->untold);
	r->untold = NULL;
}

uint32_t replica_take_log(struct replica *r, struct order_log *log)
{
	uint32_t entries_max = r->in->config.frame_bytes / FRAME_LOG_ENTRY_BYTES;
	uint32_t taken = 0;
	struct rte_mbuf *mbuf;
	order_log_trim(log, log->replay); // what is obeyed is part of the state
	while (order_log_room(log) > entries_max && (mbuf = next_of_log(r)) != NULL) {
		taken += take_entries(r, log, mbuf);
		VERIFY(rte_ring_sp_enqueue(r->in->back, mbuf) == 0);
	}
	if (taken != 0)
		atomic_store_explicit(&r->in->snapshot_number, log->next,
			memory_order_release); // pairs held_of
	return taken;
}

void replica_restored(struct replica *r, struct order_log *log, uint64_t index)
{
	ASSERT(r->role == REPLICA_WAITS);
	log->first = log->next = log->replay = log->sealed = index;
	r->role = REPLICA_FOLLOWS;
	atomic_store_explicit(&r->in->snapshot_number, index, memory_order_release);
	atomic_store_explicit(&r->in->answered, r->expect.incarnation,
		memory_order_release); // pairs replica_is_fed
}

// ---- the owner's side

static void seal_frame(const struct replica *r, enum frame_type type, uint32_t items,
	uint32_t bytes, struct rte_mbuf *mbuf)
{
	const struct channel_config *config = &r->out->config;
	struct frame_header *h = rte_pktmbuf_mtod(mbuf, struct frame_header *);
	*h = (struct frame_header){.version = FRAME_VERSION,
		.type = (uint8_t)type,
		.length = FRAME_HEADER_BYTES + bytes,
		.item_count = items,
		.job = config->job,
		.channel = config->id,
		.plan_version = config->plan_version,
		.incarnation = r->incarnation,
		.first_number = r->streamed};
	if (config->checksum)
		h->crc32c = frame_crc(h, h->length);
	VERIFY(rte_ring_sp_enqueue(r->out->forward, mbuf) == 0);
}

static uint8_t *items_of(struct rte_mbuf *mbuf)
{
	return rte_pktmbuf_mtod_offset(mbuf, uint8_t *, FRAME_HEADER_BYTES);
}

// As many as a frame takes of the losses not said yet, in the order in which they were told; of a
// place that was lost again the last one.
static void say_losses(struct replica *r, struct rte_mbuf *mbuf)
{
	uint32_t most = (r->out->config.frame_bytes - FRAME_HEADER_BYTES) / FRAME_LOSS_BYTES;
	uint32_t items = 0;
	uint8_t *at = items_of(mbuf);
	for (uint32_t worker = 0; worker < r->told->workers; worker++) {
		const struct told_loss *loss = &r->told->of[worker];
		const struct said_loss said = {.worker = worker, .incarnation = loss->incarnation};
		if (loss->number <= r->said || loss->number > r->said + most)
			continue;
		memcpy(at + (size_t)items * sizeof(said), &said, sizeof(said));
		items++;
	}
	r->said += most;
	if (r->said > r->told->count)
		r->said = r->told->count;
	if (items != 0)
		seal_frame(r, FRAME_LOSSES, items, items * FRAME_LOSS_BYTES, mbuf);
	else
		credit_put(&r->credit, mbuf);
}

// Entries that were sent grow no more.
static uint32_t stream(struct replica *r, struct order_log *log)
{
	uint32_t most = (r->out->config.frame_bytes - FRAME_HEADER_BYTES) / FRAME_LOG_ENTRY_BYTES;
	uint32_t frames = 0;
	credit_poll(&r->credit, r->out);
	while (r->streamed != log->next) {
		struct rte_mbuf *mbuf = credit_take(&r->credit);
		if (mbuf == NULL)
			break;
		frames++;
		if (UNLIKELY(r->said != r->told->count)) {
			say_losses(r, mbuf);
			continue;
		}
		uint64_t left = log->next - r->streamed;
		uint32_t entries = left < most ? (uint32_t)left : most;
		order_log_seal(log);
		for (uint32_t i = 0; i < entries; i++)
			memcpy(items_of(mbuf) + (size_t)i * FRAME_LOG_ENTRY_BYTES,
				order_log_at(log, r->streamed + i), FRAME_LOG_ENTRY_BYTES);
		seal_frame(r, FRAME_LOG, entries, entries * FRAME_LOG_ENTRY_BYTES, mbuf);
		r->streamed += entries;
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
	return atomic_load_explicit(&r->out->snapshot_number,
		memory_order_acquire); // pairs replica_take_log
}

static void forget_held(const struct replica *r, struct order_log *log)
{
	uint64_t held = held_of(r);
	if (held > log->first && held <= log->next)
		order_log_trim(log, held);
}

// What went ungated is known to the new instance once it holds the log of it; what it does not have
// itself, made before its state was taken, all receivers must have consumed.
static bool is_accounted_for(const struct replica *r, const struct exchange *x)
{
	for (uint32_t i = 0; i < x->sender_count; i++)
		if (x->senders[i].retention.first_number < r->feed.numbers[i])
			return false;
	return held_of(r) >= r->feed.gated_at;
}

static uint32_t send_as_owner(struct replica *r, struct order_log *log, const struct exchange *x)
{
	forget_held(r, log);
	note_release(r, log, x);
	let_leave(r, held_of(r), x);
	if (UNLIKELY(r->feed.stage == FEED_GATED) && is_accounted_for(r, x))
		r->feed.stage = FEED_DONE;
	return stream(r, log);
}

// ---- a new replica, the owner's side

void replica_admit(struct replica *r, uint64_t incarnation)
{
	ASSERT(r->role == REPLICA_ALONE);
	r->incarnation = incarnation;
	r->announced = false;
	r->said = r->told->count; // who is admitted knows what was lost before, as it is written
	r->feed.stage = FEED_NONE;
	r->feed.failure = NULL;
}

void replica_feed(struct replica *r, struct order_log *log, uint64_t bytes,
	const struct exchange *x)
{
	ASSERT(r->role == REPLICA_FEEDS && !order_log_replaying(log));
	r->feed.stage = FEED_STATE;
	r->feed.bytes = bytes;
	r->feed.at = 0;
	for (uint32_t i = 0; i < x->sender_count; i++)
		r->feed.numbers[i] = x->senders[i].next_number;
	order_log_seal(log);
	order_log_trim(log, log->next);
	r->streamed = log->next;
}

bool replica_is_fed(const struct replica *r)
{
	return atomic_load_explicit(&r->out->answered, memory_order_acquire) ==
		r->incarnation; // pairs replica_restored
}

// Items wait for the log again once little of it is on its way.
static void gate(struct replica *r, const struct order_log *log)
{
	enum { REST_MAX = 4096 };
	if (!replica_is_fed(r) || log->next - held_of(r) > REST_MAX)
		return;
	r->role = REPLICA_OWNER;
	r->feed.stage = FEED_GATED;
	r->feed.gated_at = log->next;
	r->release_count = 0;
}

static uint32_t send_as_feeder(struct replica *r, struct order_log *log)
{
	uint32_t frames = 0;
	if (r->feed.stage == FEED_ASKED)
		order_log_trim(log, log->replay);
	if (r->feed.stage == FEED_STATE) {
		frames = feed_send(r);
		if (feed_is_sent(&r->feed))
			r->feed.stage = FEED_LOG;
	}
	if (r->feed.stage == FEED_LOG) {
		forget_held(r, log);
		frames += stream(r, log);
		gate(r, log);
	}
	return frames;
}

uint32_t replica_send(struct replica *r, struct order_log *log, struct exchange *x)
{
	uint32_t frames = 0;
	if (r->role == REPLICA_OWNER) {
		frames = send_as_owner(r, log, x);
	} else if (r->role >= REPLICA_FOLLOWS) {
		for (uint32_t i = 0; i < x->sender_count; i++)
			sender_forget(&x->senders[i]);
		return 0;
	} else {
		if (r->role == REPLICA_ALONE)
			order_log_trim(log, log->replay); // nobody will ever ask for it
		if (r->role == REPLICA_FEEDS)
			frames = send_as_feeder(r, log);
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
