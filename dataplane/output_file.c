#include "dataplane/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "numa/assert.h"

enum { TEMPORARY_TRIES = 1000, TEMPORARY_SUFFIX_ROOM = 40 };

// Where a process can link an open file that has no name (open(2), O_TMPFILE).
static const char *unnamed_path(const struct output_file *file, char out[static 32])
{
	snprintf(out, 32, "/proc/self/fd/%d", file->fd);
	return out;
}

// A file without a name, which a process takes along however it ends.  Returns whether there is
// one; not every file system has them.
static bool unnamed_open(struct output_file *file, const char *directory)
{
	char path[32];
	file->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (file->fd < 0)
		return false;
	if (access(unnamed_path(file, path), F_OK) == 0)
		return true;
	close(file->fd); // no /proc, so it could never get a name
	file->fd = -1;
	return false;
}

static int temporary_make(struct output_file *file)
{
	char unnamed[32];
	if (file->fd >= 0)
		return linkat(AT_FDCWD, unnamed_path(file, unnamed), AT_FDCWD, file->temporary,
			AT_SYMLINK_FOLLOW);
	file->fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	return file->fd < 0 ? -1 : 0;
}

// Give the file a temporary name beside its own; open it if it is not.
static int temporary_name(struct output_file *file)
{
	int directory_bytes = file->directory_bytes;
	for (int try = 0; try < TEMPORARY_TRIES; try++) {
		snprintf(file->temporary, sizeof(file->temporary), "%.*s.weir-%d-%d.tmp",
			directory_bytes, file->path, (int)getpid(), try);
		if (temporary_make(file) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	file->temporary[0] = '\0';
	return -errno;
}

// The directory, so that the new name outlives a power cut. It is opened before anything can be
// seen: without a descriptor left, a rename would succeed and what follows it fail.
static int directory_open(struct output_file *file, const char *directory)
{
	file->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return file->directory >= 0 || errno == EACCES ? 0 : -errno; // may be written, not listed
}

int output_file_open(struct output_file *file, const char *path, uint8_t *buffer, size_t room)
{
	ASSERT(room > 0);
	*file = (struct output_file){.fd = -1, .directory = -1, .buffer = buffer, .room = room};
	size_t length = strlen(path);
	if (length + TEMPORARY_SUFFIX_ROOM > sizeof(file->path))
		return -ENAMETOOLONG;
	memcpy(file->path, path, length + 1);
	struct stat there;
	bool exists = stat(path, &there) == 0;
	if (length == 0)
		return -ENOENT;
	if (!exists && errno == ENAMETOOLONG)
		return -ENAMETOOLONG;
	if (path[length - 1] == '/' || (exists && S_ISDIR(there.st_mode)))
		return -EISDIR;
	if (exists && !S_ISREG(there.st_mode))
		return -EINVAL; // renaming over it would destroy it
	const char *slash = strrchr(path, '/');
	char directory[sizeof(file->path)];
	file->directory_bytes = slash ? (int)(slash + 1 - path) : 0;
	snprintf(directory, sizeof(directory), "%.*s", slash ? file->directory_bytes : 1,
		slash ? path : ".");
	int error = directory_open(file, directory);
	if (error == 0 && !unnamed_open(file, directory))
		error = temporary_name(file);
	if (error)
		output_file_discard(file);
	return error;
}

void output_file_stream(struct output_file *file, int fd, uint8_t *buffer, size_t room)
{
	*file = (struct output_file){
		.fd = fd, .directory = -1, .stream = true, .buffer = buffer, .room = room};
}

void output_file_succeed(struct output_file *file, uint8_t *buffer, size_t room)
{
	file->buffer = buffer;
	file->room = room;
	file->used = 0;
	file->at = 0;
}

int output_file_seek(struct output_file *file, uint64_t at)
{
	struct stat s;
	if (!file->stream && (fstat(file->fd, &s) < 0 || (uint64_t)s.st_size < at))
		return -ENODATA;
	if (file->reached < at)
		file->reached = at;
	file->at = at;
	file->used = 0;
	return 0;
}

int output_file_read(const struct output_file *file, void *out, size_t bytes, uint64_t at)
{
	uint8_t *to = out;
	ASSERT(!file->stream && at + bytes <= file->at);
	while (bytes > 0) {
		ssize_t got = pread(file->fd, to, bytes, (off_t)at);
		if (got == 0)
			return -ENODATA;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got < 0)
			continue;
		to += got;
		at += (uint64_t)got;
		bytes -= (size_t)got;
	}
	return 0;
}

static ssize_t stream_put(struct output_file *file, const uint8_t *data, size_t bytes, uint64_t at)
{
	if (at < file->reached)
		return (ssize_t)(file->reached - at < bytes ? file->reached - at : bytes);
	ssize_t written = write(file->fd, data, bytes);
	if (written > 0)
		file->reached += (uint64_t)written;
	return written;
}

// On an error the buffer stays as it is, and where it belongs.
int output_file_flush(struct output_file *file)
{
	size_t done = 0;
	while (done < file->used) {
		const uint8_t *data = file->buffer + done;
		size_t bytes = file->used - done;
		uint64_t at = file->at + done;
		ssize_t written = file->stream ? stream_put(file, data, bytes, at)
					       : pwrite(file->fd, data, bytes, (off_t)at);
		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0)
			done += (size_t)written;
	}
	file->at += done;
	file->used = 0;
	return 0;
}

