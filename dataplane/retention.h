// What a sender keeps of a channel until no restorable snapshot downstream needs it: copies of its
// frames, in order, in a byte ring of fixed size. The ring is far larger than any cache and hardly
// ever read, so frames are stored past the caches, in whole lines.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame.h"

struct arena;

struct retention {
	uint8_t *data;
	uint64_t capacity;     // bytes, a multiple of 64; 0: keeps nothing
	uint64_t first, next;  // positions that only grow; data at position % capacity
	uint64_t first_number; // of the oldest item kept
};

// Returns 0 or -ENOMEM.
int retention_create(struct retention *r, uint64_t capacity, struct arena *arena);

// Room for one more frame of up to `bytes`?
bool retention_has_room(const struct retention *r, uint32_t bytes);

// What is kept from position `from` on, in eighths of its room.
static inline uint32_t retention_eighths(const struct retention *r, uint64_t from)
{
	return r->capacity == 0 ? 0 : (uint32_t)((r->next - from) * 8 / r->capacity);
}

// Keep a copy of a whole frame (header and items). There must be room. Stores past the caches are
// seen in order by this thread only: a store fence goes before anyone else reads.
void retention_append(struct retention *r, const struct frame_header *frame);

// Forget frames all of whose items are below `number`.
void retention_trim(struct retention *r, uint64_t number);

// Forget everything; the next frame kept begins at `number`.
void retention_reset(struct retention *r, uint64_t number);

// The kept frame at `*position` (between first and next), and the position behind it.
const struct frame_header *retention_walk(const struct retention *r, uint64_t *position);

// The kept frame that holds item `number`, or NULL when none does.
const struct frame_header *retention_find(const struct retention *r, uint64_t number);
