#include "state/sliding.h"

#include <errno.h>

#define NONE UINT32_MAX

enum { ROOM_MIN = 64, DEAD_MIN = 256 };

static void *ring(const struct sliding *s, uint32_t cell, uint32_t pane)
{
	return s->rings[cell * s->panes + pane];
}

int sliding_create(struct sliding *s, const struct aggregates *aggregates, enum table_form form,
	uint32_t panes, struct pool *pool, struct arena *arena)
{
	memset(s, 0, sizeof(*s));
	s->aggregates = aggregates;
	s->pool = pool;
	s->panes = panes;
	s->null_number = NONE;
	uint64_t cells = aggregates->cell_count;
	s->totals = arena_alloc(arena, cells * sizeof(void *), 8);
	s->rings = arena_alloc(arena, cells * panes * sizeof(void *), 8);
	if (s->totals == NULL || s->rings == NULL)
		return -ENOMEM;
	for (uint32_t c = 0; c < cells; c++)
		s->cells_bytes += aggregates->cells[c].bytes * (panes + 1);
	uint32_t stride = form == TABLE_INT64 ? TABLE_INT64_HEAD : TABLE_BYTES_HEAD;
	table_create(&s->index, pool, form, false, stride, NULL);
	return 0;
}

// An array of room `room`, old contents kept.  Returns NULL or the array.
static void *array_grow(struct sliding *s, const struct cell *cell, const void *old, uint32_t room)
{
	uint8_t *array = pool_alloc(s->pool, (uint64_t)room * cell->bytes);
	if (array != NULL && old != NULL)
		memcpy(array, old, (uint64_t)s->count * cell->bytes);
	return array;
}

static uint32_t array_count(const struct sliding *s)
{
	return s->aggregates->cell_count * (s->panes + 1);
}

// All arrays in one numbering: every cell's total, then every cell's ring.
static void **array_at(struct sliding *s, uint32_t i, const struct cell **ret_cell)
{
	uint32_t cells = s->aggregates->cell_count;
	uint32_t cell = i < cells ? i : (i - cells) / s->panes;
	*ret_cell = &s->aggregates->cells[cell];
	return i < cells ? &s->totals[i] : &s->rings[i - cells];
}

static void arrays_free(struct sliding *s)
{
	const struct cell *cell;
	for (uint32_t i = 0; i < array_count(s); i++) {
		void **array = array_at(s, i, &cell);
		pool_free(s->pool, *array, (uint64_t)s->room * cell->bytes);
		*array = NULL;
	}
	pool_free(s->pool, s->words, (uint64_t)s->room * sizeof(*s->words));
	s->words = NULL;
	s->room = 0;
}

void sliding_destroy(struct sliding *s)
{
	if (s->rings == NULL)
		return;
	arrays_free(s);
	table_destroy(&s->index);
	s->count = 0;
}

// Elements as of no rows.
static void fill(struct sliding *s, uint32_t from, uint32_t to)
{
	const struct cell *cell;
	for (uint32_t i = 0; i < array_count(s); i++) {
		uint8_t *array = *array_at(s, i, &cell);
		cell_fill(cell, array + (uint64_t)from * cell->bytes, to - from);
	}
}

// Arrays of room for `count`, what is behind the old contents undefined.
// On failure the arrays already grown are larger than `room` says, so the pool's books would be
// wrong: but then the job stops, and the pool goes with it.
static int arrays_take(struct sliding *s, uint64_t count)
{
	uint64_t room = s->room == 0 ? ROOM_MIN : s->room;
	while (room < count)
		room *= 2;
	if (room >= NONE)
		return -ENOMEM;
	static const struct cell word = {CELL_ROWS, -1, 0, sizeof(int64_t)};
	for (uint32_t i = 0; i <= array_count(s); i++) {
		const struct cell *cell = &word;
		void **array = i < array_count(s) ? array_at(s, i, &cell) : (void **)&s->words;
		void *grown = array_grow(s, cell, *array, (uint32_t)room);
		if (grown == NULL)
			return -ENOMEM;
		pool_free(s->pool, *array, (uint64_t)s->room * cell->bytes);
		*array = grown;
	}
	s->room = (uint32_t)room;
	return 0;
}

static int reserve(struct sliding *s, uint64_t count)
{
	if (count <= s->room)
		return 0;
	int error = arrays_take(s, count);
	if (error == 0)
		fill(s, s->count, s->room);
	return error;
}

// Rows of the panes before pane `at` that its window still covers.
static uint64_t rows_before(const struct sliding *s, uint32_t at, uint32_t number)
{
	uint64_t rows = ((const uint64_t *)s->totals[0])[number];
	if (at + 1 < s->panes)
		rows += ((const uint64_t *)ring(s, 0, at + 1))[number];
	return rows;
}

