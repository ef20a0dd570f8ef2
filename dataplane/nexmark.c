#include "dataplane/nexmark.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "dataplane/java_random.h"
#include "numa/assert.h"

enum {
	PER_EPOCH = 50, // events: one person, three auctions, the rest bids
	AUCTIONS_PER_EPOCH = 3,
	FIRST_ID = 1000,
	FIRST_CATEGORY = 10,
	CATEGORIES = 5,
	ID_LEAD = 10, // references run ahead of the ids made so far
	ACTIVE_PEOPLE = 1000,
	AUCTIONS_IN_FLIGHT = 100,
	HOT_STEP = 100,
	HOT_AUCTION_RATIO = 2,
	HOT_PERSON_RATIO = 4,
	IN_FLIGHT_EVENTS = AUCTIONS_IN_FLIGHT * PER_EPOCH / AUCTIONS_PER_EPOCH,
	SHUFFLE_PRIME = 953,
	MEAN_PERSON = 200,
	MEAN_AUCTION = 500,
	MEAN_BID = 100,
	// At most, with the field `scheduled`: 46 bids of 152 bytes, 3 auctions, a person of 312.
	AUCTION_BYTES = 648,
	EPOCH_BYTES = 46 * 152 + 3 * AUCTION_BYTES + 312,
};

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define DUE_LEAD_NS (10 * NS_PER_MS)

// Records as they lie in memory; the schemas' layout is checked against these in the tests.
struct text {
	uint32_t offset, length;
};

struct header {
	uint32_t length;
	uint16_t variant;
	uint16_t reserved;
	uint32_t nulls;
	uint32_t gap;
};

struct person {
	struct header header;
	int64_t id;
	struct text name, email, card, city, state;
	int64_t time;
	struct text extra;
};

struct auction {
	struct header header;
	int64_t id;
	struct text name, description;
	int64_t initial_bid, reserve, time, expires, seller, category;
	struct text extra;
};

struct bid {
	struct header header;
	int64_t auction, bidder, price, time;
	struct text extra;
};

static_assert(sizeof(struct person) == 80 && offsetof(struct person, time) == 64, "layout");
static_assert(sizeof(struct auction) == 96 && offsetof(struct auction, time) == 56, "layout");
static_assert(sizeof(struct bid) == 56 && offsetof(struct bid, time) == 40, "layout");

// An event under construction: its draws, and where the next text goes.
struct draft {
	struct java_random random;
	uint64_t id; // the number, shuffled; also the seed
	int64_t time_ms;
	int64_t scheduled_ns;
	uint8_t *record;
	uint8_t *end;
};

int nexmark_init(struct nexmark *n, int64_t events, int64_t rate, int64_t group)
{
	if (events < 0 || events > NEXMARK_EVENTS_MAX || rate < 1 || rate > NEXMARK_RATE_MAX ||
		group < 1 || group > NEXMARK_GROUP_MAX)
		return -EINVAL;
	uint64_t delay_us = (uint64_t)(1000000 + rate / 2) / (uint64_t)rate;
	// An auction may end twice its horizon after the last event, which may be of a full group.
	__int128 last_us = (__int128)(events + 4 * group + 4 * IN_FLIGHT_EVENTS) * delay_us;
	if (last_us / 1000 + 1 > INT64_MAX / NS_PER_MS - NEXMARK_BASE_MS)
		return -ERANGE;
	*n = (struct nexmark){(uint64_t)events, (uint64_t)group, delay_us, 0};
	return 0;
}

const char *nexmark_kind_name(enum nexmark_kind kind)
{
	static const char *const names[NEXMARK_KINDS] = {"person", "auction", "bid"};
	return names[kind];
}

struct column {
	const char *name;
	enum weir_type type;
};

