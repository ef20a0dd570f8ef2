#include "dataplane/feed.h"

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <string.h>

#include "dataplane/replica.h"
#include "numa/assert.h"

// ---- the owner's side

static void fill_frame(struct replica *r, struct rte_mbuf *mbuf, uint32_t bytes)
{
	const struct channel_config *config = &r->out->config;
	struct frame_header *h = rte_pktmbuf_mtod(mbuf, struct frame_header *);
	*h = (struct frame_header){.version = FRAME_VERSION,
		.type = FRAME_STATE,
		.length = FRAME_HEADER_BYTES + bytes,
		.item_count = bytes,
		.job = config->job,
		.channel = config->id,
		.plan_version = config->plan_version,
		.incarnation = r->incarnation,
		.first_number = r->feed.at,
		.watermark = (int64_t)r->feed.bytes};
	memcpy(h + 1, r->loan.data + r->feed.at, bytes);
	if (config->checksum)
		h->crc32c = frame_crc(h, h->length);
}

// The first frame says how much there is.
static uint32_t next_bytes(const struct replica *r)
{
	uint64_t left = r->feed.bytes - r->feed.at;
	uint32_t most = r->out->config.frame_bytes - FRAME_HEADER_BYTES;
	if (!r->announced)
		return 0;
	return left < most ? (uint32_t)left : most;
}

uint32_t feed_send(struct replica *r)
{
	uint32_t frames = 0;
	struct rte_mbuf *mbuf;
	credit_poll(&r->credit, r->out);
	while (frames < CHANNEL_BURST && !feed_is_sent(&r->feed) &&
		(mbuf = credit_take(&r->credit)) != NULL) {
		uint32_t bytes = next_bytes(r);
		fill_frame(r, mbuf, bytes);
		r->announced = true;
		r->feed.at += bytes;
		VERIFY(rte_ring_sp_enqueue(r->out->forward, mbuf) == 0);
		frames++;
	}
	return frames;
}

// ---- the new instance's side

static void take_part(struct replica *r, const struct rte_mbuf *mbuf)
{
	const struct frame_header *h = rte_pktmbuf_mtod(mbuf, const struct frame_header *);
	uint32_t most = r->in->config.frame_bytes;
	struct feed *f = &r->feed;
	if (frame_check(h, h->length < most ? h->length : most, &r->expect) != WEIR_DROP_COUNT ||
		h->type != FRAME_STATE || h->watermark <= 0)
		return;
	if (f->bytes == 0) {
		if (h->item_count != 0)
			return;
		f->bytes = (uint64_t)h->watermark;
		loan_ask(&r->loan, f->bytes);
	} else if (h->first_number == f->at && h->item_count <= f->bytes - f->at) {
		memcpy(r->loan.data + f->at, h + 1, h->item_count);
		f->at += h->item_count;
	}
}

// Once it is known how much will come, the rest waits in the channel until there is room for it.
static bool may_take(const struct replica *r)
{
	if (!loan_is_settled(&r->loan) || feed_is_whole(&r->feed))
		return false;
	return r->feed.bytes == 0 || r->loan.data != NULL;
}

uint32_t feed_take(struct replica *r)
{
	uint32_t frames = 0;
	struct rte_mbuf *mbuf;
	while (frames < CHANNEL_BURST && may_take(r) &&
		rte_ring_sc_dequeue(r->in->forward, (void **)&mbuf) == 0) {
		take_part(r, mbuf);
		VERIFY(rte_ring_sp_enqueue(r->in->back, mbuf) == 0);
		frames++;
	}
	return frames;
}
