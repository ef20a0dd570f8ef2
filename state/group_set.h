// Sets of key groups, a bit a group: which of them an instance's state lacks, which a batch needs.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "numa/arena.h"
#include "state/key.h"

#define GROUP_NONE UINT32_MAX

struct group_set {
	uint64_t *words;
	uint32_t bits; // of 2^bits groups
};

// Empty.  Returns 0 or -ENOMEM.
int group_set_create(struct group_set *s, struct arena *arena, uint32_t bits);
void group_set_clear(struct group_set *s);
// Leave only what is in `other`, too, which is of as many groups.
void group_set_intersect(struct group_set *s, const struct group_set *other);
uint32_t group_set_count(const struct group_set *s);
// The first group not below `from`, or GROUP_NONE.
uint32_t group_set_next(const struct group_set *s, uint32_t from);

static inline void group_set_add(struct group_set *s, uint32_t group)
{
	s->words[group / 64] |= 1ull << group % 64;
}

static inline void group_set_add_hash(struct group_set *s, uint64_t hash)
{
	group_set_add(s, key_group(hash, s->bits));
}

static inline void group_set_remove(struct group_set *s, uint32_t group)
{
	s->words[group / 64] &= ~(1ull << group % 64);
}

static inline bool group_set_has(const struct group_set *s, uint32_t group)
{
	return s->words[group / 64] >> group % 64 & 1;
}
