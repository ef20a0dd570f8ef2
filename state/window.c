#include "state/window.h"

#include <errno.h>

#include "state/window_parts.h"

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

enum table_form window_form(const struct weir_schema *schema, const uint16_t *keys,
	uint32_t key_count)
{
	if (key_count != 1)
		return TABLE_BYTES;
	enum weir_type type = schema->fields[keys[0]].type;
	return type == WEIR_INT64 || type == WEIR_TIMESTAMP ? TABLE_INT64 : TABLE_BYTES;
}

int window_create(struct window *w, const struct window_config *config, struct pool *pool,
	struct arena *arena)
{
	memset(w, 0, sizeof(*w));
	w->config = config;
	w->pool = pool;
	w->form = window_form(config->schema, config->keys, config->key_count);
	w->listed = w->form == TABLE_INT64 && groups_serve(&config->aggregates);
	w->panes = (uint32_t)(config->size_ns / config->slide_ns);
	w->next_pane = w->next_close_ns = INT64_MIN;
	ASSERT(config->size_ns % config->slide_ns == 0);
	ASSERT(config->aggregates.head_bytes == window_head_bytes(w->form));
	const struct aggregates *a = &config->aggregates;
	for (uint32_t c = 0; c < a->cell_count; c++) {
		w->scratch.cells[c] =
			arena_alloc(arena, (uint64_t)BATCH_ROWS_MAX * a->cells[c].bytes, 64);
		if (w->scratch.cells[c] == NULL)
			return -ENOMEM;
	}
	w->key = arena_alloc(arena, WINDOW_KEY_BYTES, 8);
	if (w->key == NULL)
		return -ENOMEM;
	return w->panes == 1 ? 0 : sliding_create(&w->sliding, a, w->form, w->panes, pool, arena);
}

// With room for about so many keys.
static int pane_begin(const struct window *w, struct pane *pane, int64_t number, uint32_t keys)
{
	const struct aggregates *a = &w->config->aggregates;
	*pane = (struct pane){.number = number};
	if (w->listed)
		return groups_create(&pane->groups, a, w->pool, keys);
	table_create(&pane->table, w->pool, w->form, true, a->entry_bytes,
		a->cell_count == 1 ? NULL : a->initial);
	table_expect(&pane->table, keys);
	return 0;
}

static void pane_end(const struct window *w, struct pane *pane)
{
	if (w->listed)
		groups_destroy(&pane->groups);
	else
		table_destroy(&pane->table);
}

static uint32_t pane_keys(const struct window *w, const struct pane *pane)
{
	return w->listed ? pane->groups.count : pane->table.count;
}

// Entries of a pane from number `from` on, in order of creation.  Returns how many.
static uint32_t pane_entries(const struct window *w, const struct pane *pane, uint32_t from,
	uint8_t **ret_entries)
{
	uint32_t count = pane_keys(w, pane) - from;
	count = count < BATCH_ROWS_MAX ? count : BATCH_ROWS_MAX;
	for (uint32_t i = 0; i < count; i++)
		ret_entries[i] = w->listed
			? groups_at(&pane->groups, w->config->aggregates.entry_bytes, from + i)
			: table_at(&pane->table, from + i);
	return count;
}

static const uint8_t *pane_null(const struct window *w, const struct pane *pane)
{
	if (!w->listed)
		return pane->table.null_entry;
	if (pane->groups.null_number == UINT32_MAX)
		return NULL;
	return groups_at(&pane->groups, w->config->aggregates.entry_bytes,
		pane->groups.null_number);
}

void window_destroy(struct window *w)
{
	if (w->config == NULL)
		return;
	for (uint32_t i = 0; i < w->open_count; i++)
		pane_end(w, &w->open[i]);
	pool_free(w->pool, w->open, w->open_room * sizeof(*w->open));
	if (w->firing && (w->panes == 1 || !w->gathered))
		pane_end(w, &w->closing);
	sliding_destroy(&w->sliding);
	w->config = NULL;
}

static int open_reserve(struct window *w)
{
	if (w->open_count < w->open_room)
		return 0;
	uint32_t room = w->open_room == 0 ? 8 : 2 * w->open_room;
	struct pane *open = pool_alloc(w->pool, room * sizeof(*open));
	if (open == NULL)
		return -ENOMEM;
	if (w->open_count != 0)
		memcpy(open, w->open, w->open_count * sizeof(*open));
	pool_free(w->pool, w->open, w->open_room * sizeof(*open));
	w->open = open;
	w->open_room = room;
	return 0;
}

