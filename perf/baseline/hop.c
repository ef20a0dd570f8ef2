#include "perf/baseline/hop.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "perf/baseline/bid.h"
#include "state/record.h"

struct output_record {
	uint32_t length;
	uint16_t variant, reserved;
	uint32_t nulls, padding;
	int64_t window_end, auction, num;
};

int hop_rows_create(struct hop_rows *out, const struct rows *rows)
{
	int64_t low = INT64_MAX, high = INT64_MIN;

	for (const uint8_t *at = rows->first; at < rows->limit; at += record_length(at)) {
		if (record_variant(at) != BID_VARIANT)
			continue;
		int64_t time_ns = record_int64(at, BID_TIME);
		low = time_ns < low ? time_ns : low;
		high = time_ns > high ? time_ns : high;
	}
	// Few auctions tie; the sum of all windows' ties is bounded generously and checked.
	uint32_t windows = low > high ? 0 : (uint32_t)(hop_pane(high) - hop_pane(low)) + HOP_PANES;
	out->count = 0;
	out->room = windows * 64 + 1024;
	out->rows = malloc(out->room * sizeof(*out->rows));
	return out->rows == NULL ? -ENOMEM : 0;
}

void hop_rows_destroy(struct hop_rows *out)
{
	free(out->rows);
}

void hop_rows_add(struct hop_rows *out, int64_t window, int64_t auction, int64_t bids)
{
	VERIFY(out->count < out->room);
	out->rows[out->count++] = (struct hop_row){window, auction, bids};
}

static void tally_add(struct tally *tally, const struct hop_row *row)
{
	struct output_record record = {.length = sizeof(record),
		.window_end = row->window * HOP_PANE_NS,
		.auction = row->auction,
		.num = row->bids};

	tally->records++;
	tally->hash += XXH3_64bits(&record, sizeof(record));
}

struct tally hop_rows_merge(struct hop_rows *parts, uint32_t part_count)
{
	struct tally tally = {0, 0};
	uint32_t heads[8] = {0};

	VERIFY(part_count <= 8);
	for (;;) {
		int64_t window = INT64_MAX, most = 0;
		for (uint32_t i = 0; i < part_count; i++)
			if (heads[i] < parts[i].count && parts[i].rows[heads[i]].window < window)
				window = parts[i].rows[heads[i]].window;
		if (window == INT64_MAX)
			return tally;
		// A part's rows of one window tie, so its first speaks for all.
		for (uint32_t i = 0; i < part_count; i++) {
			const struct hop_row *row = &parts[i].rows[heads[i]];
			if (heads[i] < parts[i].count && row->window == window && row->bids > most)
				most = row->bids;
		}
		for (uint32_t i = 0; i < part_count; i++)
			for (; heads[i] < parts[i].count &&
				parts[i].rows[heads[i]].window == window;
				heads[i]++)
				if (parts[i].rows[heads[i]].bids == most)
					tally_add(&tally, &parts[i].rows[heads[i]]);
	}
}