uint8_t *output_file_reserve(struct output_file *file, size_t bytes, int *ret_error)
{
	ASSERT(bytes <= file->room);
	if (file->room - file->used < bytes) {
		int error = output_file_flush(file);
		if (error) {
			*ret_error = error;
			return NULL;
		}
	}
	return file->buffer + file->used;
}

int output_file_write(struct output_file *file, const void *data, size_t bytes)
{
	const uint8_t *from = data;
	while (bytes > 0) {
		size_t part = file->room - file->used < bytes ? file->room - file->used : bytes;
		memcpy(file->buffer + file->used, from, part);
		file->used += part;
		from += part;
		bytes -= part;
		int error = file->used == file->room ? output_file_flush(file) : 0;
		if (error)
			return error;
	}
	return 0;
}

int output_file_sync(struct output_file *file)
{
	int error = output_file_flush(file);
	if (!error && ftruncate(file->fd, (off_t)file->at) < 0) // a dead writer may have got on
		error = -errno;
	if (!error && fsync(file->fd) < 0)
		error = -errno;
	return error;
}

// A file without a name gets its own at once, unless it is to take another's place.
static int put_in_place(struct output_file *file)
{
	char unnamed[32];
	if (file->temporary[0] == '\0') {
		if (linkat(AT_FDCWD, unnamed_path(file, unnamed), AT_FDCWD, file->path,
			    AT_SYMLINK_FOLLOW) == 0)
			return 0;
		int error = errno == EEXIST ? temporary_name(file) : -errno;
		if (error)
			return error;
	}
	if (rename(file->temporary, file->path) < 0)
		return -errno;
	file->temporary[0] = '\0';
	return 0;
}

int output_file_publish(struct output_file *file)
{
	int error = output_file_sync(file);
	if (!error)
		error = put_in_place(file);
	if (!error) {
		if (file->directory >= 0 && fsync(file->directory) < 0 && errno != EINVAL)
			error = -errno;
	}
	output_file_discard(file);
	return error;
}

void output_file_discard(struct output_file *file)
{
	if (file->fd >= 0 && !file->stream)
		close(file->fd);
	if (file->directory >= 0)
		close(file->directory);
	file->fd = file->directory = -1;
	if (file->temporary[0])
		unlink(file->temporary);
	file->temporary[0] = '\0';
}

// Returns the name in the directory, which is resolved into `ret_directory`.
static const char *place(const char *path, char ret_directory[static PATH_MAX])
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int bytes = slash ? (int)(slash + 1 - path) : 0;
	if (bytes >= PATH_MAX)
		return NULL;
	snprintf(directory, sizeof(directory), "%.*s", bytes ? bytes : 1, bytes ? path : ".");
	return realpath(directory, ret_directory) ? path + bytes : NULL;
}

bool output_path_equal(const char *a, const char *b)
{
	char a_directory[PATH_MAX], b_directory[PATH_MAX];
	const char *a_name = place(a, a_directory), *b_name = place(b, b_directory);
	if (!a_name || !b_name)
		return strcmp(a, b) == 0;
	return strcmp(a_name, b_name) == 0 && strcmp(a_directory, b_directory) == 0;
}
