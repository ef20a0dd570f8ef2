// What one seed runs: a job over NEXMark events, drawn from the seed, as a job file and as plain
// numbers for the reference model.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/nexmark.h"
#include "tests/sim/random.h"

enum scenario_aggregate { OF_COUNT, OF_SUM, OF_MIN, OF_MAX };

enum { SCENARIO_AGGREGATES_MAX = 4, SCENARIO_QUERIES_MAX = 2, SCENARIO_NODES_MAX = 4 };

// What a query uses of a stream: fields by name and by place in its schema.
struct scenario_stream {
	const char *name, *keys[2], *value, *time;
	uint32_t key_fields[2], value_field, time_field;
	bool text_keys;
};

extern const struct scenario_stream scenario_streams[NEXMARK_KINDS];

// A chain from one of the source's streams to a sink of its own.
struct query {
	enum nexmark_kind stream;
	bool window; // else the stream itself reaches the sink
	int64_t size_ns, slide_ns;
	bool keys[2];
	uint32_t aggregate_count;
	enum scenario_aggregate aggregates[SCENARIO_AGGREGATES_MAX]; // of the value
	uint32_t keep_modulo; // only events whose value is divisible by it; 1: all
	int64_t raise;        // a projection adds it to the value; 0: no projection
	uint32_t top;         // ranks kept per window; 0: no top
	bool merged;   // the filter is one task, which takes all sources' in the order they come
	bool one_sink; // else one a worker, fused where it can be
};

struct scenario {
	uint64_t seed;
	uint64_t events, rate, group;
	uint64_t pace; // events a second of the clock
	uint32_t workers;
	uint32_t frame_bytes, credit;
	uint32_t query_count;
	struct query queries[SCENARIO_QUERIES_MAX];
	uint32_t kills;       // times that one to three tasks die
	int64_t interrupt_ns; // 0: runs to the end
	bool replicas;        // of tasks, instead of checkpoints
	bool sinks_single;    // the sinks' tasks have none
	bool racks;           // of different racks, else only hosts
	uint32_t retention_kib;
	bool timed; // to see how long a takeover takes, with nothing else wrong
	uint32_t node_workers;
	char folder[64]; // "": sinks capture rows; else they write SINK.csv there
	char job[4096];  // the job file
};

void scenario_draw(struct scenario *s, uint64_t seed);

// The same for tasks with replicas: faster, and shorter. Workers are then those of all nodes.
void scenario_draw_replicas(struct scenario *s, uint64_t seed);

// Of those one that takes seconds, for `places_max` nodes of so many workers; on `racks`, if it is
// to survive one.
void scenario_draw_whole(struct scenario *s, uint64_t seed, uint32_t node_workers,
	uint32_t places_max, bool racks);

// Have the sinks write files into `folder`, and the job run to its end.
void scenario_to_files(struct scenario *s, const char *folder);

// One of those with so many events a second and a death soon, over nodes as they are in production.
void scenario_draw_takeover(struct scenario *s, uint64_t seed, uint64_t pace);

static inline uint32_t query_key_count(const struct query *q)
{
	return (uint32_t)q->keys[0] + q->keys[1];
}
