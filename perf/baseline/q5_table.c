// q5 with a hash table, as for keys that are not dense and for a large state: one table of all open
// panes, an entry in half a line with its count in each, bids gathered and prefetched 16 at a time.
// A closing pane is swept in table order, and what is empty then is taken out.
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "numa/arena.h"
#include "numa/assert.h"
#include "perf/baseline/baseline.h"
#include "perf/baseline/bid.h"
#include "perf/baseline/hop.h"
#include "perf/baseline/walk.h"
#include "state/record.h"

enum { ENTRY_PANES = 6, GATHERED_MAX = 16, RUN_MAX = 256 };

#define AUCTION_NONE INT64_MIN

struct entry {
	int64_t auction;
	uint32_t bids[ENTRY_PANES]; // of pane p in p % ENTRY_PANES
};

struct gathered {
	int64_t auction;
	uint32_t slot;
};

struct part {
	alignas(64) struct entry *entries;
	uint32_t mask, slots; // a run may reach past the mask
	int64_t window_next, pane_oldest, pane_newest;
	bool begun;
	struct hop_rows out;
};

struct q5 {
	struct rows rows;
	uint32_t threads;
	struct arena arena;
	struct part parts[TEAM_THREADS_MAX];
};

static void destroy(void *self)
{
	struct q5 *q = self;

	if (q == NULL)
		return;
	for (uint32_t i = 0; i < q->threads; i++)
		hop_rows_destroy(&q->parts[i].out);
	arena_destroy(&q->arena);
	free(q);
}

// Slots for all the auctions that can be live in ENTRY_PANES panes, at most half of them taken: as
// an engine is told how large its state may grow.
static uint32_t slots_find(const struct rows *rows, uint32_t threads)
{
	int64_t pane = INT64_MIN, low[ENTRY_PANES], high = 0;
	uint64_t most = 64;

	for (const uint8_t *at = rows->first; at < rows->limit; at += record_length(at)) {
		if (record_variant(at) != BID_VARIANT)
			continue;
		int64_t auction = record_int64(at, BID_AUCTION),
			p = hop_pane(record_int64(at, BID_TIME));
		if (pane == INT64_MIN)
			for (int i = 0; i < ENTRY_PANES; i++)
				low[i] = auction;
		if (p > pane) {
			memmove(low + 1, low, sizeof(low) - sizeof(low[0]));
			low[0] = auction;
			pane = p;
		}
		low[0] = auction < low[0] ? auction : low[0];
		high = auction > high ? auction : high;
		if ((uint64_t)(high - low[ENTRY_PANES - 1]) > most)
			most = (uint64_t)(high - low[ENTRY_PANES - 1]);
	}
	uint32_t slots = 64;
	while (slots * (uint64_t)threads * 4 < most * 5)
		slots *= 2;
	return slots;
}

static int create(const struct rows *rows, uint32_t threads, void **ret_self)
{
	struct q5 *q = aligned_alloc(64, sizeof(*q));
	if (q == NULL)
		return -ENOMEM;
	memset(q, 0, sizeof(*q));
	q->rows = *rows;
	q->threads = threads;
	uint32_t slots = slots_find(rows, threads);
	size_t bytes = (slots + RUN_MAX) * sizeof(struct entry);
	int err = arena_create(&q->arena, bytes * threads + 4096, -1, false);
	for (uint32_t i = 0; i < threads && err == 0; i++) {
		struct part *part = &q->parts[i];
		part->entries = arena_alloc(&q->arena, bytes, 64);
		part->mask = slots - 1;
		part->slots = slots + RUN_MAX;
		for (uint32_t k = 0; k < part->slots; k++)
			part->entries[k].auction = AUCTION_NONE;
		err = hop_rows_create(&part->out, rows);
	}
	if (err != 0)
		destroy(q);
	else
		*ret_self = q;
	return err;
}

static inline uint32_t slot_of(const struct part *part, int64_t auction)
{
	return (uint32_t)((uint64_t)auction * 0xD6E8FEB86659FD93ULL >> 32) & part->mask;
}

static inline void count(struct part *part, const struct gathered *g, uint32_t pane)
{
	struct entry *e = &part->entries[g->slot];

	while (e->auction != g->auction) {
		if (e->auction == AUCTION_NONE) {
			VERIFY(e < part->entries + part->slots - 1); // the last one ends every run
			e->auction = g->auction;
			break;
		}
		e++;
	}
	e->bids[pane]++;
}

// Take an entry out of linear probing by moving later ones of its run up. Runs do not wrap around
// the end, so a sweep in table order sees every entry once.
static void entry_remove(struct part *part, uint32_t hole)
{
	for (uint32_t next = hole + 1; part->entries[next].auction != AUCTION_NONE; next++)
		if (slot_of(part, part->entries[next].auction) <= hole) {
			part->entries[hole] = part->entries[next];
			hole = next;
		}
	part->entries[hole] = (struct entry){.auction = AUCTION_NONE};
}

// Which of an entry's counts make up a window, and which of them goes with it.
struct window_panes {
	uint32_t slots[HOP_PANES], masks[HOP_PANES];
	uint32_t oldest;
};

static struct window_panes panes_of(const struct part *part, int64_t window)
{
	struct window_panes w;

