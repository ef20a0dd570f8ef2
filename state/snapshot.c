#include "state/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <isa-l/crc.h>
#include <string.h>

#include "numa/assert.h"

// Every block ends in its payload's length and a CRC32C over block number, length and payload.
// Payload lengths are multiples of 8, so that no word lies in two blocks.
enum {
	TRAILER_BYTES = 8,
	BLOCK_PAYLOAD = SNAPSHOT_BLOCK_BYTES - TRAILER_BYTES,
	HEADER_BYTES = 32,
	SECTION_BYTES = SNAPSHOT_NAME_BYTES + 16,
	ALIGN = 8,
	PART_BLOCKS = 8,
};
static const char magic[8] = "WEIRSNAP";

struct header {
	char magic[8];
	uint32_t version, reader_min;
	uint64_t payload_bytes; // of the whole snapshot
	uint32_t section_count, reserved;
};
static_assert(sizeof(struct header) == HEADER_BYTES, "as pinned");

struct section {
	char name[SNAPSHOT_NAME_BYTES];
	uint32_t version, reserved;
	uint64_t bytes; // behind this header, without padding
};
static_assert(sizeof(struct section) == SECTION_BYTES, "as pinned");

// Where payload position `at` lies in the file.
static size_t place(size_t at)
{
	return at / BLOCK_PAYLOAD * SNAPSHOT_BLOCK_BYTES + at % BLOCK_PAYLOAD;
}

