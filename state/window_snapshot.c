// Windows' state in a snapshot: a head, then a run for each open pane and one for the sliding
// groups. Before version 2 runs had no directory.
#include <errno.h>

#include "state/window_parts.h"

static uint32_t run_count(const struct window *w, uint32_t panes)
{
	return panes + (w->panes != 1);
}

static void head_write(const struct window *w, struct snapshot_writer *writer)
{
	snapshot_i64(writer, w->config->size_ns);
	snapshot_i64(writer, w->config->slide_ns);
	snapshot_u32(writer, w->config->aggregates.entry_bytes);
	snapshot_u32(writer, w->config->group_bits);
	snapshot_i64(writer, w->next_pane);
	snapshot_u32(writer, w->open_count);
}

static struct group_source run_source(struct window *w, uint32_t run)
{
	if (run == w->open_count)
		return sliding_source(&w->sliding, window_place(w, w->next_pane));
	return w->listed ? groups_source(&w->open[run].groups) : table_source(&w->open[run].table);
}

bool window_snapshot(struct window *w, struct snapshot_writer *writer, bool first)
{
	struct window_parts *p = &w->parts;
	if (first) {
		VERIFY(!w->firing && w->groups_absent == 0);
		head_write(w, writer);
		*p = (struct window_parts){.runs = run_count(w, w->open_count)};
	}
	if (p->run == p->runs)
		return true;
	struct group_source source = run_source(w, p->run);
	if (p->stage == WINDOW_BEGINS) {
		if (p->run < w->open_count)
			snapshot_i64(writer, w->open[p->run].number);
		group_run_begin(&p->sorted, w->config->group_bits, &source, writer);
		p->stage = WINDOW_PREPARES;
	}
	if (group_run_write(&p->sorted, &source, writer)) {
		p->run++;
		p->stage = WINDOW_BEGINS;
	}
	return p->run == p->runs;
}

// Returns 0, -EBADMSG or -EINVAL, and how many panes follow.
static int head_read(struct window *w, struct snapshot_reader *r, uint32_t *ret_panes)
{
	const struct window_config *config = w->config;
	ASSERT(w->open_count == 0 && !w->firing);
	if (snapshot_read_i64(r) != config->size_ns || snapshot_read_i64(r) != config->slide_ns ||
		snapshot_read_u32(r) != config->aggregates.entry_bytes)
		return -EINVAL;
	if (r->version >= WINDOW_GROUPS_VERSION && snapshot_read_u32(r) != config->group_bits)
		return -EINVAL;
	w->next_pane = snapshot_read_i64(r);
	w->next_close_ns = INT64_MIN;
	*ret_panes = snapshot_read_u32(r);
	return r->error;
}

static int pane_read(struct window *w, struct snapshot_reader *r, uint32_t at)
{
	int64_t number = snapshot_read_i64(r);
	bool ascends = at == 0 ? number >= w->next_pane : number > w->open[at - 1].number;
	if (r->error || !ascends)
		return -EBADMSG;
	return window_pane_insert(w, at, number);
}

// Where keys of a pane, or of the sliding groups, are read into.
struct container {
	void *keys;
	bool (*prepare)(void *keys);
	group_key_reader *read;
};

static struct container pane_container(const struct window *w, struct pane *pane)
{
	if (w->listed)
		return (struct container){
			&pane->groups, groups_restore_prepare, groups_restore_key};
	return (struct container){&pane->table, table_restore_prepare, table_restore_key};
}

static struct container sliding_container(struct window *w)
{
	return (struct container){&w->sliding, sliding_restore_prepare, sliding_restore_key};
}

// Read a run's head, with a directory or without, and make ready for so many keys; `pane` NULL: of
// the sliding groups. The reader is then at the first key.
static int run_begin(struct window *w, struct pane *pane, struct snapshot_reader *r,
	struct group_directory *d)
{
	int error = 0;
	if (r->version < WINDOW_GROUPS_VERSION)
		*d = (struct group_directory){.count = snapshot_read_u32(r)};
	else
		error = group_directory_read(d, r);
	if (error || r->error)
		return -EBADMSG;
	if (pane == NULL)
		return sliding_restore_begin(&w->sliding, window_place(w, w->next_pane), d->count);
	return w->listed ? groups_restore_begin(&pane->groups, d->count, r)
			 : table_restore_begin(&pane->table, d->count, r);
}

