#include "dataplane/frame.h"

#include <stddef.h>
#include <string.h>

#include "dataplane/crc.h"
#include "state/record.h"

enum { FIELD = offsetof(struct frame_header, crc32c), BEHIND = FIELD + sizeof(uint32_t) };
static_assert(FIELD == 28, "behind half a word");

// Up to behind its own field, which counts as 0. Set to 0 in a copy, the word around it would be
// read before the core has put together what was written to it in two pieces.
static uint32_t crc_head(const uint8_t *frame)
{
	uint32_t half, crc = crc_short(frame, 24, 0xFFFFFFFFu);
	memcpy(&half, frame + 24, sizeof(half));
	return crc_word(crc, half);
}

uint32_t frame_crc(const void *frame, uint32_t length)
{
	const uint8_t *at = frame;
	return crc_text(at + BEHIND, length - (uint32_t)BEHIND, crc_head(at)) ^ 0xFFFFFFFFu;
}

// Together as far as the shortest goes.
static void crc_of_four(const struct frame_header *const frames[4], uint32_t crcs[4])
{
	const uint8_t *at[4];
	uint32_t bytes[4], common = UINT32_MAX;
	for (int i = 0; i < 4; i++) {
		at[i] = (const uint8_t *)frames[i] + BEHIND;
		bytes[i] = frames[i]->length - (uint32_t)BEHIND;
		common = bytes[i] < common ? bytes[i] : common;
		crcs[i] = crc_head((const uint8_t *)frames[i]);
	}
	crc_four(at, common, crcs);
	for (int i = 0; i < 4; i++)
		crcs[i] = crc_text(at[i] + common, bytes[i] - common, crcs[i]) ^ 0xFFFFFFFFu;
}

void frame_crc_burst(const struct frame_header *const *frames, uint32_t count, uint32_t *ret_crcs)
{
	uint32_t at = 0;
	for (; at + 4 <= count; at += 4)
		crc_of_four(frames + at, ret_crcs + at);
	for (; at < count; at++)
		ret_crcs[at] = frame_crc(frames[at], frames[at]->length);
}

// Records that all seem as long as the first need not be walked: none's place depends on reading
// another.  Returns how many there are, or -1 when they are not.
static int64_t count_even(const uint8_t *first, size_t bytes)
{
	uint32_t length = bytes >= RECORD_HEADER_BYTES ? record_length(first) : 0, other = 0;
	if (length < RECORD_HEADER_BYTES || length % RECORD_ALIGN != 0 || bytes % length != 0)
		return -1;
	for (size_t at = length; at < bytes; at += length)
		other |= record_length(first + at) ^ length;
	return other == 0 ? (int64_t)(bytes / length) : -1;
}

int64_t frame_count_records(const uint8_t *first, const uint8_t *limit)
{
	int64_t count = count_even(first, (size_t)(limit - first));
	if (count > 0)
		return count;
	count = 0;
	while (first < limit) {
		size_t left = (size_t)(limit - first);
		uint32_t length = left >= RECORD_HEADER_BYTES ? record_length(first) : 0;
		if (length < RECORD_HEADER_BYTES || length > left || length % RECORD_ALIGN != 0)
			return -1;
		first += length;
		count++;
	}
	return count;
}

// A control mark is a frame of its own: no items' bytes, count 1.
static bool size_is_right(const struct frame_header *h, const uint8_t *frame, bool walk)
{
	if (h->type == FRAME_LOG || h->type == FRAME_LOSSES)
		return h->order_log_length == 0 && h->item_count != 0 &&
			h->length - FRAME_HEADER_BYTES ==
			(uint64_t)h->item_count *
				(h->type == FRAME_LOG ? FRAME_LOG_ENTRY_BYTES : FRAME_LOSS_BYTES);
	if (h->type == FRAME_STATE)
		return h->order_log_length == 0 && h->length - FRAME_HEADER_BYTES == h->item_count;
	if (h->type != FRAME_DATA)
		return h->item_count == 1 && h->length == FRAME_HEADER_BYTES + h->order_log_length;
	if (h->order_log_length > h->length - FRAME_HEADER_BYTES || h->item_count == 0)
		return false;
	if (!walk)
		return true;
	const uint8_t *limit = frame + h->length - h->order_log_length;
	return frame_count_records(frame + FRAME_HEADER_BYTES, limit) == h->item_count;
}

enum weir_drop frame_check(const void *frame, uint32_t bytes, const struct frame_expect *expect)
{
	const struct frame_header *h = frame;
	if (bytes < FRAME_HEADER_BYTES)
		return WEIR_DROP_FRAME_SHORT;
	if (h->version != FRAME_VERSION || h->type < FRAME_DATA || h->type >= FRAME_TYPE_LIMIT ||
		(h->type >= FRAME_LOG) != expect->log)
		return WEIR_DROP_FRAME_VERSION;
	if (h->length != bytes)
		return h->length > bytes ? WEIR_DROP_FRAME_SHORT : WEIR_DROP_FRAME_SIZE;
	if (expect->checksum && frame_crc(frame, h->length) != h->crc32c)
		return WEIR_DROP_FRAME_CHECKSUM;
	if (h->job != expect->job || h->channel != expect->channel)
		return WEIR_DROP_FRAME_CHANNEL;
	if (h->plan_version != expect->plan_version || h->incarnation != expect->incarnation)
		return WEIR_DROP_FRAME_FENCED;
	if (!size_is_right(h, frame, expect->checksum))
		return WEIR_DROP_FRAME_SIZE;
	return WEIR_DROP_COUNT;
}
