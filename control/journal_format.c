#include "control/journal_format.h"

#include <assert.h>
#include <errno.h>
#include <isa-l/crc.h>
#include <string.h>

#include "numa/assert.h"

enum { ALIGN = 8, FLAG_DELETE = 1, FLAG_LEASED = 2, FLAGS = FLAG_DELETE | FLAG_LEASED };
static const char magic[8] = "WEIRMETA";

struct header {
	char magic[8];
	uint32_t version, reader_min;
	int64_t revision;
	uint32_t crc32c, reserved; // of the 24 bytes before
};
static_assert(sizeof(struct header) == JOURNAL_HEADER_BYTES, "as pinned");

struct entry {
	uint32_t bytes, put_count;
	int64_t revision;
	uint32_t reserved;
	uint32_t crc32c; // of the 20 bytes before and all behind
};
static_assert(sizeof(struct entry) == 24, "as pinned");

struct put {
	uint16_t key_bytes;
	uint8_t flags, reserved;
	uint32_t value_bytes;
};
static_assert(sizeof(struct put) == 8, "as pinned");

static size_t pad(size_t bytes)
{
	return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static uint32_t crc_of(uint32_t crc, const void *data, size_t bytes)
{
	return crc32_iscsi((unsigned char *)data, (int)bytes, crc);
}

void journal_header_make(uint8_t header[JOURNAL_HEADER_BYTES], int64_t revision)
{
	struct header h = {
		.version = JOURNAL_VERSION, .reader_min = JOURNAL_READER_MIN, .revision = revision};
	memcpy(h.magic, magic, sizeof(magic));
	h.crc32c = ~crc_of(0xFFFFFFFF, &h, offsetof(struct header, crc32c));
	memcpy(header, &h, sizeof(h));
}

int journal_header_check(const uint8_t *data, size_t bytes, int64_t *ret_revision)
{
	struct header h;
	if (bytes < sizeof(h))
		return -EBADMSG;
	memcpy(&h, data, sizeof(h));
	if (memcmp(h.magic, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	if (h.reader_min > JOURNAL_VERSION)
		return -ENOTSUP;
	if (h.crc32c != ~crc_of(0xFFFFFFFF, &h, offsetof(struct header, crc32c)) || h.reserved ||
		h.version == 0 || h.revision < 0)
		return -EBADMSG;
	*ret_revision = h.revision;
	return 0;
}

size_t journal_entry_bytes(const struct meta_put *puts, uint32_t count)
{
	size_t bytes = sizeof(struct entry);
	for (uint32_t i = 0; i < count; i++)
		bytes += sizeof(struct put) + pad(strlen(puts[i].key) + puts[i].bytes);
	return bytes;
}

void journal_entry_make(uint8_t *out, const struct meta_put *puts, uint32_t count)
{
	struct entry e = {.bytes = (uint32_t)journal_entry_bytes(puts, count), .put_count = count};
	memset(out, 0, e.bytes);
	memcpy(out, &e, sizeof(e));
	uint8_t *at = out + sizeof(e);
	for (uint32_t i = 0; i < count; i++) {
		struct put p = {.key_bytes = (uint16_t)strlen(puts[i].key),
			.flags = (uint8_t)((puts[i].value ? 0 : FLAG_DELETE) |
				(puts[i].leased ? FLAG_LEASED : 0)),
			.value_bytes = (uint32_t)puts[i].bytes};
		memcpy(at, &p, sizeof(p));
		memcpy(at + sizeof(p), puts[i].key, p.key_bytes);
		if (puts[i].bytes > 0)
			memcpy(at + sizeof(p) + p.key_bytes, puts[i].value, puts[i].bytes);
		at += sizeof(p) + pad((size_t)p.key_bytes + p.value_bytes);
	}
	ASSERT(at == out + e.bytes);
}

static uint32_t entry_crc(const uint8_t *entry, size_t bytes)
{
	uint32_t crc = crc_of(0xFFFFFFFF, entry, offsetof(struct entry, crc32c));
	return ~crc_of(crc, entry + sizeof(struct entry), bytes - sizeof(struct entry));
}

void journal_entry_seal(uint8_t *entry, int64_t revision)
{
	struct entry e;
	memcpy(&e, entry, sizeof(e));
	e.revision = revision;
	memcpy(entry, &e, sizeof(e));
	e.crc32c = entry_crc(entry, e.bytes);
	memcpy(entry, &e, sizeof(e));
}

// Whether its puts fill the entry, and nothing else is in it.
static bool puts_fit(const uint8_t *entry, const struct entry *e)
{
	size_t at = sizeof(*e);
	for (uint32_t i = 0; i < e->put_count; i++) {
		struct put p;
		if (e->bytes - at < sizeof(p))
			return false;
		memcpy(&p, entry + at, sizeof(p));
		at += sizeof(p);
		size_t content = pad((size_t)p.key_bytes + p.value_bytes);
		if (p.key_bytes == 0 || p.key_bytes > META_KEY_MAX || p.reserved ||
			p.value_bytes > META_VALUE_MAX || (p.flags & ~FLAGS) ||
			((p.flags & FLAG_DELETE) && (p.value_bytes || p.flags != FLAG_DELETE)) ||
			content > e->bytes - at || memchr(entry + at, 0, p.key_bytes))
			return false;
		at += content;
	}
	return at == e->bytes;
}

size_t journal_entry_check(const uint8_t *data, size_t bytes, int64_t *ret_revision)
{
	struct entry e;
	if (bytes < sizeof(e))
		return 0;
	memcpy(&e, data, sizeof(e));
	if (e.bytes < sizeof(e) || e.bytes > bytes || e.bytes % ALIGN != 0 || e.reserved ||
		e.put_count == 0 || e.revision <= 0 || e.crc32c != entry_crc(data, e.bytes) ||
		!puts_fit(data, &e))
		return 0;
	*ret_revision = e.revision;
	return e.bytes;
}

bool journal_entry_next(const uint8_t *entry, size_t *at, char key[META_KEY_MAX + 1],
	struct meta_put *ret_put)
{
	struct entry e;
	struct put p;
	memcpy(&e, entry, sizeof(e));
	*at = *at ? *at : sizeof(e);
	if (*at == e.bytes)
		return false;
	const uint8_t *from = entry + *at;
	memcpy(&p, from, sizeof(p));
	ASSERT(p.key_bytes <= META_KEY_MAX);
	memcpy(key, from + sizeof(p), p.key_bytes);
	key[p.key_bytes] = 0;
	*ret_put = (struct meta_put){
		.key = key, .bytes = p.value_bytes, .leased = p.flags & FLAG_LEASED};
	if (!(p.flags & FLAG_DELETE))
		ret_put->value = from + sizeof(p) + p.key_bytes;
	*at += sizeof(p) + pad((size_t)p.key_bytes + p.value_bytes);
	return true;
}
