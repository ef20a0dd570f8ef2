#include "dataplane/session_packet.h"

#include <rte_mbuf.h>
#include <stddef.h>
#include <string.h>
#include <xxhash.h>

#include "dataplane/crc.h"
#include "dataplane/frame.h"
#include "numa/assert.h"

const char *const session_drop_names[SESSION_DROP_COUNT] = {
#define X(id, name) name,
	SESSION_DROPS(X)
#undef X
};

uint32_t session_packet_crc(const struct session_header *h)
{
	const uint8_t *at = (const uint8_t *)h;
	static_assert(offsetof(struct session_header, crc32c) == 60, "covered but for itself");
	uint32_t last, crc = crc_short(at, 56, 0xFFFFFFFFu);
	memcpy(&last, at + 56, sizeof(last));
	crc = crc_half_word(crc, last);
	if (h->type != SESSION_FRAME)
		crc = crc_short(at + SESSION_HEADER_BYTES, h->length, crc);
	return crc ^ 0xFFFFFFFFu;
}

uint64_t session_incarnation(uint64_t leader_boot, uint64_t other_boot)
{
	uint64_t both[2] = {leader_boot, other_boot};
	return XXH3_64bits(both, sizeof(both));
}

static enum session_drop check_frame(const uint8_t *at, uint32_t bytes)
{
	struct frame_header h;
	if (bytes < FRAME_HEADER_BYTES)
		return SESSION_DROP_LENGTH;
	memcpy(&h, at, sizeof(h));
	if (h.length != bytes || h.version != FRAME_VERSION || h.type < FRAME_DATA ||
		h.type >= FRAME_TYPE_LIMIT)
		return SESSION_DROP_FRAME;
	return SESSION_DROP_COUNT;
}

static enum session_drop check_messages(const uint8_t *at, uint32_t bytes)
{
	struct session_message m;
	if (bytes == 0 || bytes % sizeof(m) != 0 || bytes / sizeof(m) > SESSION_MESSAGES_MAX)
		return SESSION_DROP_LENGTH;
	for (uint32_t i = 0; i < bytes; i += sizeof(m)) {
		memcpy(&m, at + i, sizeof(m));
		if (m.kind == 0 || m.kind >= MESSAGE_KIND_LIMIT)
			return SESSION_DROP_MESSAGE;
	}
	return SESSION_DROP_COUNT;
}

static enum session_drop check_payload(const struct session_header *h, const uint8_t *at)
{
	switch ((enum session_type)h->type) {
	case SESSION_FRAME:
		return check_frame(at, h->length);
	case SESSION_MESSAGES:
		return check_messages(at, h->length);
	case SESSION_ACK:
		return h->length % 8 != 0 ? SESSION_DROP_LENGTH : SESSION_DROP_COUNT;
	case SESSION_HELLO:
	case SESSION_HELLO_ACK:
		return h->length != sizeof(struct session_greeting) ? SESSION_DROP_LENGTH
								    : SESSION_DROP_COUNT;
	case SESSION_TYPE_LIMIT:
		break;
	}
	return SESSION_DROP_VERSION;
}

enum session_drop session_packet_check(const void *packet, uint32_t bytes)
{
	const struct session_header *h = packet;
	if (bytes < SESSION_HEADER_BYTES)
		return SESSION_DROP_SHORT;
	if (h->version != SESSION_VERSION || h->type == 0 || h->type >= SESSION_TYPE_LIMIT ||
		h->reserved != 0 || h->key_id != 0)
		return SESSION_DROP_VERSION;
	if (h->length != bytes - SESSION_HEADER_BYTES)
		return h->length > bytes - SESSION_HEADER_BYTES ? SESSION_DROP_SHORT
								: SESSION_DROP_LENGTH;
	if (session_packet_crc(h) != h->crc32c)
		return SESSION_DROP_CHECKSUM;
	return check_payload(h, (const uint8_t *)packet + SESSION_HEADER_BYTES);
}

void session_packet_judge(struct rte_mbuf *const *packets, uint32_t count, bool frame_crc,
	struct session_verdict *ret_verdicts)
{
	const struct frame_header *frames[LINK_BURST];
	uint32_t crcs[LINK_BURST], owners[LINK_BURST], framed = 0;
	ASSERT(count <= LINK_BURST);
	for (uint32_t i = 0; i < count; i++) {
		const struct session_header *h =
			rte_pktmbuf_mtod(packets[i], const struct session_header *);
		ret_verdicts[i].reason = session_packet_check(h, packets[i]->data_len);
		ret_verdicts[i].frame_good = true;
		if (ret_verdicts[i].reason != SESSION_DROP_COUNT || h->type != SESSION_FRAME)
			continue;
		owners[framed] = i;
		frames[framed++] = (const struct frame_header *)(h + 1);
	}
	if (!frame_crc || framed == 0)
		return;
	frame_crc_burst(frames, framed, crcs);
	for (uint32_t i = 0; i < framed; i++)
		ret_verdicts[owners[i]].frame_good = crcs[i] == frames[i]->crc32c;
}
