// The sink of perf/run failover: of every record it notes which it was and when it came, in a file
// mapped into memory, so that nothing is lost when the process is killed.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/operator.h"

#define TIMELINE_MAGIC UINT64_C(0x31304c5452494557) // in the file: WEIRTL01

enum { TIMELINE_HEAD_BYTES = 4096 };

// The file: this head, then from TIMELINE_HEAD_BYTES on the entries. Times by CLOCK_MONOTONIC,
// which all processes of a machine share.
struct timeline_head {
	uint64_t magic;
	uint64_t room; // entries the file can hold
	uint32_t task_index, task_count;
	int64_t start_ns;       // of the job on this node, known with the first record
	uint64_t state_bytes;   // of the task's keyed state
	_Atomic uint64_t count; // entries there are (release)
};

struct timeline_entry {
	int64_t at_ns;
	int64_t scheduled_ns; // which record it is: no two are due at the same time
};

extern const struct weir_operator sink_timeline;

// The built-in kinds and this one.
const struct weir_operator *const *timeline_kinds(void);
