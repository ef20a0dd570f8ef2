#include "control/journal_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "numa/assert.h"

struct real_disk {
	struct journal_disk disk;
	int folder, lock;
};

static int folder_of(struct journal_disk *disk)
{
	return ((struct real_disk *)disk)->folder;
}

static int read_all(int fd, uint8_t *data, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		ssize_t n = pread(fd, data + at, bytes - at, (off_t)at);
		if (n == 0 || (n < 0 && errno != EINTR))
			return n == 0 ? -EIO : -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int disk_read(struct journal_disk *disk, const char *name, uint8_t **ret_data,
	size_t *ret_bytes)
{
	struct stat file;
	int fd = openat(folder_of(disk), name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &file) == 0 ? 0 : -errno;
	uint8_t *data = error ? NULL : malloc((size_t)file.st_size + 1);
	if (!error)
		error = data ? read_all(fd, data, (size_t)file.st_size) : -ENOMEM;
	close(fd);
	if (error) {
		free(data);
		return error;
	}
	*ret_data = data;
	*ret_bytes = (size_t)file.st_size;
	return 0;
}

static int disk_open(struct journal_disk *disk, const char *name, bool create)
{
	int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0);
	int fd = openat(folder_of(disk), name, flags, 0600);
	return fd < 0 ? -errno : fd;
}

static int disk_write(struct journal_disk *disk, int file, const void *data, size_t bytes,
	uint64_t at)
{
	for (const uint8_t *next = data; bytes > 0;) {
		ssize_t n = pwrite(file, next, bytes, (off_t)at);
		if (n < 0 && errno != EINTR)
			return -errno;
		size_t done = n > 0 ? (size_t)n : 0;
		next += done, at += done, bytes -= done;
	}
	return 0;
}

static int disk_cut(struct journal_disk *disk, int file, uint64_t bytes)
{
	return ftruncate(file, (off_t)bytes) == 0 ? 0 : -errno;
}

static int disk_sync(struct journal_disk *disk, int file)
{
	return fsync(file) == 0 ? 0 : -errno;
}

static void disk_close(struct journal_disk *disk, int file)
{
	close(file);
}

static int disk_publish(struct journal_disk *disk, const char *from, const char *to)
{
	int folder = folder_of(disk);
	if (renameat(folder, from, folder, to) != 0)
		return -errno;
	return disk_sync(disk, folder);
}

static void disk_remove(struct journal_disk *disk, const char *name)
{
	unlinkat(folder_of(disk), name, 0);
}

static void disk_destroy(struct journal_disk *disk)
{
	struct real_disk *real = (struct real_disk *)disk;
	close(real->lock);
	close(real->folder);
	free(real);
}

static const struct journal_disk_ops ops = {disk_read, disk_open, disk_write, disk_cut, disk_sync,
	disk_close, disk_publish, disk_remove, disk_destroy};

// Make the folder if it is not there, for good.
static int folder_make(const char *path)
{
	char copy[4096];
	if (strlen(path) >= sizeof(copy))
		return -ENAMETOOLONG;
	if (mkdir(path, 0700) != 0)
		return errno == EEXIST ? 0 : -errno;
	int parent = open(dirname(strcpy(copy, path)), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
	int error = fsync(parent) == 0 ? 0 : -errno;
	close(parent);
	return error;
}

// The lock is the open file's: it goes with the process, however that ends.
static int folder_lock(int folder)
{
	int fd = openat(folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	int error = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	return error;
}

int journal_disk_open(const char *path, struct journal_disk **ret_disk)
{
	int error = folder_make(path);
	if (error)
		return error;
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return -errno;
	int lock = folder_lock(folder);
	if (lock < 0) {
		close(folder);
		return lock;
	}
	struct real_disk *real = malloc(sizeof(*real));
	VERIFY(real != NULL);
	*real = (struct real_disk){{&ops}, folder, lock};
	*ret_disk = &real->disk;
	return 0;
}
