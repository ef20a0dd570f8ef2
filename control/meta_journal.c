#include "control/meta_journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/journal_format.h"
#include "control/meta_map.h"
#include "numa/assert.h"

enum { COMPACT_BYTES_MIN = 1 << 20, COMPACT_FACTOR = 4, WRITE_BYTES = 1 << 20 };
static const char file_name[] = "journal", new_name[] = "journal.new";

struct compare {
	char key[META_KEY_MAX + 1];
	int64_t revision;
};

// A request that waits for the next step.
struct ask {
	struct ask *next;
	uint64_t request;
	bool refused;
	char *prefix;   // of a list; NULL: a transaction
	uint8_t *entry; // its puts, encoded; NULL: none
	uint32_t compare_count;
	struct compare compares[];
};

struct journal {
	struct meta meta;
	struct journal_disk *disk;
	struct meta_map map;
	int64_t revision;
	int file; // -1: none is open
	uint64_t file_bytes, compact_bytes;
	bool stale; // the file may not be what memory is: write it anew before anything else
	bool lease_asked, lease_held, changed;
	char path[256], trouble[JOURNAL_WHY_BYTES];
	uint32_t ask_count;
	struct ask *first, **last;
	uint32_t watch_count;
	char watches[JOURNAL_WATCHES_MAX][META_KEY_MAX + 1];
};

static struct journal *of(struct meta *meta)
{
	return (struct journal *)meta;
}

static void trouble_set(struct journal *j, const char *doing, int error)
{
	const char *remedy = error == -ENOSPC || error == -EDQUOT
		? "; make room: until then nothing can be changed"
		: "";
	snprintf(j->trouble, sizeof(j->trouble), "%s/%s: %s: %s%s", j->path, file_name, doing,
		strerror(-error), remedy);
}

// Apply a checked entry to memory.
static void entry_apply(struct journal *j, const uint8_t *entry, int64_t revision)
{
	char key[META_KEY_MAX + 1];
	struct meta_put put;
	for (size_t at = 0; journal_entry_next(entry, &at, key, &put);) {
		if (put.value)
			meta_map_put(&j->map, &put, revision);
		else
			meta_map_delete(&j->map, key);
		for (uint32_t i = 0; i < j->watch_count; i++)
			j->changed |= strncmp(key, j->watches[i], strlen(j->watches[i])) == 0;
	}
	j->revision = revision;
}

// A file written front to back through a buffer.
struct writer {
	struct journal *j;
	int file, error;
	uint64_t bytes;
};

static void writer_put(struct writer *w, const void *data, size_t bytes)
{
	if (w->error == 0)
		w->error = w->j->disk->ops->write(w->j->disk, w->file, data, bytes, w->bytes);
	w->bytes += bytes;
}

static int compare_revisions(const void *a, const void *b)
{
	const struct meta_entry *x = *(struct meta_entry *const *)a;
	const struct meta_entry *y = *(struct meta_entry *const *)b;
	if (x->revision != y->revision)
		return x->revision < y->revision ? -1 : 1;
	return strcmp(x->key, y->key);
}

// Write one entry holding `count` keys of one revision.
static void writer_put_entries(struct writer *w, struct meta_entry *const *entries, uint32_t count)
{
	struct meta_put puts[META_OPS_MAX];
	VERIFY(count <= META_OPS_MAX); // a transaction changes no more
	for (uint32_t i = 0; i < count; i++)
		puts[i] = (struct meta_put){entries[i]->key, entries[i]->value, entries[i]->bytes,
			w->j->map.leased[entries[i] - w->j->map.entries]};
	uint8_t *entry = malloc(journal_entry_bytes(puts, count));
	VERIFY(entry != NULL);
	journal_entry_make(entry, puts, count);
	journal_entry_seal(entry, entries[0]->revision);
	writer_put(w, entry, journal_entry_bytes(puts, count));
	free(entry);
}

// Write all of memory: keys by revision, those of one revision in one entry.
static void writer_put_map(struct writer *w)
{
	const struct meta_map *map = &w->j->map;
	uint8_t header[JOURNAL_HEADER_BYTES];
	struct meta_entry **sorted = malloc((map->count + 1) * sizeof(*sorted));
	VERIFY(sorted != NULL);
	for (uint32_t i = 0; i < map->count; i++)
		sorted[i] = &map->entries[i];
	qsort(sorted, map->count, sizeof(*sorted), compare_revisions);
	journal_header_make(header, w->j->revision);
	writer_put(w, header, sizeof(header));
	for (uint32_t first = 0, limit; first < map->count && w->error == 0; first = limit) {
		for (limit = first + 1;
			limit < map->count && sorted[limit]->revision == sorted[first]->revision;)
			limit++;
		writer_put_entries(w, sorted + first, limit - first);
	}
	free(sorted);
}

