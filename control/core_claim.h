// Which cores this process polls, told to the other jobs of the machine, whoever's they are: one
// socket a core in the abstract name space, which needs no folder and no right, and ends with the
// process.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { CORE_CLAIM_MAX = 256 };

struct core_claim {
	uint32_t count;
	int sockets[CORE_CLAIM_MAX];
};

// Claim the CPUs, the first CORE_CLAIM_MAX of them. A name that cannot be had is gone without.
// Returns a CPU that another process has claimed as well, -1: there is none, or nobody can tell.
// Thread: agent.
int core_claim_take(struct core_claim *claim, const int *cpus, uint32_t count);

// The CPUs that other processes have claimed, each once, `room` of them at most.
// Returns how many; 0, too, when nobody can tell.  Thread: agent.
size_t core_claim_others(unsigned *cpus, size_t room);

void core_claim_release(struct core_claim *claim);
