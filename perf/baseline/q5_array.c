// q5, the auctions with the most bids, with a direct array of counts per pane: possible because
// NEXMark's auctions are numbered densely. The fastest loop known for it.
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "perf/baseline/baseline.h"
#include "perf/baseline/bid.h"
#include "perf/baseline/hop.h"
#include "perf/baseline/walk.h"
#include "state/record.h"

enum { PANES_OPEN = 8 };

struct pane {
	uint32_t *counts; // by auction - auction_low
	int64_t number;
	uint32_t low, high; // counts outside [low, high] are 0
	bool open;
};

struct part {
	alignas(64) struct pane panes[PANES_OPEN];
	int64_t window_next; // the next to close
	bool begun;
	struct hop_rows out;
};

struct q5 {
	struct rows rows;
	int64_t auction_low;
	uint32_t auctions;
	uint32_t threads;
	uint32_t *zeros; // of a pane without bids
	struct part parts[TEAM_THREADS_MAX];
};

static void destroy(void *self)
{
	struct q5 *q = self;

	if (q == NULL)
		return;
	for (uint32_t i = 0; i < q->threads; i++) {
		for (uint32_t k = 0; k < PANES_OPEN; k++)
			free(q->parts[i].panes[k].counts);
		hop_rows_destroy(&q->parts[i].out);
	}
	free(q->zeros);
	free(q);
}

static void auctions_find(struct q5 *q)
{
	int64_t low = INT64_MAX, high = INT64_MIN;

	for (const uint8_t *at = q->rows.first; at < q->rows.limit; at += record_length(at)) {
		if (record_variant(at) != BID_VARIANT)
			continue;
		int64_t auction = record_int64(at, BID_AUCTION);
		low = auction < low ? auction : low;
		high = auction > high ? auction : high;
	}
	q->auction_low = low;
	q->auctions = low > high ? 0 : (uint32_t)(high - low) + 1;
}

static uint32_t *counts_create(uint32_t auctions)
{
	// Rounded up, so that whole vectors may be summed; written once, no page is missing.
	size_t bytes = ((size_t)auctions * sizeof(uint32_t) + 4096) & ~(size_t)4095;
	uint32_t *counts = aligned_alloc(4096, bytes);

	if (counts != NULL)
		memset(counts, 0, bytes);
	return counts;
}

static int create(const struct rows *rows, uint32_t threads, void **ret_self)
{
	struct q5 *q = aligned_alloc(64, sizeof(*q));
	int err = q == NULL ? -ENOMEM : 0;

	if (err != 0)
		return err;
	memset(q, 0, sizeof(*q));
	q->rows = *rows;
	q->threads = threads;
	auctions_find(q);
	q->zeros = counts_create(q->auctions);
	err = q->zeros == NULL ? -ENOMEM : 0;
	for (uint32_t i = 0; i < threads && err == 0; i++) {
		err = hop_rows_create(&q->parts[i].out, rows);
		for (uint32_t k = 0; k < PANES_OPEN && err == 0; k++) {
			q->parts[i].panes[k].counts = counts_create(q->auctions);
			err = q->parts[i].panes[k].counts == NULL ? -ENOMEM : 0;
		}
	}
	if (err != 0)
		destroy(q);
	else
		*ret_self = q;
	return err;
}

static struct pane *pane_find(struct part *part, int64_t number)
{
	struct pane *pane = &part->panes[(uint64_t)number % PANES_OPEN];
	return pane->open && pane->number == number ? pane : NULL;
}

static void window_emit(struct q5 *q, struct part *part, int64_t window, uint32_t low,
	uint32_t high)
{
	const uint32_t *c[HOP_PANES];
	uint32_t most = 0;

	for (int i = 0; i < HOP_PANES; i++) {
		struct pane *pane = pane_find(part, window - HOP_PANES + i);
		c[i] = pane == NULL ? q->zeros : pane->counts;
	}
	for (uint32_t i = low; i <= high; i++) {
		uint32_t bids = c[0][i] + c[1][i] + c[2][i] + c[3][i] + c[4][i];
		most = bids > most ? bids : most;
	}
	for (uint32_t i = low; i <= high; i++)
		if (c[0][i] + c[1][i] + c[2][i] + c[3][i] + c[4][i] == most)
			hop_rows_add(&part->out, window, q->auction_low + i, most);
}

