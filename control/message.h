// Control messages and records as bytes. What comes from outside is checked here, once: whatever
// message_read returns has its parts present, names plain, texts without control characters,
// numbers and counts within bounds.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/bus.h"
#include "control/messages.pb-c.h"

enum {
	MESSAGE_VERSION = 1,
	// What nodes say to each other and to their controller, and what they mean by it. Raised
	// with whatever an older one would drop or take otherwise; all of a cluster have the same.
	CLUSTER_PROTOCOL = 2,
	MESSAGE_NAME_MAX = 96, // bytes of a node's name or a job's id
	MESSAGE_TEXT_MAX = 1024,
	MESSAGE_JOB_TEXT_MAX = 1 << 19,
	MESSAGE_PARTICIPANTS_MAX = 1024,
	MESSAGE_WORKERS_MAX = 1024, // of a node, and of a job
	MESSAGE_LINKS_MAX = 16,
	MESSAGE_SETS_MAX = 256,
	MESSAGE_PARTS_MAX = 256, // on a node
	MESSAGE_HEAP_MAX = 64 << 20,
};

// Returns a message for message_free, or NULL when it is malformed.
Weir__Message *message_read(const void *data, size_t bytes);
void message_free(Weir__Message *message); // NULL-safe

// Those that say none are from before there was one.
static inline uint32_t message_protocol(uint32_t told)
{
	return told == 0 ? 1 : told;
}

// Pack and queue.  Returns as bus->ops->send.
int message_send(struct bus *bus, uint64_t peer, Weir__Message *message);

// Records of metadata, checked alike.  Return NULL when malformed, or of a newer least format.
Weir__LeaderRecord *leader_record_read(const void *data, size_t bytes);
Weir__NodeRecord *node_record_read(const void *data, size_t bytes);
Weir__JobRecord *job_record_read(const void *data, size_t bytes);
Weir__JobSpec *job_spec_read(const void *data, size_t bytes);

// Free one of these, or any other message that was unpacked or copied. NULL-safe.
void record_free(void *record);
// A deep copy, unknown fields included.
void *record_copy(const void *record);
// Packed, for free().
void *record_pack(const void *record, size_t *ret_bytes);

// Give a text field of a record another value.
void text_set(char **field, const char *value);

// As users read them; "?" for one of a later version.
const char *job_state_name(Weir__JobState state);
const char *part_state_name(Weir__PartState state);

bool name_is_plain(const char *name, size_t bytes_max);
