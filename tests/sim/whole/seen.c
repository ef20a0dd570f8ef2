// What a range of seeds reached, as tests/sim/replicas_seen.c says it of the replicas' world.
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "numa/assert.h"
#include "tests/sim/whole/whole.h"

struct seen {
	atomic_uint_fast64_t seeds[WHOLE_SITUATION_COUNT], times[WHOLE_SITUATION_COUNT], all;
};

static struct seen *seen; // shared by the processes

void whole_seen_create(void)
{
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	VERIFY(seen != MAP_FAILED);
}

void whole_seen_add(const struct whole *w)
{
	for (uint32_t i = 0; i < WHOLE_SITUATION_COUNT; i++) {
		atomic_fetch_add(&seen->seeds[i], w->seen[i] != 0);
		atomic_fetch_add(&seen->times[i], w->seen[i]);
	}
	atomic_fetch_add(&seen->all, 1);
}

void whole_seen_print(void)
{
	static const char *const texts[] = {
#define SITUATION(name, text) text,
		WHOLE_SITUATIONS(SITUATION)
#undef SITUATION
	};
	printf("of %" PRIu64 " seeds:\n", (uint64_t)atomic_load(&seen->all));
	for (uint32_t i = 0; i < WHOLE_SITUATION_COUNT; i++)
		printf("%8" PRIu64 " seeds, %10" PRIu64 " times: %s\n",
			(uint64_t)atomic_load(&seen->seeds[i]),
			(uint64_t)atomic_load(&seen->times[i]), texts[i]);
}
