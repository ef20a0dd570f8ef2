#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dataplane/operators/sink_null.h"

#include <errno.h>
#include <stdalign.h>

#include "numa/arena.h"
#include "numa/assert.h"
#include "state/snapshot.h"

// Rows of varying length hide the stream from the hardware's prefetcher: every line is asked for
// in order, this far ahead.
enum { AHEAD_BYTES = 2048, LINE_BYTES = 64, RECORD_ROOM = 1 << 16 };

struct sink_null {
	uint64_t count;
	uint64_t hash;                           // sum mod 2^64 of every record's XXH3-64
	alignas(64) uint8_t record[RECORD_ROOM]; // a row of columns, as a record
};

static const struct weir_param params[] = {{.name = NULL}};

static int null_plan(struct weir_plan *plan)
{
	plan->fields_used = schema_all_fields(plan->input);
	return 0;
}

static int null_create(struct weir_context *ctx, const struct weir_plan *plan, void **ret_self)
{
	struct sink_null *s = arena_alloc(ctx->arena, sizeof(*s), 64);
	if (s == NULL)
		return -ENOMEM;
	*ret_self = s;
	return 0;
}

static uint64_t hash_packed(struct sink_null *s, struct weir_batch *in)
{
	const uint16_t variant = in->schema->variant;
	const uint8_t *at = in->first, *limit = in->limit, *line = at;
	uint64_t hash = 0, count = 0;
	while (at < limit) {
		uint32_t length = record_length(at);
		for (; line < at + length + AHEAD_BYTES; line += LINE_BYTES)
			__builtin_prefetch(line);
		if (record_variant(at) == variant) {
			hash += XXH3_64bits(at, length);
			count++;
		}
		at += length;
	}
	in->first = limit;
	s->hash += hash;
	return count;
}

static uint64_t hash_rows(struct sink_null *s, struct weir_batch *in)
{
	uint32_t from = in->at;
	for (; in->at < in->count; in->at++)
		s->hash += record_hash(in->rows[in->at]);
	return in->at - from;
}

static uint64_t hash_columns(struct sink_null *s, struct weir_batch *in)
{
	uint32_t from = in->at;
	for (; in->at < in->count; in->at++) {
		uint32_t length =
			batch_record(in->schema, in->columns, in->at, s->record, RECORD_ROOM);
		if (length == 0)
			break;
		s->hash += record_hash(s->record);
	}
	return in->at - from;
}

static enum weir_flow null_process(void *self, struct weir_context *ctx, struct weir_batch *in)
{
	struct sink_null *s = self;
	uint64_t rows = in->form == WEIR_PACKED ? hash_packed(s, in)
		: in->form == WEIR_ROWS         ? hash_rows(s, in)
						: hash_columns(s, in);
	s->count += rows;
	ctx->counters->records_in += rows;
	if (!batch_is_empty(in))
		return weir_fail(ctx, "a record is larger than %d bytes", RECORD_ROOM);
	return WEIR_DONE;
}

static void null_snapshot(const void *self, struct snapshot_writer *w)
{
	const struct sink_null *s = self;
	snapshot_u64(w, s->count);
	snapshot_u64(w, s->hash);
}

static int null_restore(void *self, struct weir_context *ctx, struct snapshot_reader *r)
{
	struct sink_null *s = self;
	s->count = snapshot_read_u64(r);
	s->hash = snapshot_read_u64(r);
	return r->error;
}

static void null_report(const void *self, struct weir_reporter *reporter)
{
	const struct sink_null *s = self;
	reporter->add(reporter, "count", s->count);
	reporter->add(reporter, "hash", s->hash);
}

const struct weir_operator sink_null = {
	.size = sizeof(struct weir_operator),
	.version = WEIR_OPERATOR_VERSION,
	.kind = "null",
	.summary = "Counts and hashes what reaches it, and keeps nothing.",
	.role = WEIR_SINK,
	.params = params,
	.plan = null_plan,
	.create = null_create,
	.process = null_process,
	.state_version = 1,
	.snapshot = null_snapshot,
	.restore = null_restore,
	.report = null_report,
};