// The index entry of a pane's entry, or NULL when the pool is exhausted.
static struct table_entry *index_entry(struct sliding *s, const struct fold *fold,
	const uint8_t *entry)
{
	if (entry == fold->null_entry)
		return (struct table_entry *)table_take_null(&s->index);
	if (s->index.form == TABLE_INT64)
		return (struct table_entry *)table_take_int64(&s->index, entry_word(entry));
	uint32_t bytes;
	const uint8_t *text = table_text(entry, &bytes);
	return (struct table_entry *)table_take_bytes(&s->index, (uint64_t)entry_word(entry), text,
		bytes);
}

// A bytes key's word: its text in the index's store.
static int64_t text_word(const struct table_entry *entry)
{
	return (int64_t)(uintptr_t)entry->text;
}

static const uint8_t *word_text(int64_t word, uint32_t *ret_bytes)
{
	const uint8_t *text = (const uint8_t *)(uintptr_t)word;
	*ret_bytes = text_bytes(text);
	return text;
}

// A key without rows in the panes before is born anew: its number must not depend on whether it
// was swept meanwhile.
static int number_of(struct sliding *s, const struct fold *fold, const uint8_t *entry, uint32_t at,
	uint32_t *ret)
{
	struct table_entry *known = index_entry(s, fold, entry);
	if (known == NULL)
		return -ENOMEM;
	bool live = known->rows > s->fold_first ||
		(known->rows != 0 && rows_before(s, at, (uint32_t)known->rows - 1) != 0);
	if (!live) {
		s->words[s->count] =
			s->index.form == TABLE_INT64 ? entry_word(entry) : text_word(known);
		if (entry == fold->null_entry)
			s->null_number = s->count;
		known->rows = ++s->count;
	}
	*ret = (uint32_t)known->rows - 1;
	return 0;
}

int sliding_begin(struct sliding *s, uint32_t keys)
{
	int error = reserve(s, (uint64_t)s->count + keys);
	s->fold_first = s->count;
	return error ? error : table_reserve(&s->index, keys);
}

int sliding_fold(struct sliding *s, uint32_t at, const struct fold *fold,
	struct window_scratch *scratch)
{
	ASSERT(fold->count <= BATCH_ROWS_MAX && s->count + fold->count <= s->room);
	// The index lies beyond the near caches, and the run of rows has pushed it further out.
	for (uint32_t i = 0; i < fold->count; i++)
		table_prefetch(&s->index, &s->index, fold->entries[i]);
	for (uint32_t i = 0; i < fold->count; i++)
		if (number_of(s, fold, fold->entries[i], at, &scratch->index[i]))
			return -ENOMEM;
	for (uint32_t c = 0; c < s->aggregates->cell_count; c++)
		cell_fold(&s->aggregates->cells[c], s->totals[c], ring(s, c, at), scratch->index,
			fold->entries, fold->count);
	return 0;
}

// Combine the window's two cells of numbers [from, from + count) for one cell.
static void window_cells(struct sliding *s, uint32_t cell, uint32_t at, uint32_t from,
	uint32_t count, void *out)
{
	const struct cell *c = &s->aggregates->cells[cell];
	uint64_t offset = (uint64_t)from * c->bytes;
	const uint8_t *later = at + 1 < s->panes ? (uint8_t *)ring(s, cell, at + 1) + offset : NULL;
	cell_combine(c, out, (uint8_t *)s->totals[cell] + offset, later, count);
}

static bool all_live(const uint64_t *rows, uint32_t count)
{
	uint32_t dead = 0;
	for (uint32_t i = 0; i < count; i++)
		dead |= rows[i] == 0;
	return dead == 0;
}

static void rows_all(struct sliding *s, uint32_t at, uint32_t from, uint32_t count,
	struct window_scratch *scratch, struct window_rows *ret)
{
	for (uint32_t c = 1; c < s->aggregates->cell_count; c++)
		window_cells(s, c, at, from, count, scratch->cells[c]);
	ret->count = count;
	ret->words = s->words + from;
	ret->null_row = s->null_number - from < count ? s->null_number - from : NONE;
}

static void rows_chosen(struct sliding *s, uint32_t at, uint32_t from, uint32_t count,
	struct window_scratch *scratch, struct window_rows *ret)
{
	const uint64_t *rows = (const uint64_t *)scratch->cells[0];
	uint32_t live = 0;
	ret->null_row = NONE;
	for (uint32_t i = 0; i < count; i++) {
		scratch->index[live] = from + i;
		scratch->words[live] = s->words[from + i];
		if (from + i == s->null_number && rows[i] != 0)
			ret->null_row = live;
		live += rows[i] != 0;
	}
	for (uint32_t c = 0; c < s->aggregates->cell_count; c++) {
		const void *later = at + 1 < s->panes ? ring(s, c, at + 1) : NULL;
		cell_combine_index(&s->aggregates->cells[c], scratch->cells[c], s->totals[c], later,
			scratch->index, live);
	}
	ret->count = live;
	ret->words = scratch->words;
}

