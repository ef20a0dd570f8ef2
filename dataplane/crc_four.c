// Four CRCs at a time. The CPU's instruction takes three cycles, and a text's wait for each other:
// those of four texts fit in between. With AVX-512 the end of each text is folded at the same time
// by carry-less multiplication, in other parts of the core (Gopal et al., "Fast CRC Computation for
// Generic Polynomials Using PCLMULQDQ Instruction", 2009). No library does several texts at once.
#include <stdbool.h>
#include <stddef.h>

#include "dataplane/crc.h"

static void take_words(const uint8_t *const texts[4], uint32_t bytes, uint32_t crcs[4])
{
	const uint8_t *a = texts[0], *b = texts[1], *c = texts[2], *d = texts[3];
	uint32_t crc_a = crcs[0], crc_b = crcs[1], crc_c = crcs[2], crc_d = crcs[3];
	for (uint32_t at = 0; at + 8 <= bytes; at += 8) {
		crc_a = crc_word(crc_a, crc_load(a + at));
		crc_b = crc_word(crc_b, crc_load(b + at));
		crc_c = crc_word(crc_c, crc_load(c + at));
		crc_d = crc_word(crc_d, crc_load(d + at));
	}
	crcs[0] = crc_a, crcs[1] = crc_b, crcs[2] = crc_c, crcs[3] = crc_d;
}

static void take_short(const uint8_t *const texts[4], uint32_t bytes, uint32_t crcs[4])
{
	uint32_t whole = bytes & ~7u;
	take_words(texts, whole, crcs);
	for (int i = 0; i < 4 && whole != bytes; i++)
		crcs[i] = crc_short(texts[i] + whole, bytes - whole, crcs[i]);
}

void crc_four_plain(const uint8_t *const texts[4], uint32_t bytes, uint32_t crcs[4])
{
	enum { SHORT = 768 }; // of longer ones ISA-L does one after the other faster
	if (bytes <= SHORT)
		take_short(texts, bytes, crcs);
	else
		for (int i = 0; i < 4; i++)
			crcs[i] = crc_text(texts[i], bytes, crcs[i]);
}

#ifdef __x86_64__
#include <immintrin.h>

#define FOLDS __attribute__((target("avx512f,vpclmulqdq,pclmul,sse4.2")))

// A stride is 40 bytes of the front and 64 of the end, which take about as long as each other.
enum { FRONT_WORDS = 5, FRONT = FRONT_WORDS * 8, STRIDE = FRONT + 64, STRIDES_MAX = 16 };
enum { FOLD_MIN = 256 }; // of shorter ones it would be little

// A lane of 128 bits moves by n: its first half is multiplied by x to the power of n + 32, its
// second by that of n - 32, both modulo the polynomial, reflected, and one to the left.
static const uint64_t by_stride[2] = {0x0740eef02, 0x09e4addf8}; // 512
static const uint64_t to_last[8] = {
	0x01c291d04, 0x1d82c63da, 0x1384aa63a, 0x0ba4fc28e, 0x0f20c0dfe, 0x14cd00bd6, 0, 0};

// The first half of a lane to the last of the lanes, so many strides less one further on.
static const uint64_t to_end[STRIDES_MAX] = {0x01c291d04, 0x02ad91c30, 0x0f1d0f55e, 0x0ffd852c6,
	0x11d5ca20e, 0x188815ab2, 0x1e50585a0, 0x04e36f0b0, 0x04c144932, 0x063ded06a, 0x14e727980,
	0x1641378f0, 0x06a45d2b2, 0x15e3e77ee, 0x0d73c7bea, 0x169cf9eb0};

FOLDS static inline __m512i fold(__m512i sum, __m512i by, __m512i with)
{
	enum { XOR_OF_THREE = 0x96 };
	return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(sum, by, 0x00),
		_mm512_clmulepi64_epi128(sum, by, 0x11), with, XOR_OF_THREE);
}

FOLDS static inline __m512i fold_next(__m512i sum, __m512i by, const uint8_t *next)
{
	return fold(sum, by, _mm512_loadu_si512(next));
}

// What the end comes to, `crc` being the front's.
FOLDS static inline uint32_t join(uint32_t crc, __m512i sum, __m128i end)
{
	__m512i lanes = fold(sum, _mm512_loadu_si512(to_last), _mm512_maskz_mov_epi64(0xC0, sum));
	__m256i two = _mm256_xor_si256(_mm512_castsi512_si256(lanes),
		_mm512_extracti64x4_epi64(lanes, 1));
	__m128i one = _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
	__m128i front = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), end, 0);
	one = _mm_xor_si128(one, front);
	crc = crc_word(0, (uint64_t)_mm_cvtsi128_si64(one));
	return crc_word(crc, (uint64_t)_mm_extract_epi64(one, 1));
}

// Written out for four: kept in arrays the compiler puts all of it into memory and back.
FOLDS static void take_strides(const uint8_t *const texts[4], uint32_t strides, uint32_t crcs[4])
{
	const uint8_t *a = texts[0], *b = texts[1], *c = texts[2], *d = texts[3];
	uint32_t crc_a = crcs[0], crc_b = crcs[1], crc_c = crcs[2], crc_d = crcs[3];
	const __m512i by = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)by_stride));
	__m512i sum_a = _mm512_setzero_si512(), sum_b = sum_a, sum_c = sum_a, sum_d = sum_a;
	size_t front_bytes = (size_t)strides * FRONT, end = front_bytes;
	for (size_t at = 0; at < front_bytes; end += 64) {
		sum_a = fold_next(sum_a, by, a + end);
		sum_b = fold_next(sum_b, by, b + end);
		sum_c = fold_next(sum_c, by, c + end);
		sum_d = fold_next(sum_d, by, d + end);
		for (int word = 0; word < FRONT_WORDS; word++, at += 8) {
			crc_a = crc_word(crc_a, crc_load(a + at));
			crc_b = crc_word(crc_b, crc_load(b + at));
			crc_c = crc_word(crc_c, crc_load(c + at));
			crc_d = crc_word(crc_d, crc_load(d + at));
		}
	}
	const __m128i last = _mm_cvtsi64_si128((int64_t)to_end[strides - 1]);
	crcs[0] = join(crc_a, sum_a, last);
	crcs[1] = join(crc_b, sum_b, last);
	crcs[2] = join(crc_c, sum_c, last);
	crcs[3] = join(crc_d, sum_d, last);
}

static bool can_fold(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq");
}

void crc_four(const uint8_t *const texts[4], uint32_t bytes, uint32_t crcs[4])
{
	if (bytes < FOLD_MIN || !can_fold()) {
		crc_four_plain(texts, bytes, crcs);
		return;
	}
	const uint8_t *at[4] = {texts[0], texts[1], texts[2], texts[3]};
	uint32_t left = bytes / STRIDE, step = bytes % STRIDE;
	take_short(at, step, crcs);
	for (uint32_t strides; left != 0; left -= strides) {
		for (int i = 0; i < 4; i++)
			at[i] += step;
		strides = left < STRIDES_MAX ? left : STRIDES_MAX;
		take_strides(at, strides, crcs);
		step = strides * STRIDE;
	}
}

#else

void crc_four(const uint8_t *const texts[4], uint32_t bytes, uint32_t crcs[4])
{
	crc_four_plain(texts, bytes, crcs);
}

#endif
