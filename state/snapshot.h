// Snapshots: a self-describing, checksummed run of named sections, written and read as a stream
// over memory. Format: docs/formats.md. Every 64 KiB block carries its own checksum.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_BLOCK_BYTES (64u << 10)
#define SNAPSHOT_NAME_BYTES 32
#define SNAPSHOT_VERSION 1
#define SNAPSHOT_READER_MIN 1

// A large state is written and read in parts, of so many keys or so many bytes at most: a tenth of
// a millisecond's work.
#define SNAPSHOT_PART_KEYS 512u
#define SNAPSHOT_PART_BYTES (64u << 10)

// Where a snapshot's bytes go. A writer never allocates; the sink is memory taken at start.
// Positions count payload, that is without the blocks' checksums.
struct snapshot_writer {
	uint8_t *out;
	size_t room;
	size_t at;            // payload written
	size_t section_start; // of the open section's header
	uint32_t section_count;
	bool in_section;
	bool overflow;                // it did not fit: nothing more is written, it is only counted
	size_t scratch, scratch_most; // lent of the room's end, and the most of it so far
	uint32_t part_keys;           // SNAPSHOT_PART_KEYS; the simulator varies it
	// For another process: what a state's owner keeps outside of it, as a file, goes along.
	bool whole;
	const char *refused; // why there can be no such snapshot; else NULL
};

void snapshot_begin(struct snapshot_writer *w, void *out, size_t room);
// A section belongs to an operator or to the task itself; `name` is at most 31 bytes and `version`
// is the state schema's. Begins a section and ends the one before; names should differ.
void snapshot_section(struct snapshot_writer *w, const char *name, uint32_t version);
void snapshot_bytes(struct snapshot_writer *w, const void *data, size_t bytes);
void snapshot_u32(struct snapshot_writer *w, uint32_t value);
void snapshot_u64(struct snapshot_writer *w, uint64_t value);
void snapshot_i64(struct snapshot_writer *w, int64_t value);
// Say why it cannot be written; `why` is a constant.
void snapshot_refuse(struct snapshot_writer *w, const char *why);
// Memory for whoever writes, of the room's end, until all of it is given back. Undefined contents,
// aligned to 8.  Returns NULL where there is too little: then the snapshot does not fit.
void *snapshot_scratch(struct snapshot_writer *w, size_t bytes);
void snapshot_scratch_end(struct snapshot_writer *w);
// Whether so much more fits. If not it is counted instead of being written.
bool snapshot_fits(struct snapshot_writer *w, uint64_t bytes);
// Returns 0 and the whole length, -ENOSPC, or -EFBIG where it was refused.
int snapshot_end(struct snapshot_writer *w, size_t *ret_bytes);
// The room that it needs, behind an end that found too little.
size_t snapshot_needed(const struct snapshot_writer *w);

struct snapshot_reader {
	const uint8_t *data;
	size_t payload_bytes;
	size_t at;            // position in the payload
	size_t section_limit; // where the current section ends
	uint32_t version;     // of the current section
	uint32_t part_keys;   // as a writer's
	int error;            // 0, or the first -errno; reads after it return zeros
};

// Verify every block's checksum, magic, versions and the shape of all sections; only then is
// anything in it believed. The data must stay as it is while the reader is used.
// Returns 0, -EBADMSG (damaged or cut) or -ENOTSUP (written for a later reader).
int snapshot_open(struct snapshot_reader *r, const void *data, size_t bytes);

// The same in parts; `o` is to be all zeros but for data and bytes.  Returns 1 while blocks remain
// to be verified, then as snapshot_open.
struct snapshot_opening {
	const uint8_t *data;
	size_t bytes, verified;
	size_t payload_bytes;
};
int snapshot_open_part(struct snapshot_opening *o, struct snapshot_reader *r);

// Go to the section with this name.  Returns 0 and its version, or -ENOENT.
int snapshot_find(struct snapshot_reader *r, const char *name, uint32_t *ret_version);
// Go to the section behind the current one, at first the first.  Returns 0, its name and version,
// or -ENOENT.
int snapshot_next(struct snapshot_reader *r, char ret_name[SNAPSHOT_NAME_BYTES],
	uint32_t *ret_version);
// A read beyond the section's end gives zeros and sets `error` to -EBADMSG, for good.
void snapshot_read(struct snapshot_reader *r, void *out, size_t bytes);
uint32_t snapshot_read_u32(struct snapshot_reader *r);
uint64_t snapshot_read_u64(struct snapshot_reader *r);
int64_t snapshot_read_i64(struct snapshot_reader *r);
// Payload bytes left in the current section.
size_t snapshot_left(const struct snapshot_reader *r);

// Where the reader is, and to go there again; within the current section only.
static inline size_t snapshot_tell(const struct snapshot_reader *r)
{
	return r->at;
}

void snapshot_seek(struct snapshot_reader *r, size_t at);
