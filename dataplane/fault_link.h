// A link that loses, doubles, reorders, delays and corrupts packets, seeded: over a real link, or
// the simulator's. Faults befall what is received; a partition also what is sent.
#pragma once

#include <stdint.h>

#include "dataplane/link.h"

enum { FAULT_HELD_MAX = 1024, FAULT_PEERS_MAX = 1024, FAULT_ONE = 1000000 };

struct fault_rates {
	uint32_t loss, duplicate, reorder, corrupt; // parts of FAULT_ONE of the packets
	int64_t delay_ns;                           // of every packet
	int64_t jitter_ns;                          // more, evenly spread
};
