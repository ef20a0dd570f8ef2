// The bus's byte stream: whatever is accepted as a message would be sent as the same bytes again,
// and how the stream was cut changes nothing.
#include <event2/buffer.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>

#include "control/bus_frame.h"
#include "numa/assert.h"
#include "tests/fuzz/fuzz.h"

enum { CRC_AT = 12, LENGTH_AT = 8 };

// Set the checksum right of every message that the lengths cut out.
static void checksums_set(uint8_t *data, size_t bytes)
{
	for (size_t at = 0; bytes - at >= BUS_FRAME_HEADER_BYTES;) {
		uint8_t *frame = data + at;
		uint32_t length;
		memcpy(&length, frame + LENGTH_AT, sizeof(length));
		if (length > bytes - at - BUS_FRAME_HEADER_BYTES)
			return;
		uint32_t crc = crc32_iscsi(frame, CRC_AT, 0xFFFFFFFF);
		crc = ~crc32_iscsi(frame + BUS_FRAME_HEADER_BYTES, (int)length, crc);
		memcpy(frame + CRC_AT, &crc, sizeof(crc));
		at += BUS_FRAME_HEADER_BYTES + length;
	}
}

// Take all messages there are; each must be what `data` has at that place.  Returns what follows.
static enum bus_frame_state take(struct evbuffer *in, const uint8_t *data, size_t *at)
{
	const void *message;
	size_t bytes;
	enum bus_frame_state state;
	while ((state = bus_frame_next(in, &message, &bytes)) == BUS_FRAME_WHOLE) {
		struct evbuffer *out = evbuffer_new();
		VERIFY(out != NULL && bus_frame_put(out, message, bytes) == 0);
		size_t whole = evbuffer_get_length(out);
		VERIFY(whole == BUS_FRAME_HEADER_BYTES + bytes);
		VERIFY(memcmp(evbuffer_pullup(out, -1), data + *at, whole) == 0);
		evbuffer_free(out);
		bus_frame_drop(in, bytes);
		*at += whole;
	}
	return state;
}

static enum bus_frame_state feed(const uint8_t *data, size_t bytes, size_t piece, size_t *ret_at)
{
	struct evbuffer *in = evbuffer_new();
	enum bus_frame_state state = BUS_FRAME_PART;
	*ret_at = 0;
	for (size_t at = 0; at < bytes && state == BUS_FRAME_PART; at += piece) {
		size_t count = bytes - at < piece ? bytes - at : piece;
		VERIFY(evbuffer_add(in, data + at, count) == 0);
		state = take(in, data, ret_at);
	}
	evbuffer_free(in);
	return state;
}

// One to four messages of growing length.
size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	if (index >= 4 || bytes_max < 1024)
		return 0;
	struct evbuffer *out = evbuffer_new();
	for (unsigned i = 0; i <= index; i++)
		VERIFY(bus_frame_put(out, "a message of several bytes", i * 8) == 0);
	size_t bytes = evbuffer_get_length(out);
	data[0] = (uint8_t)(2 * index + 1);
	evbuffer_remove(out, data + 1, bytes);
	evbuffer_free(out);
	return bytes + 1;
}

// The first byte: whether checksums are set right, and the length of the pieces.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	size_t at_once, in_pieces, count = bytes == 0 ? 0 : bytes - 1;
	if (bytes == 0)
		return 0;
	uint8_t *copy = malloc(count + 1);
	VERIFY(copy != NULL);
	memcpy(copy, data + 1, count);
	if (data[0] % 2 == 1)
		checksums_set(copy, count);
	enum bus_frame_state state = feed(copy, count, count + 1, &at_once);
	VERIFY(feed(copy, count, 1u + data[0] / 2u, &in_pieces) == state);
	VERIFY(at_once == in_pieces);
	free(copy);
	return 0;
}
