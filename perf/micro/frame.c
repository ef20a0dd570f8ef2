#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/channel.h"
#include "numa/arena.h"
#include "perf/micro/micro.h"
#include "perf/micro/shim.h"

enum { FRAMES = 32, FRAME_BYTES = 8192, ITEM_BYTES = 24 };

struct loop { // a channel whose ends are one thread's
	struct arena arena;
	struct rte_mempool *pool;
	struct channel channel;
	struct sender sender;
	struct receiver receiver;
};

static bool loop_create(struct loop *l)
{
	const struct channel_config config = {.frame_bytes = FRAME_BYTES, .frames = FRAMES};

	memset(l, 0, sizeof(*l));
	l->pool = rte_pktmbuf_pool_create("micro", FRAMES + CHANNEL_CONTROL_FRAMES, 0, 0,
		RTE_PKTMBUF_HEADROOM + FRAME_BYTES, SOCKET_ID_ANY);
	if (l->pool == NULL || arena_create(&l->arena, 1 << 20, -1, false) != 0)
		return false;
	if (channel_create(&l->channel, &config, &l->arena) != 0 ||
		sender_create(&l->sender, &l->channel, l->pool, &l->arena) != 0)
		return false;
	receiver_create(&l->receiver, &l->channel);
	return true;
}

static void loop_destroy(struct loop *l)
{
	channel_drain(&l->channel, &l->sender, &l->receiver);
	rte_mempool_free(l->pool);
	arena_destroy(&l->arena);
}

static void frame_build(struct sender *s, uint32_t items)
{
	for (uint32_t i = 0; i < items; i++) {
		uint8_t *out = sender_reserve(s, ITEM_BYTES, 0);
		memset(out, 0, ITEM_BYTES);
		out[0] = ITEM_BYTES;
		sender_commit(s, ITEM_BYTES);
	}
	sender_flush(s);
}

// Taken as whole frames; returns their items.
static uint64_t frames_take(struct receiver *r)
{
	uint64_t items = 0;

	while (receiver_peek(r) != NULL) {
		items += r->items;
		r->next_number += r->items;
		r->first = r->limit;
		r->items = 0;
		receiver_release(r);
	}
	receiver_return(r);
	return items;
}

static void frame_loop(struct shim_state *state, int64_t items)
{
	static struct loop l;
	uint64_t built = 0, taken = 0;

	if (!loop_create(&l))
		shim_fail(state, "no memory for a channel");
	else
		while (shim_next(state, CHANNEL_BURST)) {
			for (int i = 0; i < CHANNEL_BURST; i++)
				frame_build(&l.sender, (uint32_t)items);
			sender_push(&l.sender);
			built += CHANNEL_BURST * (uint64_t)items;
			taken += frames_take(&l.receiver);
		}
	loop_destroy(&l);
	if (built != taken)
		shim_fail(state, "items were lost");
}

void micro_frame(void)
{
	shim_register("frame/build_and_take/1", frame_loop, 1, false);
	shim_register("frame/build_and_take/32", frame_loop, 32, false);
	shim_register("frame/build_and_take/full", frame_loop,
		(FRAME_BYTES - FRAME_HEADER_BYTES) / ITEM_BYTES, false);
}