// Write the file anew from memory and put it in the old one's place.  Returns 0, or -errno and the
// old one still serves, unless it is stale.
static int file_rewrite(struct journal *j)
{
	const struct journal_disk_ops *ops = j->disk->ops;
	struct writer w = {.j = j, .file = ops->open(j->disk, new_name, true)};
	if (w.file < 0)
		return w.file;
	writer_put_map(&w);
	if (w.error == 0)
		w.error = ops->sync(j->disk, w.file);
	if (w.error != 0) {
		ops->close(j->disk, w.file);
		ops->remove(j->disk, new_name);
		return w.error;
	}
	int error = ops->publish(j->disk, new_name, file_name);
	if (error) {
		// Which of the two lasts is not known: neither may be written to again.
		ops->close(j->disk, w.file);
		j->stale = true;
		return error;
	}
	if (j->file >= 0)
		ops->close(j->disk, j->file);
	j->file = w.file;
	j->file_bytes = w.bytes;
	j->compact_bytes = w.bytes * COMPACT_FACTOR;
	if (j->compact_bytes < COMPACT_BYTES_MIN)
		j->compact_bytes = COMPACT_BYTES_MIN;
	j->stale = false;
	return 0;
}

// Write an entry behind the others; not yet synced.  A first failure is met with a file written
// anew, which is the shorter one.
static int entry_write(struct journal *j, const uint8_t *entry, size_t bytes)
{
	const struct journal_disk_ops *ops = j->disk->ops;
	int error = j->stale ? file_rewrite(j) : 0;
	for (int tries = 0; error == 0 && tries < 2; tries++) {
		error = ops->write(j->disk, j->file, entry, bytes, j->file_bytes);
		if (error == 0)
			return 0;
		if (ops->cut(j->disk, j->file, j->file_bytes) != 0)
			j->stale = true;
		int again = tries == 0 ? file_rewrite(j) : error;
		error = again;
	}
	return error;
}

// Make an entry last.  What a failed sync left on disk is not known; a file written anew without
// the entry decides it.
static enum meta_outcome entry_commit(struct journal *j, uint8_t *entry, size_t bytes)
{
	journal_entry_seal(entry, j->revision + 1);
	int error = entry_write(j, entry, bytes);
	if (error) {
		trouble_set(j, "writing", error);
		return META_REFUSED;
	}
	error = j->disk->ops->sync(j->disk, j->file);
	if (error) {
		trouble_set(j, "syncing", error);
		j->stale = true;
		return file_rewrite(j) == 0 ? META_REFUSED : META_UNKNOWN;
	}
	j->file_bytes += bytes;
	entry_apply(j, entry, j->revision + 1);
	j->trouble[0] = 0;
	// Where this fails the long file serves on, and it is tried again at twice the length.
	if (j->file_bytes > j->compact_bytes && file_rewrite(j) != 0)
		j->compact_bytes = 2 * j->file_bytes;
	return META_DONE;
}

static bool compares_hold(const struct journal *j, const struct ask *ask)
{
	for (uint32_t i = 0; i < ask->compare_count; i++) {
		const struct meta_entry *e = meta_map_find(&j->map, ask->compares[i].key);
		if ((e ? e->revision : 0) != ask->compares[i].revision)
			return false;
	}
	return true;
}

static enum meta_outcome txn_do(struct journal *j, struct ask *ask)
{
	int64_t revision;
	if (ask->refused)
		return META_REFUSED;
	if (!compares_hold(j, ask))
		return META_CONFLICT;
	if (!ask->entry)
		return META_DONE;
	uint32_t bytes;
	memcpy(&bytes, ask->entry, sizeof(bytes)); // its first word
	if (j->map.bytes + bytes > JOURNAL_STATE_BYTES_MAX) {
		trouble_set(j, "the state would exceed 256 MiB", -ENOSPC);
		return META_REFUSED;
	}
	enum meta_outcome outcome = entry_commit(j, ask->entry, bytes);
	ASSERT(outcome != META_DONE || journal_entry_check(ask->entry, bytes, &revision) == bytes);
	return outcome;
}

static void ask_free(struct ask *ask)
{
	free(ask->prefix);
	free(ask->entry);
	free(ask);
}

static void ask_answer(struct journal *j, struct ask *ask)
{
	const struct meta_events *events = &j->meta.events;
	if (ask->prefix) {
		uint32_t count;
		const struct meta_entry *found = meta_map_prefix(&j->map, ask->prefix, &count);
		events->listed(events->owner, ask->request, META_DONE, found, count, j->revision);
	} else {
		enum meta_outcome outcome = txn_do(j, ask);
		events->answered(events->owner, ask->request, outcome, j->revision);
	}
}

