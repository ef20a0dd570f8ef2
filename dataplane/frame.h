// Frames: one mbuf, one 64-byte header, a run of items of one channel (DESIGN.md, section 4).
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/counters.h"

enum { FRAME_VERSION = 1, FRAME_HEADER_BYTES = 64, FRAME_BYTES_MAX = 60 << 10 };

// LOG: entries of a task's order log, on a channel of its own to the task's replica; the items are
// the entries, as they lie in memory. STATE, on the same channel: a piece of a snapshot, its items
// the bytes from `first_number` on, of `watermark` in all; the first has none and only says that.
// LOSSES, there too: what the owner's node was told of losses before it made what follows.
enum frame_type {
	FRAME_DATA = 1,
	FRAME_WATERMARK,
	FRAME_BARRIER,
	FRAME_END,
	FRAME_LOG,
	FRAME_STATE,
	FRAME_LOSSES,
	FRAME_TYPE_LIMIT
};
enum { FRAME_LOG_ENTRY_BYTES = 24, FRAME_LOSS_BYTES = 16 };

// Marks have credit of their own.
static inline bool frame_is_mark(uint8_t type)
{
	return type != FRAME_DATA && type < FRAME_LOG;
}

// Little-endian, as it lies in the frame. Behind a link's headers it lies at any even address.
struct frame_header {
	uint8_t version;
	uint8_t type;
	uint16_t flags;
	uint32_t length; // of the whole frame
	uint32_t order_log_length;
	uint32_t item_count;
	uint32_t job;
	uint32_t channel;
	uint32_t plan_version;
	uint32_t crc32c; // of the whole frame with this field 0; 0 where none is set
	uint64_t incarnation;
	uint64_t first_number;
	int64_t watermark;
	uint32_t epoch;
	uint32_t key_id;
} __attribute__((packed, aligned(2)));
static_assert(sizeof(struct frame_header) == FRAME_HEADER_BYTES, "pinned");

// What a receiver expects of a frame of its channel.
struct frame_expect {
	uint32_t job;
	uint32_t channel;
	uint32_t plan_version;
	uint64_t incarnation;
	bool checksum; // frames of this channel carry a CRC and their items are walked
	bool log;      // it is a log's channel
};

// Check a frame from outside this task.  Returns WEIR_DROP_COUNT when it is good, else the reason
// to drop it. Never reads beyond `bytes`.
enum weir_drop frame_check(const void *frame, uint32_t bytes, const struct frame_expect *expect);

// CRC32C of a frame of `length` bytes, its crc32c field counted as 0.
uint32_t frame_crc(const void *frame, uint32_t length);

// The same of several frames, each of the length its header says; four together cost less.
void frame_crc_burst(const struct frame_header *const *frames, uint32_t count, uint32_t *ret_crcs);

// Walk packed records in [first, limit).  Returns how many there are, or -1 when lengths do not
// add up or are no multiple of 8.
int64_t frame_count_records(const uint8_t *first, const uint8_t *limit);