static const struct column columns[NEXMARK_KINDS][11] = {
	[NEXMARK_PERSON] = {{"id", WEIR_INT64}, {"name", WEIR_STRING}, {"email", WEIR_STRING},
		{"card", WEIR_STRING}, {"city", WEIR_STRING}, {"state", WEIR_STRING},
		{"time", WEIR_TIMESTAMP}, {"extra", WEIR_STRING}},
	[NEXMARK_AUCTION] = {{"id", WEIR_INT64}, {"name", WEIR_STRING},
		{"description", WEIR_STRING}, {"initial_bid", WEIR_INT64}, {"reserve", WEIR_INT64},
		{"time", WEIR_TIMESTAMP}, {"expires", WEIR_TIMESTAMP}, {"seller", WEIR_INT64},
		{"category", WEIR_INT64}, {"extra", WEIR_STRING}},
	[NEXMARK_BID] = {{"auction", WEIR_INT64}, {"bidder", WEIR_INT64}, {"price", WEIR_INT64},
		{"time", WEIR_TIMESTAMP}, {"extra", WEIR_STRING}},
};

void nexmark_schema(enum nexmark_kind kind, struct weir_schema *ret_schema)
{
	*ret_schema = (struct weir_schema){.variant = (uint16_t)kind};
	strcpy(ret_schema->name, nexmark_kind_name(kind));
	for (const struct column *c = columns[kind]; c->name; c++)
		VERIFY(schema_add(ret_schema, c->name, c->type, 0, 0) == 0);
	schema_layout(ret_schema);
}

static int64_t number_ms(const struct nexmark *n, uint64_t number)
{
	return NEXMARK_BASE_MS + (int64_t)(number * n->delay_us / 1000);
}

// Within each group events come in the order of a multiplicative permutation.
static uint64_t number_shuffled(const struct nexmark *n, uint64_t number)
{
	if (n->group == 1)
		return number;
	return number / n->group * n->group + number * SHUFFLE_PRIME % n->group;
}

int64_t nexmark_watermark_ns(const struct nexmark *n, uint64_t number)
{
	return number_ms(n, n->group == 1 ? number : number / n->group * n->group) * NS_PER_MS;
}

// The last person and auction made when the event with this id was, counted from 0. Where no
// auction has been made in an epoch yet, the last one is of the epoch before.
static int64_t last_person(uint64_t id)
{
	return (int64_t)(id / PER_EPOCH);
}

static int64_t last_auction(uint64_t id)
{
	int64_t in_epoch = (int64_t)(id % PER_EPOCH) - 1;
	if (in_epoch >= AUCTIONS_PER_EPOCH)
		in_epoch = AUCTIONS_PER_EPOCH - 1;
	return (int64_t)(id / PER_EPOCH) * AUCTIONS_PER_EPOCH + in_epoch;
}

static int64_t draw_person(struct draft *d)
{
	int64_t people = last_person(d->id) + 1;
	int64_t active = people < ACTIVE_PEOPLE ? people : ACTIVE_PEOPLE;
	return people - active + random_long(&d->random, active + ID_LEAD);
}

static int64_t draw_auction(struct draft *d)
{
	int64_t last = last_auction(d->id);
	int64_t first = last > AUCTIONS_IN_FLIGHT ? last - AUCTIONS_IN_FLIGHT : 0;
	return first + random_long(&d->random, last - first + 1 + ID_LEAD);
}

// When the auction ends: on average as many are open as are to be in flight.
static int64_t draw_expiry_ms(const struct nexmark *n, struct draft *d)
{
	int64_t horizon_ms = number_ms(n, d->id + IN_FLIGHT_EVENTS) - d->time_ms;
	int64_t range_ms = 2 * horizon_ms;
	return d->time_ms + 1 + random_long(&d->random, range_ms > 1 ? range_ms : 1);
}

static struct text text_from(const struct draft *d, const uint8_t *start)
{
	return (struct text){(uint32_t)(start - d->record), (uint32_t)(d->end - start)};
}

static struct text text_of(struct draft *d, const char *value)
{
	uint8_t *start = d->end;
	size_t bytes = strlen(value);
	memcpy(start, value, bytes);
	d->end += bytes;
	return text_from(d, start);
}

