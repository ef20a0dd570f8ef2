// What a range of seeds reached: how many of them met a situation, and how often. A situation that
// none meets is not tested, whatever the seeds say.
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "numa/assert.h"
#include "tests/sim/replicas.h"

struct seen {
	atomic_uint_fast64_t seeds[REPLICA_SITUATION_COUNT], times[REPLICA_SITUATION_COUNT];
	atomic_uint_fast64_t losses, records, all;
};

static struct seen *seen; // shared by the processes

void replica_seen_create(void)
{
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	VERIFY(seen != MAP_FAILED);
}

void replica_seen_add(const struct replica_world *w)
{
	for (uint32_t i = 0; i < REPLICA_SITUATION_COUNT; i++) {
		atomic_fetch_add(&seen->seeds[i], w->seen[i] != 0);
		atomic_fetch_add(&seen->times[i], w->seen[i]);
	}
	atomic_fetch_add(&seen->losses, w->losses);
	atomic_fetch_add(&seen->records, w->ledger.records);
	atomic_fetch_add(&seen->all, 1);
}

void replica_seen_print(void)
{
	static const char *const texts[] = {
#define SITUATION(name, text) text,
		REPLICA_SITUATIONS(SITUATION)
#undef SITUATION
	};
	printf("of %" PRIu64 " seeds, %" PRIu64 " losses, %" PRIu64 " items compared:\n",
		(uint64_t)atomic_load(&seen->all), (uint64_t)atomic_load(&seen->losses),
		(uint64_t)atomic_load(&seen->records));
	for (uint32_t i = 0; i < REPLICA_SITUATION_COUNT; i++)
		printf("%8" PRIu64 " seeds, %10" PRIu64 " times: %s\n",
			(uint64_t)atomic_load(&seen->seeds[i]),
			(uint64_t)atomic_load(&seen->times[i]), texts[i]);
}
