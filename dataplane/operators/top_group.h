// Candidates of one group of `top`: the rows that may be among the best, as records.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "state/batch.h"
#include "state/pool.h"
#include "state/snapshot.h"

struct top_row {
	__int128 rank; // greater is better
	uint64_t at;   // of the record in the group's bytes
	uint64_t length;
};

struct top_group {
	int64_t close_ns;   // complete once the watermark has come here
	uint32_t key_bytes; // the group's canonical key lies first in `bytes`
	bool full;          // what ranks below `least` is out
	__int128 least;
	struct top_row *rows;
	uint32_t count, room, prune_at;
	uint8_t *bytes;
	uint64_t used, bytes_room;
};

// What a value of the field ranks, descending unless `ascending`; null is last, NaN the greatest.
__int128 top_rank(enum weir_type type, const struct weir_column *column, uint32_t row,
	bool ascending);

// Returns 0 or -ENOMEM.
int top_group_create(struct top_group *g, struct pool *pool, int64_t close_ns, const uint8_t *key,
	uint32_t key_bytes);
void top_group_destroy(struct top_group *g, struct pool *pool);

// Add a row unless it is out; `best` rows are wanted, and all that are equal to the last of them.
// Returns 0 or -ENOMEM.
int top_group_add(struct top_group *g, struct pool *pool, const struct weir_schema *schema,
	const struct weir_column *columns, uint32_t row, __int128 rank, uint32_t best);

// Leave only the best, in order: by rank, then by fields.
void top_group_sort(struct top_group *g, const struct weir_schema *schema, uint32_t best);

void top_group_snapshot(const struct top_group *g, struct snapshot_writer *w);
// Returns 0, -EBADMSG or -ENOMEM; *g is then empty.
int top_group_restore(struct top_group *g, struct pool *pool, const struct weir_schema *schema,
	struct snapshot_reader *r);
