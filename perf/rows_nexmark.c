#include "perf/rows_nexmark.h"

#include <stdio.h>

#include "dataplane/nexmark.h"
#include "numa/assert.h"
#include "perf/baseline/bid.h"

static void layout_check(void)
{
	struct weir_schema bid;

	nexmark_schema(NEXMARK_BID, &bid);
	VERIFY(bid.variant == BID_VARIANT);
	VERIFY(bid.fields[schema_find(&bid, "auction")].offset == BID_AUCTION);
	VERIFY(bid.fields[schema_find(&bid, "bidder")].offset == BID_BIDDER);
	VERIFY(bid.fields[schema_find(&bid, "price")].offset == BID_PRICE);
	VERIFY(bid.fields[schema_find(&bid, "time")].offset == BID_TIME);
}

int rows_nexmark_create(int64_t events, int64_t rate, uint32_t loops, struct arena *ret_arena,
	struct rows *ret_rows)
{
	struct nexmark n;
	struct arena arena;
	int err = nexmark_init(&n, events, rate, 1);

	layout_check();
	if (err != 0)
		return err;
	size_t bytes = nexmark_bytes_max(&n) + NEXMARK_RECORD_ROOM;
	err = arena_create(&arena, bytes, -1, true);
	if (err != 0)
		return err;
	uint8_t *first = arena_alloc(&arena, bytes, 64), *at = first;
	for (uint64_t i = 0; i < (uint64_t)events; i++)
		at += nexmark_record(&n, i, at);
	*ret_arena = arena;
	*ret_rows = (struct rows){.first = first,
		.limit = at,
		.records = (uint64_t)events,
		.loops = loops,
		// Times begin anew with each loop, so nothing may be late by the whole span.
		.bound_ns = loops > 1 ? INT64_C(86400000000000) : 0};
	return 0;
}
