// What happened in a seed's world, an event a line, for tests/model/trace to hold against the
// models (docs/protocol.md, "Trace"). Off unless asked for; it only looks.
#pragma once

#include <stdbool.h>
#include <stdint.h>

void trace_to(const char *path); // append there what follows
bool trace_is_on(void);

// What comes between is one seed's, written at its end in one piece.
void trace_begin(uint64_t seed, const char *world);
void trace_end(void);

__attribute__((format(printf, 4, 5))) void trace_event(int64_t now_ns, const char *node,
	const char *event, const char *format, ...);

struct replica_world;

// The world of tests/sim/replicas.h: what its tasks say to each other, seen from outside after a
// worker's step; what its nodes are told and have done, after they heard and after every round.
void replicas_trace_begin(const struct replica_world *w);
void replicas_trace_step(const struct replica_world *w, uint32_t node, uint32_t worker);
void replicas_trace_round(const struct replica_world *w);
void replicas_trace_end(const struct replica_world *w);
