// What every channel has ever carried, item by item: a successor must send the same again, to the
// task its keys belong to, nothing behind a mark that promised it would not come.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/channel.h"
#include "dataplane/job_plan.h"

struct ledger_channel {
	uint64_t *hashes; // of item number i
	uint64_t count, room;
	uint64_t walked;   // position in the sender's retention
	uint64_t checksum; // as a receiver that has consumed all must have it
	// What its items must keep to.
	const struct plan_edge *edge;
	uint32_t index;               // among the edge's channels
	int time_field;               // of the items, or -1
	bool ends;                    // it is a window's end, which no mark has reached
	uint16_t keys[WEIR_KEYS_MAX]; // of the items
	int64_t watermark;
};

struct ledger {
	struct ledger_channel *channels;
	uint32_t channel_count, group_bits;
};

void ledger_create(struct ledger *ledger, const struct job_plan *plan);
void ledger_destroy(struct ledger *ledger);

// Take note of what the sender sealed since the last call.  Returns NULL, or which property does
// not hold.
const char *ledger_follow(struct ledger *ledger, uint32_t channel, const struct sender *s);
