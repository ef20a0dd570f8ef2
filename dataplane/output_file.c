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

static int temporary_open(struct output_file *file, int directory_bytes)
{
	const char *name = file->path + directory_bytes;
	for (int try = 0; try < TEMPORARY_TRIES; try++) {
		snprintf(file->temporary, sizeof(file->temporary), "%.*s.%s.%d-%d.tmp",
			directory_bytes, file->path, name, (int)getpid(), try);
		file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (file->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	file->temporary[0] = '\0';
	return -errno;
}

// The directory, so that the new name outlives a power cut. It is opened before anything can be
// seen: without a descriptor left, a rename would succeed and what follows it fail.
static int directory_open(struct output_file *file, int directory_bytes)
{
	char directory[sizeof(file->path)];
	snprintf(directory, sizeof(directory), "%.*s", directory_bytes ? directory_bytes : 1,
		directory_bytes ? file->path : ".");
	file->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return file->directory >= 0 || errno == EACCES ? 0 : -errno; // may be written, not listed
}

int output_file_open(struct output_file *file, const char *path, uint8_t *buffer, size_t room)
{
	ASSERT(room > 0);
	*file = (struct output_file){
		.fd = -1, .directory = -1, .buffer = buffer, .room = room};
	size_t length = strlen(path);
	if (length + TEMPORARY_SUFFIX_ROOM > sizeof(file->path))
		return -ENAMETOOLONG;
	memcpy(file->path, path, length + 1);
	struct stat there;
	bool exists = stat(path, &there) == 0;
	if (length == 0)
		return -ENOENT;
	if (path[length - 1] == '/' || (exists && S_ISDIR(there.st_mode)))
		return -EISDIR;
	if (exists && !S_ISREG(there.st_mode))
		return -EINVAL; // renaming over it would destroy it
	const char *slash = strrchr(path, '/');
	int directory_bytes = slash ? (int)(slash + 1 - path) : 0;
	int error = directory_open(file, directory_bytes);
	if (error == 0)
		error = temporary_open(file, directory_bytes);
	if (error)
		output_file_discard(file);
	return error;
}

int output_file_flush(struct output_file *file)
{
	size_t done = 0;
	while (done < file->used) {
		ssize_t written = write(file->fd, file->buffer + done, file->used - done);
		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0)
			done += (size_t)written;
	}
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
	if (!error && fsync(file->fd) < 0)
		error = -errno;
	return error;
}

int output_file_publish(struct output_file *file)
{
	int error = output_file_sync(file);
	if (!error && rename(file->temporary, file->path) < 0)
		error = -errno;
	if (!error) {
		file->temporary[0] = '\0';
		if (file->directory >= 0 && fsync(file->directory) < 0 && errno != EINVAL)
			error = -errno;
	}
	output_file_discard(file);
	return error;
}

void output_file_discard(struct output_file *file)
{
	if (file->fd >= 0)
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