// Append 3 to max - 1 letters and spaces, trimmed at both ends.
static void draw_string(struct draft *d, int32_t max)
{
	uint8_t *start = d->end, *at = start;
	for (int32_t left = 3 + random_int(&d->random, max - 3); left > 0; left--) {
		if (random_int(&d->random, 13) != 0)
			*at++ = (uint8_t)('a' + random_int(&d->random, 26));
		else if (at != start)
			*at++ = ' ';
	}
	while (at != start && at[-1] == ' ')
		at--;
	d->end = at;
}

static struct text draw_text(struct draft *d, int32_t max)
{
	uint8_t *start = d->end;
	draw_string(d, max);
	return text_from(d, start);
}

// Append characters up to the mean size of the event, give or take a fifth. One draw gives six.
// May write up to five bytes behind the end.
static struct text draw_extra(struct draft *d, int32_t used, int32_t mean)
{
	uint8_t *start = d->end;
	if (used > mean)
		return text_from(d, start);
	int32_t missing = mean - used;
	int32_t spread = (int32_t)floor(0.2 * missing + 0.5);
	int32_t length = missing - spread;
	if (spread != 0)
		length += random_int(&d->random, 2 * spread);
	for (int32_t at = 0; at < length; at += 6)
		random_letters6(&d->random, start + at);
	d->end += length;
	return text_from(d, start);
}

// Leave room for the fixed part; the field `scheduled` stands behind all others.
static void *draft_begin(const struct nexmark *n, struct draft *d, size_t bytes)
{
	d->end += bytes;
	if (n->pace != 0) {
		memcpy(d->end, &d->scheduled_ns, sizeof(d->scheduled_ns));
		d->end += sizeof(d->scheduled_ns);
	}
	return d->record;
}

static struct header header_end(struct draft *d, enum nexmark_kind kind)
{
	uint32_t used = (uint32_t)(d->end - d->record);
	uint32_t length = (used + RECORD_ALIGN - 1) & ~(uint32_t)(RECORD_ALIGN - 1);
	ASSERT(length <= NEXMARK_RECORD_ROOM - 8);
	memset(d->end, 0, length - used);
	return (struct header){.length = length, .variant = (uint16_t)kind};
}

static const char *const first_names[] = {"Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate",
	"Julie", "Sarah", "Deiter", "Walter"};
static const char *const last_names[] = {
	"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"};
static const char *const cities[] = {"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland",
	"Bend", "Redmond", "Seattle", "Kent", "Cheyenne"};
static const char *const states[] = {"AZ", "CA", "ID", "OR", "WA", "WY"};

#define DRAW_ONE_OF(d, names)                                                                      \
	text_of((d), (names)[random_int(&(d)->random, sizeof(names) / sizeof((names)[0]))])

static struct text draw_name(struct draft *d)
{
	uint8_t *start = d->end;
	DRAW_ONE_OF(d, first_names);
	*d->end++ = ' ';
	DRAW_ONE_OF(d, last_names);
	return text_from(d, start);
}

static struct text draw_email(struct draft *d)
{
	uint8_t *start = d->end;
	draw_string(d, 7);
	*d->end++ = '@';
	draw_string(d, 5);
	text_of(d, ".com");
	return text_from(d, start);
}

static struct text draw_card(struct draft *d)
{
	uint8_t *start = d->end;
	for (int group = 0; group < 4; group++) {
		int32_t digits = random_int(&d->random, 10000);
		if (group > 0)
			*d->end++ = ' ';
		for (int32_t unit = 1000; unit > 0; unit /= 10)
			*d->end++ = (uint8_t)('0' + digits / unit % 10);
	}
	return text_from(d, start);
}

static void draft_person(const struct nexmark *n, struct draft *d)
{
	struct person *p = draft_begin(n, d, sizeof(*p));
	p->id = FIRST_ID + last_person(d->id);
	p->name = draw_name(d);
	p->email = draw_email(d);
	p->card = draw_card(d);
	p->city = DRAW_ONE_OF(d, cities);
	p->state = DRAW_ONE_OF(d, states);
	p->time = d->time_ms * NS_PER_MS;
	uint32_t used = 8 + p->name.length + p->email.length + p->card.length + p->city.length +
		p->state.length;
	p->extra = draw_extra(d, (int32_t)used, MEAN_PERSON);
	p->header = header_end(d, NEXMARK_PERSON);
}

