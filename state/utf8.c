#include "state/utf8.h"

#include <string.h>

#define NOT_ASCII 0x8080808080808080ULL

// Skip the ASCII in front, eight bytes at a time.
static const uint8_t *ascii_skip(const uint8_t *at, const uint8_t *end)
{
	for (uint64_t word; end - at >= 8; at += 8) {
		memcpy(&word, at, sizeof(word));
		if (word & NOT_ASCII)
			return at + __builtin_ctzll(word & NOT_ASCII) / 8;
	}
	while (at < end && *at < 0x80)
		at++;
	return at;
}

// What may follow a lead byte: how many bytes, and the range of the first of them.
static unsigned lead_tail(uint8_t lead, uint8_t *ret_low, uint8_t *ret_high)
{
	*ret_low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	*ret_high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
	if (lead < 0xC2 || lead > 0xF4)
		return 0;
	return lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
}

// Returns the bytes of the sequence at `at`, 0 when it is none.
static size_t sequence_bytes(const uint8_t *at, const uint8_t *end)
{
	uint8_t low, high;
	unsigned tail = lead_tail(*at, &low, &high);
	if (tail == 0 || (size_t)(end - at) <= tail || at[1] < low || at[1] > high)
		return 0;
	for (unsigned i = 2; i <= tail; i++)
		if ((at[i] & 0xC0) != 0x80)
			return 0;
	return tail + 1;
}

bool utf8_is_valid(const uint8_t *text, size_t bytes)
{
	const uint8_t *at = text, *end = text + bytes;
	while ((at = ascii_skip(at, end)) < end) {
		size_t length = sequence_bytes(at, end);
		if (length == 0)
			return false;
		at += length;
	}
	return true;
}
