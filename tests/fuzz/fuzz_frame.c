// Frames from outside: whatever frame_check lets through can be walked without leaving it.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/frame.h"
#include "numa/assert.h"
#include "state/record.h"
#include "tests/fuzz/fuzz.h"

static const struct frame_expect expect = {
	.job = 1, .channel = 2, .plan_version = 3, .incarnation = 4, .checksum = true};

static void walk(const uint8_t *frame)
{
	const struct frame_header *h = (const struct frame_header *)frame;
	const uint8_t *at = frame + FRAME_HEADER_BYTES;
	const uint8_t *limit = frame + h->length - h->order_log_length;
	for (uint32_t i = 0; h->type == FRAME_DATA && i < h->item_count; i++) {
		VERIFY(at < limit);
		at += record_length(at);
	}
	VERIFY(at == limit);
}

// Frames of zero to three records, and each kind of mark.
size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	if (index >= 6 || bytes_max < 256)
		return 0;
	uint8_t *frame = data + 1;
	uint32_t records = index < 3 ? index + 1 : 0, length = FRAME_HEADER_BYTES + records * 24;
	struct frame_header h = {.version = FRAME_VERSION,
		.type = (uint8_t)(records != 0 ? FRAME_DATA : index - 1),
		.length = length,
		.item_count = records != 0 ? records : 1,
		.job = 1,
		.channel = 2,
		.plan_version = 3,
		.incarnation = 4,
		.first_number = 1000};
	memset(data, 0, length + 1);
	data[0] = 1;
	memcpy(frame, &h, sizeof(h));
	for (uint32_t i = 0; i < records; i++)
		frame[FRAME_HEADER_BYTES + i * 24] = 24;
	return length + 1;
}

// The first byte says whether the checksum is set right before the check.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes == 0)
		return 0;
	uint8_t *frame = malloc(bytes);
	VERIFY(frame != NULL);
	uint32_t length = (uint32_t)bytes - 1;
	memcpy(frame, data + 1, length);
	if (data[0] % 2 == 1 && length >= FRAME_HEADER_BYTES) {
		uint32_t crc = frame_crc(frame, length);
		memcpy(frame + offsetof(struct frame_header, crc32c), &crc, sizeof(crc));
	}
	if (frame_check(frame, length, &expect) == WEIR_DROP_COUNT)
		walk(frame);
	free(frame);
	return 0;
}