static int ask_add(struct journal *j, struct ask *ask)
{
	*j->last = ask;
	j->last = &ask->next;
	j->ask_count++;
	return 0;
}

static struct ask *ask_create(const struct journal *j, uint64_t request, uint32_t compare_count)
{
	if (j->ask_count == JOURNAL_QUEUE_MAX)
		return NULL;
	struct ask *ask = calloc(1, sizeof(*ask) + compare_count * sizeof(struct compare));
	VERIFY(ask != NULL);
	ask->request = request;
	return ask;
}

static bool leased(const struct meta_txn *txn)
{
	for (uint32_t i = 0; i < txn->put_count; i++)
		if (txn->puts[i].leased)
			return true;
	return false;
}

static int journal_txn(struct meta *meta, uint64_t request, const struct meta_txn *txn,
	int64_t now_ns)
{
	struct journal *j = of(meta);
	bool refused = meta_txn_wrong(txn) || (leased(txn) && !j->lease_held);
	struct ask *ask = ask_create(j, request, refused ? 0 : txn->compare_count);
	if (!ask)
		return -ENOBUFS;
	ask->refused = refused;
	if (refused)
		return ask_add(j, ask);
	ask->compare_count = txn->compare_count;
	for (uint32_t i = 0; i < txn->compare_count; i++) {
		strcpy(ask->compares[i].key, txn->compares[i].key);
		ask->compares[i].revision = txn->compares[i].revision;
	}
	if (txn->put_count > 0) {
		ask->entry = malloc(journal_entry_bytes(txn->puts, txn->put_count));
		VERIFY(ask->entry != NULL);
		journal_entry_make(ask->entry, txn->puts, txn->put_count);
	}
	return ask_add(j, ask);
}

static int journal_list(struct meta *meta, uint64_t request, const char *prefix, int64_t now_ns)
{
	struct journal *j = of(meta);
	struct ask *ask = ask_create(j, request, 0);
	if (!ask)
		return -ENOBUFS;
	ask->prefix = strdup(prefix);
	VERIFY(ask->prefix != NULL);
	return ask_add(j, ask);
}

static int journal_watch(struct meta *meta, const char *prefix)
{
	struct journal *j = of(meta);
	if (j->watch_count == JOURNAL_WATCHES_MAX || strlen(prefix) > META_KEY_MAX)
		return -ENOSPC;
	strcpy(j->watches[j->watch_count++], prefix);
	return 0;
}

static int journal_keep_lease(struct meta *meta, int64_t ttl_ns)
{
	of(meta)->lease_asked = true;
	return 0;
}

static int64_t journal_step(struct meta *meta, int64_t now_ns)
{
	struct journal *j = of(meta);
	const struct meta_events *events = &meta->events;
	if (j->lease_asked) {
		j->lease_asked = false;
		j->lease_held = true;
		events->lease(events->owner, INT64_MAX);
	}
	for (int i = 0; j->first && i < JOURNAL_STEP_TXNS; i++) {
		struct ask *ask = j->first;
		j->first = ask->next;
		j->last = j->first ? j->last : &j->first;
		j->ask_count--;
		ask_answer(j, ask);
		ask_free(ask);
	}
	if (j->changed) {
		j->changed = false;
		events->changed(events->owner);
	}
	return j->first || j->lease_asked ? now_ns : INT64_MAX;
}

static const char *journal_trouble(const struct meta *meta)
{
	const struct journal *j = (const struct journal *)meta;
	return j->trouble[0] ? j->trouble : NULL;
}

static void journal_destroy(struct meta *meta)
{
	struct journal *j = of(meta);
	while (j->first) {
		struct ask *ask = j->first;
		j->first = ask->next;
		ask_free(ask);
	}
	if (j->file >= 0)
		j->disk->ops->close(j->disk, j->file);
	j->disk->ops->destroy(j->disk);
	meta_map_free(&j->map);
	free(j);
}

static const struct meta_ops ops = {.txn = journal_txn,
	.list = journal_list,
	.watch = journal_watch,
	.keep_lease = journal_keep_lease,
	.step = journal_step,
	.trouble = journal_trouble,
	.destroy = journal_destroy};

// Whether a good entry lies anywhere behind `at`. What was being written when the process died is
// the last entry, so then it is damage.
static bool good_entry_behind(const uint8_t *data, size_t bytes, size_t at, int64_t revision)
{
	int64_t found;
	for (at += 8; at < bytes; at += 8)
		if (journal_entry_check(data + at, bytes - at, &found) && found > revision)
			return true;
	return false;
}