// Returns whether any pane of the window, or a later one, is open.
static bool window_close(struct q5 *q, struct part *part, int64_t window)
{
	uint32_t low = UINT32_MAX, high = 0;
	bool later = false;

	for (uint32_t k = 0; k < PANES_OPEN; k++) {
		struct pane *pane = &part->panes[k];
		later |= pane->open && pane->number >= window - HOP_PANES;
		if (!pane->open || pane->number >= window || pane->low > pane->high)
			continue;
		low = pane->low < low ? pane->low : low;
		high = pane->high > high ? pane->high : high;
	}
	if (low <= high)
		window_emit(q, part, window, low, high);
	struct pane *oldest = pane_find(part, window - HOP_PANES);
	if (oldest != NULL) {
		if (oldest->low <= oldest->high)
			memset(oldest->counts + oldest->low, 0,
				(oldest->high - oldest->low + 1) * sizeof(uint32_t));
		oldest->open = false;
	}
	return later;
}

static void windows_close(struct q5 *q, struct part *part, int64_t behind)
{
	while (part->begun && part->window_next <= behind) {
		if (!window_close(q, part, part->window_next))
			part->begun = false; // nothing is open: the next record says where to go on
		part->window_next++;
	}
}

// A record of another pane has come: close what is due and open its pane.
static struct pane *pane_turn(struct q5 *q, struct part *part, int64_t time_ns)
{
	int64_t number = hop_pane(time_ns);

	windows_close(q, part, hop_pane(time_ns - q->rows.bound_ns));
	if (!part->begun || part->window_next > number + 1)
		part->window_next = number + 1; // not yet closed, or the record would be late
	part->begun = true;
	struct pane *pane = &part->panes[(uint64_t)number % PANES_OPEN];
	if (!pane->open) {
		pane->open = true;
		pane->number = number;
		pane->low = UINT32_MAX;
		pane->high = 0;
	}
	VERIFY(pane->number == number);
	return pane;
}

static inline __attribute__((always_inline)) void walk(struct q5 *q, uint32_t index, uint32_t parts)
{
	struct part *part = &q->parts[index];
	struct pane *pane = NULL;
	uint32_t *counts = NULL;
	int64_t pane_start = 0;
	uint64_t pane_ns = 0; // 0: none yet
	uint32_t low = 0, high = 0;
	const uint8_t *line = q->rows.first;

	for (const uint8_t *at = q->rows.first; at < q->rows.limit;) {
		uint32_t length = record_length(at);
		line = walk_ahead(line, at + length);
		if (record_variant(at) == BID_VARIANT) {
			int64_t time_ns = record_int64(at, BID_TIME);
			if (UNLIKELY((uint64_t)(time_ns - pane_start) >= pane_ns)) {
				if (pane != NULL) {
					pane->low = low;
					pane->high = high;
				}
				pane = pane_turn(q, part, time_ns);
				pane_start = pane->number * HOP_PANE_NS;
				pane_ns = HOP_PANE_NS;
				counts = pane->counts;
				low = pane->low;
				high = pane->high;
			}
			int64_t auction = record_int64(at, BID_AUCTION);
			if (parts == 1 || hop_part(auction, parts) == index) {
				uint32_t i = (uint32_t)(auction - q->auction_low);
				counts[i]++;
				low = i < low ? i : low;
				high = i > high ? i : high;
			}
		}
		at += length;
	}
	if (pane != NULL) {
		pane->low = low;
		pane->high = high;
	}
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
	windows_close(q, &q->parts[index], INT64_MAX);
}

static struct tally finish(void *self)
{
	struct q5 *q = self;
	struct hop_rows parts[TEAM_THREADS_MAX];

	for (uint32_t i = 0; i < q->threads; i++)
		parts[i] = q->parts[i].out;
	return hop_rows_merge(parts, q->threads);
}

const struct baseline baseline_q5_array = {
	.name = "q5",
	.summary = "auctions with the most bids, a direct array of counts a pane",
	.create = create,
	.destroy = destroy,
	.work = work,
	.finish = finish,
};
