// CRC32C, of short texts by the CPU's own instruction. ISA-L's sets up for long ones what these do
// without; it takes CRC_STEP bytes at a time, and what is left over costs it half as much again.
#pragma once

#include <isa-l/crc.h>
#include <rte_hash_crc.h>
#include <stdint.h>
#include <string.h>

enum { CRC_STEP = 256 };

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

static inline uint64_t crc_load(const uint8_t *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof(word));
	return word;
}

// At any address.
static inline uint32_t crc_short(const void *text, uint32_t bytes, uint32_t crc)
{
	const uint8_t *at = text;
	for (; bytes >= 8; at += 8, bytes -= 8)
		crc = crc_word(crc, crc_load(at));
	for (; bytes != 0; at++, bytes--)
		crc = rte_hash_crc_1byte(*at, crc);
	return crc;
}

// A text of any length, alone.
static inline uint32_t crc_text(const uint8_t *text, uint32_t bytes, uint32_t crc)
{
	uint32_t rest = bytes % CRC_STEP;
	crc = crc_short(text, rest, crc);
	return bytes == rest
		? crc
		: crc32_iscsi((unsigned char *)(uintptr_t)text + rest, (int)(bytes - rest), crc);
}

// Those of four texts of `bytes` each go on together: of short ones in half the time, and where the
// CPU can multiply without carry of long ones too. The second is how it is done where it cannot.
void crc_four(const uint8_t *const texts[4], uint32_t bytes, uint32_t crcs[4]);
void crc_four_plain(const uint8_t *const texts[4], uint32_t bytes, uint32_t crcs[4]);
