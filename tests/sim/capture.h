// The simulator's sink: keeps the rows it is given, as numbers. Like an epoch sink it forgets what
// lies behind the snapshot it is restored from; what it is given then must be the same again, in
// the same order.
#pragma once

#include "dataplane/operator.h"
#include "tests/sim/rows.h"

enum { CAPTURE_TASKS_MAX = 8, CAPTURE_SLOTS = 2, CAPTURE_NODES_MAX = 12 };

// What one task of the sink with parameter `slot` was given.
struct capture_rows {
	struct rows rows;
	size_t reached; // rows it had before it died; those above `rows.count` are still there
	bool differs;   // a successor was given others
};

extern const struct weir_operator capture_operator;
extern struct capture_rows captured[CAPTURE_SLOTS][CAPTURE_TASKS_MAX];

// Of tasks that are created while capture_node is a node's number plus one, each node's own.
extern struct capture_rows captured_by[CAPTURE_NODES_MAX][CAPTURE_SLOTS][CAPTURE_TASKS_MAX];
extern uint32_t capture_node;

void capture_clear(void); // between seeds
