#include "control/suggest.h"

#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 64 };

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t least = a < b ? a : b;
	return least < c ? least : c;
}

// Damerau's distance restricted to swaps of neighbours ("optimal string alignment").
static uint32_t edit_distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	uint32_t rows[3][WORD_MAX + 1];
	for (size_t j = 0; j <= b_bytes; j++)
		rows[0][j] = (uint32_t)j;
	for (size_t i = 1; i <= a_bytes; i++) {
		uint32_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
		now[0] = (uint32_t)i;
		for (size_t j = 1; j <= b_bytes; j++) {
			uint32_t other = a[i - 1] != b[j - 1];
			now[j] = min3(now[j - 1] + 1, last[j] + 1, last[j - 1] + other);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = min3(now[j], before[j - 2] + 1, now[j]);
		}
	}
	return rows[a_bytes % 3][b_bytes];
}

void suggest_start(struct suggestion *s, const char *word)
{
	*s = (struct suggestion){.word = word, .best = NULL, .best_distance = UINT32_MAX};
}

void suggest_offer(struct suggestion *s, const char *known)
{
	size_t word_bytes = strlen(s->word), known_bytes = strlen(known);
	if (word_bytes > WORD_MAX || known_bytes > WORD_MAX)
		return;
	uint32_t distance = edit_distance(s->word, word_bytes, known, known_bytes);
	size_t longer = word_bytes > known_bytes ? word_bytes : known_bytes;
	if (distance < s->best_distance && distance <= longer / 3 + 1 && distance < longer) {
		s->best = known;
		s->best_distance = distance;
	}
}

const char *suggest_text(const struct suggestion *s, char out[128])
{
	out[0] = 0;
	if (s->best)
		snprintf(out, 128, "; did you mean %s?", s->best);
	return out;
}
