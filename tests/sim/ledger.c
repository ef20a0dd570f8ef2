#include "tests/sim/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "numa/assert.h"
#include "state/record.h"

void ledger_create(struct ledger *ledger, uint32_t channel_count)
{
	ledger->channels = calloc(channel_count + 1, sizeof(*ledger->channels));
	ledger->channel_count = channel_count;
	VERIFY(ledger->channels != NULL);
}

void ledger_destroy(struct ledger *ledger)
{
	for (uint32_t c = 0; c < ledger->channel_count; c++)
		free(ledger->channels[c].hashes);
	free(ledger->channels);
	*ledger = (struct ledger){0};
}

static bool note(struct ledger_channel *l, uint32_t channel, uint64_t number, uint64_t hash)
{
	if (number > l->count) {
		fprintf(stderr, "channel %u: item %" PRIu64 " follows %" PRIu64 "\n", channel,
			number, l->count);
		return false;
	}
	if (number < l->count) {
		if (l->hashes[number] == hash)
			return true;
		fprintf(stderr, "channel %u: item %" PRIu64 " was sent again and differs\n",
			channel, number);
		return false;
	}
	if (l->count == l->room) {
		l->room = l->room == 0 ? 4096 : l->room * 2;
		l->hashes = realloc(l->hashes, l->room * sizeof(*l->hashes));
		VERIFY(l->hashes != NULL);
	}
	l->hashes[l->count++] = hash;
	return true;
}

static bool note_frame(struct ledger_channel *l, uint32_t channel, const struct frame_header *h)
{
	if (h->type != FRAME_DATA) {
		uint64_t mark[3] = {h->type, (uint64_t)h->watermark, h->epoch};
		return note(l, channel, h->first_number, XXH3_64bits(mark, sizeof(mark)));
	}
	const uint8_t *record = (const uint8_t *)(h + 1);
	for (uint32_t i = 0; i < h->item_count; i++) {
		if (!note(l, channel, h->first_number + i, record_hash(record)))
			return false;
		record += record_length(record);
	}
	return true;
}

bool ledger_follow(struct ledger *ledger, uint32_t channel, const struct sender *s)
{
	struct ledger_channel *l = &ledger->channels[channel];
	while (l->walked != s->retention.next) {
		const struct frame_header *h = retention_walk(&s->retention, &l->walked);
		if (!note_frame(l, channel, h))
			return false;
	}
	return true;
}
