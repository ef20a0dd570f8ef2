// What every channel has ever carried, item by item: a successor must send the same again.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/channel.h"

struct ledger_channel {
	uint64_t *hashes; // of item number i
	uint64_t count, room;
	uint64_t walked; // position in the sender's retention
};

struct ledger {
	struct ledger_channel *channels;
	uint32_t channel_count;
};

void ledger_create(struct ledger *ledger, uint32_t channel_count);
void ledger_destroy(struct ledger *ledger);

// Take note of what the sender sealed since the last call.  Returns false when an item differs
// from what was sent under its number before, or numbers are not dense; says so on stderr.
bool ledger_follow(struct ledger *ledger, uint32_t channel, const struct sender *s);