static void draft_auction(const struct nexmark *n, struct draft *d)
{
	struct auction *a = draft_begin(n, d, sizeof(*a));
	a->id = FIRST_ID + last_auction(d->id);
	bool hot = random_int(&d->random, HOT_PERSON_RATIO) > 0;
	int64_t seller = hot ? last_person(d->id) / HOT_STEP * HOT_STEP : draw_person(d);
	a->seller = FIRST_ID + seller;
	a->category = FIRST_CATEGORY + random_int(&d->random, CATEGORIES);
	a->initial_bid = random_price(&d->random);
	a->time = d->time_ms * NS_PER_MS;
	a->expires = draw_expiry_ms(n, d) * NS_PER_MS;
	a->name = draw_text(d, 20);
	a->description = draw_text(d, 100);
	a->reserve = a->initial_bid + random_price(&d->random);
	uint32_t used = 48 + a->name.length + a->description.length;
	a->extra = draw_extra(d, (int32_t)used, MEAN_AUCTION);
	a->header = header_end(d, NEXMARK_AUCTION);
}

static void draft_bid(const struct nexmark *n, struct draft *d)
{
	struct bid *b = draft_begin(n, d, sizeof(*b));
	bool hot = random_int(&d->random, HOT_AUCTION_RATIO) > 0;
	b->auction = FIRST_ID + (hot ? last_auction(d->id) / HOT_STEP * HOT_STEP : draw_auction(d));
	hot = random_int(&d->random, HOT_PERSON_RATIO) > 0;
	b->bidder =
		FIRST_ID + (hot ? last_person(d->id) / HOT_STEP * HOT_STEP + 1 : draw_person(d));
	b->price = random_price(&d->random);
	b->time = d->time_ms * NS_PER_MS;
	b->extra = draw_extra(d, 32, MEAN_BID);
	b->header = header_end(d, NEXMARK_BID);
}

uint32_t nexmark_record(const struct nexmark *n, uint64_t number, uint8_t *out)
{
	uint64_t id = number_shuffled(n, number);
	struct draft d = {.id = id, .time_ms = number_ms(n, id), .record = out, .end = out};
	if (n->pace != 0)
		d.scheduled_ns = nexmark_due_ns(n->pace, number);
	random_seed(&d.random, id);
	switch (id % PER_EPOCH) {
	case 0:
		draft_person(n, &d);
		break;
	case 1 ... AUCTIONS_PER_EPOCH:
		draft_auction(n, &d);
		break;
	default:
		draft_bid(n, &d);
	}
	return record_length(out);
}

// A whole group has the events that it would have in order; a part of it may be any of them.
uint64_t nexmark_bytes_max(const struct nexmark *n)
{
	if (n->group % SHUFFLE_PRIME == 0)
		return n->events * AUCTION_BYTES;
	uint64_t part = n->events % n->group;
	uint64_t whole_bytes = ((n->events - part) / PER_EPOCH + 1) * EPOCH_BYTES;
	uint64_t part_bytes = part * AUCTION_BYTES;
	uint64_t group_bytes = (n->group / PER_EPOCH + 2) * EPOCH_BYTES;
	return whole_bytes + (part_bytes < group_bytes ? part_bytes : group_bytes);
}

int64_t nexmark_due_ns(uint64_t pace, uint64_t number)
{
	ASSERT(pace > 0 && pace <= (uint64_t)NEXMARK_RATE_MAX);
	uint64_t rest_ns = (number % pace * NS_PER_S + pace - 1) / pace;
	return DUE_LEAD_NS + (int64_t)(number / pace * NS_PER_S + rest_ns);
}

uint64_t nexmark_due_count(uint64_t pace, int64_t since_start_ns)
{
	if (since_start_ns < DUE_LEAD_NS)
		return 0;
	uint64_t past_ns = (uint64_t)(since_start_ns - DUE_LEAD_NS);
	return past_ns / NS_PER_S * pace + past_ns % NS_PER_S * pace / NS_PER_S + 1;
}