void sliding_rows(struct sliding *s, uint32_t at, uint32_t *position,
	struct window_scratch *scratch, struct window_rows *ret)
{
	ret->count = 0;
	if (*position < s->first_live)
		*position = s->first_live;
	while (ret->count == 0 && *position < s->count) {
		uint32_t from = *position, count = s->count - from;
		count = count < BATCH_ROWS_MAX ? count : BATCH_ROWS_MAX;
		window_cells(s, 0, at, from, count, scratch->cells[0]);
		if (all_live((const uint64_t *)scratch->cells[0], count))
			rows_all(s, at, from, count, scratch, ret);
		else
			rows_chosen(s, at, from, count, scratch, ret);
		*position += count;
		if (ret->count == 0 && from == s->first_live)
			s->first_live = *position;
	}
	for (uint32_t c = 0; c < s->aggregates->cell_count; c++)
		ret->cells[c] = scratch->cells[c];
	if (s->index.form == TABLE_INT64)
		return;
	for (uint32_t i = 0; i < ret->count; i++)
		scratch->texts[i] = word_text(ret->words[i], &scratch->text_bytes[i]);
	ret->texts = scratch->texts;
	ret->text_bytes = scratch->text_bytes;
}

static void clear(struct sliding *s)
{
	if (s->count != 0)
		fill(s, 0, s->count);
	table_destroy(&s->index);
	s->count = 0;
	s->first_live = 0;
	s->null_number = NONE;
}

// The block ends: what its panes held becomes suffix totals, and the totals start anew.
static void flip(struct sliding *s)
{
	uint32_t count = s->count - s->first_live;
	for (uint32_t c = 0; c < s->aggregates->cell_count; c++) {
		const struct cell *cell = &s->aggregates->cells[c];
		uint64_t offset = (uint64_t)s->first_live * cell->bytes;
		for (uint32_t pane = s->panes - 1; pane-- > 0;) {
			uint8_t *array = (uint8_t *)ring(s, c, pane) + offset;
			cell_combine(cell, array, array, (uint8_t *)ring(s, c, pane + 1) + offset,
				count);
		}
		cell_fill(cell, (uint8_t *)s->totals[c] + offset, count);
	}
}

static void array_pick(uint8_t *array, uint32_t bytes, const uint32_t *list, uint32_t count)
{
	if (bytes == 8)
		for (uint32_t i = 0; i < count; i++)
			memcpy(array + 8ull * i, array + 8ull * list[i], 8);
	else
		for (uint32_t i = 0; i < count; i++)
			memcpy(array + 16ull * i, array + 16ull * list[i], 16);
}

static int index_add(struct sliding *s, struct table *index, uint32_t number)
{
	struct table_entry *entry;
	int64_t word = s->words[number];
	if (number == s->null_number) {
		entry = (struct table_entry *)table_take_null(index);
	} else if (index->form == TABLE_INT64) {
		entry = (struct table_entry *)table_take_int64(index, word);
	} else {
		uint32_t bytes;
		const uint8_t *text = word_text(word, &bytes);
		entry = (struct table_entry *)table_take_bytes(index, key_hash(text, bytes), text,
			bytes);
	}
	if (entry == NULL)
		return -ENOMEM;
	entry->rows = number + 1ull;
	if (index->form == TABLE_BYTES)
		s->words[number] = text_word(entry);
	return 0;
}

static int index_rebuild(struct sliding *s)
{
	struct table index;
	table_create(&index, s->pool, s->index.form, false, s->index.stride, NULL);
	int error = table_reserve(&index, 2 * s->count + DEAD_MIN);
	for (uint32_t i = 0; i < s->count && !error; i++)
		error = index_add(s, &index, i);
	table_destroy(&s->index);
	s->index = index;
	return error;
}

// Close up over the dead, order kept. `at` is the pane that comes next.
static int sweep(struct sliding *s, uint32_t at)
{
	uint64_t list_bytes = (uint64_t)s->count * sizeof(uint32_t);
	uint32_t *list = pool_alloc(s->pool, list_bytes), live = 0, null_number = NONE;
	if (list == NULL)
		return -ENOMEM;
	for (uint32_t i = s->first_live; i < s->count; i++) {
		if (rows_before(s, at, i) == 0)
			continue;
		if (i == s->null_number)
			null_number = live;
		list[live++] = i;
	}
	const struct cell *cell;
	for (uint32_t i = 0; i < array_count(s); i++) {
		uint8_t *array = *array_at(s, i, &cell);
		array_pick(array, cell->bytes, list, live);
	}
	array_pick((uint8_t *)s->words, sizeof(*s->words), list, live);
	pool_free(s->pool, list, list_bytes);
	fill(s, live, s->count);
	s->count = live;
	s->first_live = 0;
	s->null_number = null_number;
	return index_rebuild(s);
}

