// Which end of a channel a frame or message is for: a table of fixed size, by the channel's name on
// the wire.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct channel;

struct channel_name {
	uint32_t job, channel, plan_version;
};

struct channel_entry {
	struct channel_name name;
	void *end; // NULL: free
};

struct channel_table {
	struct channel_entry *entries;
	uint32_t room; // a power of two, at least twice as many as may be in it
	uint32_t count;
};

// Returns 0 or -ENOMEM.
int channel_table_create(struct channel_table *t, uint32_t channels_max, struct arena *arena);

// Returns false when it is full, or has that name already.
bool channel_table_add(struct channel_table *t, const struct channel_name *name, void *end);

void channel_table_remove(struct channel_table *t, const struct channel_name *name);

// Returns the end, or NULL.
void *channel_table_find(const struct channel_table *t, const struct channel_name *name);

struct channel_name channel_name_of(const struct channel *channel);
