// Messages on a byte stream: a header of 16 bytes (magic, version, length, CRC32C) and the message.
// Format: docs/formats.md. Whatever does not follow it has a reason, and ends the connection.
#pragma once

#include <stddef.h>

struct evbuffer;

enum { BUS_FRAME_HEADER_BYTES = 16, BUS_FRAME_VERSION = 1 };

enum bus_frame_state {
	BUS_FRAME_WHOLE,
	BUS_FRAME_PART, // more bytes are needed
	BUS_FRAME_MAGIC,
	BUS_FRAME_UNKNOWN, // a later version
	BUS_FRAME_RESERVED,
	BUS_FRAME_LENGTH,
	BUS_FRAME_CHECKSUM,
};

// Look at the first message in `in`. When WHOLE it is given, and lies in `in` until that is
// touched; bus_frame_drop then removes it.
enum bus_frame_state bus_frame_next(struct evbuffer *in, const void **ret_message,
	size_t *ret_bytes);
void bus_frame_drop(struct evbuffer *in, size_t message_bytes);

// Append a message of at most BUS_MESSAGE_MAX bytes.  Returns 0 or -ENOMEM, nothing appended.
int bus_frame_put(struct evbuffer *out, const void *message, size_t bytes);
