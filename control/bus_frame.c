#include "control/bus_frame.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <event2/buffer.h>
#include <isa-l/crc.h>
#include <stdint.h>
#include <string.h>

#include "control/bus.h"
#include "numa/assert.h"

static const char magic[4] = "WBUS";

struct header {
	char magic[4];
	uint8_t version, reserved[3];
	uint32_t length; // of the message
	uint32_t crc32c; // of the twelve bytes before and the message
};
static_assert(sizeof(struct header) == BUS_FRAME_HEADER_BYTES, "as pinned");

static uint32_t frame_crc(const struct header *h, const void *message, size_t bytes)
{
	uint32_t crc = crc32_iscsi((unsigned char *)h, offsetof(struct header, crc32c), 0xFFFFFFFF);
	return ~crc32_iscsi((unsigned char *)message, (int)bytes, crc);
}

static enum bus_frame_state header_check(const struct header *h)
{
	static const uint8_t zeros[sizeof(h->reserved)];
	if (memcmp(h->magic, magic, sizeof(magic)) != 0)
		return BUS_FRAME_MAGIC;
	if (h->version != BUS_FRAME_VERSION)
		return BUS_FRAME_UNKNOWN;
	if (memcmp(h->reserved, zeros, sizeof(zeros)) != 0)
		return BUS_FRAME_RESERVED;
	return le32toh(h->length) > BUS_MESSAGE_MAX ? BUS_FRAME_LENGTH : BUS_FRAME_WHOLE;
}

enum bus_frame_state bus_frame_next(struct evbuffer *in, const void **ret_message,
	size_t *ret_bytes)
{
	struct header h;
	if (evbuffer_copyout(in, &h, sizeof(h)) < (ev_ssize_t)sizeof(h))
		return BUS_FRAME_PART;
	enum bus_frame_state state = header_check(&h);
	if (state != BUS_FRAME_WHOLE)
		return state;
	size_t length = le32toh(h.length);
	if (evbuffer_get_length(in) < sizeof(h) + length)
		return BUS_FRAME_PART;
	const uint8_t *whole = evbuffer_pullup(in, (ev_ssize_t)(sizeof(h) + length));
	VERIFY(whole != NULL);
	if (frame_crc(&h, whole + sizeof(h), length) != le32toh(h.crc32c))
		return BUS_FRAME_CHECKSUM;
	*ret_message = whole + sizeof(h);
	*ret_bytes = length;
	return BUS_FRAME_WHOLE;
}

void bus_frame_drop(struct evbuffer *in, size_t message_bytes)
{
	VERIFY(evbuffer_drain(in, BUS_FRAME_HEADER_BYTES + message_bytes) == 0);
}

int bus_frame_put(struct evbuffer *out, const void *message, size_t bytes)
{
	ASSERT(bytes <= BUS_MESSAGE_MAX);
	struct header h = {.version = BUS_FRAME_VERSION, .length = htole32((uint32_t)bytes)};
	memcpy(h.magic, magic, sizeof(magic));
	h.crc32c = htole32(frame_crc(&h, message, bytes));
	if (evbuffer_expand(out, sizeof(h) + bytes) != 0)
		return -ENOMEM;
	VERIFY(evbuffer_add(out, &h, sizeof(h)) == 0 && evbuffer_add(out, message, bytes) == 0);
	return 0;
}
