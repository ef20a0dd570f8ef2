#include "dataplane/retention.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "numa/arena.h"
#include "numa/assert.h"

// A frame lies in one piece. Where it would not fit before the ring's end, the rest of the ring is
// skipped: a header with length 0 says so, unless not even that fits.

int retention_create(struct retention *r, uint64_t capacity, struct arena *arena)
{
	capacity &= ~(uint64_t)7;
	uint8_t *data = capacity == 0 ? NULL : arena_alloc(arena, capacity, 8);
	if (capacity != 0 && data == NULL)
		return -ENOMEM;
	*r = (struct retention){.data = data, .capacity = capacity};
	return 0;
}

static uint64_t padded(uint32_t bytes)
{
	return ((uint64_t)bytes + 7) & ~(uint64_t)7;
}

static uint64_t left_to_end(const struct retention *r, uint64_t position)
{
	return r->capacity - position % r->capacity;
}

// Where the frame at or behind `position` really begins.
static uint64_t skip_gap(const struct retention *r, uint64_t position)
{
	uint64_t left = left_to_end(r, position);
	uint32_t length = 0;
	if (left >= FRAME_HEADER_BYTES)
		memcpy(&length,
			r->data + position % r->capacity + offsetof(struct frame_header, length),
			sizeof(length));
	return length == 0 ? position + left : position;
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

void retention_append(struct retention *r, const struct frame_header *frame)
{
	VERIFY(retention_has_room(r, frame->length));
	if (r->first == r->next)
		r->first_number = frame->first_number;
	uint64_t at = place_for(r, frame->length);
	if (at != r->next && left_to_end(r, r->next) >= FRAME_HEADER_BYTES)
		memset(r->data + r->next % r->capacity, 0, FRAME_HEADER_BYTES);
	memcpy(r->data + at % r->capacity, frame, frame->length);
	r->next = at + padded(frame->length);
}

static const struct frame_header *frame_at(const struct retention *r, uint64_t position)
{
	return (const struct frame_header *)(r->data + position % r->capacity);
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
