#include "dataplane/retention.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "numa/arena.h"
#include "numa/assert.h"

// A frame lies in one piece and begins on a cache line. Where it would not fit before the ring's
// end, the rest of the ring is skipped: a header with length 0 says so.

enum { LINE_BYTES = FRAME_HEADER_BYTES };

static_assert(LINE_BYTES == 64, "a gap has room for a header");

int retention_create(struct retention *r, uint64_t capacity, struct arena *arena)
{
	capacity &= ~(uint64_t)(LINE_BYTES - 1);
	uint8_t *data = capacity == 0 ? NULL : arena_alloc(arena, capacity, LINE_BYTES);
	if (capacity != 0 && data == NULL)
		return -ENOMEM;
	*r = (struct retention){.data = data, .capacity = capacity};
	return 0;
}

static uint64_t padded(uint32_t bytes)
{
	return ((uint64_t)bytes + LINE_BYTES - 1) & ~(uint64_t)(LINE_BYTES - 1);
}

static uint64_t left_to_end(const struct retention *r, uint64_t position)
{
	return r->capacity - position % r->capacity;
}

static const struct frame_header *frame_at(const struct retention *r, uint64_t position)
{
	return (const struct frame_header *)(r->data + position % r->capacity);
}

// Where the frame at or behind `position` really begins.
static uint64_t skip_gap(const struct retention *r, uint64_t position)
{
	return frame_at(r, position)->length == 0 ? position + left_to_end(r, position) : position;
}

static uint64_t place_for(const struct retention *r, uint32_t bytes)
{
	uint64_t left = left_to_end(r, r->next);
	return left < padded(bytes) ? r->next + left : r->next;
}

bool retention_has_room(const struct retention *r, uint32_t bytes)
{
	return place_for(r, bytes) + padded(bytes) - r->first <= r->capacity;
}

// A line that is stored in part would first be fetched.
static void store_line(uint8_t *to, const uint8_t *from)
{
#ifdef __SSE2__
	for (int i = 0; i < LINE_BYTES; i += (int)sizeof(__m128i))
		_mm_stream_si128((__m128i *)(to + i), _mm_loadu_si128((const __m128i *)(from + i)));
#else
	memcpy(to, from, LINE_BYTES);
#endif
}

static void store_frame(uint8_t *to, const struct frame_header *frame)
{
	alignas(LINE_BYTES) uint8_t last[LINE_BYTES] = {0};
	const uint8_t *from = (const uint8_t *)frame;
	uint32_t whole = frame->length & ~(uint32_t)(LINE_BYTES - 1);
	for (uint32_t at = 0; at < whole; at += LINE_BYTES)
		store_line(to + at, from + at);
	if (whole == frame->length)
		return;
	memcpy(last, from + whole, frame->length - whole);
	store_line(to + whole, last);
}

void retention_append(struct retention *r, const struct frame_header *frame)
{
	VERIFY(retention_has_room(r, frame->length));
	if (r->first == r->next)
		r->first_number = frame->first_number;
	uint64_t at = place_for(r, frame->length);
	if (at != r->next)
		memset(r->data + r->next % r->capacity, 0, FRAME_HEADER_BYTES);
	store_frame(r->data + at % r->capacity, frame);
	r->next = at + padded(frame->length);
}

void retention_trim(struct retention *r, uint64_t number)
{
	while (r->first != r->next) {
		uint64_t at = r->first;
		const struct frame_header *frame = retention_walk(r, &at);
		if (frame->first_number + frame->item_count > number)
			break;
		r->first_number = frame->first_number + frame->item_count;
		r->first = at;
	}
}

void retention_reset(struct retention *r, uint64_t number)
{
	r->first = r->next;
	r->first_number = number;
}

const struct frame_header *retention_walk(const struct retention *r, uint64_t *position)
{
	uint64_t at = skip_gap(r, *position);
	const struct frame_header *frame = frame_at(r, at);
	*position = at + padded(frame->length);
	return frame;
}

const struct frame_header *retention_find(const struct retention *r, uint64_t number)
{
	for (uint64_t at = r->first; at != r->next;) {
		const struct frame_header *frame = retention_walk(r, &at);
		if (number < frame->first_number + frame->item_count)
			return number < frame->first_number ? NULL : frame;
	}
	return NULL;
}
