#include "perf/micro/pair.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <string.h>

#include "dataplane/channel.h"
#include "numa/arena.h"
#include "numa/assert.h"
#include "perf/baseline/team.h"

enum { MBUFS = 128, BURST = 32, RING_SIZE = 256 };

const char *const pair_names[PAIR_KINDS] = {"bare", "channel", "recovery", "crc"};

struct item {
	uint32_t length;
	uint16_t variant, reserved;
	uint32_t nulls, padding;
	uint64_t value;
};
static_assert(sizeof(struct item) == PAIR_ITEM_BYTES, "a record of one int64");

struct pair {
	enum pair_kind kind;
	uint32_t items;
	uint64_t frames;
	uint64_t sum;
	struct rte_mempool *pool;
	struct arena arena;
	struct channel channel;
	struct sender sender;
	struct receiver receiver;
};

static inline void item_write(uint8_t *out, uint64_t number)
{
	const uint64_t head[2] = {sizeof(struct item), 0}, value = number * 0x9E3779B97F4A7C15ULL;

	// Word by word: put together elsewhere and copied, an item costs more than its sending.
	memcpy(out, &head[0], 8);
	memcpy(out + 8, &head[1], 8);
	memcpy(out + 16, &value, 8);
}

static inline uint64_t lines_read(const uint8_t *first, const uint8_t *limit)
{
	uint64_t sum = 0, word;

	for (const uint8_t *at = first + 16; at < limit; at += 64) {
		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	return sum;
}

// Pointers to frames are all that a bare ring passes: no mbuf is touched, lengths are known.
static void bare_fill(uint8_t *frame, uint32_t items, uint64_t *number)
{
	struct frame_header header = {.item_count = items, .first_number = *number};

	// Asked for ahead, the lines come from the other core together, not one by one.
	for (uint32_t at = 0; at < sizeof(header) + items * PAIR_ITEM_BYTES; at += 64)
		__builtin_prefetch(frame + at, 1);
	memcpy(frame, &header, sizeof(header));
	for (uint32_t i = 0; i < items; i++)
		item_write(frame + sizeof(header) + i * PAIR_ITEM_BYTES, (*number)++);
}

static void bare_produce(struct pair *p)
{
	uint8_t *frames[BURST];
	uint64_t number = 0;

	for (uint64_t sent = 0; sent < p->frames;) {
		uint32_t want = p->frames - sent < BURST ? (uint32_t)(p->frames - sent) : BURST;
		// Whole bursts: less would have the two cores pass the ring's line to and fro.
		uint32_t got =
			rte_ring_sc_dequeue_bulk(p->channel.back, (void **)frames, want, NULL);
		for (uint32_t i = 0; i < got; i++)
			bare_fill(frames[i], p->items, &number);
		VERIFY(rte_ring_sp_enqueue_burst(p->channel.forward, (void **)frames, got, NULL) ==
			got);
		sent += got;
	}
}

static void bare_consume(struct pair *p)
{
	uint32_t bytes = sizeof(struct frame_header) + p->items * PAIR_ITEM_BYTES;
	uint8_t *frames[BURST];
	uint64_t sum = 0;

	for (uint64_t taken = 0; taken < p->frames;) {
		uint32_t got =
			rte_ring_sc_dequeue_burst(p->channel.forward, (void **)frames, BURST, NULL);
		for (uint32_t i = 0; i < got; i++) {
			sum += lines_read(frames[i] + sizeof(struct frame_header),
				frames[i] + bytes);
			__asm__ volatile("" : : "r"(frames[i][0])); // the header's line too
		}
		VERIFY(rte_ring_sp_enqueue_burst(p->channel.back, (void **)frames, got, NULL) ==
			got);
		taken += got;
	}
	p->sum = sum;
}

static void channel_produce(struct pair *p)
{
	struct sender *s = &p->sender;
	uint64_t number = 0;

	for (uint64_t sent = 0; sent < p->frames; sent++) {
		for (uint32_t i = 0; i < p->items; i++) {
			uint8_t *out;
			while ((out = sender_reserve(s, PAIR_ITEM_BYTES, 0)) == NULL)
				sender_push(s); // out of credit: the end of a step
			item_write(out, number++);
			sender_commit(s, PAIR_ITEM_BYTES);
		}
		VERIFY(sender_flush(s));
	}
	sender_push(s);
}

static void channel_consume(struct pair *p)
{
	struct receiver *r = &p->receiver;
	uint64_t sum = 0;

	for (uint64_t taken = 0; taken < p->frames;) {
		if (receiver_peek(r) == NULL) {
			receiver_return(r);
			continue;
		}
		sum += lines_read(r->first, r->limit);
		if (p->kind != PAIR_CHANNEL)
			receiver_checksum(r, r->items);
		r->next_number += r->items;
		r->first = r->limit;
		r->items = 0;
		receiver_release(r);
		taken++;
	}
	p->sum = sum;
}

static void work(void *argument, uint32_t index)
{
	struct pair *p = argument;

	if (p->kind == PAIR_BARE)
		(index == 0 ? bare_produce : bare_consume)(p);
	else
		(index == 0 ? channel_produce : channel_consume)(p);
}

static int pair_create(struct pair *p)
{
	struct channel_config config = {.frame_bytes = PAIR_FRAME_BYTES,
		.frames = MBUFS,
		.record_bytes = PAIR_ITEM_BYTES,
		.checksum = p->kind == PAIR_CRC};
	int err = arena_create(&p->arena, 1 << 20, -1, false);

	if (err == 0)
		err = channel_create(&p->channel, &config, &p->arena);
	if (err == 0)
		err = sender_create(&p->sender, &p->channel, p->pool, &p->arena);
	if (err != 0)
		return err;
	receiver_create(&p->receiver, &p->channel);
	for (uint32_t i = 0; i < p->sender.credit.count && p->kind == PAIR_BARE; i++) {
		uint8_t *frame = rte_pktmbuf_mtod(p->sender.credit.data[i], uint8_t *);
		VERIFY(rte_ring_sp_enqueue(p->channel.back, frame) == 0);
	}
	return 0;
}

int pair_run(enum pair_kind kind, uint32_t items, uint64_t frames, const int cpus[2],
	struct pair_result *ret_result)
{
	struct pair *p = aligned_alloc(64, (sizeof(*p) + 63) & ~(size_t)63);
	struct team team = {.threads = 2, .cpus = {cpus[0], cpus[1]}};

	if (p == NULL)
		return -ENOMEM;
	memset(p, 0, sizeof(*p));
	p->kind = kind;
	p->items = items;
	p->frames = frames;
	p->pool = rte_pktmbuf_pool_create("pair", MBUFS + CHANNEL_CONTROL_FRAMES, 0, 0,
		RTE_PKTMBUF_HEADROOM + PAIR_FRAME_BYTES, SOCKET_ID_ANY);
	int err = p->pool == NULL ? -ENOMEM : pair_create(p);
	if (err == 0) {
		ret_result->ns = team_run(&team, work, p);
		ret_result->sum = p->sum;
	}
	if (p->kind == PAIR_BARE && p->channel.back != NULL)
		rte_ring_reset(p->channel.back); // its frames lie in the sender's credit
	channel_drain(&p->channel, &p->sender, &p->receiver);
	rte_mempool_free(p->pool);
	arena_destroy(&p->arena);
	free(p);
	return err;
}
