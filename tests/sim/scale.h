// How far one leader goes: production controllers and agents, as many as asked for, in virtual time
// with the CPU time that their steps really take. Nothing fails but the leader, once.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SCALE_NODES_MAX = 1000 };

struct scale_result {
	uint32_t nodes;
	bool good;           // everything came about, no node was taken for dead, no job disturbed
	const char *why;     // not good
	int64_t joined_ns;   // from the start until all have
	int64_t running_ns;  // from a job's submission until all run it
	int64_t changed_ns;  // from the leader's death until all have joined the next
	double leader_share; // of a core, at rest
	double messages_per_second; // at rest, both ways
	uint64_t leader_bytes;      // of memory, at rest
	int64_t longest_ns;         // step of a leader
};

// An even number of nodes, up to SCALE_NODES_MAX, one worker each.
void scale_run(uint32_t nodes, struct scale_result *ret_result);
void scale_print(const struct scale_result *results, uint32_t count);
