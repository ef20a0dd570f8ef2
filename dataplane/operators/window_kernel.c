// The hot loop of window_aggregate: packed records, walked where they lie. Every line of the run
// is prefetched in order, ahead of the walk, because the hardware's prefetcher loses a stream whose
// lines are not all touched; what is not of the current pane leaves the loop.
#include <errno.h>

#include "dataplane/operators/window_parts.h"

enum { LINE_BYTES = 64, AHEAD_LINES = 2 };
// How far: what a run from memory needs, and what one in a frame can bear, behind which lies what
// others write.
enum { AHEAD_BYTES_MIN = 512, AHEAD_BYTES_MAX = 6144, AHEAD_RUN_SHARE = 16 };

#define ALWAYS_INLINE static inline __attribute__((always_inline))

static size_t bytes_ahead(const struct weir_batch *run)
{
	size_t bytes = (size_t)(run->limit - run->first) / AHEAD_RUN_SHARE;
	if (bytes < AHEAD_BYTES_MIN)
		return AHEAD_BYTES_MIN;
	return bytes < AHEAD_BYTES_MAX ? bytes : AHEAD_BYTES_MAX;
}

ALWAYS_INLINE void prefetch_ahead(const uint8_t *record, size_t ahead, uint32_t length)
{
	const uint8_t *at = record + ahead;
	for (uint32_t i = 0; i < AHEAD_LINES; i++)
		__builtin_prefetch(at + i * LINE_BYTES, 0, 0);
	if (UNLIKELY(length > (AHEAD_LINES + 1) * LINE_BYTES))
		for (uint32_t i = AHEAD_LINES * LINE_BYTES; i < length; i += LINE_BYTES)
			__builtin_prefetch(at + i, 0, 0);
}

ALWAYS_INLINE void wide_add(uint8_t *at, int64_t value)
{
	__int128 sum;
	memcpy(&sum, at, sizeof(sum));
	sum += value;
	memcpy(at, &sum, sizeof(sum));
}

ALWAYS_INLINE void cell_add(const struct cell *cell, uint8_t *at, int64_t value)
{
	int64_t old;
	if (cell->op == CELL_SUM_INT64) {
		wide_add(at, value);
		return;
	}
	memcpy(&old, at, sizeof(old));
	if (cell->op == CELL_VALUES)
		old++;
	else if (cell->op == CELL_MIN_INT64)
		old = value < old ? value : old;
	else
		old = value > old ? value : old;
	memcpy(at, &old, sizeof(old));
}

ALWAYS_INLINE void record_add(const struct window *w, const uint8_t *record, uint8_t *entry,
	bool count_only)
{
	const struct aggregates *a = &w->config->aggregates;
	((struct table_entry *)entry)->rows++;
	if (count_only)
		return;
	for (uint32_t c = 1; c < a->cell_count; c++) {
		const struct cell *cell = &a->cells[c];
		uint32_t field = (uint32_t)cell->field;
		if (!record_is_null(record, field))
			cell_add(cell, entry + cell->offset,
				record_int64(record, w->config->schema->fields[field].offset));
	}
}

// A record that needs another pane, more room or the null key, or has no time.
static __attribute__((noinline)) int record_cold(struct window *w, const uint8_t *record,
	struct window_drops *drops)
{
	const struct window_config *config = w->config;
	const struct weir_field *fields = config->schema->fields;
	if (record_is_null(record, config->time_field)) {
		drops->out_of_range++;
		return 0;
	}
	int64_t time_ns = record_int64(record, fields[config->time_field].offset);
	if ((uint64_t)time_ns - (uint64_t)w->pane_start >= w->pane_span) {
		int error = window_turn(w, time_ns, drops);
		if (error)
			return error < 0 ? error : 0;
	}
	struct groups *g = &w->pane->groups;
	if (groups_reserve(g))
		return -ENOMEM;
	uint8_t *entry = record_is_null(record, config->keys[0])
		? groups_take_null(g)
		: groups_take(g, record_int64(record, fields[config->keys[0]].offset));
	record_add(w, record, entry, false);
	return 0;
}

// What the loop keeps in registers of the current pane.
struct hot {
	uint64_t start, span;
	struct groups_slot *cache;
	uint8_t *entries;
	struct groups *groups;
};

ALWAYS_INLINE struct hot hot_load(const struct window *w)
{
	if (w->pane_span == 0)
		return (struct hot){0};
	struct groups *g = &w->pane->groups;
	return (struct hot){(uint64_t)w->pane_start, w->pane_span, g->cache, g->entries, g};
}

ALWAYS_INLINE uint8_t *record_entry(const struct hot *hot, const struct window_packed *packed,
	const uint8_t *record, uint32_t stride)
{
	uint32_t nulls;
	memcpy(&nulls, record + RECORD_HEADER_BYTES, sizeof(nulls));
	uint64_t time_ns = (uint64_t)record_int64(record, packed->time_offset);
	if (UNLIKELY((nulls & packed->null_mask) != 0 || time_ns - hot->start >= hot->span))
		return NULL;
	int64_t key = record_int64(record, packed->key_offset);
	struct groups_slot *slot = groups_slot(hot->cache, key);
	if (LIKELY(slot->key == key && slot->number != 0))
		return hot->entries + (slot->number - 1) * stride;
	if (UNLIKELY(hot->groups->count == hot->groups->room))
		return NULL;
	return groups_append(hot->groups, stride, slot, key);
}

ALWAYS_INLINE int packed_add(struct window *w, const struct window_packed *packed_in,
	struct weir_batch *in, struct window_drops *drops, uint64_t *rows, uint32_t stride,
	bool count_only)
{
	const struct window_packed packed = *packed_in;
	const uint8_t *at = in->first, *limit = in->limit;
	const size_t ahead = bytes_ahead(in);
	struct hot hot = hot_load(w);
	while (at != limit) {
		const uint8_t *record = at;
		uint32_t length = record_length(record);
		prefetch_ahead(record, ahead, length);
		at += length;
		if (record_variant(record) != packed.variant)
			continue;
		++*rows;
		uint8_t *entry = record_entry(&hot, &packed, record, stride);
		if (LIKELY(entry != NULL)) {
			record_add(w, record, entry, count_only);
			continue;
		}
		int error = record_cold(w, record, drops);
		if (error)
			return error;
		hot = hot_load(w);
	}
	in->first = limit;
	return 0;
}

int window_packed_add(struct window *w, const struct window_packed *packed, struct weir_batch *in,
	struct window_drops *drops, uint64_t *rows)
{
	const struct aggregates *a = &w->config->aggregates;
	uint64_t taken = 0;
	int error = a->cell_count == 1
		? packed_add(w, packed, in, drops, &taken, TABLE_INT64_HEAD, true)
		: packed_add(w, packed, in, drops, &taken, a->entry_bytes, false);
	*rows += taken;
	return error;
}
