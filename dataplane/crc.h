// CRC32C of short texts. ISA-L's sets up for long ones what these do without, and is the faster
// from about CRC_SHORT bytes on.
#pragma once

#include <rte_hash_crc.h>
#include <stdint.h>
#include <string.h>

enum { CRC_SHORT = 256 };

// DPDK's looks each time which instructions there are.
static inline uint32_t crc_word(uint32_t crc, uint64_t word)
{
#ifdef __SSE4_2__
	return (uint32_t)__builtin_ia32_crc32di(crc, word);
#else
	return rte_hash_crc_8byte(word, crc);
#endif
}

static inline uint32_t crc_half_word(uint32_t crc, uint32_t half)
{
#ifdef __SSE4_2__
	return __builtin_ia32_crc32si(crc, half);
#else
	return rte_hash_crc_4byte(half, crc);
#endif
}

// At any address.
static inline uint32_t crc_short(const void *text, uint32_t bytes, uint32_t crc)
{
	const uint8_t *at = text;
	for (; bytes >= 8; at += 8, bytes -= 8) {
		uint64_t word;
		memcpy(&word, at, sizeof(word));
		crc = crc_word(crc, word);
	}
	for (; bytes != 0; at++, bytes--)
		crc = rte_hash_crc_1byte(*at, crc);
	return crc;
}
