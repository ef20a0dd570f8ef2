// Hopping windows of q5 (10 s by 2 s): panes, and the auctions with the most bids of each window a
// thread has closed, from which the whole answer is brought together.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "perf/baseline/rows.h"

#define HOP_PANE_NS 2000000000LL
enum { HOP_PANES = 5 };

// A window is named by the pane just behind it: window w covers panes w - HOP_PANES to w - 1.
struct hop_row {
	int64_t window;
	int64_t auction;
	int64_t bids;
};

struct hop_rows {
	struct hop_row *rows; // by window, ascending
	uint32_t count, room;
};

static inline int64_t hop_pane(int64_t time_ns)
{
	int64_t pane = time_ns / HOP_PANE_NS;
	return pane - (time_ns % HOP_PANE_NS < 0);
}

// Room for every window that rows can have, `ties` rows each on average.  Returns 0 or -ENOMEM.
int hop_rows_create(struct hop_rows *out, const struct rows *rows);
void hop_rows_destroy(struct hop_rows *out);
void hop_rows_add(struct hop_rows *out, int64_t window, int64_t auction, int64_t bids);

// Keep each window's rows with the most bids of all parts and hash them as the engine's records
// (window_end, auction, num).  Consumes the parts.
struct tally hop_rows_merge(struct hop_rows *parts, uint32_t part_count);

// The part of the key space an auction falls into.
static inline uint32_t hop_part(int64_t auction, uint32_t parts)
{
	uint32_t hash = (uint32_t)((uint64_t)auction * 0x9E3779B97F4A7C15ULL >> 32);
	return (uint32_t)((uint64_t)hash * parts >> 32);
}
