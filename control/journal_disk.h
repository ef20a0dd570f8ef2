// The files of a journal: one folder that one process holds. Real ones here; the tests have a disk
// that is full, fails, or crashes after any call.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal_disk;

// All return 0 (open: a handle) or -errno. Writing and cutting last only once synced.
struct journal_disk_ops {
	// The whole file, for free().
	int (*read)(struct journal_disk *disk, const char *name, uint8_t **ret_data,
		size_t *ret_bytes);
	int (*open)(struct journal_disk *disk, const char *name, bool create); // create: empty
	int (*write)(struct journal_disk *disk, int file, const void *data, size_t bytes,
		uint64_t at);
	int (*cut)(struct journal_disk *disk, int file, uint64_t bytes);
	int (*sync)(struct journal_disk *disk, int file);
	void (*close)(struct journal_disk *disk, int file);
	// Rename and sync the folder. After a failure either name may be what lasts.
	int (*publish)(struct journal_disk *disk, const char *from, const char *to);
	void (*remove)(struct journal_disk *disk, const char *name);
	void (*destroy)(struct journal_disk *disk);
};

struct journal_disk {
	const struct journal_disk_ops *ops;
};

// Hold the folder at `path`, made if its parent exists.  Returns 0 or -errno, among them -EBUSY:
// another process holds it.
int journal_disk_open(const char *path, struct journal_disk **ret_disk);
