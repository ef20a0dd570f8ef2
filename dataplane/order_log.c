#include "dataplane/order_log.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "numa/arena.h"
#include "numa/assert.h"
#include "state/record.h"

int order_log_create(struct order_log *log, uint64_t capacity, struct arena *arena)
{
	VERIFY(capacity != 0 && (capacity & (capacity - 1)) == 0);
	struct order_entry *entries =
		arena_alloc(arena, capacity * sizeof(*entries), alignof(uint64_t));
	if (entries == NULL)
		return -ENOMEM;
	*log = (struct order_log){.entries = entries, .capacity = capacity};
	return 0;
}

static struct order_entry *entry_at(const struct order_log *log, uint64_t index)
{
	return &log->entries[index & (log->capacity - 1)];
}

void order_log_append(struct order_log *log, const struct order_entry *entry)
{
	ASSERT(!order_log_replaying(log));
	if (entry->kind <= ORDER_READ && log->next > log->sealed) {
		struct order_entry *last = entry_at(log, log->next - 1);
		if (last->kind == entry->kind && last->input == entry->input) {
			ASSERT(entry->position >= last->position);
			*last = *entry;
			return;
		}
	}
	VERIFY(!order_log_is_full(log));
	*entry_at(log, log->next) = *entry;
	log->replay = ++log->next;
}

void order_log_follow(struct order_log *log, const struct order_entry *entry)
{
	VERIFY(!order_log_is_full(log));
	*entry_at(log, log->next++) = *entry;
	log->sealed = log->next;
}

const struct order_entry *order_log_at(const struct order_log *log, uint64_t index)
{
	ASSERT(index >= log->first && index < log->next);
	return entry_at(log, index);
}

const struct order_entry *order_log_current(const struct order_log *log)
{
	ASSERT(order_log_replaying(log));
	return entry_at(log, log->replay);
}

void order_log_obeyed(struct order_log *log)
{
	ASSERT(order_log_replaying(log));
	log->replay++;
}

void order_log_trim(struct order_log *log, uint64_t first)
{
	ASSERT(first >= log->first && first <= log->next);
	log->first = first;
}

void order_log_seal(struct order_log *log)
{
	log->sealed = log->next;
}

static uint64_t word(const uint8_t *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

// A word of 64 bits: the product of its halves, keyed.
static uint64_t mix_word(uint64_t value, uint64_t key)
{
	value ^= key;
	return (value & UINT32_MAX) * (value >> 32);
}

// Null words (and what shares their 8 bytes), then two words of fields. Lengths are added beside.
static uint64_t mix_record(uint64_t key, uint64_t nulls, uint64_t low, uint64_t high)
{
	return mix_word(nulls ^ low, key) + mix_word(low ^ high, key + ORDER_KEY_HIGH);
}

uint64_t order_mix_records(uint64_t number, const uint8_t *first, uint64_t count)
{
	uint64_t sum = 0, key = number * ORDER_KEY;
	while (count-- > 0) {
		uint32_t length = record_length(first);
		uint64_t low = length < 24 ? 0 : word(first + 16);
		uint64_t high = length < ORDER_MIXED_BYTES ? 0 : word(first + 24);
		sum += mix_record(key += ORDER_KEY, word(first + 8), low, high) + length;
		first += length;
	}
	return sum;
}

#ifdef __AVX2__

// The two words that mix_record keys; a record of 24 bytes has no `high`.
static inline __m128i two_words(const uint8_t *record, bool whole)
{
	__m128i front = _mm_loadu_si128((const __m128i *)(record + 8));
	return _mm_xor_si128(front,
		whole ? _mm_loadu_si128((const __m128i *)(record + 16)) : _mm_srli_si128(front, 8));
}

// Two records at a time.  Returns the sum of their terms without lengths.
static inline uint64_t mix_pairs(uint64_t number, const uint8_t *first, uint64_t pairs,
	uint32_t bytes, bool whole)
{
	uint64_t key = (number + 1) * ORDER_KEY, next = key + ORDER_KEY;
	__m256i keys = _mm256_set_epi64x((long long)(next + ORDER_KEY_HIGH), (long long)next,
		(long long)(key + ORDER_KEY_HIGH), (long long)key);
	const __m256i step = _mm256_set1_epi64x((long long)(2 * ORDER_KEY));
	__m256i sums = _mm256_setzero_si256();
	for (; pairs > 0; pairs--, first += 2 * (size_t)bytes) {
		__m256i both =
			_mm256_inserti128_si256(_mm256_castsi128_si256(two_words(first, whole)),
				two_words(first + bytes, whole), 1);
		both = _mm256_xor_si256(both, keys);
		sums = _mm256_add_epi64(sums, _mm256_mul_epu32(both, _mm256_srli_epi64(both, 32)));
		keys = _mm256_add_epi64(keys, step);
	}
	uint64_t parts[4];
	_mm256_storeu_si256((__m256i *)parts, sums);
	return parts[0] + parts[1] + parts[2] + parts[3];
}

uint64_t order_mix_even(uint64_t number, const uint8_t *first, uint64_t count, uint32_t bytes)
{
	uint64_t pairs = count / 2, even = 2 * pairs;
	ASSERT(bytes >= ORDER_EVEN_BYTES_MIN && (count == 0 || bytes == record_length(first)));
	uint64_t sum = bytes >= ORDER_MIXED_BYTES ? mix_pairs(number, first, pairs, bytes, true)
						  : mix_pairs(number, first, pairs, bytes, false);
	return sum + even * bytes +
		order_mix_records(number + even, first + even * bytes, count - even);
}

#else

uint64_t order_mix_even(uint64_t number, const uint8_t *first, uint64_t count, uint32_t bytes)
{
	ASSERT(bytes >= ORDER_EVEN_BYTES_MIN && (count == 0 || bytes == record_length(first)));
	return order_mix_records(number, first, count);
}

#endif
