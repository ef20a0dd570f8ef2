#include "dataplane/input_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "numa/assert.h"

static int fail(struct input_file *f, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct input_file *f, int error, const char *format, ...)
{
	int used = snprintf(f->error, sizeof(f->error), "%s: ", f->path);
	va_list args;
	va_start(args, format);
	if (used > 0 && (size_t)used < sizeof(f->error))
		vsnprintf(f->error + used, sizeof(f->error) - (size_t)used, format, args);
	va_end(args);
	return -error;
}

static int fail_open(struct input_file *f, int error)
{
	switch (error) {
	case ENOENT:
		return fail(f, error,
			"there is no such file; correct `path`, which starts from"
			" the working directory");
	case EACCES:
	case EPERM:
		return fail(f, error,
			"may not be read; give this user read permission on it and"
			" on its directories");
	default:
		return fail(f, error, "cannot be opened: %s; correct `path`", strerror(error));
	}
}

static int check(struct input_file *f)
{
	struct stat st;
	if (fstat(f->fd, &st) < 0)
		return fail_open(f, errno);
	if (S_ISDIR(st.st_mode))
		return fail(f, EISDIR, "is a directory; name a file in it");
	if (!S_ISREG(st.st_mode))
		return fail(f, EINVAL,
			"is no regular file, so it cannot be read again after a"
			" failure; copy it into a file");
	f->size = (uint64_t)st.st_size;
	return 0;
}

// Whether the file begins like a zstd frame, or one of those that zstd skips.
static int detect(struct input_file *f)
{
	uint8_t magic[4];
	ssize_t bytes = pread(f->fd, magic, sizeof(magic), 0);
	if (bytes < 0)
		return fail(f, EIO, "cannot be read: %s; check the disk", strerror(errno));
	bool skippable = bytes == 4 && (magic[0] & 0xF0) == 0x50 &&
		memcmp(magic + 1, "\x2A\x4D\x18", 3) == 0;
	if (!skippable && (bytes < 4 || memcmp(magic, "\x28\xB5\x2F\xFD", 4) != 0))
		return 0;
	f->zstd = ZSTD_createDCtx();
	return f->zstd != NULL ? 0 : fail(f, ENOMEM, "no memory to decompress it; free some");
}

int input_file_open(struct input_file *f, const char *path, uint8_t *block)
{
	*f = (struct input_file){.fd = -1, .path = path, .block = block};
	if (strlen(path) >= INPUT_PATH_MAX)
		return fail(f, ENAMETOOLONG, "is longer than %d bytes; shorten it",
			INPUT_PATH_MAX - 1);
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // no waiting on a pipe
	int error = f->fd < 0 ? fail_open(f, errno) : check(f);
	if (error == 0)
		error = detect(f);
	if (error != 0)
		input_file_close(f);
	else
		posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return error;
}

void input_file_close(struct input_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	ZSTD_freeDCtx(f->zstd);
	f->zstd = NULL;
}

// Read bytes of the file itself; fewer than `room` only at its end.
static int read_file(struct input_file *f, uint8_t *out, size_t room, size_t *ret_bytes)
{
	size_t done = 0;
	uint64_t left = f->size - f->taken;
	if (room > left)
		room = (size_t)left;
	while (done < room) {
		ssize_t bytes = pread(f->fd, out + done, room - done, (off_t)f->taken);
		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes < 0)
			return fail(f, EIO,
				"cannot be read at byte %" PRIu64 ": %s; check the disk", f->taken,
				strerror(errno));
		if (bytes == 0)
			return fail(f, ESTALE,
				"ends at byte %" PRIu64 " but had %" PRIu64
				" when it was opened; run the job when nothing shortens the file",
				f->taken, f->size);
		done += (size_t)bytes;
		f->taken += (size_t)bytes;
	}
	*ret_bytes = done;
	return 0;
}

static int refill(struct input_file *f)
{
	f->block_at = f->block_bytes = 0;
	return read_file(f, f->block, INPUT_BLOCK_BYTES, &f->block_bytes);
}

// One step of decompressing; sets *ret_bytes to what it wrote.
static int decompress(struct input_file *f, uint8_t *out, size_t room, size_t *ret_bytes)
{
	ZSTD_inBuffer in = {f->block, f->block_bytes, f->block_at};
	ZSTD_outBuffer to = {out, room, 0};
	size_t left = ZSTD_decompressStream(f->zstd, &to, &in);
	if (ZSTD_isError(left))
		return fail(f, EBADMSG,
			"damaged zstd data before byte %" PRIu64 " (%s); get the file again",
			f->taken, ZSTD_getErrorName(left));
	f->block_at = in.pos;
	f->in_frame = left != 0;
	*ret_bytes = to.pos;
	return 0;
}

static int read_zstd(struct input_file *f, uint8_t *out, size_t room, size_t *ret_bytes)
{
	size_t done = 0;
	while (done < room) {
		size_t bytes = 0;
		int error = f->block_at == f->block_bytes ? refill(f) : 0;
		bool dry = f->block_at == f->block_bytes;
		if (error == 0 && (f->in_frame || !dry))
			error = decompress(f, out + done, room - done, &bytes);
		if (error != 0)
			return error;
		done += bytes;
		if (bytes != 0 || !dry)
			continue;
		if (f->in_frame)
			return fail(f, EBADMSG,
				"ends in the middle of a zstd frame, at byte %" PRIu64
				"; get the whole file",
				f->taken);
		break;
	}
	*ret_bytes = done;
	return 0;
}

int input_file_read(struct input_file *f, uint8_t *out, size_t room, size_t *ret_bytes)
{
	ASSERT(f->fd >= 0);
	return f->zstd != NULL ? read_zstd(f, out, room, ret_bytes)
			       : read_file(f, out, room, ret_bytes);
}

int input_file_seek(struct input_file *f, uint64_t offset, uint8_t *scratch, size_t room)
{
	if (f->zstd == NULL) {
		if (offset > f->size)
			return fail(f, ESTALE,
				"has %" PRIu64 " bytes, fewer than the %" PRIu64
				" read before; put the old file back",
				f->size, offset);
		f->taken = offset;
		return 0;
	}
	ZSTD_DCtx_reset(f->zstd, ZSTD_reset_session_only);
	f->taken = f->block_at = f->block_bytes = 0;
	f->in_frame = false;
	while (offset > 0) {
		size_t bytes, wanted = offset < room ? (size_t)offset : room;
		int error = input_file_read(f, scratch, wanted, &bytes);
		if (error != 0)
			return error;
		if (bytes < wanted)
			return fail(f, ESTALE,
				"is shorter than what was read of it before; put"
				" the old file back");
		offset -= bytes;
	}
	return 0;
}
