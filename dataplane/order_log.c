#include "dataplane/order_log.h"

#include <errno.h>
#include <stdalign.h>

#include "numa/arena.h"
#include "numa/assert.h"

int order_log_create(struct order_log *log, uint64_t capacity, struct arena *arena)
{
	VERIFY(capacity != 0 && (capacity & (capacity - 1)) == 0);
	struct order_entry *entries =
		arena_alloc(arena, capacity * sizeof(*entries), alignof(uint64_t));
	if (entries == NULL)
		return -ENOMEM;
	*log = (struct order_log){.entries = entries, .capacity = capacity};
	return 0;
}

static struct order_entry *entry_at(const struct order_log *log, uint64_t index)
{
	return &log->entries[index & (log->capacity - 1)];
}

void order_log_append(struct order_log *log, const struct order_entry *entry)
{
	ASSERT(!order_log_replaying(log));
	if (entry->kind <= ORDER_READ && log->next > log->sealed) {
		struct order_entry *last = entry_at(log, log->next - 1);
		if (last->kind == entry->kind && last->input == entry->input) {
			ASSERT(entry->position >= last->position);
			*last = *entry;
			return;
		}
	}
	VERIFY(!order_log_is_full(log));
	*entry_at(log, log->next) = *entry;
	log->replay = ++log->next;
}

const struct order_entry *order_log_current(const struct order_log *log)
{
	ASSERT(order_log_replaying(log));
	return entry_at(log, log->replay);
}

void order_log_obeyed(struct order_log *log)
{
	ASSERT(order_log_replaying(log));
	log->replay++;
}

void order_log_trim(struct order_log *log, uint64_t first)
{
	ASSERT(first >= log->first && first <= log->next);
	log->first = first;
}

void order_log_seal(struct order_log *log)
{
	log->sealed = log->next;
}