static size_t pad(size_t bytes)
{
	return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static uint32_t block_crc(const uint8_t *payload, uint32_t number, uint32_t bytes)
{
	uint32_t prefix[2] = {number, bytes};
	uint32_t crc = crc32_iscsi((unsigned char *)prefix, sizeof(prefix), 0xFFFFFFFF);
	return ~crc32_iscsi((unsigned char *)payload, (int)bytes, crc);
}

static void block_close(struct snapshot_writer *w, size_t number, uint32_t bytes)
{
	uint8_t *payload = w->out + number * SNAPSHOT_BLOCK_BYTES;
	uint32_t trailer[2] = {bytes, block_crc(payload, (uint32_t)number, bytes)};
	memcpy(payload + bytes, trailer, sizeof(trailer));
}

static void put(struct snapshot_writer *w, const void *data, size_t bytes)
{
	const uint8_t *from = data;
	while (bytes) {
		size_t left = BLOCK_PAYLOAD - w->at % BLOCK_PAYLOAD;
		size_t chunk = bytes < left ? bytes : left;
		size_t to = place(w->at);
		if (w->overflow || to + chunk + TRAILER_BYTES > w->room - w->scratch) {
			w->overflow = true;
			w->at += bytes;
			return;
		}
		memcpy(w->out + to, from, chunk);
		w->at += chunk;
		from += chunk;
		bytes -= chunk;
		if (chunk == left)
			block_close(w, w->at / BLOCK_PAYLOAD - 1, BLOCK_PAYLOAD);
	}
}

// Overwrite a word; a block that is closed gets a new checksum.
static void patch(struct snapshot_writer *w, size_t at, uint64_t value)
{
	if (w->overflow)
		return;
	memcpy(w->out + place(at), &value, sizeof(value));
	if (at / BLOCK_PAYLOAD < w->at / BLOCK_PAYLOAD)
		block_close(w, at / BLOCK_PAYLOAD, BLOCK_PAYLOAD);
}

void snapshot_begin(struct snapshot_writer *w, void *out, size_t room)
{
	struct header h = {.version = SNAPSHOT_VERSION, .reader_min = SNAPSHOT_READER_MIN};
	memcpy(h.magic, magic, sizeof(magic));
	*w = (struct snapshot_writer){.out = out, .room = room, .part_keys = SNAPSHOT_PART_KEYS};
	put(w, &h, sizeof(h));
}

static void section_end(struct snapshot_writer *w)
{
	static const uint8_t zeros[ALIGN];
	if (!w->in_section)
		return;
	size_t bytes = w->at - w->section_start - SECTION_BYTES;
	put(w, zeros, pad(w->at) - w->at);
	patch(w, w->section_start + offsetof(struct section, bytes), bytes);
	w->in_section = false;
}

void snapshot_section(struct snapshot_writer *w, const char *name, uint32_t version)
{
	struct section s = {.version = version};
	VERIFY(*name && strlen(name) < sizeof(s.name));
	memcpy(s.name, name, strlen(name));
	section_end(w);
	w->section_start = w->at;
	w->section_count++;
	w->in_section = true;
	put(w, &s, sizeof(s));
}

void snapshot_bytes(struct snapshot_writer *w, const void *data, size_t bytes)
{
	ASSERT(w->in_section);
	put(w, data, bytes);
}

void snapshot_u32(struct snapshot_writer *w, uint32_t value)
{
	snapshot_bytes(w, &value, sizeof(value));
}

void snapshot_u64(struct snapshot_writer *w, uint64_t value)
{
	snapshot_bytes(w, &value, sizeof(value));
}

void snapshot_i64(struct snapshot_writer *w, int64_t value)
{
	snapshot_bytes(w, &value, sizeof(value));
}

void snapshot_refuse(struct snapshot_writer *w, const char *why)
{
	w->refused = why;
}

size_t snapshot_needed(const struct snapshot_writer *w)
{
	return place(w->at) + TRAILER_BYTES + w->scratch_most;
}

void *snapshot_scratch(struct snapshot_writer *w, size_t bytes)
{
	size_t left = (w->room - w->scratch) & ~(size_t)(ALIGN - 1), used = place(w->at);
	size_t before = w->scratch;
	w->scratch = w->room - left + pad(bytes);
	if (w->scratch > w->scratch_most)
		w->scratch_most = w->scratch;
	if (!w->overflow && left > used && left - used >= pad(bytes))
		return w->out + left - pad(bytes);
	w->scratch = before;
	w->overflow = true;
	return NULL;
}

void snapshot_scratch_end(struct snapshot_writer *w)
{
	w->scratch = 0;
}

bool snapshot_fits(struct snapshot_writer *w, uint64_t bytes)
{
	if (!w->overflow && place(w->at + bytes) + TRAILER_BYTES <= w->room - w->scratch)
		return true;
	w->overflow = true;
	w->at += bytes;
	return false;
}

int snapshot_end(struct snapshot_writer *w, size_t *ret_bytes)
{
	section_end(w);
	patch(w, offsetof(struct header, payload_bytes), w->at);
	patch(w, offsetof(struct header, section_count), w->section_count);
	if (w->refused != NULL)
		return -EFBIG;
	if (w->overflow)
		return -ENOSPC;
	size_t open = w->at % BLOCK_PAYLOAD;
	if (open)
		block_close(w, w->at / BLOCK_PAYLOAD, (uint32_t)open);
	*ret_bytes = place(w->at) + (open ? TRAILER_BYTES : 0);
	ASSERT(*ret_bytes <= w->room);
	return 0;
}

// Copy payload out of the blocks; the caller has checked that it is there.
static void payload_copy(const struct snapshot_reader *r, size_t at, void *out, size_t bytes)
{
	uint8_t *to = out;
	ASSERT(at <= r->payload_bytes && bytes <= r->payload_bytes - at);
	while (bytes) {
		size_t left = BLOCK_PAYLOAD - at % BLOCK_PAYLOAD;
		size_t chunk = bytes < left ? bytes : left;
		memcpy(to, r->data + place(at), chunk);
		to += chunk;
		at += chunk;
		bytes -= chunk;
	}
}

// Check the next block's length and checksum.
static bool block_verify(struct snapshot_opening *o)
{
	const uint8_t *data = o->data + o->verified;
	size_t left = o->bytes - o->verified;
	size_t block = left < SNAPSHOT_BLOCK_BYTES ? left : SNAPSHOT_BLOCK_BYTES;
	uint32_t number = (uint32_t)(o->verified / SNAPSHOT_BLOCK_BYTES), trailer[2];
	if (block <= TRAILER_BYTES || block % ALIGN)
		return false;
	memcpy(trailer, data + block - TRAILER_BYTES, sizeof(trailer));
	if (trailer[0] != block - TRAILER_BYTES ||
		trailer[1] != block_crc(data, number, trailer[0]))
		return false;
	o->payload_bytes += trailer[0];
	o->verified += block;
	return true;
}

static bool section_is_sane(const struct snapshot_reader *r, size_t at, const struct section *s)
{
	static const uint8_t zeros[SNAPSHOT_NAME_BYTES];
	size_t left = r->payload_bytes - at - SECTION_BYTES;
	size_t name = strnlen(s->name, sizeof(s->name));
	uint8_t padding[ALIGN];
	if (name == 0 || name == sizeof(s->name) || s->reserved || s->bytes > left ||
		memcmp(s->name + name, zeros, sizeof(s->name) - name) != 0)
		return false;
	size_t padding_bytes = pad(s->bytes) - s->bytes; // inside: all lengths are multiples of 8
	payload_copy(r, at + SECTION_BYTES + s->bytes, padding, padding_bytes);
	return memcmp(padding, zeros, padding_bytes) == 0;
}

// Walk all sections.  Returns whether they fill the payload and are as many as the header says.
static bool sections_verify(const struct snapshot_reader *r, uint32_t section_count)
{
	struct section s;
	size_t at = HEADER_BYTES;
	for (; at < r->payload_bytes; section_count--) {
		if (r->payload_bytes - at < SECTION_BYTES)
			return false;
		payload_copy(r, at, &s, sizeof(s));
		if (!section_is_sane(r, at, &s))
			return false;
		at += SECTION_BYTES + pad(s.bytes);
	}
	return section_count == 0;
}

// All blocks are verified.
static int open_verified(const struct snapshot_opening *o, struct snapshot_reader *r)
{
	struct header h;
	struct snapshot_reader opened = {.data = o->data,
		.payload_bytes = o->payload_bytes,
		.part_keys = SNAPSHOT_PART_KEYS};
	if (opened.payload_bytes < HEADER_BYTES)
		return -EBADMSG;
	payload_copy(&opened, 0, &h, sizeof(h));
	if (memcmp(h.magic, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	if (h.reader_min > SNAPSHOT_VERSION)
		return -ENOTSUP;
	if (h.reader_min == 0 || h.version < h.reader_min || h.reserved ||
		h.payload_bytes != opened.payload_bytes)
		return -EBADMSG;
	if (!sections_verify(&opened, h.section_count))
		return -EBADMSG;
	opened.at = opened.section_limit = HEADER_BYTES;
	*r = opened;
	return 0;
}

int snapshot_open_part(struct snapshot_opening *o, struct snapshot_reader *r)
{
	for (uint32_t i = 0; i < PART_BLOCKS && o->verified != o->bytes; i++)
		if (!block_verify(o))
			return -EBADMSG;
	return o->verified == o->bytes ? open_verified(o, r) : 1;
}

int snapshot_open(struct snapshot_reader *r, const void *data, size_t bytes)
{
	struct snapshot_opening opening = {.data = data, .bytes = bytes};
	int result;
	do
		result = snapshot_open_part(&opening, r);
	while (result == 1);
	return result;
}

int snapshot_next(struct snapshot_reader *r, char ret_name[SNAPSHOT_NAME_BYTES],
	uint32_t *ret_version)
{
	struct section s;
	size_t start = pad(r->section_limit);
	if (start == r->payload_bytes)
		return -ENOENT;
	payload_copy(r, start, &s, sizeof(s));
	r->at = start + SECTION_BYTES;
	r->section_limit = r->at + s.bytes;
	memcpy(ret_name, s.name, sizeof(s.name));
	*ret_version = r->version = s.version;
	return 0;
}

int snapshot_find(struct snapshot_reader *r, const char *name, uint32_t *ret_version)
{
	struct snapshot_reader search = *r;
	char found[SNAPSHOT_NAME_BYTES];
	uint32_t version;
	search.section_limit = HEADER_BYTES;
	while (snapshot_next(&search, found, &version) == 0) {
		if (strcmp(found, name) != 0)
			continue;
		*r = search;
		*ret_version = version;
		return 0;
	}
	return -ENOENT;
}

void snapshot_read(struct snapshot_reader *r, void *out, size_t bytes)
{
	if (bytes > snapshot_left(r))
		r->error = -EBADMSG;
	if (r->error) {
		memset(out, 0, bytes);
		return;
	}
	payload_copy(r, r->at, out, bytes);
	r->at += bytes;
}

uint32_t snapshot_read_u32(struct snapshot_reader *r)
{
	uint32_t value;
	snapshot_read(r, &value, sizeof(value));
	return value;
}

uint64_t snapshot_read_u64(struct snapshot_reader *r)
{
	uint64_t value;
	snapshot_read(r, &value, sizeof(value));
	return value;
}

int64_t snapshot_read_i64(struct snapshot_reader *r)
{
	int64_t value;
	snapshot_read(r, &value, sizeof(value));
	return value;
}

size_t snapshot_left(const struct snapshot_reader *r)
{
	return r->section_limit - r->at;
}

void snapshot_seek(struct snapshot_reader *r, size_t at)
{
	ASSERT(at <= r->section_limit);
	r->at = at;
}
