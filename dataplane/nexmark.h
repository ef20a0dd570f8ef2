// The NEXMark generator, bit for bit Apache Beam's with one generator (numEventGenerators 1):
// auctions, the people who open them and the bids on them, as records in the pinned format.
// An event depends on its number alone, so any part of the sequence can be made on its own.
#pragma once

#include <stdint.h>

#include "state/record.h"

enum nexmark_kind { NEXMARK_PERSON, NEXMARK_AUCTION, NEXMARK_BID, NEXMARK_KINDS };

#define NEXMARK_BASE_MS INT64_C(1436918400000) // 2015-07-15T00:00:00Z
#define NEXMARK_RECORD_ROOM 1024u              // bytes nexmark_record may touch
#define NEXMARK_RATE_MAX INT64_C(2147483647)
#define NEXMARK_GROUP_MAX INT64_C(1000000000)
#define NEXMARK_EVENTS_MAX INT64_C(1000000000000000)

struct nexmark {
	uint64_t events;   // numbers 0 to events - 1
	uint64_t group;    // events are out of order within groups of so many; 1: in order
	uint64_t delay_us; // event time from one event to the next
	// Not 0: records end in a field `scheduled`, int64: ns from the start of the job to when
	// the event is due at so many a second.
	uint64_t pace;
};

// Set up, not scheduled, for `rate` events a second of event time. Bounds above; each at least 1,
// events may be 0.
// Returns 0, -EINVAL (out of bounds) or -ERANGE (event time would leave what int64 ns can hold).
int nexmark_init(struct nexmark *n, int64_t events, int64_t rate, int64_t group);

// "person", "auction", "bid"; outputs and record variants in this order.
const char *nexmark_kind_name(enum nexmark_kind kind);
// As without `scheduled`.
void nexmark_schema(enum nexmark_kind kind, struct weir_schema *ret_schema);

// Write the record of event `number` to `out` (aligned to 8, NEXMARK_RECORD_ROOM bytes).
// Thread: any.  Returns its length.
uint32_t nexmark_record(const struct nexmark *n, uint64_t number, uint8_t *out);

// Room for the records of all events, one after the other: at least what they take, and where the
// group is no multiple of 953 (which makes a few events come many times) at most a fifth more.
uint64_t nexmark_bytes_max(const struct nexmark *n);

// The watermark when event `number` is due: no event from `number` on is earlier.
int64_t nexmark_watermark_ns(const struct nexmark *n, uint64_t number);

// When event `number` is due at `pace` events a second, ns after the start of the job. The first
// is due a little after it, when every worker has come up.
int64_t nexmark_due_ns(uint64_t pace, uint64_t number);
// Returns how many events are due `since_start_ns` after the start.
uint64_t nexmark_due_count(uint64_t pace, int64_t since_start_ns);
