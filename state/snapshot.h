// Snapshots: a self-describing, checksummed run of named sections, written and read as a stream
// over memory. Format: docs/formats.md. Every 64 KiB block carries its own checksum.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_BLOCK_BYTES (64u << 10)
#define SNAPSHOT_VERSION 1
#define SNAPSHOT_READER_MIN 1

// Where a snapshot's bytes go. A writer never allocates; the sink is memory taken at start.
struct snapshot_writer {
	uint8_t *out;
	size_t room;
	size_t used;        // bytes of finished and open blocks; over `room`: did not fit
	size_t block_start;
	size_t section_start;
	bool in_section;
	bool overflow;
};

void snapshot_begin(struct snapshot_writer *w, void *out, size_t room);
// A section belongs to an operator or to the task itself; `name` is at most 31 bytes and `version`
// is the state schema's. Sections do not nest.
void snapshot_section(struct snapshot_writer *w, const char *name, uint32_t version);
void snapshot_bytes(struct snapshot_writer *w, const void *data, size_t bytes);
void snapshot_u32(struct snapshot_writer *w, uint32_t value);
void snapshot_u64(struct snapshot_writer *w, uint64_t value);
void snapshot_i64(struct snapshot_writer *w, int64_t value);
// Returns 0 and the whole length, or -ENOSPC.
int snapshot_end(struct snapshot_writer *w, size_t *ret_bytes);

struct snapshot_reader {
	const uint8_t *data;
	size_t bytes;
	size_t at;            // position in the payload stream
	size_t section_limit; // where the current section's payload ends
	int error;            // 0, or the first -errno; reads after it return zeros
};

// Verify magic, versions and every block's checksum.  Returns 0, -EBADMSG (damaged) or -ENOTSUP
// (written for a later reader).
int snapshot_open(struct snapshot_reader *r, const void *data, size_t bytes);
// Go to the section with this name.  Returns 0 and its version, or -ENOENT.
int snapshot_find(struct snapshot_reader *r, const char *name, uint32_t *ret_version);
void snapshot_read(struct snapshot_reader *r, void *out, size_t bytes);
uint32_t snapshot_read_u32(struct snapshot_reader *r);
uint64_t snapshot_read_u64(struct snapshot_reader *r);
int64_t snapshot_read_i64(struct snapshot_reader *r);
// Payload bytes left in the current section.
size_t snapshot_left(const struct snapshot_reader *r);
