// Snapshots from outside: what snapshot_open lets through is read to its end and written anew, and
// must come out the same. The first byte of the input says what is set right before: checksums,
// the payload's length, and whether zeros in the first section make two blocks of it.
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "state/snapshot.h"

enum {
	SEAL = 1,
	LENGTH = 2,
	GAP = 4,
	TRAILER = 8,
	PAYLOAD = SNAPSHOT_BLOCK_BYTES - TRAILER,
	HEADER_BYTES = 32,
	SECTION = HEADER_BYTES + 48, // where the first section's content begins
	FILE_MAX = 3 * SNAPSHOT_BLOCK_BYTES,
};

static uint8_t payload[FILE_MAX], file[FILE_MAX], again[FILE_MAX];

size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	struct snapshot_writer w;
	size_t bytes;
	if (index == 8)
		return 0;
	data[0] = (uint8_t)index;
	snapshot_begin(&w, data + 1, bytes_max - 1);
	for (unsigned i = 0; i < index; i++) {
		snapshot_section(&w, i % 2 ? "task" : "an operator", i);
		for (unsigned k = 0; k < i * 3; k++)
			snapshot_u32(&w, k);
	}
	VERIFY(snapshot_end(&w, &bytes) == 0);
	if (index & SEAL) // what is set right is not part of the input
		bytes -= TRAILER;
	return 1 + bytes;
}

// Lay a payload out in blocks with their checksums.  Returns the file's length.
static size_t blocks_make(const uint8_t *from, size_t bytes)
{
	size_t used = 0;
	for (uint32_t number = 0; bytes; number++) {
		uint32_t n = bytes < PAYLOAD ? (uint32_t)bytes : PAYLOAD, prefix[2] = {number, n};
		uint32_t crc = crc32_iscsi((unsigned char *)prefix, sizeof(prefix), 0xFFFFFFFF);
		memcpy(file + used, from, n);
		uint32_t trailer[2] = {n, ~crc32_iscsi(file + used, (int)n, crc)};
		memcpy(file + used + n, trailer, sizeof(trailer));
		used += n + TRAILER;
		from += n;
		bytes -= n;
	}
	return used;
}

// The snapshot that an input stands for.  Returns its length.
static size_t file_make(const uint8_t *data, size_t bytes)
{
	uint8_t mode = data[0];
	size_t gap = 0, at;
	data++;
	bytes--;
	if (!(mode & SEAL)) {
		memcpy(file, data, bytes);
		return bytes;
	}
	uint64_t section = 0;
	if (mode & GAP && bytes >= SECTION) { // as content of the first section
		at = SECTION;
		gap = PAYLOAD;
		memcpy(&section, data + SECTION - 8, sizeof(section));
		section += gap;
	} else {
		at = bytes;
	}
	memcpy(payload, data, at);
	memset(payload + at, 0, gap);
	if (gap)
		memcpy(payload + SECTION - 8, &section, sizeof(section));
	memcpy(payload + at + gap, data + at, bytes - at);
	bytes += gap;
	if (mode & LENGTH && bytes >= HEADER_BYTES)
		memcpy(payload + 16, &bytes, sizeof(bytes));
	return blocks_make(payload, bytes);
}

// Copy all sections to another snapshot, with reads of several sizes.
static size_t sections_copy(struct snapshot_reader *r)
{
	struct snapshot_writer w;
	char name[SNAPSHOT_NAME_BYTES];
	uint32_t version, found;
	size_t bytes;
	snapshot_begin(&w, again, sizeof(again));
	while (snapshot_next(r, name, &version) == 0) {
		struct snapshot_reader search = *r;
		VERIFY(snapshot_find(&search, name, &found) == 0 && search.at <= r->at);
		snapshot_section(&w, name, version);
		for (size_t size = 1; snapshot_left(r) > 0; size = size * 3 + 1) {
			size_t left = snapshot_left(r), n = size < left ? size : left;
			snapshot_read(r, payload, n);
			snapshot_bytes(&w, payload, n);
		}
		VERIFY(r->error == 0);
	}
	VERIFY(snapshot_end(&w, &bytes) == 0);
	return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct snapshot_reader r;
	if (bytes == 0 || bytes > FUZZ_INPUT_BYTES_MAX)
		return 0;
	size_t length = file_make(data, bytes);
	uint8_t *exact = malloc(length + !length);
	VERIFY(exact);
	memcpy(exact, file, length);
	int rc = snapshot_open(&r, exact, length);
	VERIFY(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP);
	if (rc == 0) {
		VERIFY(sections_copy(&r) == length);
		// Another version may have been accepted; it and the first checksum differ then.
		bool first = memcmp(exact + 8, again + 8, 8) == 0;
		VERIFY(!first || memcmp(exact, again, length) == 0);
		snapshot_read_u32(&r);
		VERIFY(snapshot_read_u64(&r) == 0 && r.error == -EBADMSG);
	}
	free(exact);
	return 0;
}
