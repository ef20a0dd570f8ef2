// Which known word a misspelt one was probably meant to be.
#pragma once

#include <stdint.h>

struct suggestion {
	const char *word; // what was written
	const char *best; // the nearest word so far, NULL: none is near
	uint32_t best_distance;
};

void suggest_start(struct suggestion *s, const char *word);
// Offer a known word; the first of equally near ones wins.
void suggest_offer(struct suggestion *s, const char *known);
// "; did you mean X?" into `out`, or "" when nothing is near enough to be meant.
const char *suggest_text(const struct suggestion *s, char out[128]);
