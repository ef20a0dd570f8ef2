// The simulator's sink: keeps the rows it is given, as numbers. Like an epoch sink it forgets what
// lies behind the snapshot it is restored from.
#pragma once

#include "dataplane/operator.h"
#include "tests/sim/rows.h"

enum { CAPTURE_TASKS_MAX = 16 };

extern const struct weir_operator capture_operator;

// Captured so far by all its tasks; cleared between seeds.
extern struct rows capture_rows[CAPTURE_TASKS_MAX];
