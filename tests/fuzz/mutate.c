#include "tests/fuzz/fuzz.h"

#include <string.h>

struct mutation {
	const struct fuzz_corpus *corpus;
	const struct fuzz_corpus *tokens;
	uint64_t random;
	uint8_t *data;
	size_t bytes;
};

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
static uint64_t next(struct mutation *m)
{
	uint64_t z = m->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static size_t below(struct mutation *m, size_t limit)
{
	return limit ? next(m) % limit : 0;
}

static void flip_bit(struct mutation *m)
{
	if (m->bytes)
		m->data[below(m, m->bytes)] ^= 1 << below(m, 8);
}

static void set_byte(struct mutation *m)
{
	if (m->bytes)
		m->data[below(m, m->bytes)] = next(m);
}

// Numbers that break bounds: 0, ±1, powers of two and their neighbours, at 1 to 8 bytes' width.
static void set_number(struct mutation *m)
{
	size_t width = (size_t)1 << below(m, 4);
	uint64_t value = ((uint64_t)1 << below(m, 64)) + below(m, 3) - 1;

	if (below(m, 4) == 0)
		value = below(m, 3) - (uint64_t)1;
	if (m->bytes >= width)
		memcpy(m->data + below(m, m->bytes - width + 1), &value, width);
}

static void add_small(struct mutation *m)
{
	size_t width = (size_t)1 << below(m, 4);
	uint64_t value = 0;
	size_t at;

	if (m->bytes < width)
		return;
	at = below(m, m->bytes - width + 1);
	memcpy(&value, m->data + at, width);
	value += below(m, 33) - (uint64_t)16;
	memcpy(m->data + at, &value, width);
}

static void cut_out(struct mutation *m)
{
	size_t at = below(m, m->bytes);
	size_t length = below(m, m->bytes - at + 1);

	if (!m->bytes)
		return;
	memmove(m->data + at, m->data + at + length, m->bytes - at - length);
	m->bytes -= length;
}

static void truncate_tail(struct mutation *m)
{
	m->bytes = below(m, m->bytes + 1);
}

static void insert(struct mutation *m, const uint8_t *piece, size_t length)
{
	size_t at = below(m, m->bytes + 1);

	if (m->bytes + length > FUZZ_INPUT_BYTES_MAX)
		return;
	memmove(m->data + at + length, m->data + at, m->bytes - at);
	memcpy(m->data + at, piece, length);
	m->bytes += length;
}

// A piece of an input, at most 256 bytes, goes somewhere in the data, inserted or on top.
static void splice(struct mutation *m, const struct fuzz_input *from)
{
	size_t at = below(m, from->bytes);
	size_t room = from->bytes - at < 256 ? from->bytes - at : 256;
	size_t length = below(m, room + 1);
	uint8_t piece[256];

	memcpy(piece, from->data + at, length);
	if (below(m, 2) || m->bytes < length)
		insert(m, piece, length);
	else
		memcpy(m->data + below(m, m->bytes - length + 1), piece, length);
}

static void splice_other(struct mutation *m)
{
	const struct fuzz_input *other = &m->corpus->inputs[below(m, m->corpus->count)];

	if (other->bytes)
		splice(m, other);
}

static void splice_self(struct mutation *m)
{
	struct fuzz_input self = {m->data, m->bytes};

	if (m->bytes)
		splice(m, &self);
}

static void insert_token(struct mutation *m)
{
	const struct fuzz_input *token;

	if (!m->tokens->count) {
		set_number(m);
		return;
	}
	token = &m->tokens->inputs[below(m, m->tokens->count)];
	insert(m, token->data, token->bytes);
}

size_t fuzz_mutate(const struct fuzz_corpus *corpus, const struct fuzz_dictionary *dictionary,
	uint64_t seed, uint64_t number, uint8_t *data)
{
	static void (*const mutations[])(struct mutation *) = {flip_bit, set_byte, set_number,
		add_small, cut_out, truncate_tail, splice_other, splice_self, insert_token};
	struct mutation m = {.corpus = corpus, .tokens = &dictionary->tokens, .data = data};
	const struct fuzz_input *start;
	size_t changes;

	m.random = seed;
	m.random = next(&m) ^ number;
	start = &corpus->inputs[below(&m, corpus->count)];
	memcpy(data, start->data, start->bytes);
	m.bytes = start->bytes;
	changes = (size_t)1 << below(&m, 4);
	for (size_t i = 0; i < changes; i++)
		mutations[below(&m, sizeof(mutations) / sizeof(mutations[0]))](&m);
	return m.bytes;
}
