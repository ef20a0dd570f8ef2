// The simulator's sink: keeps the rows it is given, as numbers. Like an epoch sink it forgets what
// lies behind the snapshot it is restored from; what it is given then must be the same again, in
// the same order.
#pragma once

#include "dataplane/operator.h"
#include "tests/sim/rows.h"

enum { CAPTURE_TASKS_MAX = 8, CAPTURE_SLOTS = 2 };

// What one task of the sink with parameter `slot` was given.
struct capture_rows {
	struct rows rows;
	size_t reached; // rows it had before it died; those above `rows.count` are still there
	bool differs;   // a successor was given others
	bool published;
};

// By slot and task.
struct capture_set {
	struct capture_rows of[CAPTURE_SLOTS][CAPTURE_TASKS_MAX];
};

extern const struct weir_operator capture_operator;

// The product's kinds and this one, NULL at the end.
const struct weir_operator *const *capture_kinds(void);

extern struct capture_set captured;

// Where tasks that are created from now on keep theirs; NULL: in `captured`. It outlives them.
extern struct capture_set *capture_into;

void capture_clear(struct capture_set *set); // between seeds
void capture_free(struct capture_set *set);
