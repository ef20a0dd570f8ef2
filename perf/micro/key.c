#include <stdlib.h>

#include "perf/micro/micro.h"
#include "perf/micro/shim.h"
#include "state/key.h"

enum { BATCH = 1024 };

static void hash_int64(struct shim_state *state, int64_t unused)
{
	uint64_t sum = 0;

	while (shim_next(state, BATCH))
		for (int64_t i = 0; i < BATCH; i++)
			sum += key_group(key_hash_int64(i), KEY_GROUP_BITS_DEFAULT);
	__asm__ volatile("" : : "r"(sum));
	if (key_hash_int64(unused) != key_hash(&unused, sizeof(unused)))
		shim_fail(state, "the two hashes of an int64 differ");
}

static void hash_bytes(struct shim_state *state, int64_t bytes)
{
	uint8_t *keys = calloc(BATCH, (size_t)bytes);
	uint64_t sum = 0;

	for (int64_t i = 0; i < BATCH * bytes; i++)
		keys[i] = (uint8_t)(i * 31);
	while (shim_next(state, BATCH))
		for (int64_t i = 0; i < BATCH; i++)
			sum += key_group(key_hash(keys + i * bytes, (uint32_t)bytes),
				KEY_GROUP_BITS_DEFAULT);
	__asm__ volatile("" : : "r"(sum));
	free(keys);
}

void micro_key(void)
{
	shim_register("key_group/int64", hash_int64, 4711, false);
	shim_register("key_group/bytes_8", hash_bytes, 8, false);
	shim_register("key_group/bytes_24", hash_bytes, 24, false);
	shim_register("key_group/bytes_64", hash_bytes, 64, false);
	shim_register("key_group/bytes_137", hash_bytes, 137, false);
}
