#include "dataplane/channel_table.h"

#include <errno.h>
#include <rte_common.h>
#include <stddef.h>

#include "dataplane/channel.h"
#include "numa/arena.h"
#include "numa/assert.h"

int channel_table_create(struct channel_table *t, uint32_t channels_max, struct arena *arena)
{
	uint32_t room = rte_align32pow2(2 * channels_max + 2);
	struct channel_entry *entries = arena_alloc(arena, room * sizeof(*entries), 64);
	if (entries == NULL)
		return -ENOMEM;
	*t = (struct channel_table){.entries = entries, .room = room};
	return 0;
}

struct channel_name channel_name_of(const struct channel *channel)
{
	return (struct channel_name){.job = channel->config.job,
		.channel = channel->config.id,
		.plan_version = channel->config.plan_version};
}

static bool is_same(const struct channel_name *a, const struct channel_name *b)
{
	return a->channel == b->channel && a->job == b->job && a->plan_version == b->plan_version;
}

static uint32_t home(const struct channel_table *t, const struct channel_name *name)
{
	uint64_t mixed = ((uint64_t)name->job << 32 | name->channel) * 0x9E3779B97F4A7C15u;
	mixed = (mixed ^ mixed >> 29 ^ name->plan_version) * 0xBF58476D1CE4E5B9u;
	return (uint32_t)(mixed >> 32) & (t->room - 1);
}

// Where the name is, or the free place where it would be.
static uint32_t place(const struct channel_table *t, const struct channel_name *name)
{
	uint32_t at = home(t, name);
	while (t->entries[at].end != NULL && !is_same(&t->entries[at].name, name))
		at = (at + 1) & (t->room - 1);
	return at;
}

bool channel_table_add(struct channel_table *t, const struct channel_name *name, void *end)
{
	uint32_t at = place(t, name);
	ASSERT(end != NULL);
	if (t->entries[at].end != NULL || t->count >= t->room / 2)
		return false;
	t->entries[at] = (struct channel_entry){.name = *name, .end = end};
	t->count++;
	return true;
}

void *channel_table_find(const struct channel_table *t, const struct channel_name *name)
{
	return t->entries[place(t, name)].end;
}

// What stands behind it and not at its home moves up, so that searches need no marks of the gone.
void channel_table_remove(struct channel_table *t, const struct channel_name *name)
{
	uint32_t mask = t->room - 1, gap = place(t, name);
	if (t->entries[gap].end == NULL)
		return;
	t->count--;
	for (uint32_t at = (gap + 1) & mask; t->entries[at].end != NULL; at = (at + 1) & mask) {
		uint32_t from = home(t, &t->entries[at].name);
		if (((at - from) & mask) < ((at - gap) & mask))
			continue; // its home lies behind the gap
		t->entries[gap] = t->entries[at];
		gap = at;
	}
	t->entries[gap].end = NULL;
}
