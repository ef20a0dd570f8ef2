#include "state/group_set.h"

#include <errno.h>
#include <string.h>

#include "numa/assert.h"

static uint32_t word_count(const struct group_set *s)
{
	return s->bits < 6 ? 1 : 1u << (s->bits - 6);
}

int group_set_create(struct group_set *s, struct arena *arena, uint32_t bits)
{
	s->bits = bits;
	s->words = arena_alloc(arena, word_count(s) * sizeof(*s->words), 64);
	if (s->words == NULL)
		return -ENOMEM;
	group_set_clear(s);
	return 0;
}

void group_set_clear(struct group_set *s)
{
	memset(s->words, 0, word_count(s) * sizeof(*s->words));
}

void group_set_intersect(struct group_set *s, const struct group_set *other)
{
	ASSERT(s->bits == other->bits);
	for (uint32_t i = 0; i < word_count(s); i++)
		s->words[i] &= other->words[i];
}

uint32_t group_set_count(const struct group_set *s)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < word_count(s); i++)
		count += (uint32_t)__builtin_popcountll(s->words[i]);
	return count;
}

uint32_t group_set_next(const struct group_set *s, uint32_t from)
{
	uint32_t i = from / 64;
	if (i >= word_count(s))
		return GROUP_NONE;
	uint64_t word = s->words[i] & ~0ull << from % 64;
	while (word == 0 && ++i < word_count(s))
		word = s->words[i];
	return word == 0 ? GROUP_NONE : 64 * i + (uint32_t)__builtin_ctzll(word);
}
