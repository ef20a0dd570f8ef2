// A file that appears complete or not at all: written in large blocks without a name, or under a
// temporary one where the file system knows no other way, synced, then put in place. It is written
// by position, so that who dies while writing can be followed by another. Thread: owner.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output_file {
	int fd, directory;
	bool stream;     // no file of ours, but a descriptor that only goes forward, as a pipe
	uint8_t *buffer; // the caller's
	size_t room, used;
	uint64_t at;      // where the buffer belongs
	uint64_t reached; // stream: bytes that are out, which are not written again
	char path[4096];
	int directory_bytes;  // of the path
	char temporary[4096]; // "" where there is none to remove
};

// Begin the file at `path`, which may exist and then stays as it is until published.
// Owns: `buffer`, of `room` bytes, stays the caller's and in use until the file is closed.
// Returns 0 or -errno, among them -EISDIR, -ENAMETOOLONG and -EINVAL (a device, a pipe …).
int output_file_open(struct output_file *file, const char *path, uint8_t *buffer, size_t room);

// The same for an open descriptor that only goes forward and stays the caller's. There is nothing
// to publish.
void output_file_stream(struct output_file *file, int fd, uint8_t *buffer, size_t room);

// Follow a writer that is dead: from the beginning, with another buffer. What is in the file is
// written over; what is out of a stream is written no second time, so it must come out the same.
void output_file_succeed(struct output_file *file, uint8_t *buffer, size_t room);

// Go on at `at` instead, forgetting what is in the buffer.
// Returns 0, or -ENODATA when the file does not reach so far.
int output_file_seek(struct output_file *file, uint64_t at);

// Read back what was written, up to `at`.  Returns 0 or -errno.
int output_file_read(const struct output_file *file, void *out, size_t bytes, uint64_t at);

// Append. The file system is called only when the buffer is full.  Returns 0 or -errno.
int output_file_write(struct output_file *file, const void *data, size_t bytes);

// Room for `bytes`, at most the buffer's, to build in place; then tell how many were used.
// Returns NULL with -errno in *ret_error when the buffer could not be emptied.
uint8_t *output_file_reserve(struct output_file *file, size_t bytes, int *ret_error);
static inline void output_file_use(struct output_file *file, size_t bytes)
{
	file->used += bytes;
}

// Empty the buffer.  Returns 0 or -errno.
int output_file_flush(struct output_file *file);

// All that was written, and nothing else, is on disk after this, but not yet to be seen; publish
// does so by itself.
int output_file_sync(struct output_file *file);
// Put the file in its place and close it.  Returns 0, or -errno and the file is discarded.
int output_file_publish(struct output_file *file);
// Whether two paths would publish at the same place. What cannot be resolved is compared as text.
bool output_path_equal(const char *a, const char *b);
// Remove what was written, if it was not published. Harmless when repeated.
void output_file_discard(struct output_file *file);