int sliding_advance(struct sliding *s, uint32_t at, uint64_t rows)
{
	if (rows == 0) {
		clear(s);
		return 0;
	}
	if (at == s->panes - 1)
		flip(s);
	uint32_t next = at + 1 == s->panes ? 0 : at + 1;
	for (uint32_t c = 0; c < s->aggregates->cell_count; c++) {
		const struct cell *cell = &s->aggregates->cells[c];
		uint8_t *array =
			(uint8_t *)ring(s, c, next) + (uint64_t)s->first_live * cell->bytes;
		cell_fill(cell, array, s->count - s->first_live);
	}
	return s->count - rows > rows + DEAD_MIN ? sweep(s, next) : 0;
}

// A key's totals and ring, read or written one after the other.
static void cells_write(const struct sliding *s, uint32_t number, struct snapshot_writer *w)
{
	const struct cell *cell;
	for (uint32_t i = 0; i < array_count(s); i++) {
		const uint8_t *array = *array_at((struct sliding *)s, i, &cell);
		snapshot_bytes(w, array + (uint64_t)number * cell->bytes, cell->bytes);
	}
}

static void cells_read(struct sliding *s, uint32_t number, struct snapshot_reader *r)
{
	const struct cell *cell;
	for (uint32_t i = 0; i < array_count(s); i++) {
		uint8_t *array = *array_at(s, i, &cell);
		snapshot_read(r, array + (uint64_t)number * cell->bytes, cell->bytes);
	}
}

static uint32_t source_look(const void *sliding, uint32_t i, uint64_t *ret_hash)
{
	const struct sliding *s = sliding;
	const uint8_t *entry = table_at(&s->index, i);
	if (rows_before(s, s->saved_at, (uint32_t)entry_rows(entry) - 1) == 0)
		return 0;
	*ret_hash = table_hash(&s->index, entry);
	return table_key_bytes(&s->index, entry) + s->cells_bytes;
}

static void source_write(const void *sliding, uint32_t i, uint32_t group, struct snapshot_writer *w)
{
	const struct sliding *s = sliding;
	const uint8_t *entry = table_at(&s->index, i);
	uint32_t number = (uint32_t)entry_rows(entry) - 1;
	table_key_write(&s->index, entry, group, number, w);
	cells_write(s, number, w);
}

static void source_fetch(const void *sliding, uint32_t i, uint32_t stage)
{
	table_fetch(&((const struct sliding *)sliding)->index, i, stage);
}

struct group_source sliding_source(struct sliding *s, uint32_t at)
{
	s->saved_at = at;
	return (struct group_source){.container = s,
		.keys = s->index.count,
		.numbers = s->count,
		.look = source_look,
		.write = source_write,
		.fetch = source_fetch};
}

int sliding_restore_begin(struct sliding *s, uint32_t at, uint32_t count)
{
	clear(s);
	if (count > s->room && arrays_take(s, count))
		return -ENOMEM;
	s->saved_at = at;
	s->saved_count = count;
	s->filled = 0;
	return 0;
}

bool sliding_restore_prepare(void *sliding)
{
	enum { PART_BYTES = 1 << 18 };
	struct sliding *s = sliding;
	uint32_t left = s->room - s->filled, part = PART_BYTES / s->cells_bytes + 1;
	part = part < left ? part : left;
	fill(s, s->filled, s->filled + part);
	s->filled += part;
	if (s->filled != s->room)
		return false;
	s->count = s->saved_count;
	return true;
}

int sliding_restore_key(void *sliding, struct snapshot_reader *r, struct group_key *ret)
{
	struct sliding *s = sliding;
	struct table_key key;
	int error = table_key_read(&s->index, r, &key);
	if (error || key.entry == NULL)
		return error ? error : 1;
	struct table_entry *entry = (struct table_entry *)key.entry;
	if (entry->rows != 0 || key.number >= s->count ||
		rows_before(s, s->saved_at, key.number) != 0)
		return -EBADMSG;
	entry->rows = key.number + 1ull;
	s->words[key.number] = s->index.form == TABLE_INT64 ? entry->word : text_word(entry);
	if (key.entry == s->index.null_entry)
		s->null_number = key.number;
	cells_read(s, key.number, r);
	*ret = (struct group_key){key.group, table_hash(&s->index, key.entry)};
	if (r->error)
		return r->error;
	return rows_before(s, s->saved_at, key.number) == 0 ? -EBADMSG : 0;
}