// A part of a run.  Returns 0 once all of it is read, 1, or -errno.
static int run_restore(struct window *w, struct snapshot_reader *r)
{
	struct window_parts *p = &w->parts;
	bool slides = w->panes != 1 && p->run + 1 == p->runs;
	if (p->stage == WINDOW_BEGINS) {
		int error = slides ? 0 : pane_read(w, r, p->run);
		struct group_directory d;
		if (!error)
			error = run_begin(w, slides ? NULL : &w->open[p->run], r, &d);
		if (error)
			return error;
		p->stage = WINDOW_PREPARES;
	}
	struct container to = slides ? sliding_container(w) : pane_container(w, &w->open[p->run]);
	if (p->stage == WINDOW_PREPARES) {
		if (to.prepare(to.keys))
			p->stage = WINDOW_READS;
		return 1;
	}
	return group_run_read_part(to.keys, to.read, r);
}

int window_restore(struct window *w, struct snapshot_reader *reader, bool first)
{
	struct window_parts *p = &w->parts;
	if (first) {
		uint32_t panes;
		int error = head_read(w, reader, &panes);
		if (error)
			return error;
		*p = (struct window_parts){.runs = run_count(w, panes)};
	}
	if (p->run == p->runs)
		return 0;
	int result = run_restore(w, reader);
	if (result != 0)
		return result;
	p->run++;
	p->stage = WINDOW_BEGINS;
	return p->run == p->runs ? 0 : 1;
}

static int run_mark(struct window *w, struct pane *pane, struct snapshot_reader *r,
	struct group_set *absent, size_t *ret_saved_at)
{
	struct group_directory d;
	*ret_saved_at = snapshot_tell(r);
	int error = run_begin(w, pane, r, &d);
	struct container to = pane == NULL ? sliding_container(w) : pane_container(w, pane);
	while (!error && !to.prepare(to.keys))
		;
	return error ? error : group_directory_mark(&d, r, absent);
}

// With all groups there, a number that no key took was lost in the snapshot.
static int restore_end(const struct window *w)
{
	for (uint32_t i = 0; i < w->open_count; i++)
		if ((w->listed ? w->open[i].groups.absent : w->open[i].table.absent) != 0)
			return -EBADMSG;
	return 0;
}

int window_restore_begin(struct window *w, struct snapshot_reader *reader, struct group_set *absent)
{
	uint32_t panes;
	ASSERT(reader->version >= WINDOW_GROUPS_VERSION);
	int error = head_read(w, reader, &panes);
	for (uint32_t i = 0; i < panes && !error; i++) {
		error = pane_read(w, reader, i);
		if (!error)
			error = run_mark(w, &w->open[i], reader, absent, &w->open[i].saved_at);
	}
	if (!error && w->panes != 1)
		error = run_mark(w, NULL, reader, absent, &w->sliding_saved_at);
	if (error)
		return error;
	w->groups_absent = group_set_count(absent);
	return w->groups_absent == 0 ? restore_end(w) : 0;
}

static int run_read_group(const struct window *w, size_t saved_at, struct container to,
	struct snapshot_reader *r, uint32_t group)
{
	struct group_directory d;
	snapshot_seek(r, saved_at);
	int error = group_directory_read(&d, r);
	if (error)
		return error;
	return group_run_read_group(&d, group, w->config->group_bits, to.keys, to.read, r);
}

int window_restore_group(struct window *w, struct snapshot_reader *reader, uint32_t group)
{
	int error = 0;
	ASSERT(w->groups_absent != 0 && !w->firing);
	for (uint32_t i = 0; i < w->open_count && !error; i++) {
		struct pane *pane = &w->open[i];
		if (pane->saved_at != 0)
			error = run_read_group(w, pane->saved_at, pane_container(w, pane), reader,
				group);
	}
	if (!error && w->panes != 1)
		error = run_read_group(w, w->sliding_saved_at, sliding_container(w), reader, group);
	if (error)
		return error;
	return --w->groups_absent == 0 ? restore_end(w) : 0;
}

static uint64_t word_hash(const struct weir_column *key, uint32_t row)
{
	int64_t word;
	if (key->nulls != NULL && key->nulls[row])
		return table_null_hash();
	memcpy(&word, (const uint8_t *)key->data + (uint64_t)row * key->stride, sizeof(word));
	return key_hash_int64(word);
}

void window_keys(struct window *w, const struct weir_column *columns, uint32_t count,
	struct group_set *needed)
{
	const struct window_config *config = w->config;
	ASSERT(!w->listed);
	for (uint32_t i = 0; i < count; i++) {
		if (w->form == TABLE_INT64) {
			group_set_add_hash(needed, word_hash(&columns[config->keys[0]], i));
			continue;
		}
		uint32_t bytes = key_encode_columns(config->schema, config->keys, config->key_count,
			columns, i, w->key, WINDOW_KEY_BYTES);
		if (bytes <= WINDOW_KEY_BYTES)
			group_set_add_hash(needed, key_hash(w->key, bytes));
	}
}