// Entries of a compacted file's state may leave revisions out, those behind it may not.
static bool follows(int64_t revision, int64_t before, int64_t base)
{
	return revision <= base ? revision > before
				: revision == (before > base ? before : base) + 1;
}

// Apply what `data` holds.  Returns 0 and where the good entries end, or -errno with one line.
static int file_load(struct journal *j, const uint8_t *data, size_t bytes,
	char why[JOURNAL_WHY_BYTES])
{
	int64_t base, revision = 0;
	int error = journal_header_check(data, bytes, &base);
	if (error) {
		snprintf(why, JOURNAL_WHY_BYTES, "%s/%s: %s", j->path, file_name,
			error == -ENOTSUP ? "written by a later version; use that one"
					  : "not a journal, or its head is damaged");
		return error;
	}
	size_t at = JOURNAL_HEADER_BYTES, length;
	while ((length = journal_entry_check(data + at, bytes - at, &revision)) > 0) {
		if (!follows(revision, j->revision, base))
			break;
		entry_apply(j, data + at, revision);
		at += length;
	}
	if (length > 0 || good_entry_behind(data, bytes, at, j->revision)) {
		snprintf(why, JOURNAL_WHY_BYTES,
			"%s/%s: damaged at byte %zu, with good entries behind it; restore the "
			"folder from a copy",
			j->path, file_name, at);
		return -EBADMSG;
	}
	if (j->revision < base)
		j->revision = base;
	if (at < bytes)
		snprintf(why, JOURNAL_WHY_BYTES,
			"%s/%s: %zu bytes cut off the end, of an entry that was being written and "
			"never answered",
			j->path, file_name, bytes - at);
	j->file_bytes = at;
	j->compact_bytes = at > COMPACT_BYTES_MIN ? at : COMPACT_BYTES_MIN;
	return 0;
}

// Leased keys were the process's before us. If the disk takes no change now, the next one that it
// takes is preceded by a file without them.
static void leased_drop(struct journal *j)
{
	bool some = false;
	for (uint32_t i = j->map.count; i-- > 0;)
		if (j->map.leased[i]) {
			char key[META_KEY_MAX + 1];
			strcpy(key, j->map.entries[i].key);
			meta_map_delete(&j->map, key);
			some = true;
		}
	if (!some)
		return;
	j->revision++;
	j->stale = true;
	int error = file_rewrite(j);
	if (error)
		trouble_set(j, "writing", error);
}

static int file_open(struct journal *j, char why[JOURNAL_WHY_BYTES])
{
	const struct journal_disk_ops *disk = j->disk->ops;
	uint8_t *data;
	size_t bytes;
	disk->remove(j->disk, new_name);
	int error = disk->read(j->disk, file_name, &data, &bytes);
	if (error == -ENOENT)
		error = file_rewrite(j);
	else if (error == 0) {
		error = file_load(j, data, bytes, why);
		free(data);
		if (error)
			return error;
		j->file = disk->open(j->disk, file_name, false);
		error = j->file < 0 ? j->file : 0;
		if (error == 0 && j->file_bytes < bytes)
			error = disk->cut(j->disk, j->file, j->file_bytes);
		// What was read may be in memory only.
		if (error == 0)
			error = disk->sync(j->disk, j->file);
	}
	if (error)
		snprintf(why, JOURNAL_WHY_BYTES, "%s/%s: %s", j->path, file_name, strerror(-error));
	return error;
}

int meta_journal_open_on(struct journal_disk *disk, const char *path,
	const struct meta_events *events, struct meta **ret_meta, char ret_why[JOURNAL_WHY_BYTES])
{
	struct journal *j = calloc(1, sizeof(*j));
	VERIFY(j != NULL);
	j->meta = (struct meta){&ops, *events};
	j->disk = disk;
	j->file = -1;
	j->last = &j->first;
	snprintf(j->path, sizeof(j->path), "%s", path);
	ret_why[0] = 0;
	int error = file_open(j, ret_why);
	if (error) {
		journal_destroy(&j->meta);
		return error;
	}
	leased_drop(j);
	*ret_meta = &j->meta;
	return 0;
}

int meta_journal_open(const char *path, const struct meta_events *events, struct meta **ret_meta,
	char ret_why[JOURNAL_WHY_BYTES])
{
	struct journal_disk *disk;
	int error = journal_disk_open(path, &disk);
	if (error) {
		snprintf(ret_why, JOURNAL_WHY_BYTES, "%s: %s", path,
			error == -EBUSY ? "another controller uses this journal"
					: strerror(-error));
		return error;
	}
	return meta_journal_open_on(disk, path, events, ret_meta, ret_why);
}
