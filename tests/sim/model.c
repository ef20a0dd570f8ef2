#include "tests/sim/model.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "dataplane/nexmark.h"
#include "numa/assert.h"

struct bid {
	int64_t auction, bidder, price, time_ns, extra;
};

// One (window, key) and what its bids come to.
struct group {
	int64_t start_ns, auction, bidder;
	int64_t count, sum, least, most; // count 0: an empty slot
};

struct groups {
	struct group *slots;
	size_t size, count; // size is a power of two
};

static bool read_bid(const struct scenario *s, const struct nexmark *generator,
	const struct weir_schema *schema, uint64_t number, struct bid *ret_bid)
{
	alignas(8) uint8_t record[NEXMARK_RECORD_ROOM];
	nexmark_record(generator, number, record);
	if (record_variant(record) != NEXMARK_BID)
		return false;
	struct weir_slice extra = record_slice(record, schema->fields[4].offset);
	*ret_bid = (struct bid){
		.auction = record_int64(record, schema->fields[0].offset),
		.bidder = record_int64(record, schema->fields[1].offset),
		.price = record_int64(record, schema->fields[2].offset),
		.time_ns = record_int64(record, schema->fields[3].offset),
		.extra = (int64_t)XXH3_64bits(extra.data, extra.length),
	};
	return ret_bid->price % s->keep_modulo == 0;
}

static struct group *find(struct groups *g, int64_t start_ns, int64_t auction, int64_t bidder)
{
	int64_t key[3] = {start_ns, auction, bidder};
	size_t at = XXH3_64bits(key, sizeof(key)) & (g->size - 1);
	while (g->slots[at].count != 0 &&
		(g->slots[at].start_ns != start_ns || g->slots[at].auction != auction ||
			g->slots[at].bidder != bidder))
		at = (at + 1) & (g->size - 1);
	return &g->slots[at];
}

static void grow(struct groups *g)
{
	struct groups larger = {.size = g->size * 2, .count = g->count};
	larger.slots = calloc(larger.size, sizeof(struct group));
	VERIFY(larger.slots != NULL);
	for (size_t i = 0; i < g->size; i++)
		if (g->slots[i].count != 0)
			*find(&larger, g->slots[i].start_ns, g->slots[i].auction,
				g->slots[i].bidder) = g->slots[i];
	free(g->slots);
	*g = larger;
}

static void add_bid(const struct scenario *s, struct groups *g, const struct bid *bid)
{
	int64_t last = bid->time_ns / s->slide_ns * s->slide_ns; // times are after 1970
	for (int64_t start = last; start > bid->time_ns - s->size_ns; start -= s->slide_ns) {
		struct group *group = find(g, start, s->key_auction ? bid->auction : 0,
			s->key_bidder ? bid->bidder : 0);
		if (group->count == 0) {
			*group = (struct group){start, s->key_auction ? bid->auction : 0,
				s->key_bidder ? bid->bidder : 0, 0, 0, INT64_MAX, INT64_MIN};
			g->count++;
		}
		group->count++;
		group->sum += bid->price;
		group->least = bid->price < group->least ? bid->price : group->least;
		group->most = bid->price > group->most ? bid->price : group->most;
		if (g->count * 2 > g->size)
			grow(g);
	}
}

static struct row row_of(const struct scenario *s, const struct group *g)
{
	const int64_t by_aggregate[] = {g->count, g->sum, g->least, g->most};
	struct row row = {{g->start_ns, g->start_ns + s->size_ns}};
	uint32_t at = 2;
	if (s->key_auction)
		row.values[at++] = g->auction;
	if (s->key_bidder)
		row.values[at++] = g->bidder;
	for (uint32_t i = 0; i < s->aggregate_count; i++)
		row.values[at++] = by_aggregate[s->aggregates[i]];
	return row;
}

// Keep, of each window, the rows with fewer than `top` rows above them. Rows come sorted.
static void keep_top(const struct scenario *s, struct rows *rows)
{
	uint32_t by = 2 + s->key_auction + s->key_bidder;
	struct rows kept = {0};
	for (size_t from = 0, to; from < rows->count; from = to) {
		for (to = from;
			to < rows->count && rows->rows[to].values[0] == rows->rows[from].values[0];)
			to++;
		for (size_t i = from; i < to; i++) {
			uint32_t above = 0;
			for (size_t j = from; j < to && above < s->top; j++)
				above += rows->rows[j].values[by] > rows->rows[i].values[by];
			if (above < s->top)
				rows_add(&kept, &rows->rows[i]);
		}
	}
	rows_free(rows);
	*rows = kept;
}

void model_compute(const struct scenario *s, struct rows *rows)
{
	struct nexmark generator;
	struct weir_schema schema;
	struct groups groups = {.size = 1 << 14};
	struct bid bid;
	VERIFY(nexmark_init(&generator, (int64_t)s->events, (int64_t)s->rate, (int64_t)s->group) ==
		0);
	nexmark_schema(NEXMARK_BID, &schema);
	groups.slots = calloc(groups.size, sizeof(struct group));
	VERIFY(groups.slots != NULL);
	for (uint64_t number = 0; number < s->events; number++) {
		if (!read_bid(s, &generator, &schema, number, &bid))
			continue;
		if (s->window)
			add_bid(s, &groups, &bid);
		else
			rows_add(rows,
				&(struct row){{bid.auction, bid.bidder, bid.price, bid.time_ns,
					bid.extra}});
	}
	for (size_t i = 0; i < groups.size; i++)
		if (groups.slots[i].count != 0) {
			struct row row = row_of(s, &groups.slots[i]);
			rows_add(rows, &row);
		}
	free(groups.slots);
	rows_sort(rows);
	if (s->top != 0)
		keep_top(s, rows);
}
