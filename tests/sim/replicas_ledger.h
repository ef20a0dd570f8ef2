// What the instances of tasks have made and seen, by the channel that a primary has to a primary:
// whatever instance makes an item of a number or consumes it, it is the same one.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/channel.h"
#include "dataplane/job_plan.h"
#include "dataplane/order_log.h"

// The items of a channel, by number.
struct ledger_items {
	uint64_t count, room;
	uint64_t *hashes; // of all bytes
	uint64_t *sums;   // as a receiver's running checksum below that number; one more than items
};

// The entries of a task's log that were streamed, by index.
struct ledger_entries {
	uint64_t first; // of those known: where the last state was taken that went to a new replica
	uint64_t count, room; // `count` is the index behind the last
	struct order_entry *entries;
};

// What the items below `numbers` of a task's senders depend on: log entries below `index`.
struct ledger_note {
	uint64_t index;
	uint64_t *numbers;
};

// How far an instance was looked at.
struct ledger_task {
	uint64_t *positions;       // by sender, in retention
	uint64_t taken;            // replica: entries of the stream that it took
	uint64_t streamed;         // owner: entries streamed before it was misled
	uint64_t *incarnations;    // by input, that it expects
	uint64_t *released;        // by sender
	struct ledger_note *notes; // owner: of what has not left yet
	uint32_t note_count, note_room;
	uint64_t backlog, obeyed, produced; // replica of a source: after its last step
	bool stepped;                       // since it was made
	uint32_t role;                      // after its last step
	uint32_t stage;                     // of the state it gives, likewise
	uint64_t lent;                      // memory for that
	bool writing;                       // that state, in parts
	uint64_t stands;                    // where it is, in numbers
};

struct replica_ledger {
	const struct job_plan *plan;
	uint32_t *logical;           // by channel: the one between the primaries
	struct ledger_items *items;  // by logical channel
	struct ledger_entries *logs; // by primary
	struct ledger_task *tasks;   // by task
	uint64_t records;            // compared
};

void replica_ledger_create(struct replica_ledger *l, const struct job_plan *plan);
void replica_ledger_destroy(struct replica_ledger *l);

// The instances of a place were lost, and are made anew on another node.
void replica_ledger_forget(struct replica_ledger *l, uint32_t place, uint32_t node_workers);

// Of a pair's log, what was streamed before `index` is no longer known to anyone.
void replica_ledger_restart(struct replica_ledger *l, uint32_t primary, uint64_t index);

// A frame that an instance made for `channel`.  Returns NULL, or what is wrong.
const char *replica_ledger_made(struct replica_ledger *l, uint32_t channel,
	const struct frame_header *frame);

// Items [number, number + count) in a receiver's hand.  Returns NULL, or what is wrong.
const char *replica_ledger_in_hand(const struct replica_ledger *l, uint32_t channel,
	uint64_t number, const uint8_t *first, uint32_t count);

// What the receiver of `channel` has consumed.  Returns NULL, or what is wrong.
const char *replica_ledger_consumed(const struct replica_ledger *l, uint32_t channel,
	const struct receiver *r);

// Entry `index` of the primary's log, as it was streamed or taken.
const char *replica_ledger_entry(struct replica_ledger *l, uint32_t primary, uint64_t index,
	const struct order_entry *entry);
