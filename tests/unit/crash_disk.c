#include "tests/unit/crash_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"

enum { PIECE = 64, FILE_BYTES_MAX = 4 << 20 };

struct crash_file {
	struct crash_file *next;
	int handle;
	uint8_t *now, *lasting;
	size_t now_bytes, lasting_bytes;
};

static uint64_t draw(struct crash_disk *d, uint64_t limit)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 7;
	d->random ^= d->random << 17;
	return d->random % limit;
}

static struct crash_disk *of(struct journal_disk *disk)
{
	return (struct crash_disk *)disk;
}

static unsigned slot(const char *name)
{
	return strcmp(name, "journal.new") == 0;
}

static struct crash_file *file_find(struct crash_disk *d, int handle)
{
	struct crash_file *f = d->files;
	while (f && f->handle != handle)
		f = f->next;
	VERIFY(f != NULL);
	return f;
}

// Count a call.  Returns whether it goes wrong, and how.
static int call(struct crash_disk *d)
{
	if (d->dead)
		return -EIO;
	if (++d->calls == d->crash_at)
		d->dead = true;
	if (d->dead)
		return -EIO;
	return d->calls >= d->fail_from && d->calls < d->fail_upto ? d->fail_with : 0;
}

static int disk_read(struct journal_disk *disk, const char *name, uint8_t **ret_data,
	size_t *ret_bytes)
{
	struct crash_file *f = of(disk)->names[slot(name)];
	if (!f)
		return -ENOENT;
	*ret_data = malloc(f->now_bytes + 1);
	memcpy(*ret_data, f->now, f->now_bytes);
	*ret_bytes = f->now_bytes;
	return 0;
}

static struct crash_file *file_create(struct crash_disk *d)
{
	struct crash_file *f = calloc(1, sizeof(*f));
	VERIFY(f != NULL);
	f->now = calloc(1, FILE_BYTES_MAX + 2 * PIECE);
	f->lasting = calloc(1, FILE_BYTES_MAX + 2 * PIECE);
	VERIFY(f->now != NULL && f->lasting != NULL);
	f->handle = d->files ? d->files->handle + 1 : 1;
	f->next = d->files;
	return d->files = f;
}

static int disk_open(struct journal_disk *disk, const char *name, bool create)
{
	struct crash_disk *d = of(disk);
	int error = call(d);
	if (error)
		return error;
	if (create)
		d->names[slot(name)] = file_create(d);
	return d->names[slot(name)] ? d->names[slot(name)]->handle : -ENOENT;
}

static int disk_write(struct journal_disk *disk, int file, const void *data, size_t bytes,
	uint64_t at)
{
	struct crash_disk *d = of(disk);
	struct crash_file *f = file_find(d, file);
	bool was_dead = d->dead;
	int error = call(d);
	if (was_dead)
		return error;
	if (error && d->dead)
		bytes = draw(d, bytes + 1); // it died in the middle, or just before answering
	else if (error)
		bytes = draw(d, bytes);
	VERIFY(at + bytes <= FILE_BYTES_MAX);
	memcpy(f->now + at, data, bytes);
	if (at + bytes > f->now_bytes)
		f->now_bytes = at + bytes;
	return error;
}

static int disk_cut(struct journal_disk *disk, int file, uint64_t bytes)
{
	struct crash_disk *d = of(disk);
	struct crash_file *f = file_find(d, file);
	int error = call(d);
	if (error)
		return error;
	if (bytes < f->now_bytes)
		memset(f->now + bytes, 0, f->now_bytes - bytes);
	f->now_bytes = bytes;
	return 0;
}

// Let any part of what is not synced last.
static void file_leak(struct crash_disk *d, struct crash_file *f)
{
	size_t more = f->now_bytes > f->lasting_bytes ? f->now_bytes : f->lasting_bytes;
	size_t less = f->now_bytes + f->lasting_bytes - more;
	size_t lengths[] = {less, more, less + draw(d, more - less + 1)};
	size_t bytes = lengths[draw(d, 3)];
	uint64_t kept = draw(d, 5); // of four pieces
	for (size_t at = 0; at < more; at += PIECE)
		if (draw(d, 4) < kept)
			memcpy(f->lasting + at, f->now + at, PIECE);
	memset(f->lasting + bytes, 0, more + PIECE - bytes);
	f->lasting_bytes = bytes;
}

static void file_last(struct crash_file *f)
{
	size_t more = f->now_bytes > f->lasting_bytes ? f->now_bytes : f->lasting_bytes;
	memcpy(f->lasting, f->now, more);
	f->lasting_bytes = f->now_bytes;
}

static int disk_sync(struct journal_disk *disk, int file)
{
	struct crash_disk *d = of(disk);
	struct crash_file *f = file_find(d, file);
	bool was_dead = d->dead;
	int error = call(d);
	if (error && !was_dead)
		file_leak(d, f);
	if (error == 0)
		file_last(f);
	return error;
}

static void disk_close(struct journal_disk *disk, int file)
{
}

static int disk_publish(struct journal_disk *disk, const char *from, const char *to)
{
	struct crash_disk *d = of(disk);
	bool was_dead = d->dead;
	int error = call(d);
	if (was_dead || (error && draw(d, 3) == 0))
		return error;
	d->names[slot(to)] = d->names[slot(from)];
	d->names[slot(from)] = NULL;
	d->publishes++;
	if (error == 0 || draw(d, 2) == 0) {
		d->lasting[slot(to)] = d->names[slot(to)];
		d->lasting[slot(from)] = NULL;
	}
	return error;
}

static void disk_remove(struct journal_disk *disk, const char *name)
{
	if (!of(disk)->dead)
		of(disk)->names[slot(name)] = NULL;
}

static void disk_destroy(struct journal_disk *disk)
{
}

static const struct journal_disk_ops ops = {disk_read, disk_open, disk_write, disk_cut, disk_sync,
	disk_close, disk_publish, disk_remove, disk_destroy};

void crash_disk_init(struct crash_disk *disk, uint64_t seed)
{
	*disk = (struct crash_disk){.disk = {&ops}, .random = seed * 0x9E3779B97F4A7C15 + 1};
}

void crash_disk_restart(struct crash_disk *d)
{
	for (struct crash_file *f = d->files; f; f = f->next) {
		size_t high = f->now_bytes > f->lasting_bytes ? f->now_bytes : f->lasting_bytes;
		file_leak(d, f);
		memcpy(f->now, f->lasting, high + PIECE);
		f->now_bytes = f->lasting_bytes;
	}
	memcpy(d->names, d->lasting, sizeof(d->names));
	d->dead = false;
	d->crash_at = d->fail_from = d->fail_upto = 0;
}

void crash_disk_free(struct crash_disk *d)
{
	while (d->files) {
		struct crash_file *f = d->files;
		d->files = f->next;
		free(f->now);
		free(f->lasting);
		free(f);
	}
}
