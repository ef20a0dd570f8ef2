// Snapshots from outside: what opens can be read to its end and written again to the same content.
#include <errno.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>

#include "numa/assert.h"
#include "state/snapshot.h"
#include "tests/fuzz/fuzz.h"

enum { TRAILER_BYTES = 8, WRITTEN_BYTES_MAX = 2 * FUZZ_INPUT_BYTES_MAX };

size_t fuzz_seed(unsigned index, uint8_t *data, size_t bytes_max)
{
	static const char *const names[] = {
		"task", "hourly", "a", "thirty-one-bytes-of-a-name-----"};
	struct snapshot_writer w;
	size_t bytes = 0;

	if (index >= 16)
		return 0;
	data[0] = index % 2;
	snapshot_begin(&w, data + 1, bytes_max - 1);
	for (unsigned section = 0; section < index / 2; section++) {
		snapshot_section(&w, names[section % 4], section);
		for (unsigned i = 0; i < 11 * section; i++)
			snapshot_u32(&w, i);
		if (section == 5)
			snapshot_bytes(&w, names, 3);
	}
	VERIFY(snapshot_end(&w, &bytes) == 0);
	return 1 + bytes;
}

// Set every block's length and checksum right, so that mutations get behind them.
static void mend(uint8_t *data, size_t bytes)
{
	for (uint32_t number = 0; bytes > TRAILER_BYTES; number++) {
		size_t block = bytes < SNAPSHOT_BLOCK_BYTES ? bytes : SNAPSHOT_BLOCK_BYTES;
		uint32_t payload = (uint32_t)(block - TRAILER_BYTES);
		uint32_t prefix[2] = {number, payload};
		uint32_t crc = crc32_iscsi((unsigned char *)prefix, sizeof(prefix), 0xFFFFFFFF);
		uint32_t trailer[2] = {payload, ~crc32_iscsi(data, (int)payload, crc)};

		memcpy(data + payload, trailer, sizeof(trailer));
		data += block;
		bytes -= block;
	}
}

// Read section by section and write all of it to `w`.
static void copy(struct snapshot_reader *r, struct snapshot_writer *w)
{
	static uint8_t content[FUZZ_INPUT_BYTES_MAX];
	char name[SNAPSHOT_NAME_BYTES];
	uint32_t version, found;

	while (snapshot_next(r, name, &version) == 0) {
		struct snapshot_reader search = *r;
		size_t bytes = snapshot_left(r);

		VERIFY(bytes <= sizeof(content));
		VERIFY(snapshot_find(&search, name, &found) == 0);
		snapshot_read(r, content, bytes);
		VERIFY(r->error == 0 && snapshot_left(r) == 0);
		snapshot_section(w, name, version);
		snapshot_bytes(w, content, bytes);
	}
}

static void read_beyond(struct snapshot_reader r)
{
	char name[SNAPSHOT_NAME_BYTES];
	uint32_t version;

	if (snapshot_next(&r, name, &version))
		return;
	while (!r.error)
		(void)snapshot_read_u64(&r);
	VERIFY(r.error == -EBADMSG && snapshot_read_u32(&r) == 0 && snapshot_read_i64(&r) == 0);
}

// Returns the length of a snapshot with the same content, written to `out`.
static size_t rewrite(struct snapshot_reader r, uint8_t *out, struct snapshot_reader *ret_written)
{
	struct snapshot_writer w;
	size_t bytes = 0;

	snapshot_begin(&w, out, WRITTEN_BYTES_MAX);
	copy(&r, &w);
	VERIFY(snapshot_end(&w, &bytes) == 0);
	VERIFY(snapshot_open(ret_written, out, bytes) == 0);
	VERIFY(ret_written->payload_bytes == r.payload_bytes);
	return bytes;
}

// The two versions stand behind the magic; one that we would not write differs there.
static bool is_of_our_version(const uint8_t *snapshot)
{
	uint32_t versions[2];

	memcpy(versions, snapshot + 8, sizeof(versions));
	return versions[0] == SNAPSHOT_VERSION && versions[1] == SNAPSHOT_READER_MIN;
}

static void check(const struct snapshot_reader *opened, size_t opened_bytes)
{
	static uint8_t once[WRITTEN_BYTES_MAX], twice[WRITTEN_BYTES_MAX];
	struct snapshot_reader first, second;
	size_t bytes;

	read_beyond(*opened);
	bytes = rewrite(*opened, once, &first);
	VERIFY(rewrite(first, twice, &second) == bytes);
	VERIFY(memcmp(once, twice, bytes) == 0);
	VERIFY(bytes == opened_bytes);
	if (is_of_our_version(opened->data))
		VERIFY(memcmp(once, opened->data, bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	size_t snapshot_bytes = bytes ? bytes - 1 : 0;
	uint8_t *snapshot = malloc(snapshot_bytes ? snapshot_bytes : 1);
	struct snapshot_reader r;
	int rc;

	VERIFY(snapshot);
	if (snapshot_bytes)
		memcpy(snapshot, data + 1, snapshot_bytes);
	if (bytes && data[0] & 1)
		mend(snapshot, snapshot_bytes);
	rc = snapshot_open(&r, snapshot, snapshot_bytes);
	VERIFY(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP);
	if (rc == 0)
		check(&r, snapshot_bytes);
	free(snapshot);
	return 0;
}
