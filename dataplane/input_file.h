// A file read front to back in large blocks, plain or zstd, told apart by its first bytes.
// Thread: owner. Only read and seek call the system once it is open.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ZSTD_DCtx_s;

enum { INPUT_BLOCK_BYTES = 1 << 20, INPUT_PATH_MAX = 4096 };

struct input_file {
	int fd;
	const char *path; // the caller's
	uint64_t size;    // bytes to read of the file; what is appended later does not count
	uint64_t taken;   // of them, read so far
	struct ZSTD_DCtx_s *zstd; // NULL: plain
	bool in_frame;            // a zstd frame has begun and not ended
	uint8_t *block;           // the caller's, INPUT_BLOCK_BYTES, what zstd reads from
	size_t block_at, block_bytes;
	char error[INPUT_PATH_MAX + 256]; // why a call failed: the path, what is wrong, the remedy
};

// Open and check.  Owns: path and block stay the caller's until close.
// Returns 0 or -errno, with `error` set.
int input_file_open(struct input_file *f, const char *path, uint8_t *block);
void input_file_close(struct input_file *f); // harmless when repeated

// Read up to `room` bytes of the text; fewer only at its end.  Returns 0, or -errno with `error`
// set: -EIO, -EBADMSG (damaged or cut zstd data), -ESTALE (the file became shorter).
int input_file_read(struct input_file *f, uint8_t *out, size_t room, size_t *ret_bytes);

// Go on at byte `offset` of the text; compressed text up to there is passed over, through
// `scratch`.  Returns as read does.
int input_file_seek(struct input_file *f, uint64_t offset, uint8_t *scratch, size_t room);