	for (int i = 0; i < HOP_PANES; i++) {
		int64_t pane = window - HOP_PANES + i;
		w.slots[i] = (uint32_t)((uint64_t)pane % ENTRY_PANES);
		w.masks[i] =
			pane >= part->pane_oldest && pane <= part->pane_newest ? UINT32_MAX : 0;
	}
	w.oldest = w.slots[0];
	return w;
}

static inline uint32_t entry_bids(const struct entry *e, const struct window_panes *w)
{
	uint32_t bids = 0;

	for (int i = 0; i < HOP_PANES; i++)
		bids += e->bids[w->slots[i]] & w->masks[i];
	return bids;
}

static inline uint32_t entry_left(const struct entry *e)
{
	uint32_t left = 0;

	for (int i = 0; i < ENTRY_PANES; i++)
		left |= e->bids[i];
	return left;
}

// One sweep finds the window's auctions and takes its oldest pane out of the table.
static void window_close(struct part *part, int64_t window)
{
	const struct window_panes w = panes_of(part, window);
	uint32_t most = 1, count_start = part->out.count;

	for (uint32_t i = 0; i < part->slots;) {
		struct entry *e = &part->entries[i];
		uint32_t bids = entry_bids(e, &w);
		if (UNLIKELY(bids >= most)) {
			if (bids > most)
				part->out.count = count_start;
			most = bids;
			hop_rows_add(&part->out, window, e->auction, bids);
		}
		uint32_t going = e->bids[w.oldest] & w.masks[0];
		e->bids[w.oldest] -= going;
		if (going != 0 && entry_left(e) == 0)
			entry_remove(part, i); // another may have moved here: look at it
		else
			i++;
	}
	if (part->pane_oldest == window - HOP_PANES)
		part->pane_oldest++;
}

static void windows_close(struct part *part, int64_t behind)
{
	while (part->begun && part->window_next <= behind) {
		window_close(part, part->window_next);
		if (part->window_next++ == part->pane_newest + HOP_PANES)
			part->begun = false;
	}
}

static int64_t pane_turn(struct q5 *q, struct part *part, int64_t time_ns)
{
	int64_t number = hop_pane(time_ns);

	windows_close(part, hop_pane(time_ns - q->rows.bound_ns));
	if (!part->begun || part->window_next > number + 1)
		part->window_next = number + 1;
	if (!part->begun || part->pane_newest < number)
		part->pane_newest = number;
	if (!part->begun || part->pane_oldest > number)
		part->pane_oldest = number;
	part->begun = true;
	VERIFY(part->pane_newest - part->pane_oldest < ENTRY_PANES);
	return number;
}

static inline void counts_flush(struct part *part, const struct gathered *g, uint32_t gathered,
	uint32_t pane)
{
	for (uint32_t i = 0; i < gathered; i++)
		count(part, &g[i], pane);
}

static inline __attribute__((always_inline)) void walk(struct q5 *q, uint32_t index, uint32_t parts)
{
	struct part *part = &q->parts[index];
	struct gathered g[GATHERED_MAX];
	uint32_t gathered = 0, pane_slot = 0;
	int64_t pane_start = 0;
	uint64_t pane_ns = 0; // 0: none yet
	const uint8_t *line = q->rows.first;

	for (const uint8_t *at = q->rows.first; at < q->rows.limit;) {
		uint32_t length = record_length(at);
		line = walk_ahead(line, at + length);
		if (record_variant(at) == BID_VARIANT) {
			int64_t time_ns = record_int64(at, BID_TIME);
			if (UNLIKELY((uint64_t)(time_ns - pane_start) >= pane_ns)) {
				counts_flush(part, g, gathered, pane_slot);
				gathered = 0;
				int64_t pane = pane_turn(q, part, time_ns);
				pane_start = pane * HOP_PANE_NS;
				pane_ns = HOP_PANE_NS;
				pane_slot = (uint32_t)((uint64_t)pane % ENTRY_PANES);
			}
			int64_t auction = record_int64(at, BID_AUCTION);
			if (parts == 1 || hop_part(auction, parts) == index) {
				g[gathered] = (struct gathered){auction, slot_of(part, auction)};
				__builtin_prefetch(&part->entries[g[gathered].slot], 1);
				if (++gathered == GATHERED_MAX) {
					counts_flush(part, g, gathered, pane_slot);
					gathered = 0;
				}
			}
		}
		at += length;
	}
	counts_flush(part, g, gathered, pane_slot);
}

static void work(void *self, uint32_t index)
{
	struct q5 *q = self;

	for (uint32_t loop = 0; loop < q->rows.loops; loop++) {
		if (q->threads == 1)
			walk(q, 0, 1);
		else if (q->threads == 2)
			walk(q, index, 2);
		else
			walk(q, index, q->threads);
	}
	windows_close(&q->parts[index], INT64_MAX);
}

static struct tally finish(void *self)
{
	struct q5 *q = self;
	struct hop_rows parts[TEAM_THREADS_MAX];

	for (uint32_t i = 0; i < q->threads; i++)
		parts[i] = q->parts[i].out;
	return hop_rows_merge(parts, q->threads);
}

const struct baseline baseline_q5_table = {
	.name = "q5_table",
	.summary = "auctions with the most bids, a hash table of counts in all open panes",
	.create = create,
	.destroy = destroy,
	.work = work,
	.finish = finish,
};