// Place of the first open pane not below `number`.
static uint32_t open_find(const struct window *w, int64_t number)
{
	uint32_t low = 0, high = w->open_count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (w->open[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int window_pane_insert(struct window *w, uint32_t at, int64_t number)
{
	if (open_reserve(w))
		return -ENOMEM;
	struct pane pane;
	// A pane in its turn will be about as large as the last; one far ahead may stay small.
	uint32_t keys = w->open_count < 2 && w->keys_usual != 0 ? w->keys_usual : 1;
	if (pane_begin(w, &pane, number, keys) && pane_begin(w, &pane, number, 1))
		return -ENOMEM;
	memmove(w->open + at + 1, w->open + at, (w->open_count - at) * sizeof(pane));
	w->open[at] = pane;
	w->open_count++;
	return 0;
}

int window_turn(struct window *w, int64_t time_ns, struct window_drops *drops)
{
	int64_t slide = w->config->slide_ns, number = floor_div(time_ns, slide);
	w->pane_span = 0;
	if (number < INT64_MIN / slide + w->panes || number > INT64_MAX / slide - w->panes - 1) {
		drops->out_of_range++;
		return 1;
	}
	if (number < w->next_pane) {
		drops->late++;
		return 1;
	}
	uint32_t at = open_find(w, number);
	bool known = at < w->open_count && w->open[at].number == number;
	if (!known && window_pane_insert(w, at, number))
		return -ENOMEM;
	w->pane_start = number * slide;
	w->pane_span = (uint64_t)slide;
	w->pane = &w->open[at];
	return 0;
}

static uint8_t *word_entry(struct window *w, const struct weir_column *key, uint32_t i)
{
	int64_t value;
	memcpy(&value, (const uint8_t *)key->data + (uint64_t)i * key->stride, sizeof(value));
	bool is_null = key->nulls != NULL && key->nulls[i];
	if (w->listed)
		return is_null ? groups_take_null(&w->pane->groups)
			       : groups_take(&w->pane->groups, value);
	return is_null ? table_take_null(&w->pane->table)
		       : table_take_int64(&w->pane->table, value);
}

// Row i's entry in the current pane, or NULL with *ret_error 1 (drop) or -ENOMEM.
static uint8_t *entry_of(struct window *w, const struct weir_column *columns, uint32_t i,
	struct window_drops *drops, int *ret_error)
{
	const struct window_config *config = w->config;
	uint8_t *entry = NULL;
	if (w->form == TABLE_INT64) {
		entry = word_entry(w, &columns[config->keys[0]], i);
	} else {
		uint32_t bytes = key_encode_columns(config->schema, config->keys, config->key_count,
			columns, i, w->key, WINDOW_KEY_BYTES);
		if (bytes > (config->key_bytes_max ? config->key_bytes_max : WINDOW_KEY_BYTES)) {
			drops->too_large++;
			*ret_error = 1;
			return NULL;
		}
		entry = table_take_bytes(&w->pane->table, key_hash(w->key, bytes), w->key, bytes);
	}
	if (entry == NULL)
		*ret_error = -ENOMEM;
	return entry;
}

// Room for one key more in the current pane.  Returns 0, 2 where entries may move but must not,
// or -ENOMEM.
static int room(struct window *w, bool pending)
{
	struct groups *g = &w->pane->groups;
	if (w->listed ? g->count < g->room : table_is_quiet(&w->pane->table))
		return 0;
	if (pending)
		return 2;
	return w->listed ? groups_reserve(g) : 0;
}

// Find the pane and entry of row i.  Returns 0, 1: drop it, 2: first the entries found so far
// (`pending`) must be done with, because entries are about to move; -ENOMEM.
static int locate(struct window *w, const struct weir_column *columns, uint32_t i, bool pending,
	struct window_drops *drops, uint8_t **ret_entry)
{
	const struct weir_column *time = &columns[w->config->time_field];
	int64_t time_ns;
	memcpy(&time_ns, (const uint8_t *)time->data + (uint64_t)i * time->stride, 8);
	if (time->nulls != NULL && time->nulls[i]) {
		drops->out_of_range++;
		return 1;
	}
	int error = 0;
	if ((uint64_t)time_ns - (uint64_t)w->pane_start >= w->pane_span)
		error = window_turn(w, time_ns, drops);
	if (!error)
		error = room(w, pending);
	if (error)
		return error;
	*ret_entry = entry_of(w, columns, i, drops, &error);
	if (*ret_entry != NULL)
		((struct table_entry *)*ret_entry)->rows++;
	return error;
}

int window_update(struct window *w, const struct weir_column *columns, uint32_t from, uint32_t to,
	struct window_drops *drops)
{
	struct window_scratch *scratch = &w->scratch;
	uint32_t pending = 0;
	ASSERT(!w->firing && to - from <= BATCH_ROWS_MAX);
	for (uint32_t i = from; i < to; i++) {
		uint8_t *entry = NULL;
		int error = locate(w, columns, i, pending != 0, drops, &entry);
		if (error == 2) {
			cells_update(&w->config->aggregates, scratch->entries, columns,
				scratch->index, pending);
			pending = 0;
			error = locate(w, columns, i, false, drops, &entry);
		}
		if (error < 0)
			return error;
		scratch->entries[pending] = entry;
		scratch->index[pending] = i;
		pending += error == 0;
	}
	cells_update(&w->config->aggregates, scratch->entries, columns, scratch->index, pending);
	return 0;
}

// The pane that closes next at this watermark, if any: right behind the last while groups slide,
// else the first open one, however far ahead.
static bool due(const struct window *w, int64_t watermark_ns, int64_t *ret_number)
{
	int64_t number;
	if (w->sliding.count != 0)
		number = w->next_pane;
	else if (w->open_count != 0)
		number = w->open[0].number;
	else
		return false;
	*ret_number = number;
	return (number + 1) * w->config->slide_ns <= watermark_ns;
}

bool window_is_due(const struct window *w, int64_t watermark_ns)
{
	int64_t number;
	return due(w, watermark_ns, &number);
}

static int fire_begin(struct window *w, int64_t number)
{
	ASSERT(w->groups_absent == 0);
	w->position = 0;
	w->fired_rows = 0;
	w->next_pane = number + 1;
	w->pane_span = 0;
	w->firing = true;
	w->gathered = w->open_count == 0 || w->open[0].number != number;
	w->closing = (struct pane){.number = number};
	if (w->gathered)
		return 0;
	w->closing = w->open[0];
	w->keys_usual = pane_keys(w, &w->closing);
	w->open_count--;
	memmove(w->open, w->open + 1, w->open_count * sizeof(*w->open));
	return w->panes == 1 ? 0 : sliding_begin(&w->sliding, pane_keys(w, &w->closing));
}

// Entries of a tumbling window's pane are merged.
static int merge_some(struct window *w)
{
	struct groups *g = &w->closing.groups;
	int error = w->listed ? groups_merge(g, BATCH_ROWS_MAX) : 0;
	w->gathered = !w->listed || groups_are_merged(g);
	return error;
}

// Those of another are folded into the sliding groups.
static int fold_some(struct window *w)
{
	struct pane *pane = &w->closing;
	uint32_t count = pane_entries(w, pane, w->position, w->scratch.entries);
	const struct fold fold = {w->scratch.entries, count, pane_null(w, pane)};
	int error = sliding_fold(&w->sliding, window_place(w, pane->number), &fold, &w->scratch);
	w->position += count;
	w->gathered = w->position == pane_keys(w, pane);
	if (error || !w->gathered)
		return error;
	pane_end(w, pane);
	w->position = 0;
	return 0;
}

static int fire_end(struct window *w)
{
	w->firing = false;
	if (w->panes != 1)
		return sliding_advance(&w->sliding, window_place(w, w->next_pane - 1),
			w->fired_rows);
	pane_end(w, &w->closing);
	return 0;
}

// The next rows of a tumbling window's pane.
static void closing_rows(struct window *w, struct window_rows *ret)
{
	const uint8_t *null = pane_null(w, &w->closing);
	struct window_scratch *scratch = &w->scratch;
	ret->count = pane_entries(w, &w->closing, w->position, scratch->entries);
	ret->words = scratch->words;
	ret->texts = scratch->texts;
	ret->text_bytes = scratch->text_bytes;
	ret->null_row = UINT32_MAX;
	for (uint32_t i = 0; i < ret->count; i++) {
		const uint8_t *entry = scratch->entries[i];
		scratch->words[i] = entry_word(entry);
		if (entry == null)
			ret->null_row = i;
		if (w->form == TABLE_BYTES)
			scratch->texts[i] = table_text(entry, &scratch->text_bytes[i]);
	}
	for (uint32_t c = 0; c < w->config->aggregates.cell_count; c++) {
		cell_gather(&w->config->aggregates.cells[c], scratch->cells[c], scratch->entries,
			ret->count);
		ret->cells[c] = scratch->cells[c];
	}
	w->position += ret->count;
}

static void rows_next(struct window *w, struct window_rows *ret)
{
	if (w->panes == 1)
		closing_rows(w, ret);
	else
		sliding_rows(&w->sliding, window_place(w, w->next_pane - 1), &w->position,
			&w->scratch, ret);
	ret->end_ns = w->next_pane * w->config->slide_ns;
	ret->start_ns = ret->end_ns - w->config->size_ns;
	w->fired_rows += ret->count;
}

// All that end there have fired.
static void passed(struct window *w, int64_t watermark_ns)
{
	int64_t closed = floor_div(watermark_ns, w->config->slide_ns);
	int64_t behind;
	if (closed > w->next_pane) {
		w->next_pane = closed;
		w->pane_span = 0;
	}
	if (__builtin_add_overflow(w->next_pane, 1, &behind) ||
		__builtin_mul_overflow(behind, w->config->slide_ns, &w->next_close_ns))
		w->next_close_ns = w->next_pane < 0 ? INT64_MIN : INT64_MAX;
}

int window_fire(struct window *w, int64_t watermark_ns, struct window_rows *ret)
{
	int64_t number;
	ret->count = 0;
	if (watermark_ns < w->next_close_ns && !w->firing)
		return 0;
	while (w->firing || due(w, watermark_ns, &number)) {
		int error = w->firing ? 0 : fire_begin(w, number);
		if (error)
			return error;
		if (!w->gathered)
			return w->panes == 1 ? merge_some(w) : fold_some(w);
		rows_next(w, ret);
		if (ret->count != 0)
			return 0;
		error = fire_end(w);
		if (error)
			return error;
	}
	passed(w, watermark_ns);
	return 0;
}
